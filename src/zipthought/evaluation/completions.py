"""Files of judged completions: Parquet or JSON Lines, one column for each field of a completion."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..files.atomic import atomic_open, write_text
from ..files.parquet import import_parquet
from .metrics import COLUMNS, JudgedCompletion

if TYPE_CHECKING:
    from .summary import DataCompletion


FILE_TYPES = (".parquet", ".jsonl")
"""Suffixes of files of completions."""


def write_completions(completions: Sequence[JudgedCompletion] | Sequence[DataCompletion], path: Path | str) -> None:
    """Write a Parquet file, or by its suffix JSON Lines, atomically. Raises `ValueError` if pyarrow is needed and
    missing."""
    path, rows = Path(path), [c.plain() for c in completions]
    if path.suffix == ".jsonl":
        write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))
        return
    parquet = import_parquet()
    import pyarrow

    table = pyarrow.Table.from_pylist(rows, schema=_schema(pyarrow, rows[0] if rows else dict.fromkeys(COLUMNS, 0)))
    with atomic_open(path) as file:
        parquet.write_table(table, file, compression="zstd")


def read_completions(source: Path | str | IO[bytes]) -> list[JudgedCompletion]:
    """The completions of problems in a Parquet file that `write_completions` wrote.

    Raises `OSError` if there is no such file, and `ValueError` if it cannot be read, or if a column or pyarrow is
    missing.
    """
    try:
        return [JudgedCompletion.from_plain(row) for row in _table(source).to_pylist()]
    except TypeError as error:
        raise ValueError(f"a completion has a column of a wrong type: {error}") from error


def read_columns(source: Path | str | IO[bytes], columns: Sequence[str]) -> list[list[Any]]:
    """The values of some columns of such a file. Raises as `read_completions` does."""
    return [column.to_pylist() for column in _table(source, list(columns)).columns]


def _table(source: Path | str | IO[bytes], columns: list[str] | None = None) -> Any:
    parquet = import_parquet()
    import pyarrow

    with contextlib.ExitStack() as stack:
        file = stack.enter_context(Path(source).open("rb")) if isinstance(source, Path | str) else source
        try:
            table = parquet.read_table(file, columns=columns, use_threads=False)  # Small files: threads cost more.
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"a file of completions cannot be read: {error}") from error
    if missing := [name for name in columns or () if name not in table.column_names]:
        raise ValueError(f"a file of completions lacks {', '.join(missing)}; evaluate the model again")
    return table.select(columns) if columns else table


def _schema(pa: Any, row: Mapping[str, Any]) -> Any:
    """The types of the columns of a row. The right answer is a residue, or on the records of a file a text."""
    kinds = {
        "id": pa.string(),
        "number": pa.int64(),
        "n_ops": pa.int32(),
        "index": pa.int64(),
        "sample": pa.int32(),
        "structure": pa.string(),
        "surface": pa.string(),
        "prompt": pa.string(),
        "completion": pa.string(),
        "gold": pa.string() if isinstance(row["gold"], str) else pa.int32(),
        "answer_read": pa.string(),
        "answer": pa.string(),
        "correct": pa.bool_(),
        "faithful": pa.bool_(),
        "response_tokens": pa.int32(),
        "truncated": pa.bool_(),
        "granularity": pa.list_(pa.int32()),
        "stated": pa.list_(pa.int32()),
        "steps": pa.list_(pa.string()),
    }
    return pa.schema([(name, kinds[name]) for name in row])


__all__ = ["FILE_TYPES", "read_columns", "read_completions", "write_completions"]
