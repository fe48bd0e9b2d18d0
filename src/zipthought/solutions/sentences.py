"""The sentences of a solution: the parts of a text that a shorter text has or leaves out as a whole.

A sentence ends at its mark before a capital, at a line break, and between two annotations with no words between them.
Displayed mathematics and code are never cut (``\\[ ... \\]``, ``$$ ... $$``, ``\\begin{...} ... \\end{...}``, fences).
A tag around a train of thought (``<think>``) is a sentence of its own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from .equations import Span

_TAG = r"</?think(?:ing)?>"
_EXCLAMATION = r"!(?!(?<=\d!)[ \t]*\d|[ \t]*[-+*/=×÷^}\\])"  # A factorial ends no sentence.
_TITLES = "".join(rf"(?<!\b{title}\.)" for title in ("Mr", "Ms", "Dr", "St", "Mrs"))
_MARK = rf"(?:\.{_TITLES}|\?|{_EXCLAMATION})[)\"']*[ \t]+(?=[^a-z\s])"
_END = re.compile(rf"{_MARK}|\n++(?![ \t]*=(?![=>]))|>>[ \t]+(?=<<)|(?={_TAG})|{_TAG}\s*")
_DELIMITER = re.compile(r"\\[\[\]]|\$\$|```|\\(?P<end>begin|end)\{(?P<name>[A-Za-z]+\*?)\}")
_LABEL = re.compile(r"[ \t]*(?:#+[ \t]*)?(?:\*\*)?\(?(?:[Ss]tep[ \t]+)?(\d{1,2})[.:)](?=[\s*])", re.ASCII)
_REFERENCE = re.compile(r"\b[Ss]teps?[ \t]+\d", re.ASCII)


def split_sentences(text: str) -> tuple[Span, ...]:
    """The spans of the sentences of a text. A span includes the blanks after its sentence."""
    cuts = list(dict.fromkeys([0, *(match.end() for match in _END.finditer(text))]))  # A tag may follow a line break.
    if "\\" in text or "$$" in text or "```" in text:
        cuts = _outside(cuts, _blocks(text))
    if cuts[-1] < len(text) or len(cuts) == 1:
        cuts.append(len(text))
    return tuple(itertools.pairwise(cuts))


def joined(sentences: Sequence[Span], spans: Iterable[Span]) -> tuple[Span, ...]:
    """The sentences without cuts inside of the spans, which are ordered by their ends: ``Rs. 16 + Rs. 4`` is one."""
    cuts = _outside([start for start, _ in sentences], spans)
    return tuple(itertools.pairwise([*cuts, sentences[-1][1]]))


def is_tag(text: str, span: Span) -> bool:
    """Whether a sentence is a tag around a train of thought."""
    return text.startswith("<", span[0]) and re.match(_TAG, text[span[0] : span[0] + 12]) is not None


def trace_end(text: str) -> int:
    """Offset of the tag that ends a train of thought (``</think>``); 0 if the text has none."""
    return max(text.rfind("</think"), 0)


def split_trace(text: str) -> tuple[str, str]:
    """The train of thought between its tags, and the text after it; of a text without tags, "" and the text.

    Raises `ValueError` for a tag that is neither the first nor the last of one train of thought.
    """
    end = trace_end(text)
    opening = re.match(rf"\s*{_TAG}", text)
    start = opening.end() if opening and end else 0
    rest = text[end:].partition(">")[2] if end else text
    trace = text[start:end]
    if re.search(_TAG, trace) or re.search(_TAG, rest):
        raise ValueError("the completion has a <think> tag that is not around one train of thought at its beginning")
    return trace, rest


def labels(text: str, sentences: Sequence[Span]) -> dict[int, Span]:
    """Sentence -> the number that labels it (``Step 2:``, ``2.``, ``(2)``), if the labels count from 1 and the text
    names no step by its number; else nothing."""
    found = {i: match.span(1) for i, (start, end) in enumerate(sentences) if (match := _LABEL.match(text, start, end))}
    if [text[slice(*span)] for span in found.values()] != [str(number) for number in range(1, len(found) + 1)]:
        return {}
    own = {start for start, _ in found.values()}
    if any(match.end() - 1 not in own for match in _REFERENCE.finditer(text)):
        return {}
    return found


def _blocks(text: str) -> Iterator[Span]:
    """The spans between delimiters that belong together, ordered by their ends. The first without a partner reaches to
    the end of the text. Each delimiter is looked at once."""
    opened: list[tuple[str, int]] = []
    for match in _DELIMITER.finditer(text):
        kind = match["name"] or ("[]" if match[0][0] == "\\" else match[0])
        inner = opened[-1][0] if opened else ""
        if match["end"] == "end" or match[0] == "\\]" or (kind in ("$$", "```") and kind == inner):
            if kind == inner:
                yield opened.pop()[1], match.end()
        else:
            opened.append((kind, match.start()))
    if opened:
        yield opened[0][1], len(text) + 1


def _outside(cuts: Iterable[int], blocks: Iterable[Span]) -> list[int]:
    """The ascending `cuts` that lie in none of the blocks, which are ordered by their ends."""
    whole: list[Span] = []
    for start, end in blocks:
        while whole and whole[-1][0] > start:
            whole.pop()  # It lies in this one.
        whole.append((start, end))
    kept, number = [], 0
    for cut in cuts:
        while number < len(whole) and whole[number][1] <= cut:
            number += 1
        if number == len(whole) or cut <= whole[number][0]:
            kept.append(cut)
    return kept
