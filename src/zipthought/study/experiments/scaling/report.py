"""The scaling experiment's section of the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....report.data import ExplorerProblem, Section, ThresholdRow
from ....report.figures import FigureGroup, Panel
from ....report.palette import Palette
from ...cells import SFTCell, SFTCellResult
from ...explorer import sft_problems
from ...rows import sft_rows, step0_rows
from ...snapshot import Snapshot
from ...statistics import MAIN_FORM
from ...verdicts import LEVEL, Comparison, quantile
from . import Scaling
from .formats import format_rows
from .measurements import X_NAMES, ScalingMeasurements
from .rows import CurvePoint, LossPoint, PathPoint, ScalingRows

STAGE = "sft"
SHOWN = {"Thresholds N*": "thresholds", "Formats at equal examples": "formats"}
"""Heading -> table."""
CURVE_POINTS = 40
"""Points of a fitted curve."""
_SEEDS = (
    "Faint: one seed with its 95% interval. Solid: mean of the seeds. Line and band: fitted curve and its 95% band. Of "
    "very many seeds, only the first are drawn; means and curves are those of all."
)


def section_of(study: Snapshot, scaling: Scaling, measured: Sequence[ScalingMeasurements] | None) -> Section:
    """The section of a study. It shows the first base only."""
    model = scaling.model or study.spec.model
    cells = [cell for cell in scaling.finished(study) if cell.model == model]
    results = study.results(SFTCellResult)
    curves, thresholds = _curves(measured[0]) if measured else ([], [])
    rows = ScalingRows(
        cells=[
            *(row for cell in cells for row in sft_rows(STAGE, cell, results[cell.digest])),
            *(row for cell, result in scaling.step0(study, model) for row in step0_rows(STAGE, cell, result)),
        ],
        curves=curves,
        thresholds=thresholds,
        formats=format_rows(study, scaling, model),
        training=[point for cell in cells for point in _losses(cell, results[cell.digest])],
        paths=[point for cell in cells for point in _path(cell, results[cell.digest])],
    )
    return section(rows, sft_problems(study, scaling.NAME, cells, scaling.seeds_of(study.spec)[0]))


def section(rows: ScalingRows, problems: Sequence[ExplorerProblem] = ()) -> Section:
    """The section of these rows."""
    return Section(
        experiment=Scaling.NAME,
        cells=rows.cells,
        tables={name: getattr(rows, name) for name in Scaling.TABLES},
        shown={heading: name for heading, name in SHOWN.items() if getattr(rows, name)},
        figures=lambda palette: _figures(rows, palette),
        names={row.format for name in ("curves", "thresholds", "training") for row in getattr(rows, name)},
        problems=list(problems),
    )


def _losses(cell: SFTCell, result: SFTCellResult) -> list[LossPoint]:
    return [
        LossPoint(format=cell.format, examples=cell.examples, seed=cell.seed, step=step, loss=loss)
        for step, loss in result.loss
    ]


def _path(cell: SFTCell, result: SFTCellResult) -> list[PathPoint]:
    """The points of a run with several of them."""
    return [
        PathPoint(
            format=cell.format,
            examples=cell.examples,
            seed=cell.seed,
            step=point.step,
            flops=point.flops,
            accuracy=point.accuracy,
            n=len(point.correct),
        )
        for point in (result.points if len(result.points) > 1 else ())
    ]


def _curves(data: ScalingMeasurements) -> tuple[list[CurvePoint], list[ThresholdRow]]:
    """The fitted curves on a grid of the measured range, and N* for each threshold."""
    points: list[CurvePoint] = []
    rows: list[ThresholdRow] = []
    for x in X_NAMES:
        fits, scales = data.at_equal(x)
        for fmt, fit in fits.items():
            scale = scales[fmt]
            least, most = min(fit.examples), max(fit.examples)
            grid = np.geomspace(least, most, CURVE_POINTS)
            middles = fit.curve(grid)
            reach = quantile(data.seeds, LEVEL) * np.std([c(grid) for c in fit.resampled[MAIN_FORM]], axis=0)
            low, high = np.clip([middles - reach, middles + reach], 0, 1)
            points += [
                CurvePoint(
                    format=fmt,
                    x=x,
                    value=float(value * scale),
                    accuracy=float(middle),
                    low=float(lower),
                    high=float(upper),
                )
                for value, middle, lower, upper in zip(grid, middles, low, high, strict=True)
            ]
            for accuracy in data.thresholds:
                forms = fit.thresholds(accuracy)
                threshold = forms[MAIN_FORM][0]
                ends = [Comparison.of(t.value, draws, data.seeds, ratio=True) for t, draws in forms.values()]
                lowest, highest = min(c.low for c in ends), max(c.high for c in ends)
                rows.append(
                    ThresholdRow(
                        format=fmt,
                        x=x,
                        threshold=accuracy,
                        estimate=threshold.value * scale,
                        low=lowest * scale if lowest > least else None,
                        high=highest * scale if highest < most else None,
                        censored=threshold.censored,
                    )
                )
    return points, rows


def _figures(rows: ScalingRows, palette: Palette) -> list[FigureGroup]:
    from . import charts

    measured = {cell.format for cell in rows.whole()}
    fitted = measured | {point.format for point in rows.curves}
    return [
        FigureGroup(
            title="Accuracy against distinct examples",
            caption=f"{_SEEDS} Bars on the dotted lines: N* and its 95% interval. Formats at equal N are drawn a "
            "little apart.",
            panels=[Panel("fig-examples", "", charts.accuracy(rows, "examples", palette))],
            names=fitted,
        ),
        FigureGroup(
            title="Accuracy at equal cost",
            caption="The same accuracies against their cost: the tokens of the distinct examples, or the training "
            "compute along the runs with the most examples. A format that leads at equal examples need not lead here.",
            panels=[
                Panel("fig-tokens", "tokens", charts.accuracy(rows, "tokens", palette)),
                Panel("fig-flops", "FLOPs", charts.accuracy(rows, "flops", palette)),
            ],
            names=fitted,
        ),
        FigureGroup(
            title="Accuracy against response length",
            caption="One point for each run; larger points had more distinct examples. Up and to the left is better. "
            "The line joins the means that no other mean beats in both (the Pareto front).",
            panels=[Panel("fig-response", "", charts.response_tokens(rows, palette))],
            names=measured,
            detail=True,
        ),
        FigureGroup(
            title="Training against test accuracy",
            caption="One point for each run. On the diagonal, a run is as good on new problems as on its training "
            "problems.",
            panels=[Panel("fig-memorization", "", charts.train_and_test(rows, palette))],
            names=measured,
            detail=True,
        ),
        FigureGroup(
            title="Accuracy by number of operations",
            caption="Mean of the seeds at each format's largest number of examples. Line styles show the orders.",
            panels=[Panel("fig-lengths", "", charts.lengths(rows, palette))],
            names={cell.format for cell in rows.cells if cell.n_ops != "all"},
            detail=True,
        ),
        FigureGroup(
            title="Training loss",
            caption="One line for each run. The losses of two formats are means over different tokens: compare their "
            "shapes, not their heights.",
            panels=[Panel("fig-losses", "", charts.losses(rows, palette))],
            names={point.format for point in rows.training},
            detail=True,
        ),
    ]
