"""``composed:k``: k operations nested in one expression."""

from __future__ import annotations

from dataclasses import dataclass

from ..orders import ORDERS
from ..problem import Problem
from ..trace import Step
from .base import GroupingMethod, Method
from .explicit import Explicit


@dataclass(frozen=True, slots=True)
class Composed(GroupingMethod):
    """Each step shows k operations in one expression, without the results between them; `composed:1` is `explicit`."""

    NAME = "composed"
    SYNTAX = "composed:k"

    @classmethod
    def parse(cls, parameter: str | None) -> Method:
        method = super(Composed, cls).parse(parameter)
        return Explicit() if method.k == 1 else method

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        return ORDERS[order].steps(problem, self.size)
