"""Measurements with a planted truth, for tests and benchmarks of findings."""

from __future__ import annotations

import math

import numpy as np

from zipthought.study.experiments.scaling.measurements import ScalingMeasurements
from zipthought.study.statistics import Curve, Outcomes, fit_formats

SIZES = (64, 512, 4096, 30720)
FLOOR = 1 / 23


def rising(a: float, s: float, n0: float, form: str = "logistic") -> Curve:
    """A curve from the floor of a guess."""
    return Curve(a, s, math.log(n0), FLOOR, form)


def planted(curves, seed, seeds=6, problems=200, sizes=SIZES, noise=0.15):
    """Format -> outcomes drawn from its curve, with problems that differ in difficulty and noise between seeds."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 0.5, size=problems)
    outcomes = {}
    for fmt, curve in curves.items():
        correct = np.empty((seeds, len(sizes), problems), dtype=bool)
        for s in range(seeds):
            shift = rng.normal(0, noise)
            for k, n in enumerate(sizes):
                p = np.clip(curve(n), 1e-6, 1 - 1e-6)
                logit = math.log(p / (1 - p)) + difficulty + shift
                correct[s, k] = rng.random(problems) < 1 / (1 + np.exp(-logit))
        outcomes[fmt] = Outcomes(sizes, correct)
    return outcomes


def scaled(outcomes, trained=1.0, model="neutral", costs=None, step0=0.1, draws=200, threshold=0.5):
    """The measurements of a base."""
    return ScalingMeasurements(
        model=model,
        seeds=len(next(iter(outcomes.values())).correct),
        fits=fit_formats(outcomes, draws, floor=FLOOR),
        costs={x: fit_formats(of, draws, floor=FLOOR) for x, of in (costs or {}).items()},
        tokens_per_example={fmt: 50.0 if fmt == "explicit" else 25.0 for fmt in outcomes},
        training={fmt: dict.fromkeys(o.examples, trained) for fmt, o in outcomes.items()},
        step0=step0,
        thresholds=(threshold,),
    )
