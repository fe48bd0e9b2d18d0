"""Traces: reasoning as a list of steps, independent of the text it is written in.

A step is an equality chain: a name, then expressions that are all equal to it. The formats of the taxonomy differ only
in the sides that a step shows (`AE` is two operations after `QB`):

    explicit     AE = MX * 2 = 7 * 2 = 14          the operation, the same with values, the result
    composed 2   AE = (QB + 4) * 2 = (3 + 4) * 2 = 14
    implicit 2   AE = 14
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .arithmetic import BinOp, Expr, substitute
from .problem import Problem


class Step(NamedTuple):
    """One step: ``name = sides[0] = sides[1] = ...``."""

    name: str
    """The quantity; for a step that could not be read, its text."""
    sides: tuple[Expr, ...]
    """At least one, unless `fault` is set."""
    fault: str | None = None
    """`unparseable` or `redefined` (an alias defined twice), as the parser of the surface found it."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Steps and a final answer, as a text states them."""

    steps: tuple[Step, ...]
    final: str | None
    """The final answer as written; None where there is none."""
    fault: str | None = None
    """`conflicting` or `malformed`: the fault of the final answer as a piece of text."""
    problem: Problem | None = field(default=None, compare=False, repr=False)
    """The problem of the trace; None for a trace that was read from text."""


def solve(problem: Problem) -> Trace:
    """The explicit trace: the constants that the target needs and one step per operation, in the problem's order."""
    values = problem.values
    steps = []
    for name in problem.order:
        definition = problem.definitions[name]
        if isinstance(definition, BinOp):
            steps.append(Step(name, valued(definition, values, values[name])))
        else:
            steps.append(Step(name, given(definition, values[name])))
    return Trace(tuple(steps), str(problem.answer), problem=problem)


def given(constant: int, residue: int) -> tuple[Expr, ...]:
    """The sides of a step that states a constant, followed by its residue where that differs."""
    return (constant,) if constant == residue else (constant, residue)


def valued(expression: Expr, values: dict[str, int], result: int) -> tuple[Expr, ...]:
    """The sides of a step that shows its operations: with symbols, with values, the result."""
    return (expression, substitute(expression, values), result)
