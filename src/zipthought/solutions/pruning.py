"""``pruned:k``: only the steps that the final answer depends on, in groups of k.

The dependency is exact: a step is needed if the final answer is its result, or if a needed step has its result as an
operand (`Solution.steps`). Re-checks, repeated derivations and abandoned branches are not. What cannot be read is
never dropped, and neither is a step whose result such a sentence names. A thinking trace and the solution after it
derive the answer each for itself, so each keeps its own derivation.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..core.methods import GroupingMethod, Method
from ..core.problem import Problem
from ..core.trace import Step
from .composing import compose
from .equations import CheckedEquation
from .sentences import trace_end
from .solution import MAX_ATTEMPTS, Solution, SolutionStep
from .tokens import Number
from .traces import is_sound

_NAMES = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?:_\w)?\s*&?\s*=")


@dataclass(frozen=True, slots=True)
class Pruned(GroupingMethod):
    """Real solutions without the steps that the final answer does not depend on; `pruned:1` is also `pruned`."""

    NAME = "pruned"

    @classmethod
    def parse(cls, parameter: str | None) -> Method:
        return super(Pruned, cls).parse("1" if parameter is None else parameter)

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        raise ValueError("pruned is for real solutions; every step of a generated problem is needed")


def prune(solution: Solution, k: int) -> str:
    """The text of a solution with the needed steps, in groups of k. If a wrong equation would stay without the words
    that take it back, it is the composed text instead."""
    kept = {sentence for sentence in map(solution.sentence_at, solution.unread) if sentence is not None}
    if any(_has_letters(solution, step) for step in solution.steps):
        # Equations with letters may depend on what a sentence names: s = 4t.
        with_steps = {step.sentence for step in solution.steps}
        spans = enumerate(solution.sentences)
        kept |= {n for n, span in spans if n not in with_steps and "=" in solution.text[slice(*span)]}
    needed = _needed(solution, kept)
    edits = compose(solution, solution.groups(k))
    text = solution.assemble({index: edit for index, edit in edits.items() if index in needed}, kept)
    return text if is_sound(text) else solution.assemble(edits)


def _has_letters(solution: Solution, step: SolutionStep) -> bool:
    """Whether a step is an equation with letters, or its sentence says what a letter is (``Z = 10 / 10 = 1``)."""
    if isinstance(step.equation, CheckedEquation) and not step.equation.values:
        return True
    return _NAMES.search(solution.text, *solution.sentences[step.sentence]) is not None


def _needed(solution: Solution, kept: set[int]) -> set[int]:
    """The steps that the answer depends on, and those whose results are named in what stays, such as the sentences
    `kept`."""
    steps = solution.steps
    end = trace_end(solution.text)
    in_trace = [index for index, step in enumerate(steps) if step.equation.stated.start < end]
    after = [index for index, step in enumerate(steps) if step.equation.stated.start >= end]
    needed = {index for part in (in_trace, after) for index in _cone(solution, _roots(solution, part))}
    for _ in range(MAX_ATTEMPTS):
        left = solution.staying({steps[index].sentence for index in needed}) if needed else []
        named = _named(solution, needed, {*left, *kept})
        if named <= needed:
            return needed
        needed |= _cone(solution, named)
    return set(range(len(steps)))


def _roots(solution: Solution, part: list[int]) -> list[int]:
    """The last of some steps that has the final answer as its result, where it first stands, and those with letters,
    because what depends on them is not known; all of them if no step has the answer."""
    steps = solution.steps
    found = [index for index in part if solution.is_answer(steps[index])]
    if not found:
        return part
    last = steps[found[-1]].equation
    first = next(index for index in found if steps[index].equation.values == last.values)
    return [first, *(index for index in part if _has_letters(solution, steps[index]))]


def _cone(solution: Solution, roots: Iterable[int]) -> set[int]:
    """Some steps, and all that they depend on."""
    cone: set[int] = set()
    waiting = list(roots)
    while waiting:
        index = waiting.pop()
        if index not in cone:
            cone.add(index)
            waiting += [source for source in solution.steps[index].sources if source is not None]
    return cone


def _named(solution: Solution, needed: set[int], left: set[int]) -> set[int]:
    """The steps whose result is named in the sentences that stay, without a number of the question or an earlier needed
    step that could be meant."""
    results: dict[Number | None, list[tuple[int, int]]] = {}  # Result -> (sentence, step), ascending.
    settled: dict[Number | None, int] = {}  # Result -> the first sentence with a needed step of it.
    for index, step in enumerate(solution.steps):
        results.setdefault(step.equation.result, []).append((step.sentence, index))
        if index in needed:
            settled.setdefault(step.equation.result, step.sentence)
    named: set[int] = set()
    for value, offset in solution.numbers:
        sentence = solution.sentence_at(offset)
        if sentence is None or sentence not in left or value in solution.given:
            continue
        before = bisect.bisect_right(results.get(value, []), (sentence, len(solution.steps)))
        if before and settled.get(value, sentence + 1) > sentence:
            named.add(results[value][before - 1][1])
    return named
