"""Files of judged completions: Parquet, one column for each field of `JudgedCompletion`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def read_completions(path: Path | str) -> list[JudgedCompletion]:
    """The completions of a file that `write_completions` wrote.

    Raises `OSError` if there is no such file, and `ValueError` if a column or pyarrow is missing.
    """
    return [JudgedCompletion.from_plain(row) for row in import_parquet().read_table(path).to_pylist()]


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


__all__ = ["read_completions", "write_completions"]
