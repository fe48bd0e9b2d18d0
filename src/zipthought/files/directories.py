"""Directories that appear whole or not at all: written elsewhere on the same disk, flushed, and renamed."""

from __future__ import annotations

import os
from pathlib import Path


def publish(source: Path, target: Path) -> None:
    """Rename the directory `source`, with everything in it on the disk, to `target` beside it or above it.

    `target` may be an empty directory. Raises `OSError` if it holds anything.
    """
    for path in [*source.rglob("*"), source]:
        if path.is_file() or os.name == "posix":
            _flush(path)
    if target.is_dir():
        target.rmdir()
    source.rename(target)
    if os.name == "posix":
        _flush(target.parent)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


__all__ = ["publish"]
