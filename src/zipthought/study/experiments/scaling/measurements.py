"""What the grid of the scaling experiment measured: a fitted curve for each format."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....core.methods import parse_method
from ...cells import SFTCell, SFTCellResult
from ...snapshot import Snapshot
from ...statistics import Fit, Outcomes, fit_formats
from . import Scaling

X_NAMES = {"examples": "examples", "tokens": "training tokens", "flops": "training FLOPs"}
"""What formats are compared at: equal distinct examples, equal tokens of these, or equal training compute -> its name
in the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingMeasurements:
    """The measurements of one base."""

    model: str
    seeds: int
    """Complete seeds: those with every format and data size."""
    fits: dict[str, Fit]
    """Format -> the curve of held-out accuracy over distinct examples."""
    compute: dict[str, Fit]
    """Format -> the same over training FLOPs, along the runs with the most examples; empty for runs with one point."""
    tokens_per_example: dict[str, float]
    """Format -> mean training tokens of an example, prompt included."""
    training_accuracy: dict[str, float]
    """Format -> mean accuracy on its own training problems at the largest data size."""
    thresholds: tuple[float, ...] = (0.5,)
    """Accuracies for which N* is estimated."""
    longest: int = 5
    """The most operations of its problems."""

    def at_equal(self, x: str) -> tuple[dict[str, Fit], dict[str, float]]:
        """The fits over `x`, one of `X_NAMES`, and the factor from the N of each fit to `x`.

        Distinct tokens are examples times the mean length of an example, so one curve serves both.
        """
        if x == "flops":
            return self.compute, dict.fromkeys(self.compute, 1.0)
        return self.fits, self.tokens_per_example if x == "tokens" else dict.fromkeys(self.fits, 1.0)

    def coarse(self, x: str = "examples") -> list[str]:
        """The formats under study, no baselines, whose steps cover several operations."""
        methods = {fmt: parse_method(fmt) for fmt in self.at_equal(x)[0]}
        return [fmt for fmt, method in methods.items() if not method.baseline and method.granularity(self.longest) > 1]


def comparable(measured: Sequence[ScalingMeasurements]) -> bool:
    """Whether the first base has fits of explicit and of a coarser format."""
    return bool(measured) and "explicit" in measured[0].fits and bool(measured[0].coarse())


def collect(study: Snapshot, scaling: Scaling) -> list[ScalingMeasurements]:
    """The measurements of each base, the base of the verdicts first. Incomplete seeds are left out."""
    finished = {cell.digest for cell in scaling.finished(study)}
    grids: dict[str, list[SFTCell]] = defaultdict(list)
    for cell in scaling.cells(study.spec):
        assert isinstance(cell, SFTCell)
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
    sizes, most = scaling.examples, max(scaling.examples)
    seeds = [s for s in scaling.seeds_of(study.spec) if all((f, s, n) in cells for f in formats for n in sizes)]
    outcomes: dict[str, Outcomes] = {}
    compute: dict[str, Outcomes] = {}
    for fmt in formats if seeds else ():
        solved = [[study.solved(cells[fmt, seed, n].digest) for n in sizes] for seed in seeds]
        outcomes[fmt] = Outcomes(sizes, np.array(solved, dtype=bool))
        points = [results[cells[fmt, seed, sizes[-1]].digest].points for seed in seeds]
        flops = np.mean([[point.flops for point in run] for run in points], axis=0)
        correct = np.array([[point.correct for point in run] for run in points], dtype=bool)
        compute[fmt] = Outcomes(tuple(flops.tolist()), correct)
    per_example: dict[str, list[float]] = defaultdict(list)
    training: dict[str, list[float]] = defaultdict(list)
    for (fmt, _, n), cell in cells.items():
        result = results[cell.digest]
        per_example[fmt].append(result.distinct_tokens / cell.examples)
        if n == most:
            assert result.train.accuracy is not None, "every cell measures training problems"
            training[fmt].append(result.train.accuracy)
    return ScalingMeasurements(
        model=model,
        seeds=len(seeds),
        fits=fit_formats(outcomes, study.spec.bootstrap),
        compute=fit_formats(compute, study.spec.bootstrap),
        tokens_per_example={fmt: float(np.mean(values)) for fmt, values in per_example.items()},
        training_accuracy={fmt: float(np.mean(values)) for fmt, values in training.items()},
        thresholds=scaling.thresholds,
        longest=max(scaling.n_ops),
    )
