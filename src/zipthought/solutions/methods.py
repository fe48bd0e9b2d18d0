"""How compression methods write real solutions: one `SolutionWriter` for each method, found by the method's name.

    compress_solution(gsm8k.read(question, text), "composed:2")

A method without a writer exists for generated problems only. Another package adds one with a single registration:

    WRITERS.register(SolutionWriter(MyMethod, write_my_method, example="my-method:3"))
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..core.methods import AnswerOnly, Composed, FixedMethod, Implicit, Method, RandomSteps
from ..core.pieces import count_pieces
from ..core.problem import Problem
from ..core.registry import Registry
from ..core.trace import Step
from .composing import compose
from .implying import hide
from .pruning import Pruned, prune
from .sentences import trace_end
from .solution import Solution
from .traces import is_sound


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteContext:
    """What a writer can use beside the solution and the method."""

    seed: str = ""
    """The seed of random choices. `compress_file` gives each record its own."""
    count: Callable[[str], int] = count_pieces
    """Counts the tokens of a text; by default words and punctuation marks."""
    tokenizer: Any = None
    """The loaded `tokenizers.Tokenizer`; None if the user named none."""


@dataclass(frozen=True, slots=True)
class SolutionWriter:
    """How one method writes a real solution."""

    method: type[Method]
    write: Callable[[Solution, Any, WriteContext], str]
    """``write(solution, method, context)``: the compressed text, with the final answer of the solution."""
    example: str
    """A format of the method, such as ``composed:2``, for messages and tests."""
    tested: bool = False
    """Whether tests hold that every text verifies. `compress_file` checks each text of other writers: its answer, and
    its steps if the method is faithful."""

    @property
    def NAME(self) -> str:  # noqa: N802
        """The name of the method."""
        return self.method.NAME


WRITERS: Registry[SolutionWriter] = Registry("format of real solutions", ("method", "write", "example"))


def parse_solution_method(text: str) -> Method:
    """The method of a format that real solutions have.

    Raises `ValueError` with the formats that exist, or with the fault of the parameter.
    """
    name, colon, parameter = text.partition(":")
    method = WRITERS[name].method.parse(parameter if colon else None) if name in WRITERS else None
    if method is None or method.NAME not in WRITERS:
        examples = ", ".join(writer.example for writer in WRITERS.values())
        raise ValueError(f"real solutions have no format {text!r}; use one like {examples} (prose is the original)")
    return method


def compress_solution(solution: Solution, method: str | Method, context: WriteContext | None = None) -> str:
    """The text of a solution in a format. Its final answer stays as it is. A thinking trace stays as a whole if a wrong
    equation would be left without the one that corrects it.

    Raises `ValueError` for a format that real solutions do not have.
    """
    method = parse_solution_method(method) if isinstance(method, str) else method
    text = WRITERS.find(method.NAME).write(solution, method, context or WriteContext())
    return solution.notate(text) if not trace_end(text) or is_sound(text) else solution.whole


@dataclass(frozen=True, slots=True)
class Prose(FixedMethod):
    """The original text of a real solution, a baseline."""

    NAME = "prose"
    baseline = True

    @property
    def k(self) -> int:
        return 0

    def granularity(self, n_ops: int) -> int:
        """0, because the text is not grouped into steps."""
        return 0

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        raise ValueError("prose is the text of a real solution; a generated problem has none")


def _write_composed(solution: Solution, method: Composed, context: WriteContext) -> str:
    return solution.assemble(compose(solution, solution.groups(method.k)))


def _write_implicit(solution: Solution, method: Implicit, context: WriteContext) -> str:
    return solution.assemble({index: hide(solution, index) for index in solution.groups(method.k)})


def _write_pruned(solution: Solution, method: Pruned, context: WriteContext) -> str:
    return prune(solution, method.k)


def _write_answer(solution: Solution, method: AnswerOnly, context: WriteContext) -> str:
    return solution.statement


def _write_prose(solution: Solution, method: Prose, context: WriteContext) -> str:
    return solution.text + solution.tail


def _write_random_steps(solution: Solution, method: RandomSteps, context: WriteContext) -> str:
    """Drops sentences with steps in random order, never the last one, until the length is closest to the share."""
    steps = solution.steps
    order = sorted({step.sentence for step in steps} - {step.sentence for step in steps[-1:]})
    random.Random(f"random-steps {context.seed}").shuffle(order)

    @cache
    def without(number: int) -> str:
        """The text without the first `number` sentences of the order."""
        dropped = set(order[:number])
        return solution.assemble({index: () for index, step in enumerate(steps) if step.sentence not in dropped})

    def excess(number: int) -> float:
        return context.count(without(number)) - target

    target = method.share * context.count(without(0))
    # Each sentence dropped makes the text shorter, so the first text that is short enough is found by bisection.
    fewest = bisect_left(range(len(order)), 0.0, key=lambda number: -excess(number))
    if fewest and abs(excess(fewest)) >= abs(excess(fewest - 1)):
        fewest -= 1
    return without(fewest)


for _writer in (
    SolutionWriter(Composed, _write_composed, "composed:2", tested=True),
    SolutionWriter(Implicit, _write_implicit, "implicit:2", tested=True),
    SolutionWriter(Pruned, _write_pruned, "pruned:1", tested=True),
    SolutionWriter(AnswerOnly, _write_answer, "answer-only", tested=True),
    SolutionWriter(RandomSteps, _write_random_steps, "random-steps:0.6", tested=True),
    SolutionWriter(Prose, _write_prose, "prose", tested=True),
):
    WRITERS.register(_writer)
