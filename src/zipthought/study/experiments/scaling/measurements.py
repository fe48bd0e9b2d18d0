"""What the grid of the scaling experiment measured: a fitted curve for each format."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....core.methods import parse_method
from ...cells import SFTCell, SFTCellResult
from ...cells.sft import RunPoint
from ...snapshot import Snapshot
from ...statistics import Fit, Outcomes, fit_formats
from ...verdicts import FITTED
from ..sft import canonical
from . import Scaling

X_NAMES = {"examples": "examples", "tokens": "training tokens", "updates": "updates", "flops": "training FLOPs"}
"""What formats are compared at: equal distinct examples, equal tokens of these, and equal updates or training compute
along the runs with the most examples -> its name in the report."""
COSTS = ("updates", "flops")
"""Those that are measured along runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingMeasurements:
    """The measurements of one base."""

    model: str
    seeds: int
    """Complete seeds: those with every format and data size."""
    fits: dict[str, Fit]
    """Format -> the curve of held-out accuracy over distinct examples."""
    costs: dict[str, dict[str, Fit]]
    """One of `COSTS` -> format -> the same over that cost, along the runs with the most examples; empty for runs with
    one point. A run that ended by the rule of convergence keeps its last accuracy."""
    tokens_per_example: dict[str, float]
    """Format -> mean training tokens of an example, prompt included."""
    training: dict[str, dict[float, float]]
    """Format -> N -> mean of the highest accuracies on its own training problems."""
    further: frozenset[str] = frozenset()
    """Formats that decide no verdict."""
    step0: float | None = None
    """Held-out accuracy of the base before any training; None if it was not measured."""
    thresholds: tuple[float, ...] = (0.5,)
    """Accuracies for which N* is estimated."""
    longest: int = 5
    """The most operations of its problems."""

    def at_equal(self, x: str) -> tuple[dict[str, Fit], dict[str, float]]:
        """The fits over `x`, one of `X_NAMES`, and the factor from the N of each fit to `x`.

        Distinct tokens are examples times the mean length of an example, so one curve serves both.
        """
        if x in COSTS:
            fits = self.costs.get(x, {})
            return fits, dict.fromkeys(fits, 1.0)
        return self.fits, self.tokens_per_example if x == "tokens" else dict.fromkeys(self.fits, 1.0)

    def fitted(self, fmt: str, n: float) -> bool:
        """Whether a format fits its own training problems at N."""
        return self.training.get(fmt, {}).get(n, 1.0) >= FITTED

    def coarse(self, x: str = "examples") -> list[str]:
        """The formats of the verdicts, no baselines, whose steps cover several operations."""
        methods = {fmt: parse_method(fmt) for fmt in self.at_equal(x)[0] if fmt not in self.further}
        return [fmt for fmt, method in methods.items() if not method.baseline and method.granularity(self.longest) > 1]


def comparable(measured: Sequence[ScalingMeasurements]) -> bool:
    """Whether the first base has fits of explicit and of a coarser format."""
    return bool(measured) and "explicit" in measured[0].fits and bool(measured[0].coarse())


def collect(study: Snapshot, scaling: Scaling) -> list[ScalingMeasurements]:
    """The measurements of each base, the base of the verdicts first. Incomplete seeds are left out."""
    finished = {cell.digest for cell in scaling.finished(study)}
    grids: dict[str, list[SFTCell]] = defaultdict(list)
    for cell in scaling.cells(study.spec):
        if isinstance(cell, SFTCell):
            grids[cell.model].append(cell)
    return [
        _measure(study, scaling, model, list(dict.fromkeys(cell.format for cell in grid)), _by_run(grid, finished))
        for model, grid in grids.items()
    ]


Grid = dict[tuple[str, int, int], SFTCell]
"""(format, seed, examples) -> its finished cell."""


def _by_run(cells: Sequence[SFTCell], finished: set[str]) -> Grid:
    return {(c.format, c.seed, c.examples): c for c in cells if c.digest in finished}


def _measure(study: Snapshot, scaling: Scaling, model: str, formats: Sequence[str], cells: Grid) -> ScalingMeasurements:
    results = study.results(SFTCellResult)
    sizes, further = scaling.examples, frozenset(canonical(scaling.further_formats))
    own = [fmt for fmt in formats if fmt not in further]

    def complete(of: Sequence[str]) -> list[int]:
        return [s for s in scaling.seeds_of(study.spec) if all((f, s, n) in cells for f in of for n in sizes)]

    seeds = complete(own)
    outcomes: dict[str, Outcomes] = {}
    costs: dict[str, dict[str, Outcomes]] = {x: {} for x in COSTS}
    for fmt in formats:
        finished = complete([fmt]) if fmt in further else seeds
        if not finished:
            continue
        solved = [[study.solved(cells[fmt, seed, n].digest) for n in sizes] for seed in finished]
        outcomes[fmt] = Outcomes(sizes, np.array(solved, dtype=bool))
        longest = [cells[fmt, seed, sizes[-1]] for seed in finished]
        for x, outcome in _along([results[cell.digest].points for cell in longest], longest[0].measured_at()).items():
            costs[x][fmt] = outcome
    per_example: dict[str, list[float]] = defaultdict(list)
    training: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (fmt, _, n), cell in cells.items():
        result = results[cell.digest]
        per_example[fmt].append(result.distinct_tokens / cell.examples)
        training[fmt][n].append(result.fit)
    draws, floor = study.spec.bootstrap, 1 / study.spec.modulus
    return ScalingMeasurements(
        model=model,
        seeds=len(seeds),
        fits=fit_formats(outcomes, draws, floor=floor),
        costs={x: fit_formats(of_format, draws, floor=floor) for x, of_format in costs.items()},
        tokens_per_example={fmt: float(np.mean(values)) for fmt, values in per_example.items()},
        training={fmt: {n: float(np.mean(values)) for n, values in of.items()} for fmt, of in training.items()},
        further=further,
        step0=next((result.test.accuracy for _, result in scaling.step0(study, model)), None),
        thresholds=scaling.thresholds,
        longest=max(scaling.n_ops),
    )


def _along(runs: Sequence[Sequence[RunPoint]], updates: Sequence[int]) -> dict[str, Outcomes]:
    """One of `COSTS` -> the held-out problems solved along the runs of one format, one for each seed."""
    correct = [[run[min(i, len(run) - 1)].correct for i in range(len(updates))] for run in runs]
    each = float(np.mean([run[-1].flops / run[-1].step for run in runs]))
    solved = np.array(correct, dtype=bool)
    return {
        "updates": Outcomes(tuple(map(float, updates)), solved),
        "flops": Outcomes(tuple(each * n for n in updates), solved),
    }
