"""The report: one HTML file that opens offline, with the study's verdicts, figures, tables and traces.

Vega, Vega-Lite and Vega-Embed stand in the file once (`vl_convert.javascript_bundle`); a content security policy in the
page forbids every request, so what works here works without a network. Data travel as JSON in a script element.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from importlib import resources
from string import Template
from typing import Any

import vl_convert

from . import figures, tables
from .data import ReportData
from .palette import Palette
from .plates import Plate, names, plates
from .tables import text

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def build_report(data: ReportData) -> str:
    """The report as the text of one HTML file that needs nothing else, not even a network."""
    palette = Palette(names(data))
    baselines = tables.baseline_formats(data.cells)
    specs, plates = _figures(data, palette, baselines)
    payload = {
        "figures": specs,
        "chips": {name: tables.chip(name, palette) for name in palette.looks},
        "problems": [asdict(problem) for problem in data.problems],
    }
    return Template(_asset("template.html")).substitute(
        title=text(data.title),
        created=text(data.created) or "date not recorded",
        tally=tables.tally(data.findings) or "no claim tested",
        variables=palette.css(),
        style=_asset("style.css"),
        findings=tables.findings(data.findings),
        figures=plates or '<p class="empty">Nothing was measured that a figure could show.</p>',
        thresholds=tables.thresholds(data.thresholds, palette, baselines),
        cells=tables.cells(data, palette, baselines),
        explorer=_explorer(data, palette),
        command=text(data.command),
        spec=tables.mapping(data.spec),
        environment=tables.mapping(data.environment),
        data=json_for_script(payload),
        vega=script_text(vega_bundle()) if specs else "",
        script=script_text(_asset("report.js")),
        explorer_script=script_text(_asset("explorer.js")),
    )


def json_for_script(value: Any) -> str:
    """JSON that no script element can be closed or confused by; NaN and infinity become null."""
    plain = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A lone surrogate is no text that a file could hold.
    plain = re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", plain)
    return re.sub("[<>&\u2028\u2029]", lambda match: _UNSAFE[match[0]], plain)


def script_text(source: str) -> str:
    """JavaScript that may stand in a script element: the two strings that HTML looks for there are broken up."""
    return re.sub(r"<(?=/script|!--)", r"\\x3c", source, flags=re.IGNORECASE)


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that sets `vega`, `vegaLite` and `vegaEmbed`."""
    return vl_convert.javascript_bundle(vl_version=figures.vega_lite_version())  # type: ignore[call-arg]


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


def _figures(data: ReportData, palette: Palette, baselines: set[str]) -> tuple[dict[str, Any], str]:
    """Specs by the id of the element that they are drawn in, and the HTML of the numbered figures."""
    made = plates(data, palette)
    specs = {figure.key: figure.chart.to_dict() for plate in made for figure in plate.figures}
    return specs, "".join(
        _plate(place, plate, _legend(plate.formats, palette, baselines)) for place, plate in enumerate(made, 1)
    )


def _plate(place: int, plate: Plate, legend: str) -> str:
    switch = ""
    if len(plate.figures) > 1:
        choices = "".join(
            f'<label><input type="radio" name="plate-{place}" value="{figure.key}"{" checked" if not i else ""}>'
            f"<span>{figure.label}</span></label>"
            for i, figure in enumerate(plate.figures)
        )
        switch = f'<fieldset class="switch"><legend class="unseen">what is shown</legend>{choices}</fieldset>'
    if plate.figures[0].key == "fig-losses":
        switch = '<label class="pick">examples <select id="loss-examples"></select></label>'
    boxes = "".join(
        f'<div class="chart" id="{figure.key}"{" hidden" if i else ""}></div>' for i, figure in enumerate(plate.figures)
    )
    return (
        f'<figure class="plate"><div class="plate-head"><h3>Figure {place}. {plate.title}</h3>{switch}'
        f"</div>{legend}{boxes}<figcaption>{plate.caption}</figcaption></figure>"
    )


def _legend(formats: set[str], palette: Palette, baselines: set[str]) -> str:
    items = "".join(
        f'<button type="button" aria-pressed="true" data-format="{text(name)}">'
        f"{tables.chip(name, palette, 'baseline' if name in baselines else '')}</button>"
        for name in palette.looks
        if name in formats
    )
    return f'<div class="legend" role="group" aria-label="formats shown">{items}</div>'


def _explorer(data: ReportData, palette: Palette) -> str:
    if not data.problems:
        return '<p class="empty">This report carries no traces.</p>'
    made = [completion for problem in data.problems for completion in problem.generated]
    options = "".join(
        f'<option value="{i}">{i + 1}. {p.n_ops} operations · {text(p.id)}</option>'
        for i, p in enumerate(data.problems)
    )
    formats = _options("all", (name for name in palette.looks if any(c.format == name for c in made)))
    sizes = sorted({c.examples for c in made}, reverse=True)
    filters = (
        f'<label>trained on <select id="x-format">{formats}</select></label>'
        f'<label>examples <select id="x-examples">{_options("all", sizes)}</select></label>'
    )
    return (
        '<div id="explorer" role="group" aria-label="Trace explorer: left and right arrow keys change the problem">'
        '<div class="controls"><button type="button" id="x-previous" aria-label="previous problem">←</button>'
        f'<label>problem <select id="x-problem">{options}</select></label>'
        '<button type="button" id="x-next" aria-label="next problem">→</button>'
        '<span id="x-place" role="status"></span></div><p class="prompt" id="x-prompt"></p>'
        '<h3>Gold traces, the same reasoning in every format</h3><div class="cards" id="x-gold"></div>'
        f'<h3>Generated traces, judged step by step</h3><div class="controls">{filters if made else ""}</div>'
        '<div class="cards generated" id="x-generated"></div></div>'
    )


def _options(first: str, values: Iterable[Any]) -> str:
    return f'<option value="">{first}</option>' + "".join(
        f'<option value="{text(value)}">{tables.number(value)}</option>' for value in values
    )
