"""Streams of records from JSON Lines, JSON, Parquet and Hugging Face dataset directories.

Each item is a `SourceItem`, the text of one record before parsing. The original text of a broken record is thus known.
A JSON array is read element by element, Parquet and Arrow batch by batch, so memory does not grow with the file.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .parquet import import_parquet

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


def read_source(path: Path) -> Iterator[SourceItem]:
    """The items of a file or of a dataset directory.

    Raises `OSError` for a file that cannot be opened, and `ValueError` for an unknown suffix, a directory without data
    files, a broken Parquet or Arrow file, and a missing pyarrow.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in _ARROW_TYPES)
        if not files:
            raise ValueError(f"{path} holds no .arrow and no .parquet files; give a data file or a dataset directory")
    else:
        files = [path]
    texts = itertools.chain.from_iterable(map(_read_file, files))
    yield from itertools.starmap(SourceItem, enumerate(texts, 1))


def _read_file(path: Path) -> Iterator[bytes]:
    if path.suffix not in FILE_TYPES:
        raise ValueError(f"{path}: unknown file type; use {', '.join(FILE_TYPES)} or a dataset directory")
    if path.suffix in _ARROW_TYPES:
        yield from (json.dumps(row, default=str).encode() for row in _rows(path))
    elif path.suffix == ".json":
        yield from _elements(path)
    else:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    parquet = import_parquet()
    import pyarrow

    with path.open("rb") as file:
        try:
            if path.suffix == ".parquet":
                batches = parquet.ParquetFile(file).iter_batches(batch_size=1024)
            else:  # Hugging Face saves datasets in Arrow's streaming format.
                batches = pyarrow.ipc.open_stream(file)
        except ValueError as error:  # pyarrow.ArrowInvalid is one.
            raise ValueError(f"{path} is not {path.suffix[1:]}: {error}") from error
        for batch in batches:
            yield from batch.to_pylist()


def _elements(path: Path) -> Iterator[bytes]:
    """The text of each element of a JSON array, or of the whole file if it is not an array.

    The rest of the file from a broken element on, or after the array, is one element.
    """
    decoder = json.JSONDecoder()
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
