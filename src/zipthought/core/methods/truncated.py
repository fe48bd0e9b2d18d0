"""``truncated:p``: the first part of an explicit trace, then the answer. A baseline of equal length that keeps what
comes first instead of what matters."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..orders import ORDERS
from ..problem import Problem
from ..trace import Step
from .shares import ShareMethod, keep, step_sizes


@dataclass(frozen=True, slots=True)
class Truncated(ShareMethod):
    """An explicit trace without its last steps: the first share p of its text stays, on average."""

    NAME = "truncated"
    SYNTAX = "truncated:p"

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        steps = ORDERS[order].steps(problem, 1)
        rng = random.Random(f"{self.NAME} {problem.structure}")
        kept = keep(step_sizes(steps), self.share, reversed(range(len(steps))), rng)
        return tuple(steps[index] for index in kept)
