"""The figures, one function each, as Vega-Altair charts; None where the data hold nothing to draw.

Every figure reads the parameter `hidden` (formats that the reader has switched off in the legend). Colours come from a
`Palette`: CSS variables on the page, fixed colours for a notebook:
``accuracy(data, "examples", Palette(formats, "light"))``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import altair as alt

from .data import CellRow, ProfilePoint, ReportData
from .palette import Palette

AXIS_TITLES = {
    "examples": "distinct training examples (log)",
    "tokens": "distinct training tokens (log)",
    "flops": "training FLOPs (log)",
}
MAX_LOSS_POINTS = 160
"""Of one run; longer ones are thinned evenly, first and last kept."""
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_VISIBLE = "indexof(hidden, datum.format) < 0"


def accuracy(data: ReportData, x: str, palette: Palette) -> alt.LayerChart | None:
    """Test accuracy against `x` (`examples`, `tokens` or `flops`): seeds faint, their mean solid, fit, band and N*."""
    cells = [c for c in scaling_cells(data) if (_x_of(c, x) or 0) > 0 and c.accuracy is not None]
    curves = [c for c in data.curves if c.x == x and c.value > 0 and c.accuracy is not None]
    if not cells and not curves:
        return None
    # Intervals of formats at the same x would hide each other; tokens and FLOPs differ by themselves.
    names = sorted({c.format for c in cells}, key=list(palette.looks).index)
    shift = {name: 1.035 ** (i - (len(names) - 1) / 2) if x == "examples" else 1.0 for i, name in enumerate(names)}
    seeds: list[dict[str, Any]] = []
    groups: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    if x == "flops" and data.paths:  # Compute is spent along a run, and the runs with the most examples show it best.
        most = max(p.examples for p in data.paths)
        for p in data.paths:
            if p.examples == most:
                row = {"format": p.format, "value": p.flops, "at": p.flops, "seed": p.seed, "n": p.n}
                seeds.append(row | {"accuracy": p.accuracy, "low": None, "high": None})
                groups[p.format, p.step].append(seeds[-1])
    else:
        for cell in cells:
            value = _x_of(cell, x)
            row = {"format": cell.format, "value": value, "at": value * shift[cell.format], "seed": cell.seed}
            seeds.append(row | {"n": cell.n, "accuracy": cell.accuracy, "low": cell.low, "high": cell.high})
            groups[cell.format, cell.examples].append(seeds[-1])
    means: list[dict[str, Any]] = []
    for (name, _), members in groups.items():
        value = _mean(row["value"] for row in members)
        row = {"format": name, "value": value, "at": value * shift.get(name, 1.0), "seeds": len(members)}
        means.append(row | {"accuracy": _mean(row["accuracy"] for row in members)})
    fits = [
        {"format": c.format, "value": c.value, "accuracy": c.accuracy, "low": c.low, "high": c.high} for c in curves
    ]
    marks = [t for t in data.thresholds if t.x == x and t.estimate is not None and t.estimate > 0]
    crossings = [
        {"format": t.format, "threshold": t.threshold, "estimate": t.estimate, "low": t.low, "high": t.high}
        for t in marks
        if not t.censored
    ]
    levels = [{"level": level, "text": f"N* at {level:g}"} for level in sorted({t.threshold for t in marks})]

    # Domains are stated, so that the axes hold still while formats are switched off and on.
    reached = [row["at"] for row in seeds] + [row["value"] for row in fits]
    ticks = _log_ticks(reached)
    scale = alt.Scale(type="log", domain=[min(reached), max(reached)], nice=False, padding=14)

    def across(name: str) -> alt.X:
        axis = alt.Axis(format="~s", values=ticks, labelOverlap="greedy")
        return alt.X(f"{name}:Q", title=AXIS_TITLES[x], scale=scale, axis=axis)

    y = _accuracy_axis("accuracy", "test accuracy")
    color, shape, dash = _color(palette), _shape(palette), _dash(palette)
    layers: list[Any] = [
        _chart(levels).mark_rule(strokeDash=[2, 4], color=palette.ink("muted"), opacity=0.8).encode(y="level:Q"),
        _chart(levels)
        .mark_text(align="left", dx=4, dy=-6, x=0, fontSize=11, color=palette.ink("muted"))
        .encode(y="level:Q", text="text:N"),
        _shown(fits).mark_area(opacity=0.14).encode(x=across("value"), y=alt.Y("low:Q"), y2="high:Q", color=color),
        _shown(fits).mark_line(strokeWidth=2.25).encode(x=across("value"), y=y, color=color, strokeDash=dash),
        _shown(seeds)
        .mark_rule(strokeWidth=1.5, opacity=0.38)
        .encode(x=across("at"), y=alt.Y("low:Q"), y2="high:Q", color=color),
        _shown(seeds)
        .mark_point(filled=True, size=26, opacity=0.42)
        .encode(
            x=across("at"), y=y, color=color, shape=shape, tooltip=_tips(x, "format", "value", "seed", "accuracy", "n")
        ),
        _shown(means)
        .mark_point(filled=True, size=78, opacity=1, stroke=palette.ink("card"), strokeWidth=0.8)
        .encode(
            x=across("at"), y=y, color=color, shape=shape, tooltip=_tips(x, "format", "value", "accuracy", "seeds")
        ),
        _shown(crossings)
        .mark_rule(clip=True, strokeWidth=4.5, opacity=0.55, strokeCap="round")
        .encode(x=across("low"), x2="high:Q", y="threshold:Q", color=color),
        _shown(crossings)
        .mark_point(clip=True, filled=True, size=70, shape="stroke", angle=90, strokeWidth=3, opacity=1)
        .encode(
            x=across("estimate"),
            y="threshold:Q",
            stroke=_color(palette),
            tooltip=_tips(x, "format", "estimate", "low", "high"),
        ),
    ]
    wanted = [layer for layer in layers if layer.data.values]
    return _finish(wanted, palette, f"Test accuracy against {AXIS_TITLES[x]}, by format.", height=330)


def response_tokens(data: ReportData, palette: Palette) -> alt.LayerChart | None:
    """Accuracy against the mean response length, a point a cell; larger points saw more examples."""
    rows: list[dict[str, Any]] = [
        {
            "format": c.format,
            "tokens": c.response_tokens,
            "accuracy": c.accuracy,
            "examples": c.examples,
            "seed": c.seed,
        }
        for c in scaling_cells(data)
        if c.response_tokens is not None and c.accuracy is not None
    ]
    if not rows:
        return None
    points = (
        _shown(rows)
        .mark_point(filled=True, opacity=0.72, stroke=palette.ink("card"), strokeWidth=0.6)
        .encode(
            x=alt.X(
                "tokens:Q",
                title="mean response tokens",
                scale=alt.Scale(domain=[0, max(row["tokens"] for row in rows)], nice=True, padding=6),
                axis=alt.Axis(tickCount=6),
            ),
            y=_accuracy_axis("accuracy", "test accuracy"),
            color=_color(palette),
            shape=_shape(palette),
            size=_size(rows),
            tooltip=_tips("", "format", "examples", "seed", "tokens", "accuracy"),
        )
    )
    groups: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["format"], row["examples"]].append(row)
    means = [
        {"tokens": _mean(r["tokens"] for r in members), "accuracy": _mean(r["accuracy"] for r in members)}
        for members in groups.values()
    ]
    front = (
        _chart(pareto_front(means))
        .mark_line(interpolate="step-after", strokeWidth=1.5, strokeDash=[4, 3], color=palette.ink("muted"))
        .encode(x="tokens:Q", y="accuracy:Q")
    )
    return _finish([front, points], palette, "Test accuracy against mean response tokens, one point a cell.")


def pareto_front(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that no other point beats in both `tokens` (fewer) and `accuracy` (more), by tokens."""
    front: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda p: (p["tokens"], -p["accuracy"])):
        if not front or point["accuracy"] > front[-1]["accuracy"]:
            front.append(point)
    return front


