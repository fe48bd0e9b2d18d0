"""Writers of rows: JSON Lines, a JSON array, lines of text, or Parquet with the schema of its first rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO, Any, Protocol

from ...files.parquet import import_parquet

BATCH = 1024
"""Rows that are held in memory for a Parquet file."""
BATCH_CHARACTERS = 1 << 26
"""Characters of text that are held in memory; a single row may have more."""


class RowWriter(Protocol):
    """Writes the rows of a data file, the last of them when it is closed."""

    def write(self, row: dict[str, Any], where: str) -> None:
        """Write a row; `where` is the file and line of its record, for messages."""

    def close(self) -> None: ...


class JsonlWriter:
    """A row on each line. Raises `ValueError` for a row that JSON cannot hold."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, row: dict[str, Any], where: str) -> None:
        self._file.write(_json(row, where) + b"\n")

    def close(self) -> None:
        self._file.flush()


class JsonWriter:
    """One array, a row on each line. Raises `ValueError` for a row that JSON cannot hold."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._before = file, b"[\n"

    def write(self, row: dict[str, Any], where: str) -> None:
        self._file.write(self._before + _json(row, where))
        self._before = b",\n"

    def close(self) -> None:
        self._file.write(b"\n]\n")


class TextWriter:
    """The `text` of each row on a line of its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, row: dict[str, Any], where: str) -> None:
        self._file.write(f"{row['text']}\n".encode())

    def close(self) -> None:
        self._file.flush()


def _json(row: dict[str, Any], where: str) -> bytes:
    try:
        return json.dumps(row, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not possible in JSON: {error}") from error


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


WRITERS: dict[str, Callable[[IO[bytes]], RowWriter]] = {
    "jsonl": JsonlWriter,
    "json": JsonWriter,
    "txt": TextWriter,
    "parquet": ParquetWriter,
}
"""File type -> the writer of a file."""
