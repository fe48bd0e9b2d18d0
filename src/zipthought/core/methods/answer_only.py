"""``answer-only``: no step at all."""

from __future__ import annotations

from dataclasses import dataclass

from ..problem import Problem
from ..trace import Step
from .base import FixedMethod


@dataclass(frozen=True, slots=True)
class AnswerOnly(FixedMethod):
    """The final answer alone: the far end of compression, and a baseline."""

    NAME = "answer-only"
    baseline = True

    @property
    def k(self) -> int:
        return 0

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        return ()