def memorization(data: ReportData, palette: Palette) -> alt.LayerChart | None:
    """Test accuracy against training accuracy of the same run; the diagonal is no gap."""
    train = {_run(c): c.accuracy for c in scaling_cells(data, split="train") if c.accuracy is not None}
    rows: list[dict[str, Any]] = [
        {"format": c.format, "train": train[_run(c)], "test": c.accuracy, "examples": c.examples, "seed": c.seed}
        for c in scaling_cells(data)
        if c.accuracy is not None and _run(c) in train
    ]
    if not rows:
        return None
    diagonal = (
        _chart([{"train": 0, "test": 0}, {"train": 1, "test": 1}])
        .mark_line(strokeDash=[4, 4], strokeWidth=1.2, color=palette.ink("muted"))
        .encode(x="train:Q", y="test:Q")
    )
    label = (
        _chart([{"train": 0.97, "test": 0.03, "text": "below the line: worse on new problems"}])
        .mark_text(align="right", baseline="bottom", fontSize=11, fontStyle="italic", color=palette.ink("muted"))
        .encode(x="train:Q", y="test:Q", text="text:N")
    )
    points = (
        _shown(rows)
        .mark_point(filled=True, opacity=0.72, stroke=palette.ink("card"), strokeWidth=0.6)
        .encode(
            x=alt.X("train:Q", title="accuracy on training problems", scale=_UNIT, axis=_UNIT_AXIS),
            y=_accuracy_axis("test", "test accuracy"),
            color=_color(palette),
            shape=_shape(palette),
            size=_size(rows),
            tooltip=_tips("", "format", "examples", "seed", "train", "test"),
        )
    )
    return _finish(
        [diagonal, label, points], palette, "Test accuracy against accuracy on training problems, by format."
    )


