"""The report in other forms: Markdown, tables as CSV, all data as JSON, figures as PNG and SVG."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vl_convert

from ..files.atomic import Overwrite, atomic_files, refuse_overwrite
from ..files.escape import csv_cell, markdown_code, markdown_text, visible
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


def write_export(
    data: ReportData, form: str, target: Path, overwrite: Overwrite = True, reads: Sequence[Path] = ()
) -> list[Path]:
    """Write the report in a form of `FORMATS` and return its files, all or none.

    `target` is a file; for csv, png and svg it is a directory. Raises `ValueError` for an output that is among `reads`
    or in a directory of them, and `FileExistsError` for an existing file that `overwrite` does not allow to replace.
    """
    paths = []
    with atomic_files(overwrite=overwrite) as open_file:
        for path, content in _files(data, form, target):
            refuse_overwrite([path], reads)
            open_file(path).write(content)
            paths.append(path)
    return paths


def _files(data: ReportData, form: str, target: Path) -> Iterator[tuple[Path, bytes]]:
    """(path, content) of each file of a form."""
    if form == "markdown":
        yield target, markdown(data).encode()
    elif form == "json":
        yield target, f"{json.dumps(finite(data.plain()), indent=1, allow_nan=False)}\n".encode()
    elif form == "csv":
        tables = {name: [asdict(row) for row in rows] for name, rows in data.tables.items()}
        tables |= {f"finding-{finding.id}": finding.rows for finding in data.findings}
        tables["registration"] = data.registration.differences
        tables["findings"] = [
            {key: getattr(finding, key) for key in ("id", "verdict", "claim", "summary", "rule")}
            for finding in data.findings
        ]
        stems = _file_stems(tables)
        for name, rows in tables.items():
            if rows:
                yield target / f"{stems[name]}.csv", as_csv(rows).encode()
    else:
        for group in figure_groups(data, Palette(colored_names(data), "light")):
            for panel in group.panels:
                path = target / f"{panel.key.removeprefix('fig-')}.{form}"
                yield path, drawn(panel.chart.to_dict(), form)


def _file_stems(names: Iterable[str]) -> dict[str, str]:
    """Name of a table -> name of its file. Raises `ValueError` where two tables would have one file."""
    stems = {name: re.sub("[^A-Za-z0-9_+=-]", "-", name) for name in names}
    for name, stem in stems.items():
        if list(stems.values()).count(stem) > 1:
            raise ValueError(f"the table {name!r} has the file {stem}.csv, as another has; choose another name")
    return stems


def drawn(spec: dict[str, Any], form: str) -> bytes:
    """The bytes of a PNG or SVG on white, from the specification of a figure."""
    fixed = _visible(spec) | {"width": WIDTH, "background": "white", "padding": 12}
    version = vega_lite_version()
    if form == "svg":
        return vl_convert.vegalite_to_svg(fixed, vl_version=version).encode()  # type: ignore[arg-type]
    return vl_convert.vegalite_to_png(fixed, vl_version=version, scale=PNG_SCALE)  # type: ignore[arg-type]


def _visible(spec: Any) -> Any:
    """A specification without the characters that SVG cannot hold."""
    if isinstance(spec, str):
        return visible(spec, keep="\n")
    if isinstance(spec, dict):
        return {_visible(key): _visible(value) for key, value in spec.items()}
    return [_visible(item) for item in spec] if isinstance(spec, list) else spec


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV. Columns stand in the order of their first appearance; missing values are empty. No text
    is a formula of a spreadsheet."""
    rows = list(rows)
    columns = columns_of(rows)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(csv_cell, columns))
    writer.writerows([csv_cell(row.get(column, "")) for column in columns] for row in rows)
    return buffer.getvalue()


def markdown(data: ReportData) -> str:
    """The verdicts, the tables that experiments show, and the command and environment of the study."""
    text = markdown_text
    parts = [f"# {text(data.title)}", text(data.created)]
    parts += [*(f"> **Caution.** {text(warning)}" for warning in data.warnings), *map(text, data.notes)]
    parts += [*map(text, data.registration.sentences[:1]), "## Verdicts"]
    for finding in data.findings:
        parts += [
            f"### {text(finding.id)}: {finding.verdict}",
            f"*{text(finding.claim)}* {text(finding.summary)}",
            _table(finding.rows),
            f"Rule: {text(finding.rule)}",
        ]
    for title, rows in data.shown.items():
        parts += [f"## {text(title)}", _table([asdict(row) for row in rows])]
    parts += _registration(data)
    environment = _table([{k: str(v) for k, v in data.environment.items()}])
    parts += ["## Reproduce", markdown_code(data.command, "sh"), environment]
    return "\n\n".join(part for part in parts if part) + "\n"


def _registration(data: ReportData) -> list[str]:
    """The registration of the study, with every difference."""
    registration = data.registration
    if not registration.sha256:
        return []
    fixed = f"sha256 `{markdown_text(registration.sha256)}`, written on {markdown_text(registration.date or '-')}."
    return [
        "## Registration",
        *map(markdown_text, registration.sentences),
        fixed,
        _table(list(registration.differences)),
    ]


def _table(rows: list[dict[str, Any]]) -> str:
    columns = columns_of(rows)
    if not columns:
        return ""
    cells = ([_word(row.get(column)) for column in columns] for row in rows)
    lines = [[markdown_text(column) for column in columns], ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return markdown_text(value)
