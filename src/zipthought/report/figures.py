"""The figures of a report: groups of charts with their titles and captions, collected from all sections."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .data import ReportData
from .palette import Palette

_KEY = re.compile(r"fig-[A-Za-z0-9_-]+")


class Panel(NamedTuple):
    """One chart of a figure group."""

    key: str
    """The id of its element; without `fig-`, the name of its file."""
    label: str
    """The text of its button, if a group has several panels; may be empty."""
    chart: Any
    """A Vega-Altair chart; None if there is nothing to draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureGroup:
    """A numbered figure of the page: one panel, or several to choose from."""

    title: str
    caption: str
    panels: list[Panel]
    names: set[str]
    """The names in its legend."""
    detail: bool = False
    """Details follow after the main figures of all experiments."""


def colored_names(data: ReportData) -> set[str]:
    """All names that have a colour: formats, and what sections add, such as branches or orders."""
    names = {row.format for row in data.cells}
    for section in data.sections:
        names |= section.names
    for problem in data.problems:
        names |= {name for name, _, _ in problem.gold} | {completion.format for completion in problem.generated}
    return names


def figure_groups(data: ReportData, palette: Palette) -> list[FigureGroup]:
    """The groups of all sections, details last. Empty panels and empty groups are left out."""
    groups = []
    for group in (group for section in data.sections for group in section.figures(palette)):
        drawn = [panel for panel in group.panels if panel.chart is not None]
        if drawn:
            groups.append(replace(group, panels=drawn))
    keys = [panel.key for group in groups for panel in group.panels]
    for key in keys:
        if keys.count(key) > 1 or not _KEY.fullmatch(key):
            raise ValueError(f"the key {key!r} of a panel must be unique, and fig- with letters, digits, _ and -")
    return sorted(groups, key=lambda group: group.detail)