def losses(data: ReportData, palette: Palette) -> alt.LayerChart | None:
    """Training loss by step, a line a run; the parameter `shown` picks a number of examples (0 is all)."""
    runs: defaultdict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for p in data.training:
        if p.loss is not None and p.loss > 0:
            loss = float(f"{p.loss:.4g}")
            row = {"format": p.format, "examples": p.examples, "seed": p.seed, "step": p.step, "loss": loss}
            runs[p.format, p.examples, p.seed].append(row | {"run": f"{p.format}/{p.examples}/{p.seed}"})
    if not runs:
        return None
    rows = [row for points in runs.values() for row in _thin(sorted(points, key=lambda r: r["step"]))]
    lines = (
        _shown(rows)
        .transform_filter("shown == 0 || datum.examples == shown")
        .mark_line(strokeWidth=1.5, opacity=0.8)
        .encode(
            x=alt.X("step:Q", title="optimizer step", scale=alt.Scale(nice=False)),
            y=alt.Y(
                "loss:Q",
                title="training loss, nats (log)",
                scale=alt.Scale(type="log", nice=False, padding=6),
                axis=alt.Axis(format="~g", values=_log_ticks([row["loss"] for row in rows])),
            ),
            color=_color(palette),
            strokeDash=_dash(palette),
            detail="run:N",
            tooltip=_tips("", "format", "examples", "seed", "step", "loss"),
        )
    )
    chart = _finish([lines], palette, "Training loss by optimizer step, one line a run.", height=300)
    return chart.add_params(alt.param(name="shown", value=max(row["examples"] for row in rows)))


