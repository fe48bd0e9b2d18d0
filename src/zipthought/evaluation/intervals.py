"""95% intervals of measurements on questions, each with one or several samples. The unit is the question.

Samples of one question are alike, so they count for less than samples of as many questions: a share has the effective
sample size of a cluster sample (Kish 1965), put into the score interval of Wilson (1927). Means and medians have
percentiles of a bootstrap over questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Z = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""
DRAWS = 1000
"""Of a bootstrap."""


class Estimate(NamedTuple):
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


def wilson(share: float, n: float) -> Estimate:
    """The score interval of a share of `n` independent trials, which may be a fraction of one. Raises `ValueError` for
    n <= 0 and a share outside 0..1."""
    if n <= 0 or not 0 <= share <= 1:
        raise ValueError(f"an interval needs a share of 0..1 and at least one trial, got {share} of {n}")
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    # At 0 and 1 the bound is the share itself, up to rounding.
    return Estimate(share, 0.0 if share == 0 else middle - half, 1.0 if share == 1 else middle + half)


def share_of(values: Sequence[float], samples: int = 1) -> Estimate:
    """The mean of a share of each question (0..1, from `samples` samples), with its interval.

    With one sample this is Wilson's interval. Raises `ValueError` for no questions.
    """
    n = float(len(values))
    share = float(np.mean(values)) if values else math.nan
    if n > 1 and 0 < share < 1:
        variance = float(np.var(values, ddof=1)) / n
        most = n * samples
        n = min(max(share * (1 - share) / variance, n), most) if variance else most
    return wilson(share, n)


def bootstrap(
    values: Sequence[Sequence[float]], statistic: Callable[[np.ndarray], np.floating], seed: int = 0
) -> Estimate | None:
    """A statistic of all values, with percentiles over `DRAWS` draws of as many questions. The outer index of `values`
    is the question. Questions without values are left out. None if nothing is left.

    A single question has an interval without width.
    """
    known = [np.asarray(row, float) for row in values if len(row)]
    if not known:
        return None
    flat = np.concatenate(known)
    owner = np.repeat(np.arange(len(known)), [len(row) for row in known])
    rng = np.random.default_rng(seed)
    drawn = [np.bincount(rng.integers(len(known), size=len(known)), minlength=len(known)) for _ in range(DRAWS)]
    low, high = np.percentile([statistic(np.repeat(flat, counts[owner])) for counts in drawn], [2.5, 97.5])
    return Estimate(float(statistic(flat)), float(low), float(high))


__all__ = ["Estimate", "bootstrap", "share_of", "wilson"]
