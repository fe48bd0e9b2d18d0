"""Orders: the direction in which a trace reasons from the known values to the target.

`forward` (unidirectional) settles one quantity after the other. The other two are for chain problems and reason with
linear forms modulo m. `backward` starts at the target and substitutes definitions until the start is reached.
`hierarchical` builds a balanced binary tree of segments: the linear form of a segment comes from those of its two
halves, and the form of the whole chain is resolved with the known start. Both handle k operations at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .arithmetic import BinOp, Expr, Linear, linear, linear_expression, same
from .grouping import group_ends, nested
from .problem import Problem
from .registry import Registry
from .trace import Step, given, valued


@dataclass(frozen=True, slots=True)
class Order:
    """An order of the steps."""

    NAME: str
    write: Callable[[Problem, int, bool], tuple[Step, ...]]
    """``write(problem, k, results_only)``: the steps, k operations each."""
    chains_only: bool
    """Whether the order needs a chain problem."""

    def steps(self, problem: Problem, k: int, results_only: bool = False) -> tuple[Step, ...]:
        """The steps of a trace of granularity k; with `results_only`, each shows its last side alone.

        Raises `ValueError` for a tree problem where the order needs a chain.
        """
        if self.chains_only and not problem.is_chain:
            raise ValueError(f"order {self.NAME!r} needs a chain problem; tree problems have the order 'forward' only")
        return self.write(problem, k, results_only)


ORDERS: Registry[Order] = Registry("order", ("steps", "chains_only"))


def _forward(problem: Problem, k: int, results_only: bool) -> tuple[Step, ...]:
    """From the known start to the target."""
    return settle(problem, group_ends(problem, k), results_only)


def settle(problem: Problem, ends: Sequence[str], results_only: bool = False) -> tuple[Step, ...]:
    """A forward trace whose groups end at the quantities `ends` (the target among them)."""
    values = problem.values
    starts = {name for name in problem.order if not isinstance(problem.definitions[name], BinOp)}
    settled = starts | set(ends)
    steps = []
    for name in (name for name in problem.order if name in settled):
        if results_only:
            steps.append(Step(name, (values[name],)))
        elif name in starts:
            steps.append(Step(name, given(problem.definitions[name], values[name])))
        else:
            steps.append(Step(name, valued(nested(problem, name, settled), values, values[name])))
    return tuple(steps)


def _start(problem: Problem, results_only: bool) -> Step:
    name = problem.order[0]
    value = problem.values[name]
    return Step(name, (value,) if results_only else given(problem.definitions[name], value))


def _form(expression: Expr, modulus: int) -> Linear:
    """The linear form of an expression of a chain, which always has one."""
    form = linear(expression, modulus)
    assert form is not None
    return form


def _unique(*sides: Expr) -> tuple[Expr, ...]:
    """The sides, without any that equals the side before it."""
    kept = [sides[0]]
    for side in sides[1:]:
        if not same(side, kept[-1]):
            kept.append(side)
    return tuple(kept)


def _backward(problem: Problem, k: int, results_only: bool) -> tuple[Step, ...]:
    """From the target: each step replaces the end of a group by its definition and reduces, down to the start."""
    m = problem.modulus
    start, target = problem.order[0], problem.target
    stops = [start, *group_ends(problem, k)]
    settled = set(stops)
    steps = [_start(problem, results_only)]
    shown: Expr = target
    for index in range(len(stops) - 1, 0, -1):
        name = stops[index]
        definition = nested(problem, name, settled)
        if shown == target:
            form = _form(definition, m)
            # One operation is its own linear form; several are shown, then reduced.
            sides = (linear_expression(form, m),) if k == 1 else _unique(definition, linear_expression(form, m))
        else:
            before = _form(shown, m)
            unfolded = linear_expression(before, m, inner=definition)
            form = _form(unfolded, m)
            sides = (shown, unfolded, linear_expression(form, m))
        last = index == 1
        if last:
            value = problem.values[start]
            sides += (linear_expression(form, m, inner=value), problem.answer)
        shown = linear_expression(form, m)
        if results_only:
            sides = (problem.answer,) if last else (shown,)
        steps.append(Step(target, sides))
    return tuple(steps)


def _hierarchical(problem: Problem, k: int, results_only: bool) -> tuple[Step, ...]:
    """A balanced binary tree over the groups, halves before wholes, and last the value of the target."""
    m = problem.modulus
    stops = [problem.order[0], *group_ends(problem, k)]
    settled = set(stops)
    steps = [_start(problem, results_only)]
    if not problem.n_ops:
        return tuple(steps)

    def derive(low: int, high: int) -> Expr:
        """The form of stops[high] in stops[low], after the steps that show where it comes from."""
        name = stops[high]
        if high - low == 1:
            definition = nested(problem, name, settled)
            reduced = linear_expression(_form(definition, m), m)
            sides = _unique(definition, reduced)
        else:
            middle = (low + high) // 2
            left, right = derive(low, middle), derive(middle, high)
            unfolded = linear_expression(_form(right, m), m, inner=left)
            reduced = linear_expression(_form(unfolded, m), m)
            sides = (right, unfolded, reduced)
        steps.append(Step(name, (reduced,) if results_only else sides))
        return reduced

    form = derive(0, len(stops) - 1)
    resolved = linear_expression(_form(form, m), m, inner=problem.values[problem.order[0]])
    sides = (problem.answer,) if results_only else (form, resolved, problem.answer)
    steps.append(Step(problem.target, sides))
    return tuple(steps)


for _order in (
    Order("forward", _forward, chains_only=False),
    Order("backward", _backward, chains_only=True),
    Order("hierarchical", _hierarchical, chains_only=True),
):
    ORDERS.register(_order)
