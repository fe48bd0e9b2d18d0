"""Which figures a report has, in which order, with their titles and captions; empty ones are left out."""

from __future__ import annotations

from typing import Any, NamedTuple

from . import figures
from .data import ReportData
from .palette import Palette


class Figure(NamedTuple):
    """A chart and where it is drawn."""

    key: str
    """The id of its element, and its file's name."""
    label: str
    """On the switch, where a plate has several; may be empty."""
    chart: Any
    """Of Vega-Altair."""


class Plate(NamedTuple):
    """A numbered figure of the report: a chart, or several to choose from."""

    title: str
    caption: str
    figures: list[Figure]
    formats: set[str]
    """The names in its legend."""


def names(data: ReportData) -> set[str]:
    """All that has a colour: formats, branches after SFT, orders."""
    found = {row.format for row in data.cells} | {row.format for row in data.curves}
    found |= {row.format for row in data.thresholds} | {row.format for row in data.training}
    found |= {row.branch for row in data.profiles} | {row.format for row in data.repetition}
    found |= {cell.order for cell in figures.order_cells(data)}
    for problem in data.problems:
        found |= {name for name, _, _ in problem.gold} | {made.format for made in problem.generated}
    return found


def plates(data: ReportData, palette: Palette) -> list[Plate]:
    """The figures that the data can fill."""
    scaling = figures.scaling_cells(data)
    shown = {c.format for c in scaling}
    fitted = shown | {c.format for c in data.curves}
    how = (
        "Faint: one seed with its 95% interval. Solid: mean of the seeds. Line and band: fitted curve and its 95% band."
    )
    made = [
        Plate(
            "Accuracy against distinct examples",
            f"{how} Bars on the dotted lines: N* and its 95% interval. Formats stand a little apart sideways at equal "
            "N.",
            [Figure("fig-examples", "", figures.accuracy(data, "examples", palette))],
            fitted,
        ),
        Plate(
            "Accuracy at equal cost",
            "The same against what it cost: the tokens of the distinct examples, or the compute of training, along the "
            "runs with the most examples. A format that leads at equal examples need not lead here.",
            [
                Figure("fig-tokens", "tokens", figures.accuracy(data, "tokens", palette)),
                Figure("fig-flops", "FLOPs", figures.accuracy(data, "flops", palette)),
            ],
            fitted,
        ),
        Plate(
            "The same examples, again and again",
            "Faint: one seed. Solid: mean of the seeds. Memorized: how often the old answer comes back when one "
            "constant of a training problem is changed, less how often it does for problems never trained on.",
            [
                Figure("fig-repetition", "held-out accuracy", figures.repetition(data, "test", palette)),
                Figure("fig-repetition-train", "training accuracy", figures.repetition(data, "train", palette)),
                Figure("fig-repetition-memory", "memorized", figures.repetition(data, "memorized", palette)),
            ],
            {p.format for p in data.repetition},
        ),
        Plate(
            "After SFT: RLVR against more SFT",
            "Held-out problems of the trained lengths, greedy. Faint: one seed. Solid: mean of the seeds. Of the "
            "single-operation steps beyond those of the format, 0 is the format as trained and 1 an explicit trace.",
            [
                Figure("fig-profile", "single operations", figures.profile(data, "excess", palette)),
                Figure("fig-profile-accuracy", "accuracy", figures.profile(data, "accuracy", palette)),
                Figure("fig-profile-tokens", "response tokens", figures.profile(data, "response_tokens", palette)),
            ],
            {p.branch for p in data.profiles},
        ),
        Plate(
            "Orders on longer problems",
            "Faint: one seed. Solid: mean of the seeds. Right of the line, problems are longer than any in training. "
            "Familiar: no position or distance of the longest problems was new; plain: problems as they come.",
            [
                Figure("fig-orders", "familiar positions", figures.orders(data, "order, familiar", palette)),
                Figure("fig-orders-plain", "plain", figures.orders(data, "order", palette)),
            ],
            {c.order for c in figures.order_cells(data)},
        ),
        Plate(
            "Accuracy against response length",
            "One point a run; a larger point saw more distinct examples. Up and to the left is better: the line joins "
            "the means that no other beats in both (the Pareto front).",
            [Figure("fig-response", "", figures.response_tokens(data, palette))],
            shown,
        ),
        Plate(
            "Training against test accuracy",
            "One point a run. On the diagonal, a run does as well on new problems as on those it was trained on.",
            [Figure("fig-memorization", "", figures.memorization(data, palette))],
            shown,
        ),
        Plate(
            "Accuracy by number of operations",
            "Mean over seeds at each format's largest number of examples; line styles tell the orders apart.",
            [Figure("fig-lengths", "", figures.lengths(data, palette))],
            {c.format for c in data.cells if c.n_ops != "all"},
        ),
        Plate(
            "Training loss",
            "A line a run. Losses of different formats are means over different tokens: compare shapes, not heights.",
            [Figure("fig-losses", "", figures.losses(data, palette))],
            {p.format for p in data.training},
        ),
    ]
    drawn = [plate._replace(figures=[f for f in plate.figures if f.chart is not None]) for plate in made]
    return [plate for plate in drawn if plate.figures]
