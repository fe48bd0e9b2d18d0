"""The report: one HTML file that opens offline, with the study's verdicts, figures, tables and traces.

Jinja2 fills the templates with autoescape, so every string from outside is text on the page. Scripts find their data
as JSON in a script element. Vega, Vega-Lite and Vega-Embed are in the file once (`vl_convert.javascript_bundle`). A
content security policy in the page forbids every request, so the page needs no network.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from functools import cache
from importlib import resources
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from . import charts, tables
from .data import ReportData, ThresholdRow
from .figures import colored_names, figure_groups
from .palette import Palette

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def build_report(data: ReportData) -> str:
    """The report as the text of one HTML file that needs no other file and no network."""
    palette = Palette(colored_names(data))
    groups = figure_groups(data, palette)
    specs = {panel.key: panel.chart.to_dict() for group in groups for panel in group.panels}
    templates = environment()
    chip = templates.get_template("macros.html").module.chip  # type: ignore[attr-defined]
    payload = {
        "figures": specs,
        "chips": {name: chip(look) for name, look in palette.looks.items()},
        "problems": [asdict(problem) for problem in data.problems],
    }
    # Only the report's own text, and JSON and scripts after escaping, are marked as markup. Jinja2 escapes all else.
    text = templates.get_template("page.html").render(
        title=data.title,
        created=data.created or "date not recorded",
        tally=tables.tally(data.findings),
        warnings=data.warnings,
        notes=data.notes,
        registration=data.registration,
        variables=Markup(palette.css()),
        style=Markup(_asset("style.css")),
        looks=palette.looks,
        ranks={name: rank for rank, name in enumerate(palette.looks)},
        baselines=tables.baseline_formats(data.cells),
        findings=data.findings,
        figures=[
            {
                "title": group.title,
                "caption": group.caption,
                "looks": [look for name, look in palette.looks.items() if name in group.names],
                "charts": {panel.key: panel.label for panel in group.panels},
            }
            for group in groups
        ],
        thresholds=tables.thresholds(data.thresholds, palette),
        further_tables={
            title: [asdict(row) for row in rows]
            for title, rows in data.shown.items()
            if rows and not isinstance(rows[0], ThresholdRow)  # These have a layout of their own.
        },
        cells=tables.cells(data),
        problems=data.problems,
        generated=_generated(data, palette),
        command=data.command,
        spec=tables.settings(data.spec),
        environment=tables.settings(data.environment),
        data=Markup(json_for_script(payload)),
        vega=Markup(script_text(vega_bundle()) if specs else ""),
        script=Markup(script_text(_asset("report.js"))),
        explorer_script=Markup(script_text(_asset("explorer.js"))),
    )
    return text.encode(
        errors="backslashreplace"
    ).decode()  # No file holds half a surrogate pair; in JSON this is its escape.


@cache
def environment() -> Environment:
    """The templates of the report. An undefined name in a template is an error."""
    templates = Environment(loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined)
    templates.filters |= {
        "number": tables.number,
        "columns": tables.columns_of,
        "mark": tables.VERDICT_MARKS.__getitem__,
    }
    return templates


def json_for_script(value: Any) -> str:
    """JSON that is safe in a script element: no text in it can close the element. NaN and infinity become null."""
    plain = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u2028\u2029]", lambda match: _UNSAFE[match[0]], plain)


def script_text(source: str) -> str:
    """JavaScript that is safe in a script element: the two strings that HTML looks for there are broken up."""
    return re.sub(r"<(?=/script|!--)", r"\\x3c", source, flags=re.IGNORECASE)


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that sets `vega`, `vegaLite` and `vegaEmbed`."""
    return vl_convert.javascript_bundle(vl_version=charts.vega_lite_version())  # type: ignore[call-arg]


def finite(value: Any) -> Any:
    """A value that JSON can hold: NaN and infinity become null, tuples lists, keys text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _generated(data: ReportData, palette: Palette) -> dict[str, list[Any]]:
    """The formats and training sizes of the generated traces, for the filters of the explorer."""
    completions = [completion for problem in data.problems for completion in problem.generated]
    formats = {completion.format for completion in completions}
    return {
        "formats": [name for name in palette.looks if name in formats],
        "examples": sorted({completion.examples for completion in completions}, reverse=True),
    }
