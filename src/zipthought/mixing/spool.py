"""The examples of a mixture on the disk, and what decides on them in memory: 43 bytes an example."""

from __future__ import annotations

import os
import tempfile
from array import array
from pathlib import Path

import numpy as np

_MASK = (1 << 64) - 1


class Spool:
    """Lines in a temporary file, which has no name and so ends with its process."""

    def __init__(self, directory: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
        self._offsets = array("Q", [0])
        self._low, self._high = array("Q"), array("Q")
        self._tokens, self._numbers = array("I"), array("I")
        self._levels, self._keeps, self._held_out = array("f"), array("f"), array("B")

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._tokens)

    def add(
        self, line: bytes, number: int, digest: int, tokens: int, *, level: float, keep: float, held_out: bool
    ) -> None:
        """Add an example: its line, the number of the line in its file, the digest of its texts (128 bits), the tokens
        of its completion, its place in a curriculum, and the ratio of its tag (0 without one)."""
        self._file.write(line)
        self._offsets.append(self._offsets[-1] + len(line))
        self._low.append(digest & _MASK)
        self._high.append(digest >> 64)
        self._tokens.append(tokens)
        self._numbers.append(number)
        self._levels.append(level)
        self._keeps.append(keep)
        self._held_out.append(held_out)

    def flush(self) -> None:
        """Call it before the first `line`."""
        self._file.flush()

    def line(self, row: int) -> bytes:
        """The line of an example."""
        start = self._offsets[row]
        return os.pread(self._file.fileno(), self._offsets[row + 1] - start, start)

    def number(self, row: int) -> int:
        """The number of an example's line or row in its file."""
        return self._numbers[row]

    @property
    def tokens(self) -> np.ndarray:
        return np.frombuffer(self._tokens, dtype=np.uint32)

    @property
    def levels(self) -> np.ndarray:
        return np.frombuffer(self._levels, dtype=np.float32)

    @property
    def keeps(self) -> np.ndarray:
        return np.frombuffer(self._keeps, dtype=np.float32)

    @property
    def held_out(self) -> np.ndarray:
        """Whether each example is of the split validation or test."""
        return np.frombuffer(self._held_out, dtype=np.uint8)

    def duplicates(self) -> np.ndarray:
        """For each example the first one with the same digest: itself if there is no earlier one."""
        low, high = (np.frombuffer(part, dtype=np.uint64) for part in (self._low, self._high))
        rows = np.lexsort((high, low))  # Stable: equal ones stay in their order.
        new = np.ones(len(rows), dtype=bool)
        new[1:] = (low[rows[1:]] != low[rows[:-1]]) | (high[rows[1:]] != high[rows[:-1]])
        first = np.empty(len(rows), dtype=np.int64)
        first[rows] = rows[np.maximum.accumulate(np.where(new, np.arange(len(rows)), 0))]
        return first


__all__ = ["Spool"]
