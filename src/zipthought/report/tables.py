"""Tables, badges and lists of the report as HTML text. Every string from outside goes through `text`."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from typing import Any

from .data import CellRow, FindingRow, ReportData, ThresholdRow
from .palette import SHAPE_PATHS, Palette

VERDICT_MARKS = {"supported": "✓", "contradicted": "✗", "inconclusive": "~"}
_X_WORDS = {"examples": "distinct examples", "tokens": "distinct training tokens", "flops": "training FLOPs"}
_DASH = '<span class="none" title="not measured">–</span>'


def text(value: Any) -> str:
    """Any value as escaped text."""
    return html.escape(str(value), quote=True)


def number(value: Any, digits: int = 3) -> str:
    """A value for people: 12,345, 0.912, 1.2e+15; a dash for None and for what is not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return _DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return text(value)
    size = abs(value)
    if size >= 1e9:
        return f"{value:.2e}"
    if isinstance(value, int) or size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.{digits}f}"


def chip(name: str, palette: Palette, note: str = "") -> str:
    """A format's name with its colour and shape."""
    look = palette.looks[name]
    symbol = f'<svg viewBox="0 0 16 16" aria-hidden="true"><path d="{SHAPE_PATHS[look.shape]}"/></svg>'
    tag = f' <small class="tag">{text(note)}</small>' if note else ""
    return f'<span class="chip" style="--c:var(--{look.variable})">{symbol}{text(name)}{tag}</span>'


def badge(verdict: str) -> str:
    """A finding's verdict as a symbol and a word."""
    return f'<span class="badge {verdict}"><b aria-hidden="true">{VERDICT_MARKS[verdict]}</b> {verdict}</span>'


def findings(rows: list[FindingRow]) -> str:
    """The verdicts, each a sentence, with its rule and table to unfold."""
    if not rows:
        return '<p class="empty">This study tested no claim; the measurements below stand on their own.</p>'
    return '<ol class="findings">' + "".join(_finding(row) for row in rows) + "</ol>"


def _finding(row: FindingRow) -> str:
    table = plain_table(row.rows, f"Numbers behind {row.id}") if row.rows else ""
    return (
        f'<li class="finding {row.verdict}" id="finding-{text(row.id)}"><div class="stamp">{badge(row.verdict)}</div>'
        f'<div><p class="claim"><b>{text(row.id)}</b> {text(row.claim)}</p><p class="summary">{text(row.summary)}</p>'
        f"<details><summary>Rule{' and numbers' if row.rows else ''}</summary>"
        f'<p class="rule"><b>Rule, written before the run.</b> {text(row.rule)}</p>{table}</details></div></li>'
    )


def tally(rows: list[FindingRow]) -> str:
    """How many claims met each verdict."""
    counts = [(verdict, sum(row.verdict == verdict for row in rows)) for verdict in VERDICT_MARKS]
    return " · ".join(f"{count} {verdict}" for verdict, count in counts if count)


