"""Atomic files: written under a temporary name, flushed to the disk, and renamed.

What an output may replace is decided here, for every command:

- never a file that the command reads (`refuse_overwrite`);
- without ``overwrite``, no file of other content. A rerun that writes the same bytes is no change. `Overwrite` may be a
  function that allows earlier outputs (`files.earlier`).

The temporary file of ``x`` is ``.x.zipthought``, locked while it is written. A second process that writes ``x`` at the
same time gets an error. The lock ends with its process, so the next run takes over what a killed one has left.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

Overwrite = bool | Callable[[Path], bool]
"""Whether existing files of other content are replaced, or a function that says it of each."""
SUFFIX = ".zipthought"
_NAME_BYTES = 255
"""The longest file name of common file systems."""


@contextmanager
def atomic_files(durable: bool = True, overwrite: Overwrite = True) -> Iterator[Callable[..., IO[bytes]]]:
    """``open_file(path, overwrite=overwrite)``, which opens the files of one output. They appear together when the
    block ends without an exception, or not at all.

    With `durable`, the content and the names are on the disk at the end, so a power failure cannot truncate a file. A
    symbolic link stays one: its target is written. A new file gets the permissions that the umask leaves, a replaced
    one keeps its own.

    The function raises `OSError` as `open` does, `BlockingIOError` if another process is writing the file, and
    `FileExistsError` for a device or a pipe. Without `overwrite`, writing raises `FileExistsError` as soon as an
    existing file has other content.
    """
    opened: list[_Output] = []

    def open_file(path: Path, overwrite: Overwrite = overwrite) -> IO[bytes]:
        output = _Output(Path(path), overwrite)
        opened.append(output)
        return output.file

    try:
        yield open_file
        for output in opened:
            output.finish(durable)
        for output in opened:
            output.rename()
        if durable:
            for directory in {output.target.parent for output in opened}:
                _sync_directory(directory)
    finally:
        for output in opened:
            output.discard()


@contextmanager
def atomic_open(path: Path, durable: bool = True, overwrite: Overwrite = True) -> Iterator[IO[bytes]]:
    """A file object for the content of `path`, as `atomic_files` opens it."""
    with atomic_files(durable, overwrite) as open_file:
        yield open_file(path)


class Writer(Protocol):
    """Writes rows or lines to an open file, and the rest of them when it is closed."""

    def close(self) -> None: ...


@contextmanager
def closing_all() -> Iterator[list[Writer]]:
    """A list of writers to close at the end. After an error they may fail to close, but the first error is raised."""
    writers: list[Writer] = []
    try:
        yield writers
    except BaseException:
        for writer in writers:
            with suppress(OSError, ValueError):
                writer.close()
        raise
    for writer in writers:
        writer.close()


def write_text(path: Path, text: str, overwrite: Overwrite = True) -> None:
    """Write `text` to `path` in UTF-8, atomically."""
    with atomic_open(path, overwrite=overwrite) as file:
        file.write(text.encode())


def refuse_directories(paths: Iterable[Path]) -> None:
    """Raises `IsADirectoryError` if one of the paths of output files is a directory."""
    for path in paths:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory, but the output is a file; choose another name")


def refuse_overwrite(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raises `ValueError` if an output is an input, by whatever name or link, or lies in a directory among the inputs.

    A directory among the inputs is one that is read as a whole. Neither outputs nor inputs need to exist.
    """
    sources, directories = {}, {}
    for source in inputs:
        for path in [source, *(source.rglob("*") if source.is_dir() else [])]:
            sources[_identity(path)] = path
        if source.is_dir():
            directories[_identity(source)] = source
    for output in outputs:
        if (same := _identity(output)) in sources:
            raise ValueError(f"the output {output} is the input {sources[same]}; choose another output")
        for parent in Path(os.path.realpath(output)).parents if directories else ():
            if (same := _identity(parent)) in directories:
                raise ValueError(f"the output {output} is in {directories[same]}, which is read; choose another output")


def refuse_existing(outputs: Iterable[Path]) -> None:
    """Raises `FileExistsError` if an output exists: for outputs of long runs, which are written at the end."""
    for path in outputs:
        if path.exists():
            raise FileExistsError(f"{path} exists; give --overwrite to replace it, or choose another output")


