"""``random-steps:p``: explicit traces with steps dropped at random, a baseline that a compression of equal length must
beat."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..arithmetic import walk
from ..orders import ORDERS
from ..problem import Problem
from ..trace import Step
from .base import Method


@dataclass(frozen=True, slots=True)
class RandomSteps(Method):
    """An explicit trace without some of its steps. Remaining steps may refer to dropped ones, so that traces are not
    faithful."""

    NAME = "random-steps"
    SYNTAX = "random-steps:p"
    faithful = False
    baseline = True

    share: float
    """How much of the text is kept on average, above 0 and at most 1."""

    @classmethod
    def parse(cls, parameter: str | None) -> Method:
        if not re.fullmatch(r"0?\.[0-9]{1,9}|1|1\.0", parameter or "") or not float(parameter or 0):
            text = cls.NAME if parameter is None else f"{cls.NAME}:{parameter}"
            raise ValueError(f"{cls.NAME} needs the share of the text to keep, above 0 and at most 1, got {text!r}")
        return cls(float(parameter or 0))

    @property
    def parameter(self) -> str:
        return f"{self.share:g}"

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        return prune(ORDERS[order].steps(problem, 1), self.share, random.Random(f"{self.NAME} {problem.structure}"))

    def fields(self, n_ops: int) -> dict[str, Any]:
        """As `Method.fields`; records have the parameter in the field `share`."""
        return {"format": self.NAME, "k": self.k, "share": self.share}

    @classmethod
    def format_of(cls, record: Mapping[str, Any]) -> str:
        return f"{cls.NAME}:{float(record.get('share') or 1):g}"


def prune(steps: Sequence[Step], share: float, rng: random.Random) -> tuple[Step, ...]:
    """The steps without some that are drawn at random, never the last, so that on average `share` of the symbols is
    kept (more where the last step alone is longer)."""
    sizes = [2 + sum(1 + len(walk(side)) for side in step.sides) for step in steps]  # The name, the stop, the sides.
    excess = (1 - share) * sum(sizes)
    dropped = set()
    for index in rng.sample(range(len(steps) - 1), len(steps) - 1):
        # A step that is longer than what is still to be dropped goes with a probability, which keeps the mean.
        if rng.random() * sizes[index] >= excess:
            break
        dropped.add(index)
        excess -= sizes[index]
    return tuple(step for index, step in enumerate(steps) if index not in dropped)
