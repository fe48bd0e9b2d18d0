"""Curves of accuracy over data, their thresholds, and the hierarchical bootstrap.

A curve rises from the floor of a guess, ``floor + (a - floor) F(s (ln N - t))`` in N (data or compute), with s > 0. It
has one of several forms F (`FORMS`), fitted by maximum binomial likelihood. `logistic` is the saturating power law
``N^s / (N^s + N0^s)``, `weibull` is ``1 - exp(-(N / N0)^s)``. N* is the crossing of a threshold. A crossing outside the
measured N is censored, never extrapolated. Measured means alone give bounds of N* without
any form (`experiments.scaling.bounds`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv


def binomial_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a proportion. Raises `ValueError` for n = 0."""
    if n == 0:
        raise ValueError("an interval needs at least one observation")
    tail = (1 - level) / 2
    low = betaincinv(successes, n - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, n - successes, 1 - tail) if successes < n else 1.0
    return float(low), float(high)


class Form(NamedTuple):
    """A rise from 0 to 1 over the real line."""

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    """The derivative."""
    inverse: Callable[[float], float]


def _logistic(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def _weibull(z: np.ndarray) -> np.ndarray:
    return -np.expm1(-np.exp(z))


FORMS: dict[str, Form] = {
    "logistic": Form(_logistic, lambda z: _logistic(z) * _logistic(-z), lambda y: -math.log(1 / y - 1)),
    "weibull": Form(_weibull, lambda z: np.exp(z - np.exp(z)), lambda y: math.log(-math.log1p(-y))),
}
MAIN_FORM = "logistic"
"""The form that figures show."""


class Curve(NamedTuple):
    """``floor + (a - floor) F(s (ln N - t))``."""

    a: float
    s: float
    t: float
    floor: float = 0.0
    """The accuracy of a guess."""
    form: str = MAIN_FORM
    """F, one of `FORMS`."""

    def __call__(self, n: np.ndarray | float) -> np.ndarray:
        z = np.clip(self.s * (np.log(n) - self.t), -60, 60)
        return self.floor + (self.a - self.floor) * FORMS[self.form].value(z)

    def crossing(self, threshold: float) -> float:
        """N at which the curve reaches `threshold`: infinity if it never does, 0 if it lies above everywhere."""
        if self.a <= threshold:
            return math.inf
        if threshold <= self.floor:
            return 0.0
        share = (threshold - self.floor) / (self.a - self.floor)
        exponent = self.t + FORMS[self.form].inverse(share) / self.s
        return math.exp(exponent) if exponent < 700 else math.inf


def fit_curve(
    n: Sequence[float],
    accuracy: Sequence[float] | np.ndarray,
    weight: Sequence[float],
    start: Curve | None = None,
    floor: float = 0.0,
    form: str = MAIN_FORM,
) -> Curve:
    """The maximum-likelihood curve; `weight` is the number of problems behind each accuracy.

    The search starts at several points, or at `start` alone. The fits of a bootstrap start at the fit of the data,
    which is near. Raises `ValueError` for fewer than two distinct N.
    """
    from scipy.optimize import minimize  # A third of a second, and most commands fit no curve.

    x, y, w = np.log(np.asarray(n, float)), np.asarray(accuracy, float), np.asarray(weight, float)
    if len(set(x.tolist())) < 2:
        raise ValueError("a curve needs at least two data sizes")
    w = w / w.sum()
    shape = FORMS[form]

    def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
        a, s, t = p
        z = np.clip(s * (x - t), -60, 60)
        g, slope = shape.value(z), shape.slope(z)
        q = np.clip(floor + (a - floor) * g, 1e-6, 1 - 1e-6)
        d = w * (q - y) / (q * (1 - q))
        inner = d * (a - floor) * slope
        gradient = np.array([(d * g).sum(), (inner * (x - t)).sum(), (-inner * s).sum()])
        return float(-(w * (y * np.log(q) + (1 - y) * np.log(1 - q))).sum()), gradient

    middle = float(x.mean())
    reached = max(0.05, min(1.0, 1.1 * float(y.max())))
    several = [Curve(1.0, 1.0, middle), Curve(reached, 1.5, middle), Curve(1.0, 0.5, float(x.max()))]
    fits = [
        minimize(
            loss,
            np.array(begin[:3]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(floor + 0.01, 1.0), (0.05, 6.0), (float(x.min()) - 8, float(x.max()) + 8)],
        )
        for begin in ([start] if start else several)
    ]
    best = min(fits, key=lambda fit: fit.fun)
    a, s, t = map(float, best.x)
    return Curve(a, s, t, floor, form)


class Interpolation(NamedTuple):
    """The measured accuracies, joined by straight lines over ln N. They never fall: a lower one counts as the highest
    before it."""

    examples: tuple[float, ...]
    accuracy: tuple[float, ...]

    def crossing(self, threshold: float) -> float:
        """As `Curve.crossing`."""
        risen = np.maximum.accumulate(self.accuracy)
        if risen[-1] < threshold:
            return math.inf
        if risen[0] >= threshold:
            return 0.0
        last = int(np.argmax(risen >= threshold))
        (low, high), (below, above) = np.log(self.examples[last - 1 : last + 1]), risen[last - 1 : last + 1]
        return math.exp(low + (high - low) * (threshold - below) / (above - below))


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


def threshold_of(curve: Curve | Interpolation, threshold: float, n: Sequence[float]) -> Threshold:
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


def standard_errors(accuracy: np.ndarray, draws: np.ndarray, problems: int) -> np.ndarray:
    """(K,) standard errors of accuracies, from (draws, K) those of a bootstrap. They are at least those of so many
    problems with one more right and one more wrong, so that an accuracy of 0 or 1 has an error, too."""
    rounded = (accuracy * problems + 1) / (problems + 2)
    return np.maximum(draws.std(axis=0), np.sqrt(rounded * (1 - rounded) / (problems + 2)))


@dataclass(frozen=True, slots=True)
class Fit:
    """The curves of one format, in every form, and those of its bootstrap draws. K data sizes."""

    examples: tuple[float, ...]
    """(K,) the measured N."""
    accuracy: np.ndarray
    """(K,) over seeds and problems."""
    accuracy_draws: np.ndarray
    """(draws, K)"""
    problems: int
    """Problems behind each accuracy."""
    curves: dict[str, Curve]
    """Form -> the curve."""
    resampled: dict[str, list[Curve]]
    """Form -> those of the draws."""

    @property
    def curve(self) -> Curve:
        """The curve of the main form."""
        return self.curves[MAIN_FORM]

    @property
    def r2(self) -> float | None:
        """`goodness` of that curve."""
        return goodness(self.curve, self.examples, self.accuracy)

    def errors(self) -> np.ndarray:
        """(K,) `standard_errors` of the accuracies."""
        return standard_errors(self.accuracy, self.accuracy_draws, self.problems)

    def gain(self, low: int = 0, high: int = -1) -> float:
        """Gain in accuracy per doubling of N from the measured N of index `low` to that of index `high`."""
        return float((self.accuracy[high] - self.accuracy[low]) / self._doublings(low, high))

    def gain_draws(self, low: int = 0, high: int = -1) -> np.ndarray:
        """(draws,) `gain` of every draw."""
        return (self.accuracy_draws[:, high] - self.accuracy_draws[:, low]) / self._doublings(low, high)

    def _doublings(self, low: int, high: int) -> float:
        return math.log2(self.examples[high] / self.examples[low])

    def thresholds(self, accuracy: float) -> dict[str, tuple[Threshold, np.ndarray]]:
        """Form (also `interpolation`) -> N* for an accuracy, and (draws,) that of every draw, where a censored one is
        the end of the measured range."""
        joined = [Interpolation(self.examples, tuple(row)) for row in self.accuracy_draws.tolist()]
        forms: dict[str, tuple[Curve | Interpolation, Sequence[Curve | Interpolation]]] = {
            form: (curve, self.resampled[form]) for form, curve in self.curves.items()
        }
        forms["interpolation"] = Interpolation(self.examples, tuple(self.accuracy.tolist())), joined
        return {
            form: (
                threshold_of(curve, accuracy, self.examples),
                np.array([threshold_of(drawn, accuracy, self.examples).value for drawn in draws]),
            )
            for form, (curve, draws) in forms.items()
        }


def fit_formats(outcomes: dict[str, Outcomes], draws: int, seed: int = 1, floor: float = 0.0) -> dict[str, Fit]:
    """Format -> its fit. The draws of all formats are paired. Empty for fewer than two data sizes."""
    if not outcomes or len(next(iter(outcomes.values())).examples) < 2:
        return {}
    fits = {}
    for fmt, o in outcomes.items():
        weight = [1.0] * len(o.examples)
        accuracy = o.accuracy()
        rows = bootstrap_means(o.correct, draws, seed)
        curves = {form: fit_curve(o.examples, accuracy, weight, floor=floor, form=form) for form in FORMS}
        resampled = {
            form: [fit_curve(o.examples, row, weight, curve, floor, form) for row in rows]
            for form, curve in curves.items()
        }
        fits[fmt] = Fit(o.examples, accuracy, rows, o.correct.shape[2], curves, resampled)
    return fits
