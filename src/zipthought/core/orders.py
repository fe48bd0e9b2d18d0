"""Orders: in which direction a trace walks from the known to the asked.

`forward` (unidirectional) settles one quantity after the other. The other two are for chain problems and reason by
linear forms modulo m: `backward` starts at the target and substitutes until the start is
reached (FORMATS.md 3). `hierarchical` is our own text for a balanced binary tree of segments: each segment's linear
form comes from its two halves, and the whole is resolved against the known start. The groups of a format are the unit
of both: k operations are unfolded at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .arithmetic import BinOp, Expr, Linear, linear, linear_expression, same
from .formats import Format, group_ends, nested
from .problem import Problem
from .trace import Step, given, valued


def forward(problem: Problem, fmt: Format) -> tuple[Step, ...]:
    """From the known start to the target."""
    return settle(problem, group_ends(problem, fmt.k), implicit=fmt.name == "implicit")


def settle(problem: Problem, ends: Sequence[str], implicit: bool = False) -> tuple[Step, ...]:
    """A forward trace whose groups end at the quantities `ends` (the target among them)."""
    values = problem.values
    starts = {name for name in problem.order if not isinstance(problem.definitions[name], BinOp)}
    settled = starts | set(ends)
    steps = []
    for name in (name for name in problem.order if name in settled):
        if implicit:
            steps.append(Step(name, (values[name],)))
        elif name in starts:
            steps.append(Step(name, given(problem.definitions[name], values[name])))
        else:
            steps.append(Step(name, valued(nested(problem, name, settled), values, values[name])))
    return tuple(steps)


def _start(problem: Problem, fmt: Format) -> Step:
    name = problem.order[0]
    value = problem.values[name]
    return Step(name, (value,) if fmt.name == "implicit" else given(problem.definitions[name], value))


def _form(expression: Expr, modulus: int) -> Linear:
    """The linear form of what a chain nests or unfolds, which always has one."""
    form = linear(expression, modulus)
    assert form is not None
    return form


def _unique(*sides: Expr) -> tuple[Expr, ...]:
    """The sides without one that repeats the side before it."""
    kept = [sides[0]]
    for side in sides[1:]:
        if not same(side, kept[-1]):
            kept.append(side)
    return tuple(kept)


def backward(problem: Problem, fmt: Format) -> tuple[Step, ...]:
    """From the target: each line replaces the group's end by its definition and reduces, until the start is known."""
    m = problem.modulus
    start, target = problem.order[0], problem.target
    stops = [start, *group_ends(problem, fmt.k)]
    settled = set(stops)
    steps = [_start(problem, fmt)]
    shown: Expr = target
    for place in range(len(stops) - 1, 0, -1):
        name = stops[place]
        definition = nested(problem, name, settled)
        if shown == target:
            form = _form(definition, m)
            # One operation is its own linear form; several are shown, then reduced.
            sides = (linear_expression(form, m),) if fmt.k == 1 else _unique(definition, linear_expression(form, m))
        else:
            before = _form(shown, m)
            unfolded = linear_expression(before, m, inner=definition)
            form = _form(unfolded, m)
            sides = (shown, unfolded, linear_expression(form, m))
        last = place == 1
        if last:
            value = problem.values[start]
            sides += (linear_expression(form, m, inner=value), problem.answer)
        shown = linear_expression(form, m)
        if fmt.name == "implicit":
            sides = (problem.answer,) if last else (shown,)
        steps.append(Step(target, sides))
    return tuple(steps)


def hierarchical(problem: Problem, fmt: Format) -> tuple[Step, ...]:
    """A balanced binary tree over the groups, halves before wholes, then the target's value."""
    m = problem.modulus
    stops = [problem.order[0], *group_ends(problem, fmt.k)]
    settled = set(stops)
    steps = [_start(problem, fmt)]
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
        steps.append(Step(name, (reduced,) if fmt.name == "implicit" else sides))
        return reduced

    form = derive(0, len(stops) - 1)
    resolved = linear_expression(_form(form, m), m, inner=problem.values[problem.order[0]])
    sides = (problem.answer,) if fmt.name == "implicit" else (form, resolved, problem.answer)
    steps.append(Step(problem.target, sides))
    return tuple(steps)


ORDERS: dict[str, Callable[[Problem, Format], tuple[Step, ...]]] = {
    "forward": forward,
    "backward": backward,
    "hierarchical": hierarchical,
}
