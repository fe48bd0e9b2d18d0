"""The table of formats at equal examples: what each format reaches with the same data, at every granularity.

It describes and decides nothing. An interval is the mean over seeds plus or minus t(seeds - 1) standard errors of the
bootstrap over seeds, then problems, at 95% without a correction for the number of formats.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from ....core.methods import parse_method
from ...cells import SFTCell, SFTCellResult
from ...rows import STEP0
from ...snapshot import Snapshot
from ...statistics import binomial_interval, bootstrap_means, standard_errors
from ...verdicts import FITTED, LEAST_WIDTH, LEVEL, quantile
from ..sft import canonical
from . import Scaling
from .rows import FormatRow

REFERENCE = "explicit"
"""The format that the others are compared with."""

Runs = dict[int, SFTCell]
"""Seed -> its finished cell."""


def format_rows(study: Snapshot, scaling: Scaling, model: str) -> list[FormatRow]:
    """The base before any training, then size by size the formats in the order of the study, over their finished
    seeds."""
    groups: dict[tuple[int, str], Runs] = defaultdict(dict)
    for cell in scaling.finished(study):
        if cell.model == model:
            groups[cell.examples, cell.format][cell.seed] = cell
    formats = canonical(scaling.formats + scaling.further_formats)
    rows = [
        _row(study, scaling, groups[examples, fmt], groups.get((examples, REFERENCE), {}) if fmt != REFERENCE else {})
        for examples in scaling.examples
        for fmt in formats
        if (examples, fmt) in groups
    ]
    return [*_base_rows(study, scaling, model), *rows]


def _base_rows(study: Snapshot, scaling: Scaling, model: str) -> list[FormatRow]:
    rows = []
    for _, result in scaling.step0(study, model):
        low, high = binomial_interval(result.test.correct, result.test.completions)
        rows.append(
            FormatRow(
                format=STEP0,
                examples=0,
                seeds=1,
                accuracy=result.test.accuracy,
                low=low,
                high=high,
                faithful=result.test.faithful,
                response_tokens=result.test.response_tokens,
            )
        )
    return rows


def _row(study: Snapshot, scaling: Scaling, runs: Runs, reference: Runs) -> FormatRow:
    """The row of one format at one size. `reference` has the runs that it is compared with."""
    cells = [runs[seed] for seed in sorted(runs)]
    every = study.results(SFTCellResult)
    results = [every[cell.digest] for cell in cells]
    solved = _solved(study, cells)
    accuracy, low, high = _interval(solved, study.spec.bootstrap)
    both = sorted(runs.keys() & reference.keys())
    difference: Sequence[float | None] = (None, None, None)
    if both:
        mine, others = (_solved(study, [of[seed] for seed in both]) for of in (runs, reference))
        middle, least, most = _interval(mine, study.spec.bootstrap, others)
        difference = (middle, least, most) if most - least > LEAST_WIDTH else (middle, None, None)
    return FormatRow(
        format=cells[0].format,
        granularity=parse_method(cells[0].format).granularity(max(scaling.n_ops)),
        examples=cells[0].examples,
        seeds=len(cells),
        accuracy=accuracy,
        low=max(0.0, low),
        high=min(1.0, high),
        minus_explicit=difference[0],
        minus_low=difference[1],
        minus_high=difference[2],
        training=_mean(result.fit for result in results),
        fitted=sum(result.fit >= FITTED for result in results),
        faithful=_mean(result.test.faithful for result in results),
        response_tokens=_mean(result.test.response_tokens for result in results),
        example_tokens=_mean(r.distinct_tokens / cell.examples for r, cell in zip(results, cells, strict=True)),
        updates=_mean(result.step for result in results),
    )


def _solved(study: Snapshot, cells: Sequence[SFTCell]) -> np.ndarray:
    """(S, P) whether the run of each seed solved each held-out problem."""
    return np.array([study.solved(cell.digest) for cell in cells], dtype=bool)


def _interval(solved: np.ndarray, draws: int, others: np.ndarray | None = None) -> tuple[float, float, float]:
    """The mean accuracy with its interval; with `others`, the difference to theirs, paired by seed and problem.

    The error of an accuracy is at least that of so many problems, so that 0 and 1 have an interval, too.
    """
    values = solved.astype(float) if others is None else solved.astype(float) - others
    middle, means = float(values.mean()), bootstrap_means(values, draws)
    error = float(means.std())
    if others is None:
        error = float(standard_errors(np.array([middle]), means[:, None], values.shape[1])[0])
    reach = quantile(len(values), LEVEL) * error
    return middle, middle - reach, middle + reach


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
