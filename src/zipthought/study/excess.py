"""Excess: the measure of decomposition, the share of single-operation steps beyond those of the format itself.

It is 0 for traces as trained, and 1 for explicit traces. A format leaves single-operation steps where its grouping ends
short: `composed:2` writes a chain of three operations as a step of two and a step of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..core.arithmetic import BinOp, count_operations
from ..core.grouping import group_ends, nested
from ..core.problem import Problem


def short_steps(problem: Problem, k: int) -> int:
    """Single-operation steps in the problem's own trace at granularity k. For a chain: 1 if n_ops % k == 1, else 0."""
    ends = group_ends(problem, k)
    constants = {name for name in problem.order if not isinstance(problem.definitions[name], BinOp)}
    settled = constants | set(ends)
    return sum(count_operations(nested(problem, name, settled)) == 1 for name in ends)


def excess_counts(stated: Sequence[int], short: int, valid: Sequence[int] | None = None) -> tuple[int, int]:
    """(single-operation steps, all steps) of a trace, both without the `short_steps` of the format.

    `stated` holds the operations of each step that works any out, and `valid` those of the valid steps among them (by
    default all). A step with wrong arithmetic counts among all steps only: nested steps fail more often, so without
    them a weak model would seem to decompose; and a single operation with any result after it calculates nothing.
    """
    single = list(stated if valid is None else valid).count(1)
    return max(0, single - short), max(0, len(stated) - short)


def excess_share(counts: Iterable[tuple[int, int]]) -> float | None:
    """The excess of many traces: their single-operation steps over all their steps. None without steps."""
    pairs = list(counts)
    total = sum(steps for _, steps in pairs)
    return sum(single for single, _ in pairs) / total if total else None
