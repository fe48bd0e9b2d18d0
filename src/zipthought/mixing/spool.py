"""The examples of a mixture on the disk: their lines, and what decides on them. None of it is held in memory."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .disk import equal_rows

_BLOCK = 1024
"""Entries that are read at once."""
_NONE = (1 << 32) - 1


class Entry(NamedTuple):
    """What decides on an example."""

    start: int
    """Of its line in the file of lines."""
    size: int
    number: int
    """The number of its line or row in its own file."""
    tokens: int
    """Of its completion."""
    level: float
    """Its place in a curriculum."""
    keep: float
    """The ratio of its tag, 0 without one."""
    held_out: bool
    """Whether it is of the split validation or test."""
    of: int
    """The earlier row that it duplicates; `_NONE` without one."""

    @property
    def is_removed(self) -> bool:
        return self.of != _NONE


_ENTRY, _OF = struct.Struct("<QIIIff?I"), struct.Struct("<I")


class Spool:
    """Examples in temporary files, which have no names and so end with their process.

    Examples are added, then `flush` is called, and then they are read and removed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lines, self._entries, self._digests = (tempfile.TemporaryFile(dir=directory) for _ in range(3))  # noqa: SIM115
        self._count = self._size = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._lines, self._entries, self._digests):
            file.close()

    def __len__(self) -> int:
        return self._count

    def add(
        self, line: bytes, number: int, digest: int, tokens: int, *, level: float, keep: float, held_out: bool
    ) -> None:
        """Add an example; `digest` is that of its texts (128 bits), the others as `Entry` has them."""
        self._lines.write(line)
        self._entries.write(_ENTRY.pack(self._size, len(line), number, tokens, level, keep, held_out, _NONE))
        self._digests.write(digest.to_bytes(16, "little"))
        self._count += 1
        self._size += len(line)

    def flush(self) -> None:
        """Call it after the last `add`."""
        for file in (self._lines, self._entries, self._digests):
            file.flush()

    def entry(self, row: int) -> Entry:
        return Entry._make(_ENTRY.unpack(os.pread(self._entries.fileno(), _ENTRY.size, row * _ENTRY.size)))

    def entries(self, low: int, high: int) -> Iterator[tuple[int, Entry]]:
        """The rows from `low` to below `high`, with their entries."""
        for start in range(low, high, _BLOCK):
            count = min(_BLOCK, high - start)
            data = os.pread(self._entries.fileno(), count * _ENTRY.size, start * _ENTRY.size)
            yield from enumerate(map(Entry._make, _ENTRY.iter_unpack(data)), start)

    def line(self, entry: Entry) -> bytes:
        return os.pread(self._lines.fileno(), entry.size, entry.start)

    def remove(self, row: int, of: int) -> None:
        """Mark an example as a duplicate of the earlier one `of`."""
        os.pwrite(self._entries.fileno(), _OF.pack(of), (row + 1) * _ENTRY.size - _OF.size)

    def remove_equal(self) -> None:
        """Mark all examples whose digest an earlier one has as duplicates of the first."""
        for rows in equal_rows(self._digests, 2):  # By the half of a digest.
            first: dict[bytes, int] = {}
            for row in rows:
                digest = os.pread(self._digests.fileno(), 16, row * 16)
                if (of := first.setdefault(digest, row)) != row:
                    self.remove(row, of)


__all__ = ["Entry", "Spool"]
