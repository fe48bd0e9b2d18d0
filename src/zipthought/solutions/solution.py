"""A real solution: its steps, the earlier result that each operand is, and the sentences that it consists of.

A step is one equation of the source, so granularity counts the steps of the source. A step can be nested in a later one
under four conditions: only that later step uses its result, and only once; no other number of the same value could be
meant; the sentence of the later step can hold the nested expression (`Solution.nestable`); and the text that is left
does not name the result (`Solution.groups`). All other steps are shown at every granularity.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..core.grouping import group
from .equations import CheckedEquation, HoldingEquation, Span
from .sentences import is_tag, labels, trace_end
from .tokens import Number, tokenize, written_numbers

MAX_ATTEMPTS = 8
"""Rounds of `Solution.groups` and of `pruning`. After them, a result that any sentence names is shown."""

Edit = tuple[int, int, str]
"""Start, end and new text of a part of `Solution.text`."""


NEAR = ("final_rounded", "final_as_percentage", "final_converted", "final_earlier")
"""Reasons of solutions whose steps hold and whose final answer is one unwritten step away from the last one."""


class UnreadableError(ValueError):
    """A solution that cannot be read or does not verify. `reason` is an identifier; the message explains it. For the
    reasons of `NEAR` `solution` is what was read."""

    def __init__(self, reason: str, detail: str, solution: Solution | None = None) -> None:
        super().__init__(detail)
        self.reason, self.solution = reason, solution


class SolutionStep(NamedTuple):
    """One equation of a solution and its context."""

    equation: HoldingEquation
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
    """The rest of the text: the final answer and the words that introduce it. If the last equation has the answer in a
    box, what stands behind the box."""
    answer: str
    """The final answer as a record has it: a plain number, the letter of an option, or a formula."""
    sentences: tuple[Span, ...]
    """The spans of the sentences in `text`. A span includes the blanks after its sentence."""
    steps: tuple[SolutionStep, ...]
    unread: tuple[int, ...] = ()
    """Offsets of the ``=`` of equations that could not be read."""
    ambiguous: int = 0
    """How many operands could be several earlier results, or both an earlier result and a number of the question."""
    guessed: frozenset[int] = frozenset()
    """Steps that are never nested: an operand that `link` takes for their result could be another number."""
    given: Container[Number] = frozenset()
    """The numbers of the question."""
    statement: str = ""
    """The text that states the final answer, alone."""
    notation: str = ""
    """How the text states it (`finals.Final`); empty if the answer is the record's own."""
    final: Number | None = None
    """The value of the final answer; None if it is not one number."""
    accepted: str = ""
    """The reason of `NEAR` for which the final answer is accepted although the last step gives another number."""
    notate: Callable[[str], str] = str
    """What brings a text of this solution into the notation of its record's numbers."""

    @property
    def whole(self) -> str:
        """The text and its end, as the record writes numbers."""
        return self.notate(self.text + self.tail)

    @cached_property
    def nestable(self) -> frozenset[int]:
        """The steps that can be left out because their expression can stand in the one step that uses their result."""
        steps = self.steps
        fixed = {*self.kept, *map(self.sentence_at, self.unread)}  # Sentences that cannot be dropped.
        seen: set[int] = set()
        uses: list[list[tuple[int, int]]] = [[] for _ in steps]  # The (step, operand) pairs that use each result.
        is_whole: list[bool] = []  # A percentage has its value from its own equation, so it is not moved.
        for index, (equation, sentence, sources) in enumerate(steps):
            (fixed if sentence in seen else seen).add(sentence)
            for slot, source in enumerate(sources):
                if source is not None:
                    uses[source].append((index, slot))
            numbers = () if isinstance(equation, CheckedEquation) else (equation.stated, *equation.operands)
            is_whole.append(not numbers or any(number.percent for number in numbers))
        # A trace may use its answer once more, to check it. The step that gives the answer is shown all the same.
        answers = [index for index, step in enumerate(steps) if self.is_answer(step)] if trace_end(self.text) else []
        root = answers[-1] if answers else None
        nestable = []
        for index, users in enumerate(uses):
            is_certain = len(users) == 1 and index not in self.guessed and index != root
            if is_certain and steps[index].sentence not in fixed and not is_whole[index]:
                user, slot = users[0]
                if not is_whole[user] and self._holds_nested(steps[user], slot):
                    nestable.append(index)
        return frozenset(nestable)

    def sentence_at(self, offset: int) -> int | None:
        """The sentence with a character of `text`; None for one of the tail."""
        index = self._sentence_of(offset)
        return index if index >= 0 and offset < self.sentences[index][1] else None

    def _holds_nested(self, step: SolutionStep, slot: int) -> bool:
        """Whether the sentence of a step can show an expression in place of an operand."""
        equation = step.equation
        if isinstance(equation, CheckedEquation):
            return False
        if equation.prose_operands:
            return True
        start, end = self.sentences[step.sentence]
        value = equation.values[slot]
        before_note = tokenize(self.text, start, equation.annotation[0] if equation.annotation else end)
        return all(token.kind != "n" or token.value != value for token in before_note)

    @cached_property
    def kept(self) -> frozenset[int]:
        """Sentences that every text has: the tags around a train of thought, and the first sentence before a step that
        states an operand which is neither a number of the question nor the result of a step (``That leaves 24 days.``).
        """
        kept = {n for n, span in enumerate(self.sentences) if is_tag(self.text, span)} if "<" in self.text else set()
        new = [
            (value, sentence)
            for equation, sentence, sources in self.steps
            for value, source in zip(equation.values, sources, strict=True)
            if source is None and value not in self.given
        ]
        if new:
            stated = self._first_statements()
            kept.update(stated[value] for value, sentence in new if stated.get(value, sentence) < sentence)
        return frozenset(kept)

    def _first_statements(self) -> dict[Number, int]:
        """Number -> the first sentence that states it outside equations and labels."""
        equations = [
            span
            for equation, _, _ in self.steps
            if (span := equation.span if isinstance(equation, CheckedEquation) else equation.prose)
        ]
        spans = sorted([*equations, *self._labels.values()])
        begins = [start for start, _ in spans]
        first: dict[Number, int] = {}
        for value, offset in self.numbers:
            before = bisect.bisect_right(begins, offset) - 1
            if before < 0 or offset >= spans[before][1]:
                first.setdefault(value, self._sentence_of(offset))
        return first

    @cached_property
    def _labels(self) -> dict[int, Span]:
        """Sentence -> the number that labels it."""
        return labels(self.text, self.sentences)

    @cached_property
    def numbers(self) -> list[tuple[Number, int]]:
        """(value, offset) of the numbers of the prose."""
        return list(written_numbers(self.text))

    def _sentence_of(self, offset: int) -> int:
        return bisect.bisect_right(self.sentences, (offset, len(self.text))) - 1

    def is_answer(self, step: SolutionStep) -> bool:
        """Whether the result of a step is the final answer (60% is 60 or 0.6)."""
        return self.final is not None and self.final in (step.equation.result, step.equation.stated.value)

    def groups(self, k: int) -> list[int]:
        """The steps that a text of granularity k shows."""
        operands = {index: [s for s in step.sources if s is not None] for index, step in enumerate(self.steps)}
        nestable = set(self.nestable)
        for attempt in itertools.count():
            shown = group(operands, k, set(operands) - nestable)
            hidden = operands.keys() - shown
            left = set(self.staying({self.steps[index].sentence for index in shown})) if hidden else set()
            named = {index for index in hidden if not left.isdisjoint(self._named[index])}
            if not named:
                break
            is_late = attempt == MAX_ATTEMPTS
            nestable -= {index for index in nestable if self._named[index]} if is_late else named
        return sorted(shown)

    @cached_property
    def _named(self) -> dict[int, set[int]]:
        """Nestable step -> the other sentences whose prose writes its result, except as the operand that it is."""
        used: dict[int, int] = {}  # Step -> the offset of the operand that is its result.
        for step in self.steps:
            equation = step.equation
            if isinstance(equation, CheckedEquation):
                continue
            written = equation.prose_operands or (() if equation.annotation else equation.operands)
            used.update(
                (source, o.start) for source, o in zip(step.sources, written, strict=False) if source is not None
            )
        places: dict[Number | None, list[int]] = {self.steps[index].equation.result: [] for index in self.nestable}
        for value, offset in self.numbers:
            if value in places:
                places[value].append(offset)
        named = {}
        for index in self.nestable:
            _, sentence, _ = step = self.steps[index]
            others = (offset for offset in places[step.equation.result] if offset != used.get(index))
            named[index] = set(map(self._sentence_of, others)) - {sentence}
        return named

    def assemble(self, edits: Mapping[int, Iterable[Edit]], also: Iterable[int] = ()) -> str:
        """The solution with the sentences of the steps in `edits` only, after these edits, and with the sentences
        `also`.

        A sentence without a step stays if the next sentence with a step stays. Those at the end stay always, and so do
        those in `kept`. The labels of the sentences that stay count from 1.
        """
        changes: dict[int, list[Edit]] = {}
        for index, edit in edits.items():
            changes.setdefault(self.steps[index].sentence, []).extend(edit)
        staying = sorted({*self.staying(changes), *also})
        if len(staying) < len(self.sentences):
            for count, number in enumerate((number for number in staying if number in self._labels), 1):
                changes.setdefault(number, []).append((*self._labels[number], str(count)))
        return "".join(self._edited(number, changes.get(number, ())) for number in staying) + self.tail

    def staying(self, shown: Container[int]) -> list[int]:
        """The sentences of a text that shows the steps of these sentences."""
        with_steps = {step.sentence for step in self.steps}
        staying, waiting = set(self.kept), list[int]()
        for number in range(len(self.sentences)):
            if number in shown:
                staying.update(waiting, (number,))
            if number in with_steps:
                waiting = []
            else:
                waiting.append(number)
        return sorted(staying.union(waiting))

    def _edited(self, number: int, changes: Iterable[Edit]) -> str:
        """A sentence after its edits."""
        start, end = self.sentences[number]
        parts: list[str] = []
        for begin, stop, new in sorted(changes):
            parts += (self.text[start:begin], new)
            start = stop
        return "".join([*parts, self.text[start:end]])


class Links(NamedTuple):
    """Where the operands of a solution's equations come from."""

    sources: list[tuple[int | None, ...]]
    """For each equation and operand the index of the equation whose result it is, or None."""
    ambiguous: int
    """How many operands could be several numbers of the same value."""
    guessed: frozenset[int]
    """The equations with a result that another number of its value could replace in an operand."""


def link(equations: Sequence[HoldingEquation], given: Container[Number]) -> Links:
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
        if equation.result is None:
            continue
        unused.setdefault(equation.result, []).append(index)
        if equation.result in latest:
            repeated.add(equation.result)
        latest[equation.result] = index
    return Links(links, ambiguous, frozenset(guessed))
