"""The page of a comparison, as Markdown or as one HTML file that needs no other file. It has no times and no names of
machines, so the same results give the same page."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .. import __version__
from ..evaluation.intervals import Estimate
from ..files.escape import markdown_code, markdown_text, visible
from ..train.config import LARGE
from .config import TrainOptions
from .results import Cell
from .table import TableRow, Trained, accuracy_of


class Heading(NamedTuple):
    text: str
    level: int = 2


class Paragraph(NamedTuple):
    """Plain text with `code`, which no text from outside may be in."""

    text: str


class Table(NamedTuple):
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Code(NamedTuple):
    text: str


class Chart(NamedTuple):
    """Points of (name, tokens, share, on the front); Markdown has none."""

    points: Sequence[tuple[str, float, float, bool]]
    x: str
    y: str


Block = Heading | Paragraph | Table | Code | Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that the page shows."""

    rows: Sequence[TableRow]
    reference: str
    """The name of the reference."""
    reference_mean: float
    """Mean tokens of its completions."""
    counted: str
    """What counts the tokens of the data."""
    command: str = ""
    training: TrainOptions | None = None
    """None without training."""
    base: Cell | None = None
    cells: Sequence[Cell] = ()
    """Of all runs."""
    questions: int = 0
    """Of the test file."""
    test_sha256: str = ""
    base_identity: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON values (docs/compare.md)."""
        made: dict[str, Any] = {"reference": self.reference, "counted": self.counted}
        if self.base:
            made["base"] = {"accuracy": accuracy_of([self.base["correct"]])._asdict(), "model": self.base_identity}
            made["questions"] = self.questions
        return {**made, "rows": [row.plain() for row in self.rows]}


def blocks(made: Comparison) -> list[Block]:
    """The content of the page."""
    return [
        Heading("Compression methods compared", 1),
        Paragraph(_summary(made)),
        _chart(made),
        *([_trained_table(made)] if made.base else []),
        *([Heading("The data")] if made.base else []),
        _data_table(made),
        Paragraph(_data_note(made)),
        Heading("Pareto front"),
        Paragraph(_front(made)),
        Heading("How it was made"),
        Code(made.command),
        *_settings(made),
        Heading("Add a row"),
        Paragraph(
            "Write the solutions of the same questions to a file of records: with `zipthought compress`, `generate`, "
            "`sample` or `mix`, or with any program that writes a question, a solution and an answer. Run the command "
            "above with the file as one more argument, as FILE or NAME=FILE."
            + (
                " Only its own runs are trained: the results of the other rows are in the file of results beside this "
                "page. Their digests must be those above."
                if made.base
                else ""
            )
        ),
    ]


def _summary(made: Comparison) -> str:
    options = made.training
    text = f"Made by zipthought {__version__} (`zipthought compare`)."
    if not options or not made.base:
        return f"{text} Each row is a file of solutions. No model was trained."
    seeds = len(options.seeds)
    base = accuracy_of([made.base["correct"]])
    noise = (
        f"the mean of {seeds} seeds with its 95% interval (Student's t over seeds, from a bootstrap over seeds and "
        "then questions)"
        if seeds > 1
        else "of one seed, with Wilson's 95% interval over questions: it leaves the noise between seeds out"
    )
    is_tiny = made.cells[0]["parameters"] < LARGE
    small = (
        "The comparison is small: a tiny model, which need not rank methods as a large one does. " if is_tiny else ""
    )
    few = " With two seeds t is 12.7, so the intervals are wide." if seeds == 2 else ""
    return (
        f"{text} Each row is a file of solutions. SFT on it started from the same base "
        f"({_millions(made.cells)} parameters) and saw {options.budget_tokens:,} training tokens, prompts included. "
        f"Accuracy is that on {made.questions:,} test questions, answered greedily; it is {noise}.{few} The base has "
        f"{_interval(base)} before SFT. {small}These are figures of this base and these data, and of no others."
    )


def _millions(cells: Sequence[Cell]) -> str:
    return f"{cells[0]['parameters'] / 1e6:,.1f}M"


def _trained_table(made: Comparison) -> Table:
    columns = ["row", "accuracy (95%)", "faithful (95%)", "tokens of an answer", "cut off", "tokens saved in the data"]
    columns += ["front", "examples", "epochs", "updates", "tokens seen", "left out"]
    rows = []
    for row in made.rows:
        t = row.trained
        if t is None:
            continue
        rows.append(
            [
                *(row.name, _interval(t.accuracy), _interval(t.faithful), f"{t.response_tokens:.1f}"),
                *(_share(t.truncated), _share(row.saved), "yes" if row.front else ""),
                *(f"{t.examples:,}", f"{t.epochs:.2f}", f"{t.updates:,.0f}", f"{t.tokens:,.0f}", _left_out(t)),
            ]
        )
    return Table(columns, rows)


def _left_out(trained: Trained) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in trained.left_out.items()) or "0"


def _data_table(made: Comparison) -> Table:
    columns = ["row", "records", "shared questions", "tokens of a solution", "tokens saved", "p10 to p90", "right"]
    columns += ["verified", "readable", *([] if made.base else ["front"])]
    rows = []
    for row in made.rows:
        spread = "-" if row.saved_p10 is None else f"{_share(row.saved_p10)} to {_share(row.saved_p90)}"
        rows.append(
            [
                *(row.name, f"{row.records:,}", f"{row.shared:,}", f"{row.mean_tokens:.1f}", _share(row.saved), spread),
                *(_share(row.right), _share(row.verified), _share(row.readable)),
                *([] if made.base else ["yes" if row.front else ""]),
            ]
        )
    return Table(columns, rows)


def _data_note(made: Comparison) -> str:
    unjudged = [f"{row.unjudged:,} of {_named(row.name)}" for row in made.rows if row.unjudged]
    return (
        f"Tokens are counted by {_named(made.counted)}, in completions alone. Tokens saved: 1 - tokens / tokens of the "
        f"reference ({_named(made.reference)}, {made.reference_mean:.1f} tokens a solution) over all questions that "
        "both files have; p10 and p90 are those of single questions. Right: the final answer is right. Verified: it is "
        "right, every step is valid, and the steps lead to it; an answer alone claims no step. Readable: everything "
        "that looks like a step was read, and the final answer too."
        + (f" Without a verdict, and so neither right nor verified: {', '.join(unjudged)} records." if unjudged else "")
    )


def _front(made: Comparison) -> str:
    names = ", ".join(_named(row.name) for row in made.rows if row.front) or "no row"
    what = "accuracy and tokens of an answer" if made.base else "verified share and tokens"
    return (
        f"On the front: {names}. No other row is at least as good in {what}, and better in one of the two. The front "
        "compares the values alone; where intervals overlap, the order may be chance."
        + ("" if made.base else " An answer alone claims no step, so without training it stands before longer texts.")
    )


def _settings(made: Comparison) -> list[Block]:
    found: list[Block] = []
    if made.training and made.base:
        recipe = {**made.training.recipe(), "learning_rate": made.cells[0]["learning_rate"]}
        recipe |= {"max_new_tokens": made.base["limit"], "seeds": " ".join(map(str, made.training.seeds))}
        versions = sorted({cell["version"] for cell in [made.base, *made.cells]})
        recipe |= {"zipthought of the runs": ", ".join(versions), "model": made.training.model}
        recipe["devices"] = ", ".join(sorted({cell["device"] for cell in made.cells}))
        found.append(Table(["setting", "value"], [[name, str(value)] for name, value in recipe.items()]))
    digests = [[row.name, row.file, row.sha256] for row in made.rows]
    if made.training and made.base:
        digests.append(["test questions", str(made.training.test), made.test_sha256])
        digests.append(["base", made.training.model, made.base_identity])
    return [*found, Table(["row", "file", "sha256 of its records"], digests)]


def _chart(made: Comparison) -> Chart:
    points = [(row.name, row.point[1], row.point[0], row.front) for row in made.rows if row.point]
    if made.base:
        return Chart(points, "tokens of an answer", "accuracy")
    return Chart(points, "tokens over those of the reference", "verified share")


def _named(text: str) -> str:
    """A name in a paragraph, where it is never code."""
    return text.replace("`", "'")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def markdown(made: Comparison) -> str:
    """The page as Markdown."""
    parts = []
    for block in blocks(made):
        match block:
            case Heading(text, level):
                parts.append(f"{'#' * level} {text}")
            case Paragraph(text):
                parts.append("".join(_pieces(text, markdown_text, "`{}`")))
            case Table(columns, rows):
                lines = [columns, ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
                parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
            case Code(text):
                parts.append(markdown_code(text, "sh"))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text if re.fullmatch(r"[\d.,() to-]*", text) else markdown_text(text)


def _pieces(text: str, escape: Any, code: str) -> list[str]:
    """The parts of a text, each escaped, and `code` in its form."""
    parts = re.split(r"`([^`]*)`", visible(text))
    # markdown_text drops blanks at the ends.
    return [
        code.format(html.escape(part) if escape is _escape else part)
        if index % 2
        else f"{' ' * part.startswith(' ')}{escape(part)}{' ' * (part.endswith(' ') and len(part) > 1)}"
        for index, part in enumerate(parts)
    ]


_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1d2127}
table{border-collapse:collapse;display:block;overflow-x:auto;margin:1rem 0}
th,td{border:1px solid #dcd8cf;padding:.3rem .6rem;text-align:left;vertical-align:top}
pre{background:#f3f1ec;padding:1rem;overflow-x:auto}td{overflow-wrap:anywhere}
"""


