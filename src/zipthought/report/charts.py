"""A small toolkit for charts in Vega-Altair: axes, colours, seeds with their means, and the common style.

Rows of a chart have a `format`, whose colour and shape come from a `Palette`. Every chart reads the parameter `hidden`,
the names that the reader has switched off in the legend. Colours are CSS variables on the page, and fixed colours with
``Palette(names, "light")``.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import altair as alt

from .palette import Palette

UNIT = alt.Scale(domain=[0, 1], nice=False)
UNIT_AXIS = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")
MOST_POINTS = 600
"""The most points of single runs in a chart. Of more, those of the first seeds are drawn."""
DASHES = [[1, 0], [7, 3], [2, 3], [8, 3, 2, 3]]
"""Line styles of up to four names; the first is solid."""
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_VISIBLE = "indexof(hidden, datum.format) < 0"


def vega_lite_version() -> str:
    """The major and minor version of Vega-Lite that the charts need."""
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def fixed(rows: list[dict[str, Any]]) -> alt.Chart:
    """A chart whose rows are always visible."""
    return alt.Chart(alt.InlineData(values=rows))


def switched(rows: list[dict[str, Any]]) -> alt.Chart:
    """A chart whose rows disappear if the reader switches off their format."""
    return fixed(rows).transform_filter(_VISIBLE)


def some_seeds(rows: list[dict[str, Any]], most: int = MOST_POINTS) -> list[dict[str, Any]]:
    """The rows of the first seeds: as many seeds as have at most `most` rows together, and at least one."""
    sizes = Counter(row["seed"] for row in rows)
    kept: set[Any] = set()
    total = 0
    for seed in sorted(sizes):
        total += sizes[seed]
        if kept and total > most:
            break
        kept.add(seed)
    return [row for row in rows if row["seed"] in kept]


def accuracy_axis(field: str, title: str) -> alt.Y:
    """A vertical axis from 0 to 1."""
    return alt.Y(f"{field}:Q", title=title, scale=UNIT, axis=UNIT_AXIS)


def color(palette: Palette) -> alt.Color:
    """The colour of the row's format."""
    names = list(palette.looks)
    scale = alt.Scale(domain=names, range=[palette.format(name) for name in names])
    return alt.Color("format:N", scale=scale, legend=None)


def shape(palette: Palette) -> alt.Shape:
    """The shape of the row's format."""
    shapes = [look.shape for look in palette.looks.values()]
    return alt.Shape("format:N", scale=alt.Scale(domain=list(palette.looks), range=shapes), legend=None)


def dash(palette: Palette) -> alt.StrokeDash:
    """The line style of the row's format."""
    dashes = [list(look.dash) for look in palette.looks.values()]
    return alt.StrokeDash("format:N", scale=alt.Scale(domain=list(palette.looks), range=dashes), legend=None)


def dash_by(field: str, names: list[str], title: str) -> alt.StrokeDash:
    """The line style of another field of the row, with a legend if it has several values."""
    scale = alt.Scale(domain=names, range=DASHES[: max(1, len(names))])
    legend = alt.Legend(title=title, orient="top", symbolType="stroke", symbolSize=400) if len(names) > 1 else None
    return alt.StrokeDash(f"{field}:N", scale=scale, legend=legend)


def size(rows: list[dict[str, Any]]) -> alt.Size:
    """Larger points for more `examples`."""
    sizes = [row["examples"] for row in rows]
    scale = alt.Scale(type="log", domain=[min(sizes), max(sizes)], range=[28, 150], nice=False)
    return alt.Size("examples:Q", scale=scale, legend=None)


def tooltips(x: str, *fields: str) -> list[alt.Tooltip]:
    """Tooltips of fields; `x` names the unit of `value` and `estimate`."""
    titles = {"value": x, "estimate": f"N* ({x})", "n": "problems", "tokens": "response tokens", "n_ops": "operations"}
    texts = ("format", "order")
    formats = {"accuracy": ".3f", "train": ".3f", "test": ".3f", "seed": "d", "loss": ".4g"}
    return [
        alt.Tooltip(f"{field}:N", title=field)
        if field in texts
        else alt.Tooltip(f"{field}:Q", title=titles.get(field, field), format=formats.get(field, ",.4~r"))
        for field in fields
    ]


def seeds_and_means(
    rows: list[dict[str, Any]],
    at: str,
    axes: tuple[alt.X, alt.Y],
    palette: Palette,
    description: str,
    below: list[Any] | None = None,
) -> alt.LayerChart | None:
    """A faint line for each seed and a solid line for their mean; None without rows.

    Rows have `format`, `seed`, `value` and the field `at`. `below` are layers under the lines.
    """
    if not rows:
        return None
    x, y = axes
    groups: defaultdict[tuple[str, Any], list[float]] = defaultdict(list)
    for row in rows:
        groups[row["format"], row[at]].append(row["value"])
    means = [{"format": name, at: position, "value": mean(values)} for (name, position), values in groups.items()]
    rows = [row | {"line": f"{row['format']}/{row['seed']}"} for row in some_seeds(rows)]
    tips = [
        alt.Tooltip("format:N", title="name"),
        alt.Tooltip(f"{at}:Q", title=at),
        alt.Tooltip("value:Q", title="mean", format=".3f"),
    ]
    faint = switched(rows).mark_line(strokeWidth=1, opacity=0.4)
    solid = switched(means).encode(x=x, y=y, color=color(palette), tooltip=tips)
    layers = [
        *(below or []),
        faint.encode(x=x, y=y, color=color(palette), detail="line:N"),
        solid.mark_line(strokeWidth=2.25).encode(strokeDash=dash(palette)),
        solid.mark_point(filled=True, size=60, opacity=1).encode(shape=shape(palette)),
    ]
    return finish(layers, palette, description)


def mean(values: Iterable[Any]) -> float:
    """The mean of at least one value."""
    known = list(values)
    return sum(known) / len(known)


def log_ticks(values: list[float]) -> list[float]:
    """1 and 3 times the powers of ten in the range of `values`; beyond three decades, the powers alone."""
    low, high = min(values), max(values)
    wide = high / low > 2000
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in ((1,) if wide else (1, 3))]
    return [tick for tick in ticks if low * 0.8 <= tick <= high * 1.25]


def finish(layers: list[Any], palette: Palette, description: str, height: int = 300) -> alt.LayerChart:
    """The layers as one chart in the style of the page. `description` is the text for screen readers."""
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