def _identity(path: Path) -> tuple[int, int] | str:
    """What is the same for all names of a file: links to it, and names on a file system that ignores case."""
    try:
        status = path.stat()
    except OSError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


class _Output:
    """One output under its temporary name."""

    def __init__(self, path: Path, overwrite: Overwrite) -> None:
        self.target = Path(os.path.realpath(path))
        self._path = path
        refuse_directories([self.target])
        status = self.target.stat() if self.target.exists() else None
        if status and not stat.S_ISREG(status.st_mode):
            raise FileExistsError(f"{path} is no regular file; choose another output")
        self.target.parent.mkdir(parents=True, exist_ok=True)
        replaceable = overwrite if isinstance(overwrite, bool) else status is None or overwrite(self.target)
        earlier = None if replaceable or not status else self.target.open("rb")
        with _naming(path):
            handle, self._temporary = _open_temporary(self.target)
        if status:
            os.fchmod(handle, stat.S_IMODE(status.st_mode))
        self._raw = _RawOutput(handle, path, earlier)
        self.file: IO[bytes] = io.BufferedWriter(self._raw, 1 << 16)  # type: ignore[type-var]

    def finish(self, durable: bool) -> None:
        """All bytes are written, and on the disk if `durable`."""
        self.file.flush()
        self._raw.check_end()
        if durable:
            with _naming(self._path):
                os.fsync(self._raw.fileno())

    def rename(self) -> None:
        with _naming(self._path):
            self._temporary.replace(self.target)
        self._temporary = self.target

    def discard(self) -> None:
        """Close the file, without its temporary name if it still has one."""
        if self._temporary != self.target:
            self._temporary.unlink(missing_ok=True)  # Before the lock ends with the file.
        self._raw.close()


class _RawOutput(io.FileIO):
    """Names the output in errors, and compares what is written with an earlier file."""

    def __init__(self, handle: int, path: Path, earlier: IO[bytes] | None) -> None:
        super().__init__(handle, "w")
        self._path, self._earlier = path, earlier

    def write(self, data: bytes) -> int:  # type: ignore[override]
        with _naming(self._path):
            written = super().write(data)
        if self._earlier and self._earlier.read(written) != memoryview(data)[:written]:
            self._refuse()
        return written

    def check_end(self) -> None:
        """The earlier file ends here, too."""
        if self._earlier and self._earlier.read(1):
            self._refuse()

    def _refuse(self) -> None:
        raise FileExistsError(
            f"{self._path} exists with other content; give --overwrite to replace it, or choose another output"
        )

    def close(self) -> None:
        super().close()
        if self._earlier:
            self._earlier.close()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """An `OSError` names the output rather than its temporary file, or nothing."""
    try:
        yield
    except BlockingIOError as error:
        raise BlockingIOError(f"another process is writing {path}; wait for it or choose another output") from error
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _open_temporary(path: Path) -> tuple[int, Path]:
    """An open and locked file beside `path`. Raises `BlockingIOError` if another process holds it."""
    temporary = path.with_name(_temporary_name(path.name))
    while True:
        try:
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            created = True
        except FileExistsError:
            try:
                handle = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:  # Its writer has just finished.
                continue
            created = False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise
        except OSError:  # A file system without locks: a name that no other process has.
            os.close(handle)
            if created:
                temporary.unlink(missing_ok=True)
            temporary = path.with_name(_temporary_name(f"{path.name}.{secrets.token_hex(8)}"))
            return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), temporary
        if created and _is_at(handle, temporary):
            return handle, temporary
        if _is_at(handle, temporary):  # A killed process has left it.
            temporary.unlink(missing_ok=True)
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether `path` still names the open file: another process may have renamed or deleted it before the lock."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


def _temporary_name(name: str) -> str:
    temporary = f".{name}{SUFFIX}"
    if len(os.fsencode(temporary)) <= _NAME_BYTES:
        return temporary
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()}{SUFFIX}"


def _sync_directory(directory: Path) -> None:
    """Bring renames in a directory to the disk. A file system that cannot do so keeps them as it does."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
