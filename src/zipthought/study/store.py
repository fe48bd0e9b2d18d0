"""The run store: a directory with ``study.db`` (SQLite, WAL), ``completions/*.parquet`` and ``weights/``.

A cell is `pending`, `running` (claimed by a worker with a fresh heartbeat), `done` or `failed`. It can be claimed when
the cells that it needs are done; one that has failed in this run comes after all others. Claims and results are
transactions, and a cell's files are written before it is done. So a study that is killed at any moment resumes without
losing or repeating a result. ``scratch/`` holds what a cell needs until it is done, such as its checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from .cells import Cell, Result, make_cell
from .creation import prepare
from .database import MALFORMED, StoreError, connect, text_checksum, transaction
from .failures import DIED, Failure, Reason, failures_of
from .meta import read_meta
from .progress import RunningCell, read_progress
from .snapshot import Snapshot, check_row, file_fault, rows_of
from .spec import StudySpec
from .workspace import Workspace

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""A worker without a heartbeat for this long counts as dead."""
MAX_ATTEMPTS = 3
_PUT_BACK = (
    "UPDATE cells SET status = CASE WHEN attempts >= ? THEN 'failed' ELSE 'pending' END, error = ?, worker = NULL "
)
_READY = """
status = 'pending' AND NOT EXISTS (
    SELECT 1 FROM json_each(cells.needs) AS need JOIN cells AS other ON other.digest = need.value
    WHERE other.status != 'done'
)
"""
"""The condition that a cell can be claimed."""


