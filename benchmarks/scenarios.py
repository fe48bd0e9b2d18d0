"""The planted truths of F1, F2a, F2b and F6 for `calibration.py`: a function for each finding."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from planted import FLOOR, SIZES, Stairs, difficulties, expected, means_only, planted, repeated, rising, scaled

from zipthought.report.data import Finding
from zipthought.study.experiments.repetition.f6 import f6
from zipthought.study.experiments.repetition.findings import f2b
from zipthought.study.experiments.scaling.f1 import f1
from zipthought.study.experiments.scaling.f2a import f2a, saturated_from
from zipthought.study.statistics import Curve

COARSE = ("composed:2", "implicit:2")
SUDDEN = 20.0
"""The steepness of a sudden step: from 10% to 90% within a factor of 1.25 in N."""
Interval = tuple[float, float]
Pair = Callable[[np.random.Generator], tuple[Curve | Stairs, Curve | Stairs]]
"""A random generator -> the curves of explicit and composed:2."""


@dataclass(frozen=True)
class Study:
    """A planted study."""

    finding: Callable[[int], Finding]
    """The number of findings of the study -> its verdict."""
    truths: list[float]
    """The planted values of the printed intervals, in their order."""


@dataclass(frozen=True)
class Settings:
    """How a study is drawn."""

    rng: np.random.Generator
    seeds: int
    noise: float
    draws: int

    def mean(self, accuracy: float) -> float:
        """The accuracy over all seeds and problems where this one is planted."""
        return expected(accuracy, self.noise)


@dataclass(frozen=True)
class Scenario:
    """A planted truth."""

    kind: str
    """`none`, `effect` or `shape`."""
    name: str
    draw: Callable[[Settings], Study]
    printed: Callable[[Finding], list[Interval]]
    """The intervals that the finding prints, in the order of `Study.truths`."""


def in_summary(finding: Finding) -> list[Interval]:
    """The intervals of a summary, written as `verdicts.Comparison.text` does."""
    number = r"[+-]\d+\.\d+"
    found = re.findall(rf"{number} \(({number}) to ({number})\)", finding.summary)
    return [(float(low), float(high)) for low, high in found]


def in_column(name: str, finding: Finding) -> list[Interval]:
    """The intervals of the ratios of F1 at equal examples, from this column of its table."""
    return [_ratio(row[name]) for row in finding.rows if row["at equal"] == "examples"]


def _ratio(text: str) -> Interval:
    if text == "unknown":
        return 0.0, math.inf
    if text.endswith("or more"):
        return float(text.split()[0]), math.inf
    if text.endswith("or less"):
        return 0.0, float(text.split()[0])
    low, high = text.split(" to ")
    return float(low), float(high)


# F1 and F2a. Both compare one coarse format with explicit: where several must hold, fewer studies are called supported.


def reaching(n_star: float, a: float, s: float) -> Curve:
    """The curve that reaches 0.5 at N*."""
    share = (0.5 - FLOOR) / (a - FLOOR)
    return Curve(a, s, math.log(n_star) - math.log(share / (1 - share)) / s, FLOOR)


def any_curve(rng: np.random.Generator, n_star: float) -> Curve:
    return reaching(n_star, rng.uniform(0.8, 1.0), math.exp(rng.uniform(math.log(0.7), math.log(2.5))))


def any_size(rng: np.random.Generator) -> float:
    """An N* within the measured sizes."""
    return math.exp(rng.uniform(math.log(2 * SIZES[0]), math.log(SIZES[-1] / 2)))


def of_f1(curves: Pair, fit: Callable[..., Any]) -> Callable[[Settings], Study]:
    """Planted studies of F1, with fits as those of `fit_formats`."""

    def draw(at: Settings) -> Study:
        explicit, composed = curves(at.rng)
        outcomes = planted(
            {"explicit": explicit, "composed:2": composed}, at.rng.integers(2**32), at.seeds, noise=at.noise
        )
        data = scaled(outcomes, draws=at.draws, fit=fit)
        return Study(lambda findings: f1([data], findings), [composed.crossing(0.5) / explicit.crossing(0.5)])

    return draw


def f1_scenarios(fit: Callable[..., Any], column: str) -> list[Scenario]:
    """With the coverage of the intervals in a column of its table."""

    def same(rng: np.random.Generator) -> tuple[Curve, Curve]:
        curve = any_curve(rng, any_size(rng))
        return curve, curve

    def same_need(rng: np.random.Generator) -> tuple[Curve, Curve]:
        n_star = any_size(rng)
        return any_curve(rng, n_star), any_curve(rng, n_star)

    def at_a_size(rng: np.random.Generator) -> tuple[Curve, Curve]:
        return any_curve(rng, SIZES[1]), any_curve(rng, SIZES[1])

    def needs(times: float) -> Pair:
        def draw(rng: np.random.Generator) -> tuple[Curve, Curve]:
            n_star = math.exp(rng.uniform(math.log(100), math.log(SIZES[-1] / times / 1.5)))
            return any_curve(rng, n_star), any_curve(rng, n_star * times)

        return draw

    def stairs(steepness: float) -> Pair:
        """Two steps each, four times as late in composed:2."""

        def draw(rng: np.random.Generator) -> tuple[Stairs, Stairs]:
            first = math.exp(rng.uniform(math.log(100), math.log(1000)))
            one, other = (Stairs(((0.35, n), (0.55, 6 * n)), steepness) for n in (first, 4 * first))
            return one, other

        return draw

    def sudden(*steps: Interval) -> Pair:
        """Sudden steps, (height, N from the first on), and a gradual rise with the same N*."""

        def draw(rng: np.random.Generator) -> tuple[Stairs, Curve]:
            first = any_size(rng) / steps[-1][1]
            stairs = Stairs(tuple((height, first * late) for height, late in steps), SUDDEN)
            return stairs, reaching(stairs.crossing(0.5), 0.99, 0.9)

        return draw

    planted_truths = [
        ("none", "the same curve", same),
        ("none", "the same N*, other curves", same_need),
        ("none", "the same N*, a measured size", at_a_size),
        ("none", "the same N*, a sudden step and gradual", sudden((0.95, 1))),
        ("none", "the same N*, two sudden steps and gradual", sudden((0.35, 1), (0.6, 6))),
        ("effect", "2 times", needs(2)),
        ("effect", "8 times", needs(8)),
        ("effect", "32 times", needs(32)),
        ("shape", "two steps, 4 times", stairs(3.0)),
        ("shape", "two sudden steps, 4 times", stairs(SUDDEN)),
    ]
    printed = partial(in_column, column)
    return [Scenario(kind, name, of_f1(curves, fit), printed) for kind, name, curves in planted_truths]


def of_f2a(curves: Pair) -> Callable[[Settings], Study]:
    """Planted studies of F2a. The true gain is that over the range that the study itself finds saturated."""

    def draw(at: Settings) -> Study:
        explicit, composed = curves(at.rng)
        outcomes = planted(
            {"explicit": explicit, "composed:2": composed}, at.rng.integers(2**32), at.seeds, noise=at.noise
        )
        data = scaled(outcomes, draws=at.draws, fit=means_only)
        low = saturated_from(data)
        if low is None:
            return Study(lambda findings: f2a([data], findings), [])
        rise = [at.mean(float(curve(SIZES[-1]))) - at.mean(float(curve(SIZES[low]))) for curve in (explicit, composed)]
        return Study(lambda findings: f2a([data], findings), [(rise[1] - rise[0]) / math.log2(SIZES[-1] / SIZES[low])])

    return draw


def f2a_scenarios() -> list[Scenario]:
    def same(rng: np.random.Generator) -> tuple[Curve, Curve]:
        middle = math.exp(rng.uniform(math.log(30), math.log(1000)))
        curve = rising(rng.uniform(0.93, 1.0), rng.uniform(1.0, 3.0), middle)
        return curve, curve

    def at_the_edge(rng: np.random.Generator) -> tuple[Curve, Curve]:
        """Explicit has just the accuracy of saturation at 512."""
        curve = rising(0.97, 2.0, 150)
        return curve, curve

    def gains(rise: float) -> Pair:
        """composed:2 climbs by so much more over six doublings."""

        def draw(rng: np.random.Generator) -> tuple[Curve, Curve]:
            middle = math.exp(rng.uniform(math.log(3000), math.log(8000)))
            return rising(0.99, 2.5, 100), rising(FLOOR + rise * 1.15, 1.0, middle)

        return draw

    planted_truths = [
        ("none", "the same curve", same),
        ("none", "the same curve, 0.9 at 512", at_the_edge),
        ("effect", "about 0.03 a doubling", gains(0.25)),
        ("effect", "about 0.1 a doubling", gains(0.8)),
    ]
    return [Scenario(kind, name, of_f2a(curves), in_summary) for kind, name, curves in planted_truths]


# F2b and F6, from one experiment. A value for each of composed:2 and implicit:2.


def of_f2b(gains: Interval, memories: Interval) -> Callable[[Settings], Study]:
    def draw(at: Settings) -> Study:
        start, difficulty = at.rng.uniform(0.2, 0.4), difficulties(at.rng, 200)
        data = {
            fmt: repeated(at.rng, difficulty, [start, start + gain / 2, start + gain], memory, at.noise, at.seeds)
            for fmt, gain, memory in zip(COARSE, gains, memories, strict=True)
        }
        composed, implicit = (at.mean(start + gain) - at.mean(start) for gain in gains)
        old = [at.mean(0.05 + memory) for memory in memories]
        return Study(lambda findings: f2b(data, findings, at.draws), [composed, composed - implicit, old[1] - old[0]])

    return draw


def f2b_scenarios() -> list[Scenario]:
    planted_truths = [
        ("none", "nothing", (0.0, 0.0), (0.1, 0.1)),
        ("none", "both gain, implicit memorizes", (0.3, 0.3), (0.1, 0.4)),
        ("none", "composed gains, both memorize", (0.3, 0.0), (0.2, 0.2)),
        ("effect", "0.1 each", (0.1, 0.0), (0.0, 0.1)),
        ("effect", "0.2 each", (0.2, 0.0), (0.0, 0.2)),
        ("effect", "0.4 each", (0.4, 0.0), (0.0, 0.4)),
    ]
    return [Scenario(kind, name, of_f2b(*truth), in_summary) for kind, name, *truth in planted_truths]


def of_f6(more: Interval) -> Callable[[Settings], Study]:
    def draw(at: Settings) -> Study:
        repeat, difficulty = at.rng.uniform(0.2, 0.6), difficulties(at.rng, 200)
        data = {
            fmt: repeated(
                at.rng, difficulty, [repeat] * 3, 0.1, at.noise, at.seeds, {"redress": [repeat, repeat, repeat + gain]}
            )
            for fmt, gain in zip(COARSE, more, strict=True)
        }
        return Study(
            lambda findings: f6(data, findings, at.draws), [at.mean(repeat + gain) - at.mean(repeat) for gain in more]
        )

    return draw


def f6_scenarios() -> list[Scenario]:
    planted_truths = [
        ("none", "nothing", (0.0, 0.0)),
        ("none", "composed:2 alone gains", (0.3, 0.0)),
        ("effect", "0.05 each", (0.05, 0.05)),
        ("effect", "0.1 each", (0.1, 0.1)),
        ("effect", "0.2 each", (0.2, 0.2)),
    ]
    return [Scenario(kind, name, of_f6(more), in_summary) for kind, name, more in planted_truths]
