"""Writers of rows: JSON Lines, or Parquet with the schema of its first rows."""

from __future__ import annotations

import json
from typing import IO, Any

from ...files.parquet import import_parquet

BATCH = 1024
"""Rows that are held in memory for a Parquet file."""
BATCH_CHARACTERS = 1 << 26
"""Characters of text that are held in memory; a single row may have more."""


class JsonlWriter:
    """A row on each line. Raises `ValueError` for a row that JSON cannot hold."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, row: dict[str, Any], where: str) -> None:
        """Write a row; `where` is the file and line of its record, for messages."""
        try:
            text = json.dumps(row, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{where}: not possible in JSON: {error}") from error
        self._file.write(f"{text}\n".encode())

    def close(self) -> None:
        self._file.flush()


class ParquetWriter:
    """Row groups of `BATCH` rows. The schema is that of the first group; columns that are all null there are integers.

    Raises `ValueError` where pyarrow is missing, and naming the first row that does not fit the rows before it.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._parquet, self._file = import_parquet(), file
        self._rows: list[dict[str, Any]] = []
        self._places: list[str] = []
        self._characters = 0
        self._writer: Any = None

    def write(self, row: dict[str, Any], where: str) -> None:
        """Write a row; `where` is the file and line of its record, for messages."""
        self._rows.append(row)
        self._places.append(where)
        self._characters += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(self._rows) >= BATCH or self._characters >= BATCH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        table = self._table(len(self._rows))
        if isinstance(table, Exception):
            fits, fails = 0, len(self._rows)
            while fails - fits > 1:  # Look for the longest beginning that fits.
                middle = (fits + fails) // 2
                tried = self._table(middle)
                if isinstance(tried, Exception):
                    fails, table = middle, tried
                else:
                    fits = middle
            raise ValueError(f"{self._places[fits]}: not possible in Parquet after the rows before it: {table}")
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)
        self._rows, self._places, self._characters = [], [], 0

    def _table(self, count: int) -> Any:
        """The first rows as a table, or the exception that says why they are none."""
        import pyarrow

        try:
            table = pyarrow.Table.from_pylist(self._rows[:count], schema=self._writer.schema if self._writer else None)
            return table if self._writer else table.cast(_without_nulls(table.schema))
        except (pyarrow.ArrowException, ValueError, TypeError, OverflowError, RecursionError) as error:
            return error

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
        if pyarrow.types.is_struct(kind) and not kind.num_fields:
            raise ValueError("an object without fields has no column; remove it")
        if pyarrow.types.is_struct(kind):
            return pyarrow.struct([field.with_type(replace(field.type)) for field in kind])
        if pyarrow.types.is_list(kind):
            return pyarrow.list_(replace(kind.value_type))
        return kind

    return pyarrow.schema([field.with_type(replace(field.type)) for field in schema])
