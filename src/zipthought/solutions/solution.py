"""A real solution: its steps, the earlier result that each operand is, and the sentences that it consists of.

A step is one equation of the source, so granularity counts the steps of the source. A step can be nested in a later one
under three conditions: only that later step uses its result, and only once; no other number of the same value could be
meant; and the sentence of the later step can hold the nested expression (`Solution.nestable`). All other steps are
shown at every granularity.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..core.grouping import group
from .equations import Equation, Span
from .tokens import Number, tokenize

Edit = tuple[int, int, str]
"""Start, end and new text of a part of `Solution.text`."""


class UnreadableError(ValueError):
    """A solution that cannot be read or does not verify. `reason` is an identifier; the message explains it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class SolutionStep(NamedTuple):
    """One equation of a solution and its context."""

    equation: Equation
    sentence: int
    """Index of its sentence in `Solution.sentences`."""
    sources: tuple[int | None, ...]
    """For each operand the index of the step whose result it is; None for a number of the question or a new one."""


@dataclass(frozen=True)
class Solution:
    """A solution whose steps hold: the text, its sentences, and the graph of its steps."""

    text: str
    """The text before the final answer."""
    tail: str
    """The rest of the text: the final answer and the words that introduce it."""
    answer: str
    """The final answer as a plain number."""
    sentences: tuple[Span, ...]
    """The spans of the sentences in `text`. A span includes the blanks after its sentence."""
    steps: tuple[SolutionStep, ...]
    unread: tuple[int, ...] = ()
    """Offsets of the ``=`` of equations that could not be read."""
    ambiguous: int = 0
    """How many operands could be several earlier results, or both an earlier result and a number of the question."""
    guessed: frozenset[int] = frozenset()
    """Steps that are never nested: an operand that `link` takes for their result could be another number."""

    @cached_property
    def nestable(self) -> frozenset[int]:
        """The steps that can be left out because their expression can stand in the one step that uses their result."""
        steps = self.steps
        fixed = {self._sentence_at(offset) for offset in self.unread}  # Sentences that cannot be dropped.
        seen: set[int] = set()
        uses: list[list[tuple[int, int]]] = [[] for _ in steps]  # The (step, operand) pairs that use each result.
        has_percent: list[bool] = []  # A percentage has its value from its own equation, so it is not moved.
        for index, (equation, sentence, sources) in enumerate(steps):
            (fixed if sentence in seen else seen).add(sentence)
            percent = equation.stated.percent
            for slot, source in enumerate(sources):
                if source is not None:
                    uses[source].append((index, slot))
                percent = percent or equation.operands[slot].percent
            has_percent.append(percent)
        nestable = []
        for index, users in enumerate(uses):
            is_certain = len(users) == 1 and index not in self.guessed
            if is_certain and steps[index].sentence not in fixed and not has_percent[index]:
                user, slot = users[0]
                if not has_percent[user] and self._holds_nested(steps[user], slot):
                    nestable.append(index)
        return frozenset(nestable)

    def _sentence_at(self, offset: int) -> int | None:
        index = bisect.bisect_right(self.sentences, (offset, len(self.text))) - 1
        return index if index >= 0 and offset < self.sentences[index][1] else None

    def _holds_nested(self, step: SolutionStep, slot: int) -> bool:
        """Whether the sentence of a step can show an expression in place of an operand."""
        equation = step.equation
        if equation.prose_operands:
            return True
        start, end = self.sentences[step.sentence]
        value = equation.values[slot]
        before_note = tokenize(self.text, start, equation.annotation[0] if equation.annotation else end)
        return all(token.kind != "n" or token.value != value for token in before_note)

    def groups(self, k: int) -> list[int]:
        """The steps that a text of granularity k shows."""
        operands = {index: [s for s in step.sources if s is not None] for index, step in enumerate(self.steps)}
        return sorted(group(operands, k, set(operands) - self.nestable))

    def assemble(self, edits: Mapping[int, Iterable[Edit]]) -> str:
        """The solution with the sentences of the steps in `edits` only, after these edits.

        A sentence without a step stays if the next sentence with a step stays. Those at the end stay always.
        """
        by_sentence: dict[int, list[Edit]] = {}
        with_steps = {step.sentence for step in self.steps}
        for index, changes in edits.items():
            by_sentence.setdefault(self.steps[index].sentence, []).extend(changes)
        parts: list[str] = []
        waiting: list[str] = []
        for number, (start, end) in enumerate(self.sentences):
            if number not in with_steps:
                waiting.append(self.text[start:end])
                continue
            if number in by_sentence:
                parts += waiting
                for begin, stop, new in sorted(by_sentence[number]):
                    parts += (self.text[start:begin], new)
                    start = stop
                parts.append(self.text[start:end])
            waiting = []
        return "".join(parts + waiting) + self.tail


class Links(NamedTuple):
    """Where the operands of a solution's equations come from."""

    sources: list[tuple[int | None, ...]]
    """For each equation and operand the index of the equation whose result it is, or None."""
    ambiguous: int
    """How many operands could be several numbers of the same value."""
    guessed: frozenset[int]
    """The equations with a result that another number of its value could replace in an operand."""


def link(equations: Sequence[Equation], given: Container[Number]) -> Links:
    """Find the earlier result that each operand is, by its value. `given` has the numbers of the question.

    The first rule that applies decides. (1) The latest earlier result of this value that is unused. (2) A number of the
    question. (3) The latest earlier result of this value. (4) A new number. The choice is a guess if the question or
    another earlier result has the value too.
    """
    unused: dict[Number, list[int]] = {}
    latest: dict[Number, int] = {}
    links: list[tuple[int | None, ...]] = []
    ambiguous = 0
    repeated: set[Number] = set()
    guessed: set[int] = set()
    for index, equation in enumerate(equations):
        sources: list[int | None] = []
        for value in equation.values:
            candidates = unused.get(value)
            if candidates:
                is_given = value in given
                ambiguous += is_given or len(candidates) > 1
                if is_given or value in repeated:
                    guessed.add(candidates[-1])
                sources.append(candidates.pop())
            elif value in latest and value not in given:
                sources.append(latest[value])
            else:
                ambiguous += value in latest
                sources.append(None)
        links.append(tuple(sources))
        unused.setdefault(equation.result, []).append(index)
        if equation.result in latest:
            repeated.add(equation.result)
        latest[equation.result] = index
    return Links(links, ambiguous, frozenset(guessed))


_SENTENCE_END = re.compile(r"[.!?][)\"']*[ \t]+(?=[^a-z\s])|\n+")


def split_sentences(text: str) -> tuple[Span, ...]:
    """The spans of the sentences of a text. A span includes the blanks after its sentence."""
    cuts = [0, *(match.end() for match in _SENTENCE_END.finditer(text))]
    if cuts[-1] < len(text) or len(cuts) == 1:
        cuts.append(len(text))
    return tuple(itertools.pairwise(cuts))
