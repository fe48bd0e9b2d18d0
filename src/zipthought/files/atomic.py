"""Files that appear whole or not at all: written under a temporary name, flushed, renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_open(path: Path, mode: str = "wb", durable: bool = True) -> Iterator[IO]:
    """A file object whose content becomes `path` when the block ends well; otherwise nothing is left.

    `durable` waits for the disk before the file gets its name, so that not even a power failure leaves it short.

    Raises `OSError` as `open` does.
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
        temporary.unlink(missing_ok=True)  # Where it has become `path`, it is gone by now.


def refuse_directories(paths: Iterable[Path]) -> None:
    """Raises `IsADirectoryError` for a directory that stands where a file is to be written."""
    for path in paths:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory, where a file is to be written")


def write_text(path: Path, text: str) -> None:
    """`text` as the whole content of `path`, in UTF-8."""
    with atomic_open(path) as file:
        file.write(text.encode())
