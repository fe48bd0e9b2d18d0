"""``explicit``: a step for every operation."""

from __future__ import annotations

from dataclasses import dataclass

from ..orders import ORDERS
from ..problem import Problem
from ..trace import Step
from .base import FixedMethod


@dataclass(frozen=True, slots=True)
class Explicit(FixedMethod):
    """Each step shows one operation: with symbols, with values, the result."""

    NAME = "explicit"

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        return ORDERS[order].steps(problem, 1)
