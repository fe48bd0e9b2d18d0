"""Colours and shapes: one look per format, the same in every figure, table and trace, in both themes.

The figures name colours as CSS variables (`var(--fmt-0)`). Vega's SVG output keeps the names, so the charts follow the
page's theme without a redraw. Hues follow Okabe & Ito (2008). Each is darkened or lightened until its contrast with the
background is at least 3:1. A format also has a shape of its own, so that no figure depends on colour alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

INK: dict[str, tuple[str, str]] = {
    "page": ("#fbfaf7", "#14171c"),
    "card": ("#ffffff", "#1b1f26"),
    "sunk": ("#f3f1ec", "#10131a"),
    "ink": ("#1d2127", "#e8e6e1"),
    "muted": ("#5c636d", "#a3a9b3"),
    "line": ("#dcd8cf", "#323842"),
    "grid": ("#ebe8e1", "#2a303a"),
    "link": ("#0b5c9e", "#7cc0f5"),
    "good": ("#00735a", "#3fd0a8"),
    "bad": ("#b3400a", "#ff9a5c"),
    "unsure": ("#666c76", "#b3b8c1"),
    "premise": ("#8a3a7a", "#e79bd0"),
    "undefined": ("#8a6400", "#e8c15a"),
    "again": ("#5a4bb0", "#b5a8f5"),
}
"""Part of the page -> its colour in the (light, dark) theme."""

_COLORS: dict[str, list[tuple[str, str]]] = {
    "explicit": [("#0b62a4", "#5cb5f2")],
    "composed": [("#d2600a", "#ff9d52"), ("#8c3a12", "#ffcf9e"), ("#b98205", "#e0740f"), ("#5e2a12", "#ffe6cc")],
    "implicit": [("#008f6f", "#33cfa3"), ("#005741", "#a8eed7"), ("#5b9a1e", "#12a07a"), ("#003d36", "#d8fff2")],
    "answer-only": [("#6a6f78", "#a9aeb8")],
    "other": [("#b0488a", "#e78fc6"), ("#7a4fb5", "#b99df2"), ("#7d6a1f", "#d9c372"), ("#914040", "#f0a3a3")],
}
_SHAPES = {
    "explicit": ["circle"],
    "composed": ["square", "diamond", "triangle-right", "square"],
    "implicit": ["triangle-up", "triangle-down", "triangle-left", "triangle-up"],
    "answer-only": ["cross"],
    "other": ["diamond", "cross", "triangle-left", "triangle-right"],
}
_DASHES = ([1, 0], [7, 3], [2, 2], [8, 3, 2, 3])

SHAPE_PATHS = {
    "circle": "M8 3a5 5 0 1 0 .01 0z",
    "square": "M3.5 3.5h9v9h-9z",
    "diamond": "M8 2l5 6-5 6-5-6z",
    "cross": "M6 2.5h4V6h3.5v4H10v3.5H6V10H2.5V6H6z",
    "triangle-up": "M8 2.8l5.6 10H2.4z",
    "triangle-down": "M8 13.2l5.6-10H2.4z",
    "triangle-right": "M13.2 8l-10 5.6V2.4z",
    "triangle-left": "M2.8 8l10 5.6V2.4z",
}
"""Shape -> SVG path in a 16 x 16 box, for legends in HTML."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a format is drawn."""

    format: str
    """The format's name, as in the data."""
    variable: str
    """Its CSS variable, without the leading dashes."""
    light: str
    """Its colour on a light page."""
    dark: str
    """Its colour on a dark page."""
    shape: str
    """A Vega symbol, a key of `SHAPE_PATHS`."""
    dash: tuple[int, ...]
    """The dash pattern of its lines, in pixels."""

    @property
    def outline(self) -> str:
        """The shape as an SVG path in a 16 x 16 box."""
        return SHAPE_PATHS[self.shape]


def kind_of(name: str) -> tuple[str, int]:
    """The kind of a format (a key of the colours) and its k, or 0 if it has none."""
    match = re.fullmatch(r"(explicit|composed|implicit|answer-only)(?::([0-9]{1,9}))?", name)
    return (match[1], int(match[2] or 0)) if match else ("other", 0)


def looks(formats: Iterable[str]) -> dict[str, Look]:
    """A look for each format, in the order explicit, composed and implicit by k, answer-only, all others."""
    order = list(_COLORS)
    ranked = sorted(set(formats), key=lambda name: (order.index(kind_of(name)[0]), kind_of(name)[1], name))
    seen: dict[str, int] = {}
    result: dict[str, Look] = {}
    for index, name in enumerate(ranked):
        kind = kind_of(name)[0]
        rank = seen.get(kind, 0)
        seen[kind] = rank + 1
        light, dark = _COLORS[kind][rank % len(_COLORS[kind])]
        shape = _SHAPES[kind][rank % len(_SHAPES[kind])]
        result[name] = Look(name, f"fmt-{index}", light, dark, shape, tuple(_DASHES[rank % len(_DASHES)]))
    return result


class Palette:
    """Colours for the figures: CSS variables in the page, fixed colours of one theme outside it."""

    def __init__(self, formats: Iterable[str], theme: str = "css") -> None:
        if theme not in ("css", "light", "dark"):
            raise ValueError(f"theme must be css, light or dark, got {theme!r}")
        self.looks: Mapping[str, Look] = looks(formats)
        """Format -> look, in the order of `looks`."""
        self._theme = theme

    def ink(self, name: str) -> str:
        """The colour of a part of the page; `name` is a key of `INK`."""
        return f"var(--{name})" if self._theme == "css" else INK[name][self._theme == "dark"]

    def format(self, name: str) -> str:
        """A format's colour."""
        look = self.looks[name]
        return f"var(--{look.variable})" if self._theme == "css" else getattr(look, self._theme)

    def css(self) -> str:
        """The CSS variables of both themes. The system chooses unless the reader does; paper is light."""
        light, dark = (
            "".join(f"--{name}:{pair[theme]};" for name, pair in INK.items())
            + "".join(f"--{look.variable}:{(look.light, look.dark)[theme]};" for look in self.looks.values())
            + f"color-scheme:{('light', 'dark')[theme]};"
            for theme in (0, 1)
        )
        return (
            f":root{{{light}}}\n"
            f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\n"
            f"@media screen{{:root[data-theme=dark]{{{dark}}}}}\n"
        )