def page(made: Comparison) -> str:
    """The page as HTML, with a chart."""
    parts = []
    for block in blocks(made):
        match block:
            case Heading(text, level):
                parts.append(f"<h{level}>{_escape(text)}</h{level}>")
            case Paragraph(text):
                parts.append(f"<p>{''.join(_pieces(text, _escape, '<code>{}</code>'))}</p>")
            case Table(columns, rows):
                head = "".join(f"<th>{_escape(column)}</th>" for column in columns)
                body = "".join(f"<tr>{''.join(f'<td>{_escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
                parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>")
            case Code(text):
                parts.append(f"<pre>{html.escape(visible(text))}</pre>")
            case Chart():
                parts.append(_svg(block))
    title = "<title>zipthought: compression methods compared</title>"
    head = f'<meta charset="utf-8">{title}<style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _escape(text: str) -> str:
    return html.escape(visible(text))


def _svg(chart: Chart) -> str:
    """The chart: tokens to the right, shares from 0 to 1 upwards; filled points are on the front."""
    width, height, left, low = 640, 360, 60, 310
    most = max((x for _, x, _, _ in chart.points), default=1) * 1.25 or 1
    parts = [f'<path d="M{left} 20V{low}H{width - 10}" fill="none" stroke="#5c636d"/>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text x="{left - 6}" y="{low - share * 280 + 4:.1f}" text-anchor="end">{share:g}</text>')
    for part in (0, 0.25, 0.5, 0.75, 1):
        x = left + part * (width - left - 20)
        parts.append(f'<text x="{x:.1f}" y="{low + 18}" text-anchor="middle">{part * most:.3g}</text>')
    for index, (name, tokens, share, front) in enumerate(sorted(chart.points, key=lambda point: point[1])):
        x, y = left + tokens / most * (width - left - 20), low - share * 280
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" stroke="#0b62a4" fill="{"#0b62a4" if front else "#fff"}"/>'
        )
        below = 4 + index % 3 * 14  # Names of neighbours stand under each other.
        parts.append(f'<text x="{x + 9:.1f}" y="{y + below:.1f}">{_escape(name)}</text>')
    parts.append(f'<text x="{(left + width) / 2}" y="{height - 8}" text-anchor="middle">{_escape(chart.x)}</text>')
    parts.append(f'<text x="4" y="12">{_escape(chart.y)}</text>')
    label = _escape(f"{chart.y} by {chart.x}; filled points are on the Pareto front")
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" font-size="12" font-family="system-ui,sans-serif" '
        f'role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


__all__ = ["Comparison", "blocks", "markdown", "page"]