class Store:
    """A study directory. Several processes may use one at the same time."""

    def __init__(self, directory: Path, mended: Sequence[str] = ()) -> None:
        self.directory = directory
        self.mended = mended
        """What was damaged when the study was opened to go on, as sentences."""
        self._path = directory / "study.db"

    @classmethod
    def open(cls, directory: Path) -> Store:
        """An existing study. Raises `ValueError` if there is none, or if a later version wrote it."""
        store = cls(directory)
        if not os.path.lexists(store._path):
            raise ValueError(f"{directory} holds no study; start one with 'zipthought study run'")
        with store._connect() as db:
            read_meta(db, directory)
        return store

    @classmethod
    def create(
        cls,
        directory: Path,
        spec: StudySpec,
        environment: Mapping[str, Any],
        registration: Mapping[str, Any] | None = None,
    ) -> Store:
        """A new study, or the existing one. An existing study may grow: more seeds, formats or experiments, as long as
        the spec still has all its cells. Damaged cells are put back, and `mended` says so. `registration` is that of a
        study without results (`Registration.plain`); None: none, or that of the existing study.

        Raises `ValueError` if another study, a study with another registration, or a study of a later version, lives
        there, and as `StudySpec.cells` does.
        """
        mended = prepare(directory, spec, environment, registration)
        return cls(directory, mended)

    def _connect(self) -> AbstractContextManager[sqlite3.Connection]:
        return connect(self._path)

    def read(self) -> Snapshot:
        """The content of the store at this moment, checked. Raises as `Snapshot` does."""
        return Snapshot(self.directory)

    def workspace(self, cell: Cell | None = None) -> Workspace:
        """The workspace of the study, with the results that `cell` needs.

        Raises `ValueError` if a needed result, or the weights that come with it, do not pass their checksums.
        """
        workspace = Workspace(self.directory)
        results: dict[str, Result] = {}
        needs = {needed.digest: needed for needed in cell.needs()} if cell else {}
        with self._connect() as db:
            meta = read_meta(db, self.directory)
            rows = rows_of(db, needs)
        for digest, needed in needs.items():
            row = rows.get(digest)
            result, files, fault = check_row(needed, row, digest in meta.unchecked) if row else (None, {}, "has no row")
            if row and not fault:
                fault = file_fault(workspace, needed, files if row.checksum else None, weights=True)
            if fault or result is None:
                raise ValueError(f"it needs cell {digest} ({needed.label}), which {fault}; run the study again")
            results[digest] = result
        return Workspace(self.directory, results)

    def counts(self) -> dict[str, int]:
        """Status -> number of cells."""
        with self._connect() as db:
            return dict(db.execute("SELECT status, COUNT(*) FROM cells GROUP BY status"))

    def ready(self) -> int:
        """The number of cells that can be claimed now."""
        with self._connect() as db:
            return int(db.execute(f"SELECT COUNT(*) FROM cells WHERE {_READY}").fetchone()[0])

    def release_dead(self) -> int:
        """Put back the cells of dead workers: those without a process (on this machine) or with a stale heartbeat.

        A cell that has had `MAX_ATTEMPTS` workers is `failed`. Returns the number of cells.
        """
        with self._connect() as db, transaction(db):
            rows = db.execute("SELECT digest, worker, heartbeat FROM cells WHERE status = 'running'").fetchall()
            dead = [digest for digest, worker, beat in rows if not _alive(worker) or _stale(beat)]
            for digest in dead:
                db.execute(_PUT_BACK + "WHERE digest = ?", (MAX_ATTEMPTS, DIED, digest))
        return len(dead)

    def claim(self, worker: str) -> Cell | None:
        """A cell to run, now `running` under the name of the worker; None if no cell is ready."""
        with self._connect() as db, transaction(db):
            row = db.execute(
                f"SELECT digest, config FROM cells WHERE {_READY} "
                "ORDER BY CASE WHEN error IS NULL THEN 0 ELSE attempts END, place LIMIT 1"
            ).fetchone()
            if row:
                db.execute(
                    "UPDATE cells SET status = 'running', worker = ?, heartbeat = ?, attempts = attempts + 1 "
                    "WHERE digest = ?",
                    (worker, time.time(), row[0]),
                )
        return self._sound(*row) if row else None

    def _sound(self, digest: str, config: str) -> Cell:
        try:
            cell = make_cell(json.loads(config))
        except MALFORMED:
            cell = None
        if cell is None or cell.digest != digest:
            raise StoreError(f"cell {digest} in {self._path} was altered while the study ran; run the command again")
        return cell

    @contextmanager
    def beating(self, worker: str, digests: Callable[[], Iterable[str]]) -> Iterator[None]:
        """Send heartbeats in the background for the cells that `digests` returns, until the block ends."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(HEARTBEAT_SECONDS):
                with contextlib.suppress(StoreError):  # If it stays unusable, the next claim or result says so.
                    for digest in digests():
                        self.beat(digest, worker)

        heart = threading.Thread(target=beat, daemon=True)
        heart.start()
        try:
            yield
        finally:
            done.set()
            heart.join()

    def beat(self, digest: str, worker: str) -> None:
        """Record that the worker still runs the cell."""
        with self._connect() as db:
            db.execute("UPDATE cells SET heartbeat = ? WHERE digest = ? AND worker = ?", (time.time(), digest, worker))

    def finish(self, digest: str, worker: str, result: Result, seconds: float) -> bool:
        """Store a result, with the checksums of its row and of the cell's files, which are in the workspace. Returns
        False if another worker has the cell by now; then its result counts."""
        files = json.dumps(Workspace(self.directory).checksums(digest))
        row = (float(seconds), json.dumps(result.plain()), files)
        with self._connect() as db:
            done = db.execute(
                "UPDATE cells SET status = 'done', seconds = ?, result = ?, files = ?, checksum = ?, error = NULL "
                "WHERE digest = ? AND worker = ? AND status = 'running'",
                (*row, text_checksum(digest, *row), digest, worker),
            )
            return done.rowcount == 1

    def fail(self, digest: str, worker: str, reason: Reason) -> None:
        """Put a cell back, or mark it `failed` after `MAX_ATTEMPTS`, or at once for a final reason."""
        attempts = 0 if reason.final else MAX_ATTEMPTS
        with self._connect() as db:
            db.execute(_PUT_BACK + "WHERE digest = ? AND worker = ?", (attempts, reason.error, digest, worker))

    def release(self, workers: Iterable[str]) -> None:
        """Put back the cells of stopped workers. These attempts do not count."""
        with self._connect() as db:
            db.executemany(
                "UPDATE cells SET status = 'pending', worker = NULL, attempts = attempts - 1 "
                "WHERE worker = ? AND status = 'running'",
                [(worker,) for worker in workers],
            )

    def begin(self) -> None:
        """Make the store ready for a run: the cells of dead workers and failed cells are put back, with all their
        attempts, errors are forgotten, and so are the scratch directories of finished cells."""
        self.release_dead()
        self.retry_failed()
        with self._connect() as db:
            done = {digest for (digest,) in db.execute("SELECT digest FROM cells WHERE status = 'done'")}
        for path in (self.directory / "scratch").glob("*"):
            if path.name in done:
                Workspace(self.directory).clear_scratch(path.name)

    def retry_failed(self) -> None:
        """Put back failed cells, with all their attempts, and forget the errors."""
        with self._connect() as db, transaction(db):
            db.execute("UPDATE cells SET status = 'pending', attempts = 0 WHERE status = 'failed'")
            db.execute("UPDATE cells SET error = NULL WHERE error IS NOT NULL")

    def failures(self) -> list[Failure]:
        """The failures of this run, or of the last one: cells with an error that no later attempt has mended."""
        with self._connect() as db:
            rows = db.execute(
                "SELECT digest, config, status, error FROM cells WHERE error IS NOT NULL ORDER BY place"
            ).fetchall()
        return failures_of((self._sound(digest, config), status, error) for digest, config, status, error in rows)

    def running(self) -> list[RunningCell]:
        """The cells that workers have, with their progress."""
        with self._connect() as db:
            rows = db.execute("SELECT digest, config FROM cells WHERE status = 'running' ORDER BY place").fetchall()
        workspace = Workspace(self.directory)
        cells = [self._sound(*row) for row in rows]
        return [RunningCell(cell=cell, progress=read_progress(workspace.scratch(cell.digest))) for cell in cells]


def worker_name(pid: int | None = None) -> str:
    """Host and process of a worker on this machine, by default of this process."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def _stale(heartbeat: Any) -> bool:
    return not isinstance(heartbeat, int | float) or heartbeat < time.time() - STALE_SECONDS


def _alive(worker: Any) -> bool:
    host, _, pid = str(worker).rpartition(":")
    if host != socket.gethostname():
        return True  # Only the heartbeat shows whether it lives.
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):  # No such process, or no number of one.
        return False
    except PermissionError:
        return True  # The process of another user.
    return True
