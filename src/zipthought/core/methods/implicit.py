"""``implicit:k``: results alone, a step for every k operations."""

from __future__ import annotations

from dataclasses import dataclass

from ..orders import ORDERS
from ..problem import Problem
from ..trace import Step
from .base import GroupingMethod


@dataclass(frozen=True, slots=True)
class Implicit(GroupingMethod):
    """Each step shows the result of k operations; the operations and the results between them are omitted."""

    NAME = "implicit"
    SYNTAX = "implicit:k"

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        return ORDERS[order].steps(problem, self.size, results_only=True)