def lengths(data: ReportData, palette: Palette) -> alt.LayerChart | None:
    """Test accuracy (mean of seeds) against n_ops, each format at its largest data; lines by order."""
    cells = [
        c
        for c in data.cells
        if c.split == "test" and c.stage == "sft" and c.n_ops.isdecimal() and c.accuracy is not None
    ]
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
    rows = [
        {"format": f, "order": o, "n_ops": n, "accuracy": _mean(c.accuracy for c in g), "examples": g[0].examples}
        for (f, o, n), g in groups.items()
    ]
    orders = [o for o in ("forward", "backward", "hierarchical") if any(r["order"] == o for r in rows)]
    orders += sorted({o for _, o, _ in groups} - set(orders))
    dashes = alt.Scale(domain=orders, range=[[1, 0], [7, 3], [2, 3], [8, 3, 2, 3]][: max(1, len(orders))])
    legend = alt.Legend(title="order", orient="top", symbolType="stroke", symbolSize=400) if len(orders) > 1 else None
    base = _shown(rows).encode(
        x=alt.X(
            "n_ops:Q",
            title="operations in the problem",
            axis=alt.Axis(tickMinStep=1, format="d"),
            scale=alt.Scale(domain=[min(operations), max(operations)], nice=False, padding=12),
        ),
        y=_accuracy_axis("accuracy", "test accuracy"),
        color=_color(palette),
        tooltip=_tips("", "format", "order", "n_ops", "accuracy", "examples"),
    )
    line = base.mark_line(strokeWidth=2).encode(strokeDash=alt.StrokeDash("order:N", scale=dashes, legend=legend))
    points = base.mark_point(filled=True, size=60, opacity=1).encode(shape=_shape(palette))
    return _finish([line, points], palette, "Test accuracy against the number of operations, by format and order.")


def profile(data: ReportData, measure: str, palette: Palette) -> alt.LayerChart | None:
    """`excess`, `accuracy` or `response_tokens` against training tokens since SFT, on trained lengths: a faint line a
    seed, and a solid one for the mean where all seeds were measured at the same step."""
    groups: defaultdict[tuple[str, str, int], list[ProfilePoint]] = defaultdict(list)
    for p in data.profiles:
        if p.lengths == "trained" and getattr(p, measure) is not None:
            groups[p.branch, p.run, p.seed].append(p)
    rows: list[dict[str, Any]] = []
    places: defaultdict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for (branch, run, seed), points in groups.items():
        for place, p in enumerate(sorted(points, key=lambda p: p.tokens)):
            row = {"format": branch, "run": run, "seed": seed, "at": p.tokens, "value": getattr(p, measure)}
            rows.append(row | {"line": f"{branch}/{run}/{seed}"})
            places[branch, run, place].append(row)
    if not rows:
        return None
    means = [
        {
            "format": branch,
            "run": run,
            "at": _mean(row["at"] for row in members),
            "value": _mean(row["value"] for row in members),
            "line": f"{branch}/{run}",
        }
        for (branch, run, _), members in places.items()
    ]
    titles = {
        "excess": "single-operation steps beyond the format's",
        "accuracy": "held-out accuracy",
        "response_tokens": "mean response tokens",
    }
    y = _accuracy_axis("value", titles[measure])
    if measure == "response_tokens":
        y = alt.Y("value:Q", title=titles[measure], scale=alt.Scale(zero=False, nice=True))
    x = alt.X("at:Q", title="training tokens after SFT", axis=alt.Axis(format="~s", tickCount=6))
    tips = [
        alt.Tooltip("format:N", title="goes on with"),
        alt.Tooltip("run:N", title="from"),
        alt.Tooltip("at:Q", title="tokens", format=",.0f"),
        alt.Tooltip("value:Q", title=titles[measure], format=".3f"),
    ]
    runs = sorted({row["run"] for row in rows})
    dashes = alt.Scale(domain=runs, range=[[1, 0], [7, 3], [2, 3], [8, 3, 2, 3]][: len(runs)])
    legend = alt.Legend(title="from", orient="top", symbolType="stroke", symbolSize=400) if len(runs) > 1 else None
    dash = alt.StrokeDash("run:N", scale=dashes, legend=legend)
    faint = _shown(rows).mark_line(strokeWidth=1, opacity=0.4).encode(x=x, y=y, color=_color(palette), detail="line:N")
    solid = _shown(means).encode(x=x, y=y, color=_color(palette), detail="line:N", tooltip=tips)
    layers = [faint, solid.mark_line(strokeWidth=2.25).encode(strokeDash=dash)]
    layers.append(solid.mark_point(filled=True, size=60, opacity=1).encode(shape=_shape(palette)))
    return _finish(layers, palette, f"{titles[measure]} against training tokens after SFT.")


