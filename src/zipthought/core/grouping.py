"""Grouping: which quantities a trace of granularity k settles, and what stands nested between them.

Where the paper groups a chain at breakpoints 0, k, 2k, ..., n (section 3.2), the grouping here is stated for any
dependency graph: a quantity is settled as soon as it would cover k operations, which gives the same breakpoints on a
chain.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence
from typing import TypeVar

from .arithmetic import BinOp, Expr, references, substitute
from .problem import Problem

Name = TypeVar("Name", bound=Hashable)


def group(operands: Mapping[Name, Sequence[Name]], k: int, shown: Container[Name]) -> set[Name]:
    """The steps that a trace of granularity k shows; each other step is nested in the step that uses it.

    operands: name of each step, in order -> the earlier names that it uses, repeats included. The steps in `shown` are
    always shown. No group covers more than k steps: where two nested operands would exceed k, the larger is shown.
    """
    pending: dict[Name, int] = {}
    ends: set[Name] = set()
    for name, refs in operands.items():
        open_refs = sorted((ref for ref in refs if pending.get(ref)), key=pending.__getitem__)
        while open_refs and 1 + sum(pending[ref] for ref in open_refs) > k:
            ref = open_refs.pop()
            ends.add(ref)
            pending[ref] = 0
            open_refs = [other for other in open_refs if other != ref]
        pending[name] = 1 + sum(pending[ref] for ref in open_refs)
        if pending[name] >= k or name in shown:
            ends.add(name)
            pending[name] = 0
    return ends


def group_ends(problem: Problem, k: int) -> list[str]:
    """The quantities that a trace of granularity k derives, in order; the target is the last."""
    # With repeats: an operand that occurs twice in a definition is nested twice.
    ends = group({name: problem.definitions[name][1:] for name in problem.operations}, k, (problem.target,))
    return sorted(ends, key=problem.position.__getitem__)


def nested(problem: Problem, name: str, settled: set[str]) -> BinOp:
    """The definition of `name`, with every quantity outside `settled` replaced by its own definition."""
    needed = [name]
    for one in needed:  # The list grows while it is read: a name comes before the names in its definition.
        needed += [ref for ref in references(problem.definitions[one]) if ref not in settled]
    unfolded: dict[str, Expr] = {}
    for one in reversed(needed):
        unfolded[one] = substitute(problem.definitions[one], unfolded)
    return unfolded[name]
