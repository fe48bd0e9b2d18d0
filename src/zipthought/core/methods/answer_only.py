"""``answer-only``: no step at all."""

from __future__ import annotations

from dataclasses import dataclass

from ..problem import Problem
from ..trace import Step
from .base import Method, no_parameter


@dataclass(frozen=True, slots=True)
class AnswerOnly(Method):
    """The final answer alone: the far end of compression, and a baseline."""

    NAME = "answer-only"
    baseline = True

    @classmethod
    def parse(cls, parameter: str | None) -> Method:
        no_parameter(cls.NAME, parameter)
        return cls()

    @property
    def k(self) -> int:
        return 0

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        return ()
