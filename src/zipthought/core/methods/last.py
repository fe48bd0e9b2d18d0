"""``last:k``: explicit traces with the last of every k steps alone, a baseline that drops what `composed:k` nests."""

from __future__ import annotations

from dataclasses import dataclass

from ..orders import ORDERS
from ..problem import Problem
from ..trace import Step
from .base import GroupingMethod


@dataclass(frozen=True, slots=True)
class Last(GroupingMethod):
    """The explicit steps at the ends of groups of k, and the start. They use values that no step shows, so that traces
    are not faithful."""

    NAME = "last"
    SYNTAX = "last:k"
    faithful = False
    baseline = True

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        steps = ORDERS[order].steps(problem, 1)
        return tuple(step for i, step in enumerate(steps) if i % self.size == 0 or i == len(steps) - 1)
