"""Atomic files: written under a temporary name, flushed to the disk, and renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_open(path: Path, mode: str = "wb", durable: bool = True) -> Iterator[IO]:
    """A file object for the content of `path`. `path` changes only when the block ends without an exception.

    With `durable`, the content is on the disk before the file is renamed, so a power failure cannot truncate it. Raises
    `OSError` as `open` does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, mode) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # After the rename it does not exist.


def refuse_directories(paths: Iterable[Path]) -> None:
    """Raises `IsADirectoryError` if one of the paths of output files is a directory."""
    for path in paths:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory, but the output is a file; choose another name")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, atomically."""
    with atomic_open(path) as file:
        file.write(text.encode())
