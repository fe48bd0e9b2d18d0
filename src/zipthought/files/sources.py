"""Streams of records from JSON Lines, JSON, Parquet and Hugging Face dataset directories.

Each item is a `SourceItem`, the text of one record before parsing. The original text of a broken record is thus known.
A JSON array is read element by element, Parquet and Arrow batch by batch, so memory does not grow with the file. Of
Parquet and Arrow only the columns that the caller names are read.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .parquet import BadRow, chosen_columns, import_parquet, read_rows, rows_of

CHUNK = 1 << 20
"""Characters of a JSON array to read at a time."""
_BETWEEN = tuple(" \t\r\n,")
_ARROW_TYPES = (".parquet", ".arrow")
FILE_TYPES = (".jsonl", ".ndjson", ".json", *_ARROW_TYPES)


class SourceItem(NamedTuple):
    """One record of a source file."""

    number: int
    """The number of its line, element or row in the source, from 1."""
    text: bytes
    """The text in the file; for Parquet and Arrow, the row as JSON."""


def read_source(path: Path, columns: Collection[str] = ()) -> Iterator[SourceItem]:
    """The items of a file or of a dataset directory. Rows of Parquet and Arrow have `columns` alone, or all columns
    where none is named.

    Raises `OSError` for a file that cannot be opened, and `ValueError` for an unknown suffix, a directory without data
    files, a missing pyarrow, and a Parquet or Arrow file that is broken or has none of the columns.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in _ARROW_TYPES)
        if not files:
            raise ValueError(f"{path} holds no .arrow and no .parquet files; give a data file or a dataset directory")
    else:
        files = [path]
    texts = itertools.chain.from_iterable(_read_file(file, columns) for file in files)
    yield from itertools.starmap(SourceItem, enumerate(texts, 1))


def _read_file(path: Path, columns: Collection[str]) -> Iterator[bytes]:
    if path.suffix not in FILE_TYPES:
        raise ValueError(f"{path}: unknown file type; use {', '.join(FILE_TYPES)} or a dataset directory")
    if path.suffix in _ARROW_TYPES:
        rows = read_rows(path, columns) if path.suffix == ".parquet" else _arrow_rows(path, columns)
        yield from map(_row_text, rows)
    elif path.suffix == ".json":
        yield from _elements(path)
    else:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _row_text(row: dict[str, Any] | BadRow) -> bytes:
    """A row as JSON. Bytes of a bad row that are not UTF-8 stand in it as they are."""
    if isinstance(row, BadRow):
        return json.dumps(row.cells, default=str, ensure_ascii=False).encode(errors="surrogateescape")
    return json.dumps(row, default=str).encode()


def _arrow_rows(path: Path, columns: Collection[str]) -> Iterator[dict[str, Any] | BadRow]:
    """The rows of a file in Arrow's streaming format, in which Hugging Face saves datasets."""
    import_parquet()  # Raises where pyarrow is missing.
    import pyarrow

    with path.open("rb") as file:
        try:
            stream = pyarrow.ipc.open_stream(file)
            chosen = chosen_columns(path, stream.schema.names, columns)
            for batch in stream:
                yield from rows_of(batch.select(chosen))
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not an Arrow stream, or is damaged: {error}") from error


def _elements(path: Path) -> Iterator[bytes]:
    """The text of each element of a JSON array, or of the whole file if it is not an array.

    The rest of the file from a broken element on, or after the array, is one element.
    """
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)  # Any number of digits: only the end is wanted.
    with path.open("r", encoding="utf-8-sig", errors="surrogateescape") as file:
        buffer = file.read(CHUNK).lstrip()
        if not buffer.startswith("["):
            text = buffer + file.read()
            if text.strip():
                yield text.encode(errors="surrogateescape")
            return
        start, step = 1, CHUNK
        while True:
            while buffer[start : start + 1] in _BETWEEN:
                start += 1
            if buffer.startswith("]", start):
                rest = buffer[start:] + file.read()
                if rest[1:].strip():
                    yield rest.encode(errors="surrogateescape")  # The bracket makes it invalid JSON.
                return
            try:
                _, end = decoder.raw_decode(buffer, start)
                whole = end < len(buffer)  # A number may continue in the next chunk.
            except (json.JSONDecodeError, RecursionError):
                whole = False
            if whole:
                yield buffer[start:end].encode(errors="surrogateescape")
                start, step = end, CHUNK
                continue
            more = file.read(step)
            step *= 2  # Parsing a long element again after each chunk of one size would take quadratic time.
            if not more:
                if buffer[start:].strip():
                    yield buffer[start:].encode(errors="surrogateescape")
                return
            buffer, start = buffer[start:] + more, 0