def repetition(data: ReportData, measure: str, palette: Palette) -> alt.LayerChart | None:
    """`test`, `train` or `memorized` against epochs: a faint line a seed, a solid one for their mean."""
    rows: list[dict[str, Any]] = [
        {"format": p.format, "seed": p.seed, "epochs": p.epochs, "value": getattr(p, measure)} for p in data.repetition
    ]
    titles = {"test": "held-out accuracy", "train": "training accuracy", "memorized": "old answers beyond the control"}
    ticks = sorted({row["epochs"] for row in rows})
    x = alt.X(
        "epochs:Q",
        title="epochs over the same examples (log)",
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(values=ticks, format="d"),
    )
    y = _accuracy_axis("value", titles[measure])
    if measure == "memorized":
        y = alt.Y("value:Q", title=titles[measure], scale=alt.Scale(zero=True, nice=True))
    return _seeds_and_means(rows, "epochs", x, y, palette, f"{titles[measure]} against epochs, by format.")


def orders(data: ReportData, stage: str, palette: Palette) -> alt.LayerChart | None:
    """Test accuracy against n_ops by order, in the view whose cells have that stage; a rule after the trained ones."""
    cells = [c for c in order_cells(data) if c.stage == stage]
    rows: list[dict[str, Any]] = [
        {"format": c.order, "seed": c.seed, "n_ops": int(c.n_ops), "value": c.accuracy}
        for c in cells
        if c.split == "test" and c.n_ops.isdecimal() and c.accuracy is not None
    ]
    lengths = sorted({row["n_ops"] for row in rows})
    x = alt.X(
        "n_ops:Q",
        title="operations in the problem",
        axis=alt.Axis(values=lengths, format="d"),
        scale=alt.Scale(domain=[min(lengths), max(lengths)] if rows else [0, 1], nice=False, padding=14),
    )
    trained = [int(c.n_ops) for c in cells if c.split == "train" and c.n_ops.isdecimal()]
    edge = [{"n_ops": max(trained) + 0.5}] if trained else []
    rule = _chart(edge).mark_rule(strokeDash=[2, 4], color=palette.ink("muted")).encode(x="n_ops:Q")
    y = _accuracy_axis("value", "test accuracy")
    description = "Test accuracy against the number of operations, by order."
    return _seeds_and_means(rows, "n_ops", x, y, palette, description, [rule] if edge else [])


def _seeds_and_means(
    rows: list[dict[str, Any]],
    at: str,
    x: alt.X,
    y: alt.Y,
    palette: Palette,
    description: str,
    below: list[Any] | None = None,
) -> alt.LayerChart | None:
    """A faint line a seed and a solid one for their mean, of rows with `format`, `seed`, `value` and `at`."""
    if not rows:
        return None
    groups: defaultdict[tuple[str, Any], list[float]] = defaultdict(list)
    for row in rows:
        groups[row["format"], row[at]].append(row["value"])
    means = [{"format": name, at: place, "value": _mean(values)} for (name, place), values in groups.items()]
    rows = [row | {"line": f"{row['format']}/{row['seed']}"} for row in rows]
    tips = [
        alt.Tooltip("format:N", title="name"),
        alt.Tooltip(f"{at}:Q", title=at),
        alt.Tooltip("value:Q", title="mean", format=".3f"),
    ]
    faint = _shown(rows).mark_line(strokeWidth=1, opacity=0.4).encode(x=x, y=y, color=_color(palette), detail="line:N")
    solid = _shown(means).encode(x=x, y=y, color=_color(palette), tooltip=tips)
    layers = [*(below or []), faint, solid.mark_line(strokeWidth=2.25).encode(strokeDash=_dash(palette))]
    layers.append(solid.mark_point(filled=True, size=60, opacity=1).encode(shape=_shape(palette)))
    return _finish(layers, palette, description)


def order_cells(data: ReportData) -> list[CellRow]:
    """The cells of the experiment on orders."""
    return [c for c in data.cells if c.stage.startswith("order")]


