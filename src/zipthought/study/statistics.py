"""Curves of accuracy over data, their thresholds, and the hierarchical bootstrap.

The curve is a saturating power law in N (data or compute), ``a N^s / (N^s + N0^s)`` with 0 < a <= 1 and s > 0. It is a
logistic in ln N, ``a / (1 + exp(-s (ln N - t)))`` with t = ln N0, fitted by maximum binomial likelihood. N* is the
crossing of a threshold. A crossing outside the measured N is censored, never extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.stats import beta


def binomial_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a proportion. Raises `ValueError` for n = 0."""
    if n == 0:
        raise ValueError("an interval needs at least one observation")
    tail = (1 - level) / 2
    low = beta.ppf(tail, successes, n - successes + 1) if successes else 0.0
    high = beta.ppf(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


class Curve(NamedTuple):
    """``a / (1 + exp(-s (ln N - t)))``."""

    a: float
    s: float
    t: float

    def __call__(self, n: np.ndarray | float) -> np.ndarray:
        return self.a / (1 + np.exp(-self.s * (np.log(n) - self.t)))

    def gain_per_doubling(self, low: float, high: float) -> float:
        """Mean gain in accuracy per doubling of N, from `low` to `high`."""
        return float((self(high) - self(low)) / math.log2(high / low))

    def crossing(self, threshold: float) -> float:
        """N at which the curve reaches `threshold`; infinity if it never does."""
        if self.a <= threshold:
            return math.inf
        exponent = self.t - math.log(self.a / threshold - 1) / self.s
        return math.exp(exponent) if exponent < 700 else math.inf


def fit_curve(
    n: Sequence[float], accuracy: Sequence[float] | np.ndarray, weight: Sequence[float], start: Curve | None = None
) -> Curve:
    """The maximum-likelihood curve; `weight` is the number of problems behind each accuracy.

    The search starts at several points, or at `start` alone. The fits of a bootstrap start at the fit of the data,
    which is near. Raises `ValueError` for fewer than two distinct N.
    """
    x, y, w = np.log(np.asarray(n, float)), np.asarray(accuracy, float), np.asarray(weight, float)
    if len(set(x.tolist())) < 2:
        raise ValueError("a curve needs at least two data sizes")
    w = w / w.sum()

    def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
        a, s, t = p
        g = 1 / (1 + np.exp(-np.clip(s * (x - t), -60, 60)))
        q = np.clip(a * g, 1e-6, 1 - 1e-6)
        d = w * (q - y) / (q * (1 - q))
        inner = d * a * g * (1 - g)
        gradient = np.array([(d * g).sum(), (inner * (x - t)).sum(), (-inner * s).sum()])
        return float(-(w * (y * np.log(q) + (1 - y) * np.log(1 - q))).sum()), gradient

    middle = float(x.mean())
    reached = max(0.05, min(1.0, 1.1 * float(y.max())))
    several = [Curve(1.0, 1.0, middle), Curve(reached, 1.5, middle), Curve(1.0, 0.5, float(x.max()))]
    fits = [
        minimize(
            loss,
            np.array(begin),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.01, 1.0), (0.05, 6.0), (float(x.min()) - 8, float(x.max()) + 8)],
        )
        for begin in ([start] if start else several)
    ]
    best = min(fits, key=lambda fit: fit.fun)
    return Curve(*map(float, best.x))


def goodness(curve: Curve, n: Sequence[float], accuracy: Sequence[float] | np.ndarray) -> float | None:
    """R^2 of the curve on the points; None if all points are equal."""
    y = np.asarray(accuracy, float)
    total = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - curve(np.asarray(n, float))) ** 2).sum()) / total if total else None


class Threshold(NamedTuple):
    """N at which accuracy reaches a threshold. If that lies outside the measured range, `censored` is `above` or
    `below`, and `value` is the largest or the smallest measured N."""

    value: float
    censored: str


