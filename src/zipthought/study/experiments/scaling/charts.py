"""The charts of the scaling experiment; None if the rows hold nothing to draw.

For a notebook: ``accuracy(rows, "examples", Palette(formats, "light"))``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import altair as alt

from ....core.orders import ORDERS
from ....report import charts
from ....report.data import CellRow
from ....report.palette import Palette
from .rows import ScalingRows

AXIS_TITLES = {
    "examples": "distinct training examples (log)",
    "tokens": "distinct training tokens (log)",
    "flops": "training FLOPs (log)",
}
MOST_LOSS_POINTS = 6000
"""The most points of all loss curves. Of more, those of the first seeds are drawn."""
MAX_LOSS_POINTS = 160
"""The most points of one loss curve. Longer ones are thinned evenly; the last point is kept."""


def accuracy(rows: ScalingRows, x: str, palette: Palette) -> alt.LayerChart | None:
    """Test accuracy over `x` (`examples`, `tokens` or `flops`): seeds, their means, the fit with its band, and N*."""
    seeds = _runs(rows, x, palette)
    fits = [
        {"format": c.format, "value": c.value, "accuracy": c.accuracy, "low": c.low, "high": c.high}
        for c in rows.curves
        if c.x == x and c.value > 0 and c.accuracy is not None
    ]
    if not _measured(rows, x) and not fits:
        return None
    # The domain is fixed, so the axis stays while the reader switches formats off and on.
    reached = [row["at"] for row in seeds] + [row["value"] for row in fits]
    scale = alt.Scale(type="log", domain=[min(reached), max(reached)], nice=False, padding=14)
    ticks = alt.Axis(format="~s", values=charts.log_ticks(reached), labelOverlap="greedy")

    def across(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=AXIS_TITLES[x], scale=scale, axis=ticks)

    layers = [
        *_threshold_levels(rows, x, palette),
        *_fit_layers(fits, across, palette),
        *_run_layers(seeds, x, across, palette),
        *_crossings(rows, x, across, palette),
    ]
    drawn = [layer for layer in layers if layer.data.values]
    return charts.finish(drawn, palette, f"Test accuracy against {AXIS_TITLES[x]}, by format.", height=330)


def _runs(rows: ScalingRows, x: str, palette: Palette) -> list[dict[str, Any]]:
    """A row for each run: `at` is its position on the axis, `shift` its distance from `value`, and `group` what its
    mean is taken over."""
    if x == "flops" and rows.paths:
        most = max(p.examples for p in rows.paths)  # The runs with the most examples cover the widest range.
        return [
            {
                "format": p.format,
                "value": p.flops,
                "at": p.flops,
                "seed": p.seed,
                "n": p.n,
                "accuracy": p.accuracy,
                "low": None,
                "high": None,
                "group": p.step,
                "shift": 1.0,
            }
            for p in rows.paths
            if p.examples == most
        ]
    cells = _measured(rows, x)
    names = sorted({c.format for c in cells}, key=list(palette.looks).index)
    # At equal examples, intervals of formats would hide each other. Tokens and FLOPs differ anyway.
    shift = {name: 1.035 ** (i - (len(names) - 1) / 2) if x == "examples" else 1.0 for i, name in enumerate(names)}
    return [
        {
            "format": c.format,
            "value": _x_of(c, x),
            "at": _x_of(c, x) * shift[c.format],
            "seed": c.seed,
            "n": c.n,
            "accuracy": c.accuracy,
            "low": c.low,
            "high": c.high,
            "group": c.examples,
            "shift": shift[c.format],
        }
        for c in cells
    ]


def _measured(rows: ScalingRows, x: str) -> list[CellRow]:
    return [c for c in rows.whole() if (_x_of(c, x) or 0) > 0 and c.accuracy is not None]


def _x_of(cell: CellRow, x: str) -> Any:
    return {"examples": cell.examples, "tokens": cell.training_tokens, "flops": cell.flops}[x]


def _threshold_levels(rows: ScalingRows, x: str, palette: Palette) -> list[Any]:
    """A dotted line with a label at each threshold."""
    accuracies = sorted(
        {t.threshold for t in rows.thresholds if t.x == x and t.estimate is not None and t.estimate > 0}
    )
    levels = charts.fixed([{"level": level, "text": f"N* at {level:g}"} for level in accuracies])
    muted = palette.ink("muted")
    return [
        levels.mark_rule(strokeDash=[2, 4], color=muted, opacity=0.8).encode(y="level:Q"),
        levels.mark_text(align="left", dx=4, dy=-6, x=0, fontSize=11, color=muted).encode(y="level:Q", text="text:N"),
    ]


def _fit_layers(fits: list[dict[str, Any]], across: Callable[[str], alt.X], palette: Palette) -> list[Any]:
    color, y = charts.color(palette), charts.accuracy_axis("accuracy", "test accuracy")
    chart = charts.switched(fits)
    band = chart.mark_area(opacity=0.14).encode(x=across("value"), y=alt.Y("low:Q"), y2="high:Q", color=color)
    line = chart.mark_line(strokeWidth=2.25)
    return [band, line.encode(x=across("value"), y=y, color=color, strokeDash=charts.dash(palette))]


def _run_layers(seeds: list[dict[str, Any]], x: str, across: Callable[[str], alt.X], palette: Palette) -> list[Any]:
    """Each run, faint, with its interval, and the means of the seeds."""
    groups: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in seeds:
        groups[row["format"], row["group"]].append(row)
    means = [
        {
            "format": name,
            "value": charts.mean(row["value"] for row in members),
            "at": charts.mean(row["value"] for row in members) * members[0]["shift"],
            "seeds": len(members),
            "accuracy": charts.mean(row["accuracy"] for row in members),
        }
        for (name, _), members in groups.items()
    ]
    color, shape = charts.color(palette), charts.shape(palette)
    y = charts.accuracy_axis("accuracy", "test accuracy")
    chart = charts.switched(
        [{k: v for k, v in row.items() if k not in ("group", "shift")} for row in charts.some_seeds(seeds)]
    )
    interval = chart.mark_rule(strokeWidth=1.5, opacity=0.38)
    point = chart.mark_point(filled=True, size=26, opacity=0.42)
    mean = charts.switched(means).mark_point(
        filled=True, size=78, opacity=1, stroke=palette.ink("card"), strokeWidth=0.8
    )
    tips = charts.tooltips(x, "format", "value", "seed", "accuracy", "n")
    mean_tips = charts.tooltips(x, "format", "value", "accuracy", "seeds")
    return [
        interval.encode(x=across("at"), y=alt.Y("low:Q"), y2="high:Q", color=color),
        point.encode(x=across("at"), y=y, color=color, shape=shape, tooltip=tips),
        mean.encode(x=across("at"), y=y, color=color, shape=shape, tooltip=mean_tips),
    ]


def _crossings(rows: ScalingRows, x: str, across: Callable[[str], alt.X], palette: Palette) -> list[Any]:
    """N* with its interval, without censored ones."""
    crossings = [
        {"format": t.format, "threshold": t.threshold, "estimate": t.estimate, "low": t.low, "high": t.high}
        for t in rows.thresholds
        if t.x == x and t.estimate is not None and t.estimate > 0 and not t.censored
    ]
    color, chart = charts.color(palette), charts.switched(crossings)
    interval = chart.mark_rule(clip=True, strokeWidth=4.5, opacity=0.55, strokeCap="round")
    point = chart.mark_point(clip=True, filled=True, size=70, shape="stroke", angle=90, strokeWidth=3, opacity=1)
    tips = charts.tooltips(x, "format", "estimate", "low", "high")
    return [
        interval.encode(x=across("low"), x2="high:Q", y="threshold:Q", color=color),
        point.encode(x=across("estimate"), y="threshold:Q", stroke=charts.color(palette), tooltip=tips),
    ]


def response_tokens(rows: ScalingRows, palette: Palette) -> alt.LayerChart | None:
    """Accuracy over the mean response length, one point for each cell. Larger points had more examples."""
    points: list[dict[str, Any]] = [
        {
            "format": c.format,
            "tokens": c.response_tokens,
            "accuracy": c.accuracy,
            "examples": c.examples,
            "seed": c.seed,
        }
        for c in rows.whole()
        if c.response_tokens is not None and c.accuracy is not None
    ]
    if not points:
        return None
    length = alt.X(
        "tokens:Q",
        title="mean response tokens",
        scale=alt.Scale(domain=[0, max(row["tokens"] for row in points)], nice=True, padding=6),
        axis=alt.Axis(tickCount=6),
    )
    tips = charts.tooltips("", "format", "examples", "seed", "tokens", "accuracy")
    cloud = _cloud(points, length, charts.accuracy_axis("accuracy", "test accuracy"), tips, palette)
    groups: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in points:
        groups[row["format"], row["examples"]].append(row)
    means = [
        {field: charts.mean(row[field] for row in members) for field in ("tokens", "accuracy")}
        for members in groups.values()
    ]
    front = (
        charts.fixed(pareto_front(means))
        .mark_line(interpolate="step-after", strokeWidth=1.5, strokeDash=[4, 3], color=palette.ink("muted"))
        .encode(x="tokens:Q", y="accuracy:Q")
    )
    return charts.finish([front, cloud], palette, "Test accuracy against mean response tokens, one point a cell.")


def _cloud(points: list[dict[str, Any]], x: alt.X, y: alt.Y, tips: list[alt.Tooltip], palette: Palette) -> alt.Chart:
    mark = charts.switched(charts.some_seeds(points)).mark_point(
        filled=True, opacity=0.72, stroke=palette.ink("card"), strokeWidth=0.6
    )
    look = {"color": charts.color(palette), "shape": charts.shape(palette), "size": charts.size(points)}
    return mark.encode(x=x, y=y, tooltip=tips, **look)


def pareto_front(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points that no other point beats in both `tokens` (fewer) and `accuracy` (more), by tokens."""
    front: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda p: (p["tokens"], -p["accuracy"])):
        if not front or point["accuracy"] > front[-1]["accuracy"]:
            front.append(point)
    return front


