"""Streams of records from JSON Lines, JSON, CSV, Parquet, lines of text, and Hugging Face dataset directories.

Each item is a `SourceItem`, the text of one record before parsing. The original text of a broken record is thus known.
A JSON array is read element by element, Parquet and Arrow batch by batch, so memory does not grow with the file. Of
Parquet and Arrow only the columns that the caller names are read. Text may be compressed by gzip or Zstandard.

A line of a `.txt` file is `question||steps #### answer`, the layout of data for internalized chains of thought (Deng
et al. 2024).
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import zlib
from collections.abc import Collection, Iterable, Iterator
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

from .hub import is_hub, read_hub
from .parquet import BadRow, chosen_columns, import_parquet, read_rows, rows_of

CHUNK = 1 << 20
"""Characters of a JSON array to read at a time."""
_BLANKS = tuple(" \t\r\n")
_BETWEEN = (*_BLANKS, ",")
_ARROW_TYPES = (".parquet", ".arrow")
_LINES = (".jsonl", ".ndjson")
_TEXT_TYPES = (*_LINES, ".json", ".csv", ".txt")
_COMPRESSED = (".gz", ".zst")
_OF_RECORDS = frozenset(("question", "problem", "prompt", "instruction", "query"))
"""Fields that a record has, and a file of records under a key has not."""
FILE_TYPES = (*_TEXT_TYPES, *_ARROW_TYPES)


class SourceItem(NamedTuple):
    """One record of a source file."""

    number: int
    """The number of its line, element or row in the source, from 1."""
    text: bytes
    """The text in the file; for Parquet, Arrow, CSV and `question||steps`, the row as JSON."""


def is_data_file(path: Path) -> bool:
    """Whether a path has the suffix of a data file, compressed or not."""
    return path.suffix in FILE_TYPES or path.suffix in _COMPRESSED


def read_source(path: Path, columns: Collection[str] = ()) -> Iterator[SourceItem]:
    """The items of a file, of a dataset directory, or of a dataset of the Hugging Face Hub (``hf:org/name``). Rows of
    Parquet, Arrow and the hub have `columns` alone, or all columns where none is named.

    Raises `OSError` for a file that cannot be opened, and `ValueError` for an unknown suffix, a directory without data
    files, a missing package, a Parquet or Arrow file that is broken or has none of the columns, and a dataset that
    cannot be loaded.
    """
    if is_hub(path):
        yield from itertools.starmap(SourceItem, enumerate(map(_row_text, read_hub(path, columns)), 1))
        return
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in _ARROW_TYPES)
        if not files:
            raise ValueError(f"{path} holds no .arrow and no .parquet files; give a data file or a dataset directory")
    else:
        files = [path]
    texts = itertools.chain.from_iterable(_read_file(file, columns) for file in files)
    yield from itertools.starmap(SourceItem, enumerate(texts, 1))


def _read_file(path: Path, columns: Collection[str]) -> Iterator[bytes]:
    kind = path.with_suffix("").suffix if path.suffix in _COMPRESSED else path.suffix
    if kind not in FILE_TYPES or (kind in _ARROW_TYPES and kind != path.suffix):
        known = f"{', '.join(FILE_TYPES)}, or text with {' or '.join(_COMPRESSED)}"
        raise ValueError(f"{path}: unknown file type; use {known}, or a dataset directory")
    if kind in _ARROW_TYPES:
        rows = read_rows(path, columns) if kind == ".parquet" else _arrow_rows(path, columns)
        yield from map(_row_text, rows)
        return
    with _open(path) as file:
        damage = (EOFError, OSError, zlib.error) if path.suffix in _COMPRESSED else ()
        try:
            yield from _READERS[kind](file)
        except damage as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def _open(path: Path) -> BufferedReader:
    """The bytes of a file, decompressed. Raises `ValueError` where pyarrow is needed and missing."""
    if path.suffix == ".gz":
        return BufferedReader(gzip.open(path, "rb"))
    if path.suffix == ".zst":
        import_parquet()  # Raises where pyarrow is missing.
        import pyarrow

        with path.open("rb"):  # Raises as for other files.
            return BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def _lines(file: Iterable[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(file, 1):
        yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _csv_rows(file: BufferedReader) -> Iterator[bytes]:
    """The rows of a CSV file with a head, as JSON. Cells that a row lacks are left out."""
    csv.field_size_limit(CHUNK << 4)
    text = TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        for row in csv.DictReader(text):
            cells = {key: value for key, value in row.items() if isinstance(key, str) and value is not None}
            yield json.dumps(cells, ensure_ascii=False).encode(errors="surrogateescape")
    except csv.Error as error:
        raise ValueError(f"broken CSV: {error}") from error


def _piped_lines(file: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of `question||steps #### answer`, as JSON. Another line stays as it is, and is then no record."""
    for line in _lines(file):
        question, mark, rest = line.strip().partition(b"||")
        if not mark:
            yield line
            continue
        steps, _, answer = rest.rpartition(b"####")
        cells = {"question": question, "solution": steps or rest, "answer": answer if steps else b""}
        texts = {key: value.decode(errors="surrogateescape").strip() for key, value in cells.items() if value}
        yield json.dumps(texts, ensure_ascii=False).encode(errors="surrogateescape")


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


def _elements(file: BufferedReader) -> Iterator[bytes]:
    """The text of each element of a JSON array, or of each value of a file that is not an array. If the only value is
    an object with lists of records under its keys, these are the elements.

    The rest of the file from a broken value on, or after the array, is one element.
    """
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)  # Any number of digits: only the end is wanted.
    text = TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape")
    buffer = text.read(CHUNK).lstrip()
    is_array = buffer.startswith("[")
    start, step, is_first = int(is_array), CHUNK, True
    while True:
        while buffer[start : start + 1] in (_BETWEEN if is_array else _BLANKS):
            start += 1
        if is_array and buffer.startswith("]", start):
            rest = buffer[start:] + text.read()
            if rest[1:].strip():
                yield rest.encode(errors="surrogateescape")  # The bracket makes it invalid JSON.
            return
        try:
            _, end = decoder.raw_decode(buffer, start)
            whole = end < len(buffer)  # A number may continue in the next chunk.
        except (json.JSONDecodeError, RecursionError):
            whole = False
        if whole:
            if is_first and not is_array and not buffer[end:].strip() and (rows := _under_keys(buffer[start:end])):
                yield from rows
            else:
                yield buffer[start:end].encode(errors="surrogateescape")
            start, step, is_first = end, CHUNK, False
            continue
        more = text.read(step)
        step *= 2  # Parsing a long element again after each chunk of one size would take quadratic time.
        if not more:
            if rest := buffer[start:].strip():
                rows = _under_keys(rest) if is_first and not is_array else []
                yield from rows or [rest.encode(errors="surrogateescape")]
            return
        buffer, start = buffer[start:] + more, 0


def _under_keys(text: str) -> list[bytes]:
    """The objects in the lists that an object has under its keys (``{"version": 1, "data": [...]}``). None if it is a
    record itself: it has a question, or its objects are the turns of a dialogue."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(value, dict) or not _OF_RECORDS.isdisjoint(value):
        return []
    lists = [rows for rows in value.values() if isinstance(rows, list) and all(isinstance(row, dict) for row in rows)]
    rows = [row for rows in lists for row in rows]
    return [] if any("role" in row or "from" in row for row in rows) else [json.dumps(row).encode() for row in rows]


_READERS = {**dict.fromkeys(_LINES, _lines), ".json": _elements, ".csv": _csv_rows, ".txt": _piped_lines}
