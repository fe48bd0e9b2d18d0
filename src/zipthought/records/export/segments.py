"""A completion in parts: one for each step of a synthetic trace; for each line of a real solution, or for each sentence
if it is one line; and the final answer. The parts joined are the completion, to the character."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from ...solutions import FAMILIES
from ...solutions.options import read_options, stated_final
from ...solutions.sentences import split_sentences
from ...solutions.solution import UnreadableError
from ...surfaces import SURFACES, detect_surface, get_surface
from ..schema import Record

_SEPARATORS = re.compile(r"[\s.,;:!?]*")


class Segments(NamedTuple):
    """The parts of a completion."""

    texts: tuple[str, ...]
    """The parts, with the blanks after them. None is blank, unless the completion is."""
    final: int | None
    """The part that states the final answer; None if no part does."""
    steps: tuple[int, ...]
    """For each step of the verdict the part that has it."""

    @property
    def before_answer(self) -> list[str]:
        """The parts without blanks around them, but for one that states the final answer and no step."""
        kept = (text.strip() for i, text in enumerate(self.texts) if i != self.final or i in self.steps)
        return [text for text in kept if text]


def segments_of(record: Record) -> Segments:
    """The parts of a record's completion. Raises `ValueError` for an unknown surface, and for a family that does not
    say where its steps are."""
    text, name = record["completion"], record.get("surface") or ""
    if name in FAMILIES and name not in SURFACES:
        return _of_solution(record["prompt"], text, name)
    sentences = (get_surface(name) if name else detect_surface(text)).sentences(text)
    offsets, position = [], 0
    for sentence in sentences:
        position = text.find(sentence, position)
        offsets.append(position)
        position += len(sentence) + 1  # Past a character between two sentences.
    separators = _SEPARATORS.match(text, position - 1) if sentences else None
    final = separators.end() if separators else 0
    return _cut(text, offsets, final if final < len(text) else None, offsets)


def _of_solution(question: str, text: str, name: str) -> Segments:
    """The parts of a real solution."""
    find_steps = getattr(FAMILIES[name], "step_offsets", None)
    if find_steps is None:
        raise ValueError(f"the family {name!r} has no step_offsets, so its steps cannot be exported")
    sentences = split_sentences(text)
    lines = [end for _, end in sentences[:-1] if text[end - 1] == "\n"]
    starts = lines or [start for start, _ in sentences]
    final = None
    try:
        stated = stated_final(text, read_options(question))
        if stated:
            final, end = next(span for span in sentences if stated.end <= span[1])
            if final < stated.cut < stated.end:
                final = stated.cut  # 3 + 4 = 7, so the answer is 7.
            starts = [*starts, final, end]
    except UnreadableError:  # Two answers, or one taken back: the last part has the verdict.
        final = starts[-1]
    return _cut(text, starts, final, find_steps(question, text))


def _cut(text: str, starts: Sequence[int], final: int | None, steps: Sequence[int]) -> Segments:
    """The parts that begin at 0, at `starts` and at `final`, but not before blanks alone."""
    cuts = [0]
    for start in sorted({*starts, *([] if final is None else [final])}):
        if text[cuts[-1] : start].strip() and text[start:].strip():
            cuts.append(start)
    texts = tuple(text[start:end] for start, end in itertools.pairwise([*cuts, len(text)]))

    def part(offset: int) -> int:
        return bisect.bisect_right(cuts, offset) - 1

    return Segments(texts, None if final is None else part(final), tuple(map(part, steps)))
