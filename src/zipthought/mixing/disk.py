"""Equal keys, and an order by a key, of more rows than memory should hold. Both work on files, part by part."""

from __future__ import annotations

import heapq
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from itertools import starmap
from operator import itemgetter
from pathlib import Path
from typing import IO

import numpy as np

PART = 1 << 16
"""Rows in memory at the same time, about."""
RUN = 1 << 14
"""Rows that are sorted as Python objects."""
_READ = 128
"""Rows of a run in memory while the runs are merged."""
_PAIR = struct.Struct("<dI")


def equal_rows(file: IO[bytes], width: int) -> Iterator[list[int]]:
    """The rows with equal keys, two and more each and in their order, by ascending key.

    `file` has `width` 64-bit numbers for each row, of which the first is the key. Keys are hashes, so all parts of
    their range have about as many. The file is read once for each part. The rows of one key are in memory together,
    with about 70 bytes each.
    """
    file.flush()
    parts = os.fstat(file.fileno()).st_size // (8 * width * PART) + 1
    for part in range(parts):
        low, high = ((1 << 64) * index // parts for index in (part, part + 1))
        yield from _equal(*_between(file, width, low, high - 1))


def _between(file: IO[bytes], width: int, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """The keys from `low` to `high`, and their rows."""
    file.seek(0)
    found, rows, start = [], [], 0
    while len(keys := np.frombuffer(file.read(8 * width * PART), dtype=np.uint64)[::width]):
        inside = np.flatnonzero((keys >= np.uint64(low)) & (keys <= np.uint64(high)))
        found.append(keys[inside])
        rows.append(inside + start)
        start += len(keys)
    return (np.concatenate(found), np.concatenate(rows)) if found else (np.empty(0, np.uint64), np.empty(0, np.int64))


def _equal(keys: np.ndarray, rows: np.ndarray) -> Iterator[list[int]]:
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else np.array([], dtype=int)
    ends = np.append(starts[1:], len(keys))
    several = ends - starts > 1
    for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
        yield rows[start:end].tolist()


def sorted_rows(rows: np.ndarray, key: Callable[[int], float], directory: Path) -> Iterator[int]:
    """The rows by ascending key. Rows of equal keys stay in their order."""
    with tempfile.TemporaryFile(dir=directory) as file:
        for low in range(0, len(rows), RUN):
            run = sorted(((key(row), row) for row in rows[low : low + RUN].tolist()), key=itemgetter(0))
            file.write(b"".join(starmap(_PAIR.pack, run)))
        file.flush()
        runs = [_pairs(file, low, min(low + RUN, len(rows))) for low in range(0, len(rows), RUN)]
        for _, row in heapq.merge(*runs, key=itemgetter(0)):
            yield row


def _pairs(file: IO[bytes], low: int, high: int) -> Iterator[tuple[float, int]]:
    for start in range(low, high, _READ):
        data = os.pread(file.fileno(), _PAIR.size * (min(start + _READ, high) - start), _PAIR.size * start)
        yield from _PAIR.iter_unpack(data)


__all__ = ["equal_rows", "sorted_rows"]