def scaling_cells(data: ReportData, split: str = "test") -> list[CellRow]:
    """The cells of the data-scaling grid: SFT on some examples, all lengths together, forward order."""
    cells = [c for c in data.cells if c.split == split and c.n_ops == "all" and c.stage == "sft"]
    return [c for c in cells if c.order == "forward" and c.examples > 0]


def vega_lite_version() -> str:
    """The major and minor version that the charts are written for."""
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


_UNIT = alt.Scale(domain=[0, 1], nice=False)
_UNIT_AXIS = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")


def _x_of(cell: CellRow, x: str) -> Any:
    return {"examples": cell.examples, "tokens": cell.training_tokens, "flops": cell.flops}[x]


def _run(cell: CellRow) -> tuple[Any, ...]:
    return cell.format, cell.examples, cell.seed


def _mean(values: Iterable[Any]) -> float:
    known = list(values)
    return sum(known) / len(known)


def _log_ticks(values: list[float]) -> list[float]:
    """1 and 3 times the powers of ten from the smallest value to the largest; powers alone beyond three decades."""
    low, high = min(values), max(values)
    wide = high / low > 2000
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in ((1,) if wide else (1, 3))]
    return [tick for tick in ticks if low * 0.8 <= tick <= high * 1.25]


def _thin(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    stride = -(-len(points) // MAX_LOSS_POINTS)
    kept = points[::stride]
    return kept if kept[-1] is points[-1] else [*kept, points[-1]]


def _chart(rows: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=rows))


def _shown(rows: list[dict[str, Any]]) -> alt.Chart:
    return _chart(rows).transform_filter(_VISIBLE)


def _accuracy_axis(name: str, title: str) -> alt.Y:
    return alt.Y(f"{name}:Q", title=title, scale=_UNIT, axis=_UNIT_AXIS)


def _color(palette: Palette) -> alt.Color:
    formats = list(palette.looks)
    return alt.Color(
        "format:N", scale=alt.Scale(domain=formats, range=[palette.format(f) for f in formats]), legend=None
    )


def _shape(palette: Palette) -> alt.Shape:
    shapes = [look.shape for look in palette.looks.values()]
    return alt.Shape("format:N", scale=alt.Scale(domain=list(palette.looks), range=shapes), legend=None)


def _dash(palette: Palette) -> alt.StrokeDash:
    dashes = [list(look.dash) for look in palette.looks.values()]
    return alt.StrokeDash("format:N", scale=alt.Scale(domain=list(palette.looks), range=dashes), legend=None)


def _size(rows: list[dict[str, Any]]) -> alt.Size:
    sizes = [row["examples"] for row in rows]
    scale = alt.Scale(type="log", domain=[min(sizes), max(sizes)], range=[28, 150], nice=False)
    return alt.Size("examples:Q", scale=scale, legend=None)


def _tips(x: str, *names: str) -> list[alt.Tooltip]:
    titles = {"value": x, "estimate": f"N* ({x})", "n": "problems", "tokens": "response tokens", "n_ops": "operations"}
    words = ("format", "order")
    formats = {"accuracy": ".3f", "train": ".3f", "test": ".3f", "seed": "d", "loss": ".4g"}
    return [
        alt.Tooltip(f"{name}:N", title=name)
        if name in words
        else alt.Tooltip(f"{name}:Q", title=titles.get(name, name), format=formats.get(name, ",.4~r"))
        for name in names
    ]


def _finish(layers: list[Any], palette: Palette, description: str, height: int = 300) -> alt.LayerChart:
    ink, muted, grid = palette.ink("ink"), palette.ink("muted"), palette.ink("grid")
    return (
        alt.layer(*layers)
        .add_params(alt.param(name="hidden", value=[]))
        .properties(width="container", height=height, description=description, background="transparent", padding=4)
        .configure(font=_FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=muted,
            titleColor=ink,
            titleFontWeight="normal",
            titleFontSize=12.5,
            titlePadding=8,
            labelFontSize=11.5,
            gridColor=grid,
            domainColor=palette.ink("line"),
            tickColor=palette.ink("line"),
            domain=False,
        )
        .configure_legend(labelColor=muted, titleColor=ink, titleFontWeight="normal", labelFontSize=11.5)
    )
