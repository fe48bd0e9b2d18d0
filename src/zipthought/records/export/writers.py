"""Writers of rows: JSON Lines, or Parquet with the schema of its first rows."""

from __future__ import annotations

import json
from typing import IO, Any

from ...files.parquet import import_parquet

BATCH = 1024
"""Rows that are held in memory for a Parquet file."""


class JsonlWriter:
    """A row on each line."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, row: dict[str, Any]) -> None:
        self._file.write(f"{json.dumps(row)}\n".encode())

    def close(self) -> None:
        self._file.flush()


class ParquetWriter:
    """Row groups of `BATCH` rows. The schema is that of the first group; columns that are all null there are integers.

    Raises `ValueError` where pyarrow is missing.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._parquet, self._file = import_parquet(), file
        self._rows: list[dict[str, Any]] = []
        self._writer: Any = None

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if not self._rows:
            return
        table = pyarrow.Table.from_pylist(self._rows, schema=self._writer.schema if self._writer else None)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._file, _without_nulls(table.schema))
            table = table.cast(self._writer.schema)
        self._writer.write_table(table)
        self._rows = []

    def close(self) -> None:
        self._flush()
        if self._writer:
            self._writer.close()


def _without_nulls(schema: Any) -> Any:
    """The schema with integers, such as a modulus is, for the types that are null in all rows."""
    import pyarrow

    def replace(kind: Any) -> Any:
        if pyarrow.types.is_null(kind):
            return pyarrow.int64()
        if pyarrow.types.is_struct(kind):
            return pyarrow.struct([field.with_type(replace(field.type)) for field in kind])
        return kind

    return pyarrow.schema([field.with_type(replace(field.type)) for field in schema])
