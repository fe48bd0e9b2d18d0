"""The output directory of a training run, which appears whole or not at all.

A run works in ``NAME.partial`` beside it, with its checkpoint and its metrics. At the end the model is written to the
folder ``finished`` in there, which is renamed to ``NAME``. So ``NAME`` holds a finished model at any time, and a killed
run is continued in ``NAME.partial``. This module does not import torch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ..files.directories import publish
from ..models.names import PARTIAL

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"
_STATE = (CHECKPOINT, "checkpoint-*", "engine.json", "finished", ".*")
"""Patterns of what a run needs only until it is finished."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The directories of a run that writes to `target`."""

    target: Path

    @classmethod
    def of(cls, path: Path) -> RunDirectory:
        """Raises `ValueError` for a name that is kept for unfinished runs."""
        if path.name.endswith(PARTIAL):
            raise ValueError(f"{path}: {PARTIAL} is the ending of unfinished runs; choose another --output-dir")
        return cls(path.resolve())

    @property
    def work(self) -> Path:
        """Where the run works."""
        return self.target.with_name(self.target.name + PARTIAL)

    def is_finished(self, resume: bool) -> bool:
        """Whether the run has ended and its model is in place. Raises `ValueError` if it is, without `resume`."""
        if not (self.target / "config.json").exists():
            return False
        if not resume:
            raise ValueError(f"{self.target} holds a finished model; choose another --output-dir")
        return True

    def history(self) -> list[dict[str, Any]]:
        """The metrics of a finished run, step after step. Raises `OSError` or `ValueError` if they are lost."""
        return [json.loads(line) for line in (self.target / METRICS).read_text(encoding="utf-8").splitlines()]

    @property
    def model(self) -> Path:
        """Where the model and its record are written before they are published."""
        return self.work / "finished"

    @property
    def _has_checkpoint(self) -> bool:
        return (self.work / CHECKPOINT).exists() or any(self.work.glob("checkpoint-*"))

    @property
    def _is_of_a_run(self) -> bool:
        """Whether `work` is missing or empty, or has what runs write first."""
        names = [path.name for path in self.work.iterdir()] if self.work.is_dir() else []
        return not names or any(fnmatch(name, pattern) for name in names for pattern in (METRICS, *_STATE))

    def require_usable(self, resume: bool) -> None:
        """Raises `ValueError` if the run would overwrite files, or a checkpoint without resuming it."""
        if self.target.exists() and (not self.target.is_dir() or any(self.target.iterdir())):
            raise ValueError(f"{self.target} is not empty; choose another --output-dir")
        if self.target.is_mount():
            raise ValueError(f"{self.target} is a mount point, which no run can replace; choose a directory in it")
        if (self.work / "config.json").exists() or not self._is_of_a_run:
            raise ValueError(f"{self.work} holds other files, but the run would work there; choose another directory")
        if self._has_checkpoint and not resume:
            raise ValueError(
                f"{self.work} holds a checkpoint; continue it with --resume, delete it, or choose another --output-dir"
            )

    @contextmanager
    def working(self) -> Iterator[None]:
        """While the block runs, `work` belongs to the run. What a killed run left there and no run can resume is
        deleted at the start, and what this one leaves at the end."""
        if self.work.exists() and not self._has_checkpoint:
            shutil.rmtree(self.work)
        self._drop_temporaries()
        try:
            yield
        finally:
            self._drop_temporaries()
            metrics = self.work / METRICS
            if self.work.exists() and not self._has_checkpoint and not (metrics.exists() and metrics.stat().st_size):
                shutil.rmtree(self.work)

    def _drop_temporaries(self) -> None:
        for path in [*self.work.glob(self.model.name), *self.work.glob(".*")]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def publish(self) -> None:
        """Put the finished model in its place, with what else the run wrote, such as metrics, and delete `work`."""
        state = {path for pattern in _STATE for path in self.work.glob(pattern)}
        for path in set(self.work.iterdir()) - state:
            if path.is_dir():
                shutil.copytree(path, self.model / path.name, dirs_exist_ok=True)
            elif not (self.model / path.name).exists():
                shutil.copy2(path, self.model)
        publish(self.model, self.target)
        self.clear()

    def clear(self) -> None:
        """Delete `work`, of a run that is finished."""
        if self.work.exists() and not (self.work / "config.json").exists():
            shutil.rmtree(self.work)


__all__ = ["CHECKPOINT", "METRICS", "RunDirectory"]
