"""The workspace of a cell: the directory of its files, and the results of the cells that it needs.

On this machine it is the study's own directory. On another machine it is a temporary directory. Files go there and back
by path where both see one file system (`link_weights`, `adopt`), else as bytes (`pack`, `unpack`).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .database import file_checksum
from .execution import CellExecution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .cells import Result

    Packed = Mapping[str, NDArray[np.uint8]]


CHECKPOINT_SECONDS = 60.0
"""Seconds between two checkpoints of a cell, so that small cells write none."""


def _safe(part: str) -> str:
    """A part of the name of a file. Raises `ValueError` for what could be another path."""
    if not re.fullmatch(r"[A-Za-z0-9_+=-]+", part):
        raise ValueError(f"{part!r:.80} cannot name the files of a cell; the study's store is damaged")
    return part


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths of cells below `root`, by digest."""

    root: Path
    results: Mapping[str, Result] = field(default_factory=dict)
    """Digest -> the result of each needed cell."""
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Seconds between the checkpoints of a cell's training; 0: one after every step. No result depends on it."""
    execution: CellExecution = field(default_factory=CellExecution)
    """How cells train. No result depends on it but in its last bits."""
    shared: Path | None = None
    """The root of `scratch`, where it is another one: a directory that outlives this workspace. None: `root`."""

    def completions(self, digest: str, name: str) -> Path:
        """The Parquet file of a cell's completions on `test`, on `train` or at a state of its model."""
        return self.root / "completions" / f"{_safe(digest)}.{_safe(name)}.parquet"

    def weights(self, digest: str) -> Path:
        """The directory of the weights that a cell keeps for other cells."""
        return self.root / "weights" / _safe(digest)

    @contextmanager
    def new_weights(self, digest: str) -> Iterator[Path]:
        """A directory that replaces `weights(digest)` if the block ends without an exception."""
        target = self.weights(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{digest}.", dir=target.parent))
        try:
            yield temporary
            temporary.chmod(0o755)
            if target.exists():
                shutil.rmtree(target)
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def scratch(self, digest: str) -> Path:
        """The directory of what a cell needs only until it is done: its checkpoint, its progress, and files that a
        trainer must write and nobody reads."""
        return (self.shared or self.root) / "scratch" / _safe(digest)

    def clear_scratch(self, digest: str) -> None:
        """Remove the scratch directory of a finished cell, and the directory of them all if it is empty."""
        scratch = self.scratch(digest)
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):
            scratch.parent.rmdir()

    def files(self, digest: str) -> list[Path]:
        """The files that a cell wrote."""
        weights = self.weights(digest)
        kept = sorted(weights.rglob("*")) if weights.exists() else []
        return [*sorted((self.root / "completions").glob(f"{digest}.*.parquet")), *(p for p in kept if p.is_file())]

    def name(self, path: Path) -> str:
        """The name of a file below the root, as stores record it."""
        return path.relative_to(self.root).as_posix()

    def owns(self, digest: str, name: str) -> bool:
        """Whether a name is one that `files` of the cell may have."""
        return name.startswith((f"completions/{digest}.", f"weights/{digest}/")) and ".." not in name.split("/")

    def checksums(self, digest: str) -> dict[str, str]:
        """Name -> sha256 of the files that a cell wrote."""
        return {self.name(path): file_checksum(path) for path in self.files(digest)}

    def clear(self, digest: str) -> None:
        """Remove the files that a cell wrote, and whatever else has their names."""
        for path in [*(self.root / "completions").glob(f"{digest}.*"), self.weights(digest)]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def weight_files(self, digest: str) -> list[Path]:
        """The files of the weights that a cell keeps."""
        return [path for path in self.files(digest) if path.is_relative_to(self.weights(digest))]

    def pack(self, paths: Iterable[Path]) -> Packed:
        """Files below the root as name -> bytes. The bytes are mapped, so that they are read where they are used."""
        import numpy as np

        sized = ((path, path.stat().st_size) for path in paths)
        # A plain array of the same memory: pickle, and Ray, copy one straight from the file into their buffer.
        return {
            self.name(path): np.memmap(path, mode="r").view(np.ndarray) if size else np.empty(0, np.uint8)
            for path, size in sized
        }

    def unpack(self, files: Packed) -> None:
        """Write packed files below the root. Raises `ValueError` for a name that is not the name of a cell's file."""
        for name, content in files.items():
            target = self._target(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.data)

    def link_weights(self, digest: str, root: Path) -> None:
        """Let the weights of a cell be those of the workspace at another root, without a copy."""
        target = self.weights(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(Workspace(root).weights(digest).absolute(), target_is_directory=True)

    def adopt(self, directory: Path, checksums: Mapping[str, str]) -> None:
        """Move files to their places from a directory of the same file system that has them under the same names.

        Raises `RuntimeError` if their sha256 are not these, before any is moved, and `ValueError` as `unpack` does.
        """
        targets = {name: self._target(name) for name in checksums}
        for name, checksum in checksums.items():
            if file_checksum(directory / name) != checksum:
                raise RuntimeError(f"{name} arrived with other bytes than the node wrote; check the shared file system")
        for name, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            (directory / name).replace(target)

    def _target(self, name: str) -> Path:
        if not name.startswith(("completions/", "weights/")) or ".." in name.split("/"):
            raise ValueError(f"{name!r:.80} cannot name a file of a cell")
        return self.root / name
