"""Where a cell finds what it needs and leaves what it makes: a directory and the results of other cells.

The local scheduler's is the study's own directory. On another machine it is a temporary one, filled by `pack` and
`unpack`; what the cell made travels back in the same way.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths below `root` by the digest of a cell."""

    root: Path
    results: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Digest -> the result, of the cells that a cell needs."""

    def completions(self, digest: str, name: str) -> Path:
        """A cell's completions on `test`, `train` or at a state of its model, as Parquet."""
        return self.root / "completions" / f"{digest}.{name}.parquet"

    def weights(self, digest: str) -> Path:
        """The directory of the model that a cell keeps for others."""
        return self.root / "weights" / digest

    @contextmanager
    def new_weights(self, digest: str) -> Iterator[Path]:
        """A directory that becomes `weights(digest)` when the block ends well; another one of that name gives way."""
        target = self.weights(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{digest}.", dir=target.parent))
        try:
            yield made
            made.chmod(0o755)
            if target.exists():
                shutil.rmtree(target)
            made.replace(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def scratch(self, digest: str) -> Path:
        """A directory for what a trainer must write and nobody reads."""
        return self.root / "scratch" / digest

    def files(self, digest: str) -> list[Path]:
        """The files that a cell has left."""
        weights = self.weights(digest)
        kept = sorted(weights.rglob("*")) if weights.exists() else []
        return [*sorted((self.root / "completions").glob(f"{digest}.*.parquet")), *(p for p in kept if p.is_file())]

    def pack(self, paths: Iterable[Path]) -> bytes:
        """Files below the root as a tar archive."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in paths:
                archive.add(path, arcname=str(path.relative_to(self.root)))
        return buffer.getvalue()

    def unpack(self, archive: bytes) -> None:
        """Put packed files below this root."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(self.root, filter="data")
