"""What the methods have in common that keep a share of the explicit text: ``random-steps:p``, ``truncated:p``,
``steps:p`` and ``tokens:p``. At the same p their texts are equally long on average, so what they drop can be compared.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..arithmetic import walk
from ..trace import Step
from .base import Method


@dataclass(frozen=True, slots=True)
class ShareMethod(Method):
    """A baseline whose parameter is the share of the text that it keeps. The final answer is kept as a whole and counts
    for neither side. What remains may refer to what was dropped, so the texts are not faithful."""

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

    def fields(self, n_ops: int) -> dict[str, Any]:
        """As `Method.fields`; records have the parameter in the field `share`."""
        return {"format": self.NAME, "k": self.k, "share": self.share}

    @classmethod
    def format_of(cls, record: Mapping[str, Any]) -> str:
        return f"{cls.NAME}:{float(record.get('share') or 1):g}"


def step_sizes(steps: Sequence[Step]) -> list[int]:
    """The symbols of each step: its name, its sides with their signs, and the stop."""
    return [2 + sum(1 + len(walk(side)) for side in step.sides) for step in steps]


def keep(sizes: Sequence[int], share: float, order: Iterable[int], rng: random.Random) -> list[int]:
    """The positions of the parts that stay, ascending. Parts are dropped in `order` until about `share` of all `sizes`
    is left. A part that `order` does not have is never dropped.

    A part that is longer than what is still to be dropped goes with a probability that keeps the mean at `share`.
    """
    excess = (1 - share) * sum(sizes)
    dropped = set()
    for index in order:
        if rng.random() * sizes[index] >= excess:
            break
        dropped.add(index)
        excess -= sizes[index]
    return [index for index in range(len(sizes)) if index not in dropped]
