"""Tables of the report as plain values. Their HTML, with every escape, is the templates' work."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .data import CellRow, Finding, ReportData, ThresholdRow
from .palette import Look, Palette

VERDICT_MARKS = {"supported": "✓", "contradicted": "✗", "inconclusive": "~"}
X_WORDS = {
    "examples": "distinct examples",
    "tokens": "distinct training tokens",
    "updates": "updates",
    "flops": "training FLOPs",
}


def number(value: Any, digits: int = 3) -> str | None:
    """A value for readers: 12,345, 0.912, 1.2e+15. None for None, NaN and infinity, which show as a dash."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    size = abs(value)
    if size >= 1e9:
        return f"{value:.2e}"
    if isinstance(value, int) or size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.{digits}f}"


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns of a table, in the order in which they first appear."""
    return list(dict.fromkeys(column for row in rows for column in row))


def tally(rows: list[Finding]) -> str:
    """How many findings have each verdict."""
    counts = [(verdict, sum(row.verdict == verdict for row in rows)) for verdict in VERDICT_MARKS]
    return " · ".join(f"{count} {verdict}" for verdict, count in counts if count) or "no claim tested"


def baseline_formats(rows: Iterable[CellRow]) -> set[str]:
    """The formats that serve as baselines of the comparison."""
    return {row.format for row in rows if row.baseline}


class ThresholdCell(NamedTuple):
    """An estimate of N*."""

    text: str | None
    """The estimate, or its bound; None shows as a dash."""
    note: str
    """Its interval, or the side on which N* lies outside the data."""


class ThresholdTable(NamedTuple):
    """N* by format."""

    columns: list[tuple[str, str]]
    """(what is counted, accuracy to reach)."""
    rows: list[tuple[Look, list[ThresholdCell | None]]]
    """A format with a cell per column; None was not estimated."""


def thresholds(rows: list[ThresholdRow], palette: Palette) -> ThresholdTable:
    """The table of N*: a row per format, a column per axis and accuracy."""
    columns = sorted({(row.x, row.threshold) for row in rows}, key=lambda c: (list(X_WORDS).index(c[0]), c[1]))
    cells = {(row.format, row.x, row.threshold): _threshold_cell(row) for row in rows}
    formats = {row.format for row in rows}
    return ThresholdTable(
        [(X_WORDS[x], f"{level:g}") for x, level in columns],
        [
            (look, [cells.get((name, *column)) for column in columns])
            for name, look in palette.looks.items()
            if name in formats
        ],
    )


def _threshold_cell(row: ThresholdRow) -> ThresholdCell:
    estimate = number(_rounded(row.estimate))
    if row.censored:
        sign, words = (">", "not reached") if row.censored == "above" else ("<", "already reached")
        bound = words if row.estimate is None else f"{sign} {estimate or '–'}"
        return ThresholdCell(bound, f"{words} in the data")
    low, high = ("?" if end is None else number(_rounded(end)) or "–" for end in (row.low, row.high))
    return ThresholdCell(estimate, f"[{low}, {high}]")


def _rounded(value: float | None) -> float | int | None:
    """Examples and tokens are whole numbers."""
    return round(value) if value is not None and math.isfinite(value) and abs(value) >= 10 else value


class Column(NamedTuple):
    """A column of the table of all cells."""

    key: str
    """A field of `CellRow`."""
    title: str
    """Its heading."""
    hint: str = ""
    """The tooltip of the heading."""
    numeric: bool = True
    """Whether it holds numbers; the others hold words."""
    shared: bool = False
    """Whether it is left out when all rows have the same value."""


COLUMNS = (
    Column("format", "format", numeric=False),
    Column("order", "order", numeric=False, shared=True),
    Column("stage", "stage", numeric=False, shared=True),
    Column("examples", "examples", "distinct training examples"),
    Column("structures", "structures", "distinct structures of these", shared=True),
    Column("updates", "updates", "optimizer steps of the measured model", shared=True),
    Column("learning_rate", "learning rate", "the peak", shared=True),
    Column("seed", "seed"),
    Column("split", "split", "measured problems: held out (test) or trained on (train)", numeric=False),
    Column("n_ops", "n_ops", "operations of the measured problems"),
    Column("n", "n", "measured problems"),
    Column("accuracy", "accuracy", "share of correct final answers, with its 95% interval"),
    Column("faithful", "faithful", "share with a correct answer and every step valid"),
    Column("truncated", "truncated", "share that reached the length limit"),
    Column("response_tokens", "response tokens", "mean tokens of a completion"),
    Column("ops_per_step", "ops / step", "mean operations of a valid step"),
    Column("training_tokens", "data tokens", "of the distinct training examples, each counted once"),
    Column("flops", "FLOPs", "training compute"),
    Column("seconds", "seconds", "training time"),
)
MOST_ROWS = 1000
"""The most rows of the table on the page; the CSV form has all."""
FILTERS = ("split", "n_ops", "order", "stage")
"""Fields of `CellRow` by which the table can be filtered."""


class CellTable(NamedTuple):
    """All measurements."""

    columns: list[Column]
    rows: list[CellRow]
    """At most `MOST_ROWS`."""
    total: int
    """The number of all rows."""
    filters: list[tuple[str, list[str]]]
    """(field, its values), for fields with several values."""


def cells(data: ReportData) -> CellTable:
    """The table of all measurements."""
    columns = [c for c in COLUMNS if not c.shared or len({getattr(row, c.key) for row in data.cells}) > 1]
    values = {key: {str(getattr(row, key)) for row in data.cells} for key in FILTERS}
    filters = [(key, sorted(v, key=_by_number)) for key, v in values.items() if len(v) > 1]
    rows = data.cells
    if len(rows) > MOST_ROWS:  # First the rows that sum up a run on its test problems.
        rows = sorted(rows, key=lambda row: (row.n_ops != "all", row.split != "test"))[:MOST_ROWS]
    return CellTable(columns, rows, len(data.cells), filters)


def _by_number(value: str) -> tuple[int, int, str]:
    """Words first, then numbers by size."""
    return (0, int(value), value) if value.isdecimal() and value.isascii() else (-1, 0, value)


def settings(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Settings as (name, value); nested names are joined with dots."""
    return list(_flat(values))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{key}", ", ".join(str(item) for item in value) or "–"
        else:
            yield f"{prefix}{key}", "–" if value is None or value == "" or value == {} else value
