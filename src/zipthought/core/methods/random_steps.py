"""``random-steps:p``: explicit traces with steps dropped at random, a baseline that a compression of equal length must
beat."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ..orders import ORDERS
from ..problem import Problem
from ..trace import Step
from .shares import ShareMethod, keep, step_sizes


@dataclass(frozen=True, slots=True)
class RandomSteps(ShareMethod):
    """An explicit trace without some of its steps, which are drawn at random, never the last one."""

    NAME = "random-steps"
    SYNTAX = "random-steps:p"

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        return prune(ORDERS[order].steps(problem, 1), self.share, random.Random(f"{self.NAME} {problem.structure}"))


def prune(steps: Sequence[Step], share: float, rng: random.Random) -> tuple[Step, ...]:
    """The steps without some that are drawn at random, never the last, so that on average `share` of the symbols is
    kept (more where the last step alone is longer)."""
    order = rng.sample(range(len(steps) - 1), len(steps) - 1)
    return tuple(steps[index] for index in keep(step_sizes(steps), share, order, rng))