def plain_table(rows: list[dict[str, Any]], label: str) -> str:
    """A table of any columns, in the order in which they first appear."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(_cell(row.get(column)) for column in columns) + "</tr>" for row in rows)
    return _scroll(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", label)


def thresholds(rows: list[ThresholdRow], palette: Palette, baselines: set[str]) -> str:
    """N* by format; a column for each axis and accuracy."""
    if not rows:
        return '<p class="empty">No threshold was estimated.</p>'
    columns = sorted({(r.x, r.threshold) for r in rows}, key=lambda c: (list(_X_WORDS).index(c[0]), c[1]))
    found = {(r.format, r.x, r.threshold): r for r in rows}
    head = "".join(f'<th scope="col" class="num">{_X_WORDS[x]}<br>to reach {level:g}</th>' for x, level in columns)
    body = "".join(
        f'<tr><th scope="row">{chip(name, palette, _baseline(name, baselines))}</th>'
        + "".join(_threshold(found.get((name, x, level))) for x, level in columns)
        + "</tr>"
        for name in palette.looks
        if any(r.format == name for r in rows)
    )
    table = f'<table><thead><tr><th scope="col">format</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    return _scroll(table, "Thresholds N*")


def _threshold(row: ThresholdRow | None) -> str:
    if row is None:
        return f'<td class="num">{_DASH}</td>'
    estimate = number(_whole(row.estimate))
    if row.censored:
        sign, words = ("&gt;", "not reached") if row.censored == "above" else ("&lt;", "already reached")
        bound = f"{sign} {estimate}" if row.estimate is not None else words
        return f'<td class="num">{bound}<small>{words} in the data</small></td>'
    low, high = (number(_whole(end)) if end is not None else "?" for end in (row.low, row.high))
    return f'<td class="num">{estimate}<small>[{low}, {high}]</small></td>'


def _whole(value: float | None) -> float | int | None:
    """Examples and tokens come whole."""
    return round(value) if value is not None and math.isfinite(value) and abs(value) >= 10 else value


_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("format", "format", ""),
    ("order", "order", ""),
    ("stage", "stage", ""),
    ("examples", "examples", "distinct training examples"),
    ("updates", "updates", "optimizer steps of the model that was measured"),
    ("learning_rate", "learning rate", "the peak"),
    ("seed", "seed", ""),
    ("split", "split", "problems measured: held out (test) or trained on (train)"),
    ("n_ops", "n_ops", "operations of the problems measured"),
    ("n", "n", "problems measured"),
    ("accuracy", "accuracy", "share of correct final answers, with its 95% interval"),
    ("faithful", "faithful", "share with a correct answer and every step valid"),
    ("truncated", "truncated", "share that met the length limit"),
    ("response_tokens", "response tokens", "mean tokens of a completion"),
    ("ops_per_step", "ops / step", "mean operations that a valid step covers"),
    ("training_tokens", "data tokens", "of the distinct training examples, each counted once"),
    ("flops", "FLOPs", "training compute"),
    ("seconds", "seconds", "training time"),
)
_WORDS = {"format", "order", "stage", "split"}
_SHARED = {"order", "stage", "updates", "learning_rate"}


def cells(data: ReportData, palette: Palette, baselines: set[str]) -> str:
    """Every measurement; columns sort on a press of their heading."""
    if not data.cells:
        return '<p class="empty">No cell was measured.</p>'
    # An order or a stage that every row shares is no column.
    kept = [c for c in _COLUMNS if c[0] not in _SHARED or len({getattr(row, c[0]) for row in data.cells}) > 1]
    head = "".join(
        f'<th scope="col" aria-sort="none"{_class(key)} title="{text(hint)}" data-title="{title}">'
        f'<button type="button" data-column="{place}">{title}</button></th>'
        for place, (key, title, hint) in enumerate(kept)
    )
    ranked = list(palette.looks)
    body = "".join(
        _cell_row(row, [c[0] for c in kept], palette, ranked.index(row.format), baselines) for row in data.cells
    )
    filters = "".join(
        _filter(key, label, dict.fromkeys(str(getattr(row, key)) for row in data.cells))
        for key, label in (("split", "split"), ("n_ops", "n_ops"), ("order", "order"), ("stage", "stage"))
    )
    table = f'<table id="cells"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    status = f'<span id="cells-count" role="status">{len(data.cells)} of {len(data.cells)} rows</span>'
    return f'<div class="controls">{filters}{status}</div>' + _scroll(table, "All cells", tall=True)


def _cell_row(row: CellRow, columns: list[str], palette: Palette, rank: int, baselines: set[str]) -> str:
    parts = []
    for key in columns:
        value = getattr(row, key)
        if key == "format":
            name = chip(value, palette, _baseline(value, baselines))
            parts.append(f'<th scope="row" data-v="{rank:04d}">{name}</th>')
        elif key in _WORDS:
            parts.append(f"<td>{text(value)}</td>")
        else:
            shown = number(value)
            if key == "accuracy" and row.low is not None and row.high is not None:
                shown += f" <small>[{number(row.low)}, {number(row.high)}]</small>"
            known = value is not None and not (isinstance(value, float) and not math.isfinite(value))
            parts.append(f'<td class="num" data-v="{text(value) if known else ""}">{shown}</td>')
    marks = "".join(f' data-{key}="{text(getattr(row, key))}"' for key in ("split", "n_ops", "order", "stage"))
    return f"<tr{marks}>{''.join(parts)}</tr>"


def _filter(key: str, label: str, values: Iterable[str]) -> str:
    kept = sorted(values, key=lambda v: (0, int(v), v) if v.isdecimal() and v.isascii() else (-1, 0, v))
    if len(kept) < 2:
        return ""
    options = "".join(f"<option>{text(value)}</option>" for value in kept)
    return f'<label>{label} <select data-filter="{key}"><option value="">any</option>{options}</select></label>'


def mapping(values: Mapping[str, Any]) -> str:
    """Settings as a definition list; what nests is written with dots."""
    flat = list(_flat(values))
    if not flat:
        return '<p class="empty">Nothing recorded.</p>'
    return '<dl class="kv">' + "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in flat) + "</dl>"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{key}", ", ".join(str(item) for item in value) or "–"
        else:
            yield f"{prefix}{key}", "–" if value is None or value == "" or value == {} else value


def baseline_formats(rows: Iterable[CellRow]) -> set[str]:
    """Formats that a comparison holds as baselines."""
    return {row.format for row in rows if row.baseline}


def _baseline(name: str, baselines: set[str]) -> str:
    return "baseline" if name in baselines else ""


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return f"<td>{text(value)}</td>"
    return f'<td class="num">{number(value)}</td>'


def _class(key: str) -> str:
    return "" if key in _WORDS else ' class="num"'


def _scroll(table: str, label: str, tall: bool = False) -> str:
    """A table in its own scrolling box, which the keyboard reaches."""
    kind = "scroll tall" if tall else "scroll"
    return f'<div class="{kind}" role="region" aria-label="{text(label)}" tabindex="0">{table}</div>'
