"""Running a cell on a node of a cluster: what it receives from the driver, and what it returns.

Files go by path where the node sees the study's directory, that is, where it finds the token of this run in the scratch
directory of the cell. A directory of the same name on another machine has no such token. The node checks the sha256 of
weights that it reads there, and the driver those of files that it finds there, so both ways carry the same bytes.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.atomic import write_text
from .cells import Cell, Result, make_cell
from .database import file_checksum
from .execute import FAILURES, execute
from .execution import CellExecution
from .failures import Reason
from .workspace import CHECKPOINT_SECONDS, Workspace

if TYPE_CHECKING:
    from .workspace import Packed

_TOKEN, _FINISHED = "driver", "finished-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A cell for a node."""

    settings: str
    """The cell as JSON (`Cell.plain`)."""
    results: Mapping[str, Result]
    """Digest -> the result of each needed cell."""
    weights: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Digest of each needed cell that keeps weights -> name -> sha256 of their files."""
    threads: int = 1
    """CPU threads."""
    execution: CellExecution = field(default_factory=CellExecution)
    """How it trains."""
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Seconds between its checkpoints, where the node sees the study's directory."""
    study: str = ""
    """The study's directory on the driver's machine."""
    token: str = ""
    """The token that `mark` left there; empty: the node takes the directory for one that it does not see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job. Without a result, `reason` says why, or `needs_weights` is set."""

    result: Result | None = None
    seconds: float = 0.0
    packed: Packed = field(default_factory=dict)
    """Its files, where the node does not see the study's directory."""
    directory: str = ""
    """Else the directory that has them, below the scratch directory of the cell."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Name -> sha256 of the files in `directory`."""
    reason: Reason | None = None
    needs_weights: bool = False
    """The node does not see the weights that the cell starts from, and they did not come with the job."""


def mark(workspace: Workspace, digest: str, token: str) -> None:
    """Leave a token in the scratch directory of a cell, by which nodes know that they see it."""
    write_text(workspace.scratch(digest) / _TOKEN, token)


def run_job(job: Job, packed: Mapping[str, Any]) -> Outcome:
    """Run a cell in a temporary directory.

    `packed` is digest -> packed weights, or Ray's reference to them, of each cell in `job.weights`; empty if they are
    not packed. A reference is followed only if the weights cannot go by path.
    """
    cell, began = make_cell(json.loads(job.settings)), time.perf_counter()
    study = _seen(job, cell)
    with tempfile.TemporaryDirectory(prefix="zipthought-") as root:
        # A checkpoint in the temporary directory would end with it.
        seconds = job.checkpoint_seconds if study else math.inf
        workspace = Workspace(Path(root), job.results, seconds, job.execution, study)
        try:
            for digest, checksums in job.weights.items():
                if study and _holds(study, checksums):
                    workspace.link_weights(digest, study)
                elif digest in packed:
                    workspace.unpack(_fetch(packed[digest]))
                else:
                    return Outcome(needs_weights=True)
            result = execute(cell, workspace, job.threads)
            outcome = _files(cell, workspace)
        except FAILURES as error:
            return Outcome(reason=Reason.of(error))
        return replace(outcome, result=result, seconds=time.perf_counter() - began)


def collect(workspace: Workspace, cell: Cell, outcome: Outcome) -> None:
    """Bring the files of a finished job to the study's own workspace. Raises `RuntimeError`, `ValueError` or `OSError`
    if they are not what the node wrote."""
    if outcome.directory:
        workspace.adopt(workspace.scratch(cell.digest) / Path(outcome.directory).name, outcome.checksums)
    else:
        workspace.unpack(outcome.packed)


def _seen(job: Job, cell: Cell) -> Path | None:
    """The study's directory, if this machine sees it."""
    try:
        token = (Workspace(Path(job.study)).scratch(cell.digest) / _TOKEN).read_text(encoding="utf-8")
    except OSError:
        return None
    return Path(job.study) if job.token and token == job.token else None


def _holds(study: Path, checksums: Mapping[str, str]) -> bool:
    """Whether the directory of a study holds these files."""
    try:
        return all(file_checksum(study / name) == checksum for name, checksum in checksums.items())
    except OSError:
        return False


def _fetch(packed: Any) -> Packed:
    """Packed weights. A reference is followed to Ray's object store."""
    if isinstance(packed, Mapping):
        return packed
    import ray

    files: Packed = ray.get(packed)
    return files


def _files(cell: Cell, workspace: Workspace) -> Outcome:
    """The files of a finished cell: copied to its scratch directory where that is the study's own, else packed."""
    files = workspace.files(cell.digest)
    if workspace.shared is None:
        return Outcome(packed=workspace.pack(files))
    scratch = workspace.scratch(cell.digest)
    scratch.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=_FINISHED, dir=scratch))
    for path in files:
        target = directory / workspace.name(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return Outcome(directory=directory.name, checksums=workspace.checksums(cell.digest))
