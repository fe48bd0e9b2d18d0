"""The report in other forms: Markdown, tables as CSV, all data as JSON, figures as PNG and SVG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vl_convert

from ..files.atomic import atomic_open, write_text
from .charts import vega_lite_version
from .data import ReportData
from .figures import colored_names, figure_groups
from .page import finite
from .palette import Palette
from .tables import columns_of

FORMATS = ("markdown", "csv", "json", "png", "svg")
WIDTH = 640
"""The width of a figure outside the page, in pixels."""
PNG_SCALE = 2.0


def write_export(data: ReportData, form: str, target: Path) -> list[Path]:
    """Write the report in a form of `FORMATS` and return its files.

    `target` is a file; for csv, png and svg it is a directory.
    """
    if form == "markdown":
        write_text(target, markdown(data))
        return [target]
    if form == "json":
        write_text(target, json.dumps(finite(data.plain()), indent=1, allow_nan=False) + "\n")
        return [target]
    if form == "csv":
        tables = {name: [asdict(row) for row in rows] for name, rows in data.tables.items()}
        tables |= {f"finding-{finding.id}": finding.rows for finding in data.findings}
        tables["findings"] = [
            {key: getattr(finding, key) for key in ("id", "verdict", "claim", "summary", "rule")}
            for finding in data.findings
        ]
        paths = []
        for name, rows in tables.items():
            if rows:
                paths.append(target / f"{name}.csv")
                write_text(paths[-1], as_csv(rows))
        return paths
    paths = []
    for group in figure_groups(data, Palette(colored_names(data), "light")):
        for panel in group.panels:
            paths.append(target / f"{panel.key.removeprefix('fig-')}.{form}")
            with atomic_open(paths[-1]) as file:
                file.write(drawn(panel.chart.to_dict(), form))
    return paths


def drawn(spec: dict[str, Any], form: str) -> bytes:
    """The bytes of a PNG or SVG on white, from the specification of a figure."""
    fixed = spec | {"width": WIDTH, "background": "white", "padding": 12}
    version = vega_lite_version()
    if form == "svg":
        return vl_convert.vegalite_to_svg(fixed, vl_version=version).encode()  # type: ignore[arg-type]
    return vl_convert.vegalite_to_png(fixed, vl_version=version, scale=PNG_SCALE)  # type: ignore[arg-type]


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV. Columns stand in the order of their first appearance; missing values are empty."""
    rows = list(rows)
    columns = columns_of(rows)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def markdown(data: ReportData) -> str:
    """The verdicts, the tables that experiments show, and the command and environment of the study."""
    parts = [f"# {data.title}", data.created]
    parts += [*(f"> **Caution.** {_word(text)}" for text in data.warnings), *map(_word, data.notes), "## Verdicts"]
    for finding in data.findings:
        parts += [
            f"### {finding.id}: {finding.verdict}",
            f"*{finding.claim}* {finding.summary}",
            _table(finding.rows),
            f"Rule: {finding.rule}",
        ]
    for title, rows in data.shown.items():
        parts += [f"## {title}", _table([asdict(row) for row in rows])]
    parts += ["## Reproduce", f"```sh\n{data.command}\n```", _table([{k: str(v) for k, v in data.environment.items()}])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(rows: list[dict[str, Any]]) -> str:
    columns = columns_of(rows)
    if not columns:
        return ""
    lines = [columns, ["---"] * len(columns), *([_word(row.get(column)) for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value).replace("|", "\\|").replace("\n", " ")
