"""How often a verdict is wrong, and how often an interval misses: `python benchmarks/calibration.py [--json]`.

Studies are planted, not trained: outcomes of problems are drawn from accuracies that are known, in the shipped design
(`tests/planted.py`), and the code of the finding gives its verdict. Each row is a planted truth. `none` plants no
effect, so every verdict but inconclusive is false. `effect` plants one, so `supported` is the power. `shape` plants
curves that no fit has. The rows at level 5% are those of a study with this finding alone; those of a study with `OF`
findings follow from the same measurements. Coverage is the share of printed intervals that contain the planted value.

All bootstraps have `--bootstrap` draws, which are fewer than a study's: a standard error from 40 draws is itself off by
11%, and intervals of Student's t are then missed a little more often. So these rates are rather too high.

The planted truths are in `scenarios.py`; a further finding is added there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from scenarios import FINDINGS, Scenario, Settings

OF = 7
"""The findings of a study with all experiments."""
SEEDS = (6, 8)
NOISES = (0.15, 0.4)
"""Standard deviations of the shifts between seeds, in logits; 0.4 moves an accuracy of 0.5 by 0.1."""


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
