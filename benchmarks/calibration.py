"""How often a verdict is wrong, and how often an interval misses: `python benchmarks/calibration.py [--json]`.

Studies are planted, not trained: outcomes of problems are drawn from accuracies that are known, in the shipped design
(`tests/planted.py`), and the code of the finding gives its verdict. Each row is a planted truth. `none` plants no
effect, so every verdict but inconclusive is false. `effect` plants one, so `supported` is the power. `shape` plants
curves that no fit has. The rows at level 5% are those of a study with this finding alone; those of a study with `OF`
findings follow from the same measurements. Coverage is the share of printed intervals that contain the planted value.

All bootstraps have `--bootstrap` draws, which are fewer than a study's: a standard error from 40 draws is itself off by
11%, and intervals of Student's t are then missed a little more often. So these rates are rather too high.

A further finding is one function that returns its `Scenario`s, and its line in `FINDINGS`.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from planted import FLOOR, SIZES, Stairs, difficulties, expected, means_only, planted, repeated, rising, scaled

from zipthought.report.data import Finding
from zipthought.study.experiments.repetition.f6 import f6
from zipthought.study.experiments.repetition.findings import f2b
from zipthought.study.experiments.scaling.f1 import f1
from zipthought.study.experiments.scaling.f2a import f2a, saturated_from
from zipthought.study.statistics import Curve

OF = 7
"""The findings of a study with all experiments."""
SEEDS = (6, 8)
NOISES = (0.15, 0.4)
"""Standard deviations of the shifts between seeds, in logits; 0.4 moves an accuracy of 0.5 by 0.1."""
COARSE = ("composed:2", "implicit:2")
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


@dataclass(frozen=True)
class Row:
    """What the studies of one scenario gave."""

    finding: str
    kind: str
    planted: str
    seeds: int
    noise: float
    studies: int
    supported: float
    contradicted: float
    coverage: float | None
    """Of the intervals at 95%; None where none is printed."""
    supported_of: float
    """In a study with `OF` findings."""
    contradicted_of: float
    coverage_of: float | None


def in_summary(finding: Finding) -> list[Interval]:
    """The intervals of a summary, written as `verdicts.Comparison.text` does."""
    number = r"[+-]\d+\.\d+"
    found = re.findall(rf"{number} \(({number}) to ({number})\)", finding.summary)
    return [(float(low), float(high)) for low, high in found]


def over_all_forms(finding: Finding) -> list[Interval]:
    """The intervals of the ratios of F1 at equal examples."""
    texts = [row["interval over all forms"] for row in finding.rows if row["at equal"] == "examples"]
    return [_ratio(text) for text in texts]


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


def of_f1(curves: Pair) -> Callable[[Settings], Study]:
    """Planted studies of F1."""

    def draw(at: Settings) -> Study:
        explicit, composed = curves(at.rng)
        outcomes = planted(
            {"explicit": explicit, "composed:2": composed}, at.rng.integers(2**32), at.seeds, noise=at.noise
        )
        data = scaled(outcomes, draws=at.draws)
        return Study(lambda findings: f1([data], findings), [composed.crossing(0.5) / explicit.crossing(0.5)])

    return draw


def f1_scenarios() -> list[Scenario]:
    def same(rng: np.random.Generator) -> tuple[Curve, Curve]:
        curve = any_curve(rng, any_size(rng))
        return curve, curve

    def same_need(rng: np.random.Generator) -> tuple[Curve, Curve]:
        n_star = any_size(rng)
        return any_curve(rng, n_star), any_curve(rng, n_star)

    def needs(times: float) -> Pair:
        def draw(rng: np.random.Generator) -> tuple[Curve, Curve]:
            n_star = math.exp(rng.uniform(math.log(100), math.log(SIZES[-1] / times / 1.5)))
            return any_curve(rng, n_star), any_curve(rng, n_star * times)

        return draw

    def stairs(rng: np.random.Generator) -> tuple[Stairs, Stairs]:
        """Two steps each, the second four times as late in composed:2."""
        first = math.exp(rng.uniform(math.log(100), math.log(1000)))
        return tuple(Stairs(((0.35, first * late), (0.55, 6 * first * late)), 3.0) for late in (1, 4))

    def one_step(rng: np.random.Generator) -> tuple[Stairs, Curve]:
        """A sudden rise and a gradual one with the same N*."""
        sudden = Stairs(((0.95, any_size(rng)),))
        return sudden, reaching(sudden.crossing(0.5), 0.99, 0.9)

    planted_truths = [
        ("none", "the same curve", same),
        ("none", "the same N*, other curves", same_need),
        ("none", "the same N*, sudden and gradual", one_step),
        ("effect", "2 times", needs(2)),
        ("effect", "8 times", needs(8)),
        ("effect", "32 times", needs(32)),
        ("shape", "two steps, 4 times", stairs),
    ]
    return [Scenario(kind, name, of_f1(curves), over_all_forms) for kind, name, curves in planted_truths]


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


FINDINGS: dict[str, Callable[[], list[Scenario]]] = {
    "F1": f1_scenarios,
    "F2a": f2a_scenarios,
    "F2b": f2b_scenarios,
    "F6": f6_scenarios,
}
"""Finding -> its planted truths."""


def measure(finding: str, scenario: Scenario, seeds: int, noise: float, studies: int, draws: int) -> Row:
    """The verdicts and intervals of so many planted studies. They are the same in every run."""
    verdicts: dict[int, list[str]] = {1: [], OF: []}
    inside: dict[int, list[bool]] = {1: [], OF: []}
    for number in range(studies):
        rng = np.random.default_rng([number, seeds, round(1000 * noise), *f"{finding} {scenario.name}".encode()])
        study = scenario.draw(Settings(rng, seeds, noise, draws))
        for findings, called in verdicts.items():
            found = study.finding(findings)
            called.append(found.verdict)
            intervals = scenario.printed(found) if study.truths else []
            pairs = list(zip(study.truths, intervals, strict=True))
            inside[findings] += [low <= truth <= high for truth, (low, high) in pairs]

    def share(findings: int, verdict: str) -> float:
        return verdicts[findings].count(verdict) / studies

    return Row(
        finding=finding,
        kind=scenario.kind,
        planted=scenario.name,
        seeds=seeds,
        noise=noise,
        studies=studies,
        supported=share(1, "supported"),
        contradicted=share(1, "contradicted"),
        coverage=float(np.mean(inside[1])) if inside[1] else None,
        supported_of=share(OF, "supported"),
        contradicted_of=share(OF, "contradicted"),
        coverage_of=float(np.mean(inside[OF])) if inside[OF] else None,
    )


def rows_of(findings: list[str], nulls: int, effects: int, draws: int) -> Iterator[Row]:
    """A row for each finding, planted truth, number of seeds and noise, as soon as it is measured."""
    for finding in findings:
        for scenario in FINDINGS[finding]():
            for seeds in SEEDS:
                for noise in NOISES:
                    studies = nulls if scenario.kind == "none" else effects
                    yield measure(finding, scenario, seeds, noise, studies, draws)


def line(row: Row) -> str:
    """The row in Markdown, in percent."""
    shares = (
        row.supported, row.contradicted, row.coverage, row.supported_of, row.contradicted_of, row.coverage_of,
    )  # fmt: skip
    texts = ["" if share is None else f"{100 * share:.1f}" for share in shares]
    return (
        " | ".join(
            [f"| {row.finding}", row.kind, row.planted, str(row.seeds), f"{row.noise:g}", str(row.studies), *texts]
        )
        + " |"
    )


def table(rows: list[Row]) -> str:
    heads = ["finding", "planted", "", "seeds", "noise", "studies", "supported", "contradicted", "coverage"]
    heads += [f"{name}, of {OF}" for name in ("supported", "contradicted", "coverage")]
    rule = ["---"] * 3 + ["---:"] * (len(heads) - 3)
    return "\n".join([f"| {' | '.join(heads)} |", f"| {' | '.join(rule)} |", *map(line, rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--findings", nargs="+", choices=FINDINGS, default=list(FINDINGS))
    parser.add_argument("--nulls", type=int, default=400, help="studies of each row without an effect")
    parser.add_argument("--effects", type=int, default=100, help="studies of each other row")
    parser.add_argument("--bootstrap", type=int, default=40, help="draws of each bootstrap")
    parser.add_argument("--json", action="store_true", help="print the rows as one JSON array")
    options = parser.parse_args()
    rows = []
    for row in rows_of(options.findings, options.nulls, options.effects, options.bootstrap):
        rows.append(row)
        print(line(row), file=sys.stderr, flush=True)
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else table(rows))


if __name__ == "__main__":
    main()
