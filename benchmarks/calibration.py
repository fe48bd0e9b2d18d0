"""How often a verdict is wrong, and how often an interval misses: `python benchmarks/calibration.py [--json]`.

Studies are planted, not trained: outcomes of problems are drawn from accuracies that are known, in the shipped design
(`tests/planted.py`, `planted_states.py`, `planted_orders.py`), and the code of the finding gives its verdict. A design
is a number of seeds and one of `NOISES`; a row of the table has all designs of a planted truth. `none` plants nothing,
so every verdict but inconclusive is false. `effect` plants one, so `supported` is the power. `shape` plants curves that
no fit has. The rates are those of a study with this finding alone, then those of a study with `OF` findings, from the
same measurements. Coverage is the share of printed intervals that contain the planted value.

F1 has two sets of rows, with the same verdicts: `F1` has the coverage of the bounds by the grid, which decide, and
`F1-curves` that of the intervals by curves, which only describe.

All bootstraps have `--bootstrap` draws, which are fewer than a study's: a standard error from 40 draws is itself off by
11%, and intervals of Student's t are then missed a little more often. So these rates are rather too high.

A further finding is one function that returns its planted truths, and its line in `FINDINGS`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby, product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from planted import fit_once
from scenarios import Scenario, Settings, f1_scenarios, f2a_scenarios, f2b_scenarios, f6_scenarios
from scenarios_of_rates import f3_scenarios, f4_scenarios, f5_scenarios, f7_scenarios, f8_scenarios

from zipthought.study.statistics import fit_formats

FINDINGS: dict[str, Callable[[], list[Scenario]]] = {
    "F1": partial(f1_scenarios, fit_once, "ratio by the grid"),
    "F1-curves": partial(f1_scenarios, fit_formats, "interval over all forms"),
    "F2a": f2a_scenarios,
    "F2b": f2b_scenarios,
    "F3": f3_scenarios,
    "F4": f4_scenarios,
    "F5": f5_scenarios,
    "F6": f6_scenarios,
    "F7": f7_scenarios,
    "F8": f8_scenarios,
}
"""Finding -> its planted truths."""
OF = 7
"""The findings of a study with all experiments."""
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


def rows_of(options: argparse.Namespace) -> Iterator[Row]:
    """A row for each finding, planted truth, number of seeds and noise, as soon as it is measured."""
    for finding in options.findings:
        for scenario in FINDINGS[finding]():
            studies = options.nulls if scenario.kind == "none" else options.effects
            for seeds, noise in product(options.seeds, NOISES):
                yield measure(finding, scenario, seeds, noise, studies, options.bootstrap)


SHARES = ("supported", "contradicted", "coverage", "supported_of", "contradicted_of", "coverage_of")


def line(rows: Sequence[Row]) -> str:
    """The designs of one planted truth together, in Markdown and percent. Where nothing is planted, the calls in the
    worst design follow."""
    first = rows[0]
    shares = [[getattr(row, name) for row in rows] for name in SHARES]
    texts = ["" if None in values else f"{100 * np.mean(values):.1f}" for values in shares]
    called = max(row.supported + row.contradicted for row in rows)
    worst = f"{100 * called:.1f}" if first.kind == "none" else ""
    cells = [first.finding, first.kind, first.planted, str(sum(row.studies for row in rows)), *texts, worst]
    return f"| {' | '.join(cells)} |"


def table(rows: Sequence[Row]) -> str:
    heads = ["finding", "planted", "", "studies", "supported", "contradicted", "coverage"]
    heads += [*(f"{name}, of {OF}" for name in heads[4:]), "calls, worst"]
    rule = ["---"] * 3 + ["---:"] * (len(heads) - 3)
    truths = groupby(rows, key=lambda row: (row.finding, row.planted))
    return "\n".join([f"| {' | '.join(heads)} |", f"| {' | '.join(rule)} |", *(line(list(of)) for _, of in truths)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--findings", nargs="+", choices=FINDINGS, default=list(FINDINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[6])
    parser.add_argument("--nulls", type=int, default=100, help="studies of each design without an effect")
    parser.add_argument("--effects", type=int, default=25, help="studies of each other design")
    parser.add_argument("--bootstrap", type=int, default=40, help="draws of each bootstrap")
    parser.add_argument("--json", action="store_true", help="print the rows as one JSON array")
    options = parser.parse_args()
    rows = []
    for row in rows_of(options):
        rows.append(row)
        print(row.seeds, row.noise, line([row]), file=sys.stderr, flush=True)
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else table(rows))


if __name__ == "__main__":
    main()
