"""Bounds of N* that the measured sizes alone give, without a curve.

N* is the number of distinct training prompts at which held-out accuracy reaches a threshold. It is at most a measured N
where the accuracy lies clearly above the threshold, and more than one where it lies clearly below. "Clearly" is outside
an interval of the mean (Student's t) that is corrected for the number of measured sizes. An accuracy below the
threshold says something about data only where the model fits its training problems; elsewhere updates may be missing,
and it counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from ...statistics import Fit
from ...verdicts import FITTED, LEVEL, quantile


class Bounds(NamedTuple):
    """N* is above `above` (0: unknown) and at most `reached` (infinity: unknown)."""

    above: float
    reached: float


def bounds_of(fit: Fit, threshold: float, seeds: int, training: Mapping[float, float], level: float = LEVEL) -> Bounds:
    """The bounds of a format. `training` is N -> accuracy on its own training problems; sizes that are missing there
    count as fitted."""
    reach = quantile(seeds, level / len(fit.examples)) * fit.errors()
    reached, above = math.inf, 0.0
    for n, accuracy, width in zip(fit.examples, fit.accuracy, reach, strict=True):
        if accuracy - width > threshold:
            reached = min(reached, n)
        if accuracy + width < threshold and training.get(n, 1.0) >= FITTED:
            above = max(above, n)
    return Bounds(above, reached)


JUMP = 0.1
"""A rise from within this much of a guess to within this much of the highest accuracy is the whole rise."""


def jump_of(fit: Fit, threshold: float) -> tuple[float, float] | None:
    """The two neighbouring N between which the accuracy makes its whole rise through a threshold; None if it does not.

    The accuracies then say nothing about where between them N* lies: any curve that is steep enough fits them.
    """
    floor, top = fit.curve.floor, float(fit.accuracy.max())
    for i in range(len(fit.examples) - 1):
        before, after = fit.accuracy[i], fit.accuracy[i + 1]
        if before <= floor + JUMP and after >= top - JUMP and before < threshold <= after:
            return fit.examples[i], fit.examples[i + 1]
    return None


class Ratio(NamedTuple):
    """A ratio of two N* is above or at `low` and below or at `high`; neither is reached where both N* have bounds."""

    low: float
    high: float


def ratio_of(mine: Bounds, base: Bounds, scale: float = 1.0) -> Ratio:
    """The bounds of the ratio of one N* to another. `scale` is the ratio of their units, such as tokens an example.

    With the same N for both, the ratio is above 1: one N* is at most N, the other is more.
    """
    low = scale * mine.above / base.reached if mine.above else 0.0
    high = scale * mine.reached / base.above if base.above else math.inf
    return Ratio(low, high)
