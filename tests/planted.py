"""Measurements with a planted truth, for tests and benchmarks of findings.

Problems differ in difficulty and seeds in luck. Both are shifts of the logit of an accuracy, drawn from normal
distributions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from zipthought.study.experiments.repetition.findings import FormatMeasurements
from zipthought.study.experiments.scaling.measurements import ScalingMeasurements
from zipthought.study.statistics import Curve, Fit, Outcomes, bootstrap_means, fit_formats

SIZES = (64, 512, 4096, 30720)
FLOOR = 1 / 23
EPOCHS = (1, 4, 16)
SPREAD = 0.5
"""The standard deviation of the difficulty of problems."""


def logit(p):
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def difficulties(rng, problems):
    """(problems,)"""
    return rng.normal(0, SPREAD, problems)


def solved(rng, means, difficulty, seeds=5, noise=0.15):
    """(S, ..., P) bool: whether problems of these difficulties (P,) are solved, at accuracies `means` (...). Each seed
    shifts each accuracy."""
    middle = logit(np.asarray(means)) + rng.normal(0, noise, (seeds, *np.shape(means)))
    return rng.random((*middle.shape, len(difficulty))) < 1 / (1 + np.exp(-middle[..., None] - difficulty))


def expected(mean, noise, spread=SPREAD):
    """The accuracy over all problems and seeds where `mean` is planted: shifts draw it towards 0.5."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    shifted = logit(mean) + math.hypot(noise, spread) * nodes
    return float((weights / (1 + np.exp(-shifted))).sum() / weights.sum())


def rising(a: float, s: float, n0: float, form: str = "logistic") -> Curve:
    """A curve from the floor of a guess."""
    return Curve(a, s, math.log(n0), FLOOR, form)


@dataclass(frozen=True)
class Stairs:
    """A rise in several steps, a form that no fit has: (height, N in the middle of the step) of each."""

    steps: tuple[tuple[float, float], ...]
    steepness: float
    """As `s` of a curve."""

    def __call__(self, n: float) -> float:
        return FLOOR + sum(height / (1 + (middle / n) ** self.steepness) for height, middle in self.steps)

    def crossing(self, threshold: float) -> float:
        """N at which the accuracy reaches `threshold`, by bisection."""
        low, high = 1.0, 1e9
        while high / low > 1 + 1e-9:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if self(middle) < threshold else (low, middle)
        return low


def planted(curves, seed, seeds=6, problems=200, sizes=SIZES, noise=0.15):
    """Format -> outcomes drawn from its curve. A seed shifts the whole curve of a format."""
    rng = np.random.default_rng(seed)
    difficulty = difficulties(rng, problems)
    outcomes = {}
    for fmt, curve in curves.items():
        middle = logit([float(curve(n)) for n in sizes]) + rng.normal(0, noise, (seeds, 1))
        correct = rng.random((seeds, len(sizes), problems)) < 1 / (1 + np.exp(-middle[..., None] - difficulty))
        outcomes[fmt] = Outcomes(sizes, correct)
    return outcomes


def means_only(outcomes, draws, floor=FLOOR):
    """As `fit_formats`, for findings that need no curve. Fitting takes most of the time."""
    return {
        fmt: Fit(o.examples, o.accuracy(), bootstrap_means(o.correct, draws), o.correct.shape[2], {}, {})
        for fmt, o in outcomes.items()
    }


def fit_once(outcomes, draws, floor=FLOOR):
    """As `fit_formats`, for findings that curves do not decide: without curves of the draws."""
    once = fit_formats(outcomes, 1, floor=floor)
    return {
        fmt: replace(fit, curves=once[fmt].curves, resampled=once[fmt].resampled)
        for fmt, fit in means_only(outcomes, draws, floor).items()
    }


def scaled(outcomes, trained=1.0, model="neutral", costs=None, step0=0.1, draws=100, threshold=0.5, fit=fit_formats):
    """The measurements of a base."""
    return ScalingMeasurements(
        model=model,
        seeds=len(next(iter(outcomes.values())).correct),
        fits=fit(outcomes, draws, floor=FLOOR),
        costs={x: fit(of, draws, floor=FLOOR) for x, of in (costs or {}).items()},
        tokens_per_example={fmt: 50.0 if fmt == "explicit" else 25.0 for fmt in outcomes},
        training={fmt: dict.fromkeys(o.examples, trained) for fmt, o in outcomes.items()},
        step0=step0,
        thresholds=(threshold,),
    )


def repeated(rng, difficulty, test, memory, noise=0.15, seeds=5, arms=None):
    """A format with this held-out accuracy by epochs, and this excess of old answers after the most. `arms` is another
    arm -> its accuracy by epochs."""
    others = difficulties(rng, 100)
    return FormatMeasurements(
        epochs=EPOCHS,
        test=solved(rng, test, difficulty, seeds, noise),
        train=solved(rng, [0.3, 0.7, 1.0], difficulties(rng, 50), seeds, noise),
        old_train=solved(rng, [0.05, 0.05, 0.05 + memory], others, seeds, noise),
        old_held_out=solved(rng, [0.05, 0.05, 0.05], difficulties(rng, 100), seeds, noise),
        arms={arm: solved(rng, means, difficulty, seeds, noise) for arm, means in (arms or {}).items()},
    )
