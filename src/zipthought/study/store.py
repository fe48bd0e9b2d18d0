"""The run store: a directory with ``study.db`` (SQLite, WAL), ``completions/*.parquet`` and ``weights/``.

A cell is `pending`, `running` (claimed by a worker whose heartbeat is fresh), `done` or `failed`; it is claimed when
the cells that it needs are done. Claiming and finishing are transactions, and a cell's files are in place before it is
done, so that a study killed at any moment resumes with nothing lost and nothing twice.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..evaluation.metrics import JudgedCompletion
from .cells import Cell, make_cell, plain
from .spec import StudySpec, make_spec
from .workspace import Workspace

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
MAX_ATTEMPTS = 3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (
    digest TEXT PRIMARY KEY,
    place INTEGER NOT NULL,
    config TEXT NOT NULL,
    needs TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'done', 'failed')),
    worker TEXT,
    heartbeat REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    seconds REAL,
    result TEXT,
    error TEXT
);
"""
_GIVE_BACK = (
    "UPDATE cells SET status = CASE WHEN attempts >= ? THEN 'failed' ELSE 'pending' END, error = ?, worker = NULL "
)


_READY = """
status = 'pending' AND NOT EXISTS (
    SELECT 1 FROM json_each(cells.needs) AS need JOIN cells AS other ON other.digest = need.value
    WHERE other.status != 'done'
)
"""
"""Whether a cell can be claimed."""


@dataclass(frozen=True, slots=True)
class StoredCell:
    """A row of the store."""

    digest: str
    config: Cell
    status: str
    seconds: float | None
    result: dict[str, Any]
    """What `execute` returned; empty until the cell is done."""
    error: str | None
    """Why the cell failed."""