def train_and_test(rows: ScalingRows, palette: Palette) -> alt.LayerChart | None:
    """Test accuracy over training accuracy of the same run, with the diagonal."""
    train = {_run(c): c.accuracy for c in rows.whole("train") if c.accuracy is not None}
    points: list[dict[str, Any]] = [
        {"format": c.format, "train": train[_run(c)], "test": c.accuracy, "examples": c.examples, "seed": c.seed}
        for c in rows.whole()
        if c.accuracy is not None and _run(c) in train
    ]
    if not points:
        return None
    muted = palette.ink("muted")
    diagonal = (
        charts.fixed([{"train": 0, "test": 0}, {"train": 1, "test": 1}])
        .mark_line(strokeDash=[4, 4], strokeWidth=1.2, color=muted)
        .encode(x="train:Q", y="test:Q")
    )
    label = (
        charts.fixed([{"train": 0.97, "test": 0.03, "text": "below the line: worse on new problems"}])
        .mark_text(align="right", baseline="bottom", fontSize=11, fontStyle="italic", color=muted)
        .encode(x="train:Q", y="test:Q", text="text:N")
    )
    x = alt.X("train:Q", title="accuracy on training problems", scale=charts.UNIT, axis=charts.UNIT_AXIS)
    tips = charts.tooltips("", "format", "examples", "seed", "train", "test")
    cloud = _cloud(points, x, charts.accuracy_axis("test", "test accuracy"), tips, palette)
    description = "Test accuracy against accuracy on training problems, by format."
    return charts.finish([diagonal, label, cloud], palette, description)


