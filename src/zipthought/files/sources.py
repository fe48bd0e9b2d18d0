"""Files of solutions that others wrote: JSON Lines, JSON, Parquet and Hugging Face dataset directories, as a stream.

Each item is a `SourceItem`: the place and the text of one record, not parsed yet, so that what cannot be parsed is
still at hand. A JSON array is read element by element, and Parquet and Arrow batch by batch: memory stays flat.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..files.parquet import import_parquet

CHUNK = 1 << 20
"""Characters of a JSON array that are read at a time."""
_BETWEEN = tuple(" \t\r\n,")
FILE_TYPES = (".jsonl", ".ndjson", ".json", ".parquet", ".arrow")


class SourceItem(NamedTuple):
    """One record of a source file."""

    place: int
    """Of the line, the element or the row in its source, from 1."""
    text: bytes
    """As it stands in the file; of Parquet and Arrow, as JSON."""


def read_source(path: Path) -> Iterator[SourceItem]:
    """The items of a file or of a dataset directory.

    Raises `OSError` for what cannot be opened and `ValueError` for a suffix that is not known, a directory without data
    files, a broken Parquet file, or pyarrow missing where it is needed.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in FILE_TYPES[-2:])
        if not files:
            raise ValueError(f"{path} holds no .arrow and no .parquet files; give a data file or a dataset directory")
    else:
        files = [path]
    place = 0
    for file in files:
        for text in _read_file(file):
            place += 1
            yield SourceItem(place, text)


def _read_file(path: Path) -> Iterator[bytes]:
    if path.suffix not in FILE_TYPES:
        raise ValueError(f"{path}: unknown file type; use {', '.join(FILE_TYPES)} or a dataset directory")
    if path.suffix in (".parquet", ".arrow"):
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
            else:  # Hugging Face datasets are saved in Arrow's streaming format.
                batches = pyarrow.ipc.open_stream(file)
        except ValueError as error:  # pyarrow.ArrowInvalid is one.
            raise ValueError(f"{path} is not {path.suffix[1:]}: {error}") from error
        for batch in batches:
            yield from batch.to_pylist()


def _elements(path: Path) -> Iterator[bytes]:
    """The elements of a JSON array, each as it stands in the file; of another JSON value, that value.

    What follows a break in the array, or its end, comes as one element.
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
                    yield rest.encode(errors="surrogateescape")  # With the bracket, so that it is no JSON.
                return
            try:
                _, end = decoder.raw_decode(buffer, start)
                whole = end < len(buffer)  # A number may go on in the next chunk.
            except (json.JSONDecodeError, RecursionError):
                whole = False
            if whole:
                yield buffer[start:end].encode(errors="surrogateescape")
                start, step = end, CHUNK
                continue
            more = file.read(step)
            step *= 2  # So that an element of any length is looked at a bounded number of times.
            if not more:
                if buffer[start:].strip():
                    yield buffer[start:].encode(errors="surrogateescape")
                return
            buffer, start = buffer[start:] + more, 0
