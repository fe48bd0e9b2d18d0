"""Files that appear whole or not at all: written under a temporary name, flushed, renamed."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import IO


@contextmanager
def atomic_open(path: Path, mode: str = "wb") -> Iterator[IO]:
    """A file object whose content becomes `path` when the block ends well; otherwise nothing is left.

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
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """`text` as the whole content of `path`, in UTF-8."""
    with atomic_open(path) as file:
        file.write(text.encode())


class BackgroundWriter:
    """Writes blocks in their order on a thread of its own: the disk is waited for while the next block is made."""

    AHEAD = 4
    """Blocks that may wait, so that memory stays flat where the disk is slower than their maker."""
    SYNC_BYTES = 1 << 24
    """The disk is given what was written this often, and not all of it at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._blocks: Queue[bytes | None] = Queue(self.AHEAD)
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        unsynced = 0
        while (block := self._blocks.get()) is not None:
            if self._error:
                continue  # What is left is taken and dropped, so that nobody waits for room.
            try:
                self._file.write(block)
                unsynced += len(block)
                if unsynced >= self.SYNC_BYTES:
                    self._file.flush()
                    os.fdatasync(self._file.fileno())
                    unsynced = 0
            except OSError as error:
                self._error = error

    def write(self, block: bytes) -> None:
        """Take a block. Raises the `OSError` of an earlier one."""
        if self._error:
            raise self._error
        self._blocks.put(block)

    def close(self) -> None:
        """Wait until all is written (the file itself stays open). Raises the `OSError` of a block that was not."""
        self._blocks.put(None)
        self._thread.join()
        if self._error:
            raise self._error
        self._file.flush()