def threshold_of(curve: Curve, threshold: float, n: Sequence[float]) -> Threshold:
    """The N at which `curve` reaches `threshold`, censored to the measured range."""
    crossing = curve.crossing(threshold)
    if crossing > max(n):
        return Threshold(max(n), "above")
    if crossing < min(n):
        return Threshold(min(n), "below")
    return Threshold(crossing, "")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Whether each problem is solved, for all cells of one format.

    S seeds, K data sizes (or amounts of compute), P problems. The problems are the same in all cells, so comparisons
    are paired.
    """

    examples: tuple[float, ...]
    """(K,)"""
    correct: np.ndarray
    """(S, K, P) bool"""

    def accuracy(self) -> np.ndarray:
        """(K,) over seeds and problems."""
        return self.correct.mean(axis=(0, 2))


def resamples(n_seeds: int, n_problems: int, draws: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The draws of the hierarchical bootstrap: indices of the drawn seeds, and (n_problems,) how often each problem is
    drawn.

    Of S seeds, S-1 are drawn, which makes the variance over few seeds unbiased (Rao & Wu 1988). With one seed only
    problems vary, so intervals ignore training noise. The drawn seeds do not depend on the number of problems.
    """
    of_seeds, of_problems = (np.random.default_rng([seed, level]) for level in (0, 1))
    for _ in range(draws):
        seeds = of_seeds.integers(n_seeds, size=max(1, n_seeds - 1))
        yield seeds, np.bincount(of_problems.integers(n_problems, size=n_problems), minlength=n_problems)


def bootstrap_means(values: np.ndarray, draws: int, seed: int = 1) -> np.ndarray:
    """(S, ..., P) values of every seed and problem -> (draws, ...) means.

    The draws are those of `resamples`. So differences of means are paired: by seed, and by problem if P is the same.
    """
    n_seeds, n_problems = values.shape[0], values.shape[-1]
    means = np.empty((draws, *values.shape[1:-1]))
    for draw, (seeds, counts) in enumerate(resamples(n_seeds, n_problems, draws, seed)):
        means[draw] = (values[seeds] @ (counts / n_problems)).mean(axis=0)
    return means


@dataclass(frozen=True, slots=True)
class Fit:
    """The curve of one format and those of its bootstrap draws."""

    examples: tuple[float, ...]
    """The measured N."""
    curve: Curve
    resampled: list[Curve]
    r2: float | None
    """`goodness` of the curve."""

    def gain(self, last: bool = False) -> float:
        """Mean gain in accuracy per doubling of N, over the measured range or over its last step."""
        return self.curve.gain_per_doubling(*self._ends(last))

    def gain_draws(self, last: bool = False) -> np.ndarray:
        """(draws,) `gain` of every draw."""
        return np.array([curve.gain_per_doubling(*self._ends(last)) for curve in self.resampled])

    def _ends(self, last: bool) -> tuple[float, float]:
        measured = sorted(self.examples)
        return measured[-2 if last else 0], measured[-1]

    def threshold(self, accuracy: float) -> Threshold:
        """N* for an accuracy."""
        return threshold_of(self.curve, accuracy, self.examples)

    def threshold_draws(self, accuracy: float) -> np.ndarray:
        """(draws,) N* of every draw; a censored one is the end of the measured range."""
        return np.array([threshold_of(curve, accuracy, self.examples).value for curve in self.resampled])


def fit_formats(outcomes: dict[str, Outcomes], draws: int, seed: int = 1) -> dict[str, Fit]:
    """Format -> its fit. The draws of all formats are paired. Empty for fewer than two data sizes."""
    if not outcomes or len(next(iter(outcomes.values())).examples) < 2:
        return {}
    fits = {}
    for fmt, o in outcomes.items():
        weight = [1.0] * len(o.examples)
        accuracy = o.accuracy()
        curve = fit_curve(o.examples, accuracy, weight)
        resampled = bootstrap_means(o.correct, draws, seed)
        curves = [fit_curve(o.examples, row, weight, start=curve) for row in resampled]
        fits[fmt] = Fit(o.examples, curve, curves, goodness(curve, o.examples, accuracy))
    return fits
