"""Files of judged completions: Parquet, one column for each field of `JudgedCompletion`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ..files.atomic import atomic_open
from ..files.parquet import import_parquet
from .metrics import JudgedCompletion


def write_completions(completions: Sequence[JudgedCompletion], path: Path | str) -> None:
    """Write a Parquet file atomically. Raises `ValueError` if pyarrow is missing."""
    parquet = import_parquet()
    import pyarrow

    table = pyarrow.Table.from_pylist([c.plain() for c in completions], schema=_schema(pyarrow))
    with atomic_open(Path(path)) as file:
        parquet.write_table(table, file, compression="zstd")


def read_completions(source: Path | str | IO[bytes]) -> list[JudgedCompletion]:
    """The completions of a file that `write_completions` wrote.

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


def _schema(pa: Any) -> Any:
    kinds = {
        "n_ops": pa.int32(),
        "index": pa.int64(),
        "sample": pa.int32(),
        "structure": pa.string(),
        "surface": pa.string(),
        "prompt": pa.string(),
        "completion": pa.string(),
        "gold": pa.int32(),
        "answer": pa.string(),
        "correct": pa.bool_(),
        "faithful": pa.bool_(),
        "response_tokens": pa.int32(),
        "truncated": pa.bool_(),
        "granularity": pa.list_(pa.int32()),
        "stated": pa.list_(pa.int32()),
        "steps": pa.list_(pa.string()),
    }
    return pa.schema(list(kinds.items()))


__all__ = ["read_columns", "read_completions", "write_completions"]