class Store:
    """A study directory. Any number of processes may hold one at the same time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path = directory / "study.db"

    @classmethod
    def open(cls, directory: Path) -> Store:
        """An existing study. Raises `ValueError` where there is none."""
        store = cls(directory)
        if not store._path.exists():
            raise ValueError(f"{directory} holds no study; start one with 'zipthought study run'")
        return store

    @classmethod
    def create(cls, directory: Path, spec: StudySpec, environment: dict[str, Any]) -> Store:
        """A new study, or the existing one; its spec may have grown (more seeds, formats, experiments), so that all
        cells that it has are still asked for.

        Raises `ValueError` where another study lives there, and as `StudySpec.cells` does.
        """
        cells = spec.cells()
        models = {cell.model: cell.model_digest for cell in cells}
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "completions").mkdir(exist_ok=True)
        store = cls(directory)
        with store._connect() as db:
            db.executescript(_SCHEMA)
            db.execute("BEGIN IMMEDIATE")
            identity = {"spec": json.dumps(spec.plain(), sort_keys=True), "models": json.dumps(models, sort_keys=True)}
            found = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('spec', 'models')").fetchall())
            stored = {digest for (digest,) in db.execute("SELECT digest FROM cells")}
            if found and found != identity:
                if stored - {cell.digest for cell in cells}:
                    db.execute("ROLLBACK")
                    raise ValueError(
                        f"{directory} holds a study of other settings or weights; use another --output-dir"
                    )
                db.executemany("UPDATE meta SET value = ? WHERE key = ?", [(v, k) for k, v in identity.items()])
                # What reproduces a study that has grown is the command that it grew by.
                db.execute("UPDATE meta SET value = ? WHERE key = 'environment'", (json.dumps(environment),))
            if not found:
                rows = identity | {"environment": json.dumps(environment), "created": json.dumps(time.time())}
                db.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
            for place, cell in enumerate(cells):
                row = (cell.digest, place, json.dumps(plain(cell)), json.dumps([n.digest for n in cell.needs()]))
                db.execute("INSERT OR IGNORE INTO cells (digest, place, config, needs) VALUES (?, ?, ?, ?)", row)
            db.execute("COMMIT")
        return store

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        writable = all(os.access(path, os.W_OK) for path in (self.directory, self._path) if path.exists())
        mode = "rwc"
        if not writable:  # Without a log that others write, SQLite would want to make one to read.
            mode = "ro" if Path(f"{self._path}-wal").exists() else "ro&immutable=1"
        where = f"{self._path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(where, timeout=30, isolation_level=None, uri=True)
        try:
            if writable:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
            yield db
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self._path} cannot be used as a study's store: {error}") from error
        finally:
            db.close()

    def meta(self, key: str) -> Any:
        """The value stored under `key` (`spec`, `models`, `environment`, `created`)."""
        with self._connect() as db:
            return json.loads(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])

    @property
    def spec(self) -> StudySpec:
        return make_spec(self.meta("spec"), self.meta("models"))

    def cells(self) -> list[StoredCell]:
        """All cells in the order of the spec."""
        with self._connect() as db:
            rows = db.execute("SELECT digest, config, status, seconds, result, error FROM cells ORDER BY place")
            return [
                StoredCell(
                    digest, make_cell(json.loads(config)), status, seconds, json.loads(result) if result else {}, error
                )
                for digest, config, status, seconds, result, error in rows
            ]

    def results(self) -> dict[str, dict[str, Any]]:
        """Digest -> result of the cells that are done."""
        return {cell.digest: cell.result for cell in self.cells() if cell.result}

    def completions(self, digest: str, name: str = "test") -> list[JudgedCompletion]:
        """The completions that a cell left under a name, in order of n_ops and index."""
        from ..evaluation.completions import read_completions

        rows = read_completions(Workspace(self.directory).completions(digest, name))
        return sorted(rows, key=lambda row: (row.n_ops, row.index))

    def workspace(self, cell: Cell | None = None) -> Workspace:
        """Where the files of cells are; with the results that `cell` needs."""
        results = self.results() if cell and cell.needs() else {}
        return Workspace(self.directory, {n.digest: results[n.digest] for n in cell.needs()} if cell else {})

    def counts(self) -> dict[str, int]:
        """Status -> number of cells."""
        with self._connect() as db:
            return dict(db.execute("SELECT status, COUNT(*) FROM cells GROUP BY status"))

    def ready(self) -> int:
        """How many cells could be claimed now."""
        with self._connect() as db:
            return int(db.execute(f"SELECT COUNT(*) FROM cells WHERE {_READY}").fetchone()[0])

    def release_dead(self) -> int:
        """Put back the cells whose worker died: no such process (here) or a stale heartbeat (anywhere).

        A cell that has had `MAX_ATTEMPTS` workers is `failed`.
        """
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            rows = db.execute("SELECT digest, worker, heartbeat FROM cells WHERE status = 'running'").fetchall()
            dead = [d for d, worker, beat in rows if not _alive(worker) or beat < time.time() - STALE_SECONDS]
            for digest in dead:
                db.execute(_GIVE_BACK + "WHERE digest = ?", (MAX_ATTEMPTS, "its worker died", digest))
            db.execute("COMMIT")
            return len(dead)

    def claim(self, worker: str) -> Cell | None:
        """A cell to run, now `running` under this worker's name; None where none is ready."""
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            found = db.execute(f"SELECT digest, config FROM cells WHERE {_READY} ORDER BY place LIMIT 1").fetchone()
            if found:
                db.execute(
                    "UPDATE cells SET status = 'running', worker = ?, heartbeat = ?, attempts = attempts + 1 "
                    "WHERE digest = ?",
                    (worker, time.time(), found[0]),
                )
            db.execute("COMMIT")
        return make_cell(json.loads(found[1])) if found else None

    @contextmanager
    def beating(self, worker: str, digests: Callable[[], Iterable[str]]) -> Iterator[None]:
        """Say in the background that the worker still runs the cells that `digests` names, until the block ends."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(HEARTBEAT_SECONDS):
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
        """Say that the worker still runs the cell."""
        with self._connect() as db:
            db.execute("UPDATE cells SET heartbeat = ? WHERE digest = ? AND worker = ?", (time.time(), digest, worker))

    def finish(self, digest: str, worker: str, result: dict[str, Any], seconds: float) -> bool:
        """Store a result; False where the cell was meanwhile given to another worker, whose result counts."""
        with self._connect() as db:
            done = db.execute(
                "UPDATE cells SET status = 'done', result = ?, seconds = ?, error = NULL "
                "WHERE digest = ? AND worker = ? AND status = 'running'",
                (json.dumps(result), seconds, digest, worker),
            )
            return done.rowcount == 1

    def fail(self, digest: str, worker: str, reason: str) -> None:
        """Put a cell back, or give it up after `MAX_ATTEMPTS`."""
        with self._connect() as db:
            db.execute(_GIVE_BACK + "WHERE digest = ? AND worker = ?", (MAX_ATTEMPTS, reason, digest, worker))

    def release(self, workers: Iterable[str]) -> None:
        """Put back the cells of workers that were stopped, not lost: the attempt does not count."""
        with self._connect() as db:
            db.executemany(
                "UPDATE cells SET status = 'pending', worker = NULL, attempts = attempts - 1 "
                "WHERE worker = ? AND status = 'running'",
                [(worker,) for worker in workers],
            )

    def retry_failed(self) -> None:
        """Give failed cells another round of attempts."""
        with self._connect() as db:
            db.execute("UPDATE cells SET status = 'pending', attempts = 0 WHERE status = 'failed'")


def worker_name(pid: int | None = None) -> str:
    """Host and process of a worker on this machine, by default of this one."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def _alive(worker: str) -> bool:
    host, _, pid = worker.rpartition(":")
    if host != socket.gethostname():
        return True  # Only its heartbeat can tell.
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # Somebody else's process by that number.
    return True
