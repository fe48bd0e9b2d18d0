"""Where the records of a format go: a JSON Lines file, or a Parquet file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import IO, Protocol

from ..core.methods import Method
from ..files.parquet import import_parquet
from ..records.schema import arrow_schema

FILE_TYPES = ("jsonl", "parquet")
CHUNK = 1 << 20
"""Bytes that are written at a time."""
ROW_GROUP = 4096
"""Records in a row group of a Parquet file."""


class Sink(Protocol):
    """Takes blocks of whole lines of JSON."""

    def write(self, block: bytes) -> None: ...

    def close(self) -> None: ...


class JsonlSink:
    """Joins blocks to chunks, since few large writes are faster than many small ones."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._blocks: list[bytes] = []
        self._size = 0

    def write(self, block: bytes) -> None:
        self._blocks.append(block)
        self._size += len(block)
        if self._size >= CHUNK:
            self.close()

    def close(self) -> None:
        self._file.write(b"".join(self._blocks))
        self._blocks, self._size = [], 0


class ParquetSink:
    """Writes a row group for every `ROW_GROUP` records."""

    def __init__(self, file: IO[bytes], method: Method) -> None:
        parquet = import_parquet()
        import pyarrow.json

        schema = arrow_schema(with_parameter="parameter" in method.fields(1))
        self._read = pyarrow.json.read_json
        self._options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
        self._writer = parquet.ParquetWriter(file, schema)
        self._blocks: list[bytes] = []
        self._rows = 0

    def write(self, block: bytes) -> None:
        self._blocks.append(block)
        self._rows += block.count(b"\n")
        if self._rows >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            lines = io.BytesIO(b"".join(self._blocks))
            self._writer.write_table(self._read(lines, parse_options=self._options))
        self._blocks, self._rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


def make_sinks(files: Sequence[IO[bytes]], methods: Sequence[Method], file_type: str) -> list[Sink]:
    """A sink for each file. Raises `ValueError` where pyarrow is needed and missing."""
    if file_type == "parquet":
        return [ParquetSink(file, method) for file, method in zip(files, methods, strict=True)]
    return [JsonlSink(file) for file in files]