def _run(cell: CellRow) -> tuple[Any, ...]:
    return cell.format, cell.examples, cell.seed


def losses(rows: ScalingRows, palette: Palette) -> alt.LayerChart | None:
    """Training loss by update, one line for each run. The parameter `shown` selects a number of examples; 0 is all."""
    runs: defaultdict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for p in rows.training:
        if p.loss is not None and p.loss > 0:
            loss = float(f"{p.loss:.4g}")
            row = {"format": p.format, "examples": p.examples, "seed": p.seed, "step": p.step, "loss": loss}
            runs[p.format, p.examples, p.seed].append(row | {"run": f"{p.format}/{p.examples}/{p.seed}"})
    if not runs:
        return None
    thin = [row for run in runs.values() for row in _thin(sorted(run, key=lambda r: r["step"]))]
    points = charts.some_seeds(thin, MOST_LOSS_POINTS)
    y = alt.Y(
        "loss:Q",
        title="training loss, nats (log)",
        scale=alt.Scale(type="log", nice=False, padding=6),
        axis=alt.Axis(format="~g", values=charts.log_ticks([row["loss"] for row in points])),
    )
    lines = (
        charts.switched(points)
        .transform_filter("shown == 0 || datum.examples == shown")
        .mark_line(strokeWidth=1.5, opacity=0.8)
        .encode(
            x=alt.X("step:Q", title="optimizer step", scale=alt.Scale(nice=False)),
            y=y,
            color=charts.color(palette),
            strokeDash=charts.dash(palette),
            detail="run:N",
            tooltip=charts.tooltips("", "format", "examples", "seed", "step", "loss"),
        )
    )
    chart = charts.finish([lines], palette, "Training loss by optimizer step, one line a run.", height=300)
    return chart.add_params(alt.param(name="shown", value=max(row["examples"] for row in points)))


