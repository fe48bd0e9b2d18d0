"""Output of commands: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..files.escape import visible


class _Console(Console):
    """A console that shows control characters of its texts instead of obeying them."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(visible(item) if isinstance(item, str) else item for item in objects), **options)


console = _Console(stderr=True, emoji=False)


def progress() -> Progress:
    """A progress bar with counts, elapsed time and time left. It is disabled if standard error is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )


def count_lines(path: Path) -> int | None:
    """The number of lines of a JSON Lines file, for a progress bar. None for other files, or without a bar.

    Raises `OSError` as `open` does.
    """
    if not console.is_terminal or path.suffix not in (".jsonl", ".ndjson") or not path.is_file():
        return None
    with path.open("rb") as file:
        return sum(1 for _ in file)


def echo(text: object) -> None:
    """Print one line on standard output. Control characters are shown, not obeyed."""
    print(visible(text))


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value, allow_nan=False))


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows with equal columns as a table on standard output. Paths are never cut off, in the title either."""
    table = Table()
    for column in rows[0] if rows else []:
        table.add_column(
            visible(column), justify="left" if isinstance(rows[0][column], str) else "right", overflow="fold"
        )
    for row in rows:
        table.add_row(*("-" if v is None else f"{v:.3f}" if isinstance(v, float) else visible(v) for v in row.values()))
    out = _Console(markup=False, highlight=False, emoji=False)
    out.print(title, style="italic", soft_wrap=True)
    out.print(table)