def _thin(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    stride = -(-len(points) // MAX_LOSS_POINTS)
    kept = points[::stride]
    return kept if kept[-1] is points[-1] else [*kept, points[-1]]


def lengths(rows: ScalingRows, palette: Palette) -> alt.LayerChart | None:
    """Test accuracy (mean of seeds) over n_ops, each format at its largest number of examples; one line for each
    order."""
    cells = [c for c in rows.cells if c.split == "test" and c.n_ops.isdecimal() and c.accuracy is not None]
    most: dict[tuple[str, str], int] = {}
    for c in cells:
        most[c.format, c.order] = max(most.get((c.format, c.order), 0), c.examples)
    groups: defaultdict[tuple[str, str, int], list[CellRow]] = defaultdict(list)
    for c in cells:
        if c.examples == most[c.format, c.order]:
            groups[c.format, c.order, int(c.n_ops)].append(c)
    operations = {n for _, _, n in groups}
    if len(operations) < 2:
        return None
    points = [
        {"format": f, "order": o, "n_ops": n, "accuracy": charts.mean(c.accuracy for c in g), "examples": g[0].examples}
        for (f, o, n), g in groups.items()
    ]
    present = {order for _, order, _ in groups}
    orders = [order for order in ORDERS if order in present] + sorted(present - set(ORDERS))
    base = charts.switched(points).encode(
        x=alt.X(
            "n_ops:Q",
            title="operations in the problem",
            axis=alt.Axis(tickMinStep=1, format="d"),
            scale=alt.Scale(domain=[min(operations), max(operations)], nice=False, padding=12),
        ),
        y=charts.accuracy_axis("accuracy", "test accuracy"),
        color=charts.color(palette),
        tooltip=charts.tooltips("", "format", "order", "n_ops", "accuracy", "examples"),
    )
    line = base.mark_line(strokeWidth=2).encode(strokeDash=charts.dash_by("order", orders, "order"))
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(shape=charts.shape(palette))
    description = "Test accuracy against the number of operations, by format and order."
    return charts.finish([line, dots], palette, description)
