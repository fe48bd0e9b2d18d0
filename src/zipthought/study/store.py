"""The run store: a directory with ``study.db`` (SQLite, WAL), ``completions/*.parquet`` and ``weights/``.

A cell is `pending`, `running` (claimed by a worker with a fresh heartbeat), `done` or `failed`. It can be claimed when
the cells that it needs are done. Claims and results are transactions, and a cell's files are written before it is done.
So a study that is killed at any moment resumes without losing or repeating a result.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..evaluation.completions import read_completions
from ..evaluation.metrics import JudgedCompletion
from .cells import Cell, Result, make_cell
from .spec import StudySpec, make_spec
from .workspace import Workspace

FORMAT = 2
"""The version of the store's layout. Stores of version 0.1 have none recorded; they are format 1, whose results lack
some counts."""
HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""A worker without a heartbeat for this long counts as dead."""
MAX_ATTEMPTS = 3
R = TypeVar("R", bound=Result)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (
    digest TEXT PRIMARY KEY,
    place INTEGER NOT NULL, -- the position in the spec
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


@dataclass(frozen=True, slots=True)
class StoredCell:
    """A row of the store."""

    digest: str
    config: Cell
    status: str
    seconds: float | None
    result: Result | None
    """The result of `execute`; None until the cell is done."""
    error: str | None
    """The reason of a failure."""


class Store:
    """A study directory. Several processes may use one at the same time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path = directory / "study.db"

    @classmethod
    def open(cls, directory: Path) -> Store:
        """An existing study. Raises `ValueError` if there is none, or if a later version wrote it."""
        store = cls(directory)
        if not store._path.exists():
            raise ValueError(f"{directory} holds no study; start one with 'zipthought study run'")
        with store._connect() as db:
            store._check_format(db)
        return store

    @classmethod
    def create(cls, directory: Path, spec: StudySpec, environment: dict[str, Any]) -> Store:
        """A new study, or the existing one. An existing study may grow: more seeds, formats or experiments, as long as
        the spec still has all its cells.

        Raises `ValueError` if another study, or a study of a later version, lives there, and as `StudySpec.cells` does.
        """
        cells = spec.cells()
        models = {cell.model: cell.model_digest for cell in cells}
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "completions").mkdir(exist_ok=True)
        store = cls(directory)
        with store._connect() as db:
            db.executescript(_SCHEMA)
            db.execute("BEGIN IMMEDIATE")
            meta = {
                "spec": json.dumps(spec.plain(), sort_keys=True),
                "models": json.dumps(models, sort_keys=True),
                "environment": json.dumps(environment),
            }
            try:
                store._check_format(db)
                store._check_same(db, spec, cells, models, meta)
            except ValueError:
                db.execute("ROLLBACK")
                raise
            times = {"created": json.dumps(time.time())}
            db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", [*meta.items(), *times.items()])
            db.execute("INSERT OR REPLACE INTO meta VALUES ('format', ?)", (json.dumps(FORMAT),))
            for position, cell in enumerate(cells):
                needs = json.dumps([needed.digest for needed in cell.needs()])
                row = (cell.digest, position, json.dumps(cell.plain()), needs)
                db.execute("INSERT OR IGNORE INTO cells (digest, place, config, needs) VALUES (?, ?, ?, ?)", row)
            db.execute("COMMIT")
        return store

    def _check_format(self, db: sqlite3.Connection) -> None:
        row = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        version = json.loads(row[0]) if row else 1
        if version > FORMAT:
            raise ValueError(
                f"{self.directory} was written by a later version of zipthought (store format {version}; this version "
                f"reads up to {FORMAT}); upgrade zipthought"
            )

    def _check_same(
        self, db: sqlite3.Connection, spec: StudySpec, cells: list[Cell], models: dict[str, str], meta: dict[str, str]
    ) -> None:
        """Raise `ValueError` if the directory holds another study. If the study has grown, update its spec, and its
        environment, whose command reproduces it."""
        before = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM meta")}
        if not before:
            return
        if make_spec(before["spec"], before["models"]).plain() == spec.plain() and before["models"] == models:
            return
        stored = {digest for (digest,) in db.execute("SELECT digest FROM cells")}
        if stored - {cell.digest for cell in cells}:
            raise ValueError(f"{self.directory} holds a study of other settings or weights; use another --output-dir")
        db.executemany("UPDATE meta SET value = ? WHERE key = ?", [(value, key) for key, value in meta.items()])

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        writable = all(os.access(path, os.W_OK) for path in (self.directory, self._path) if path.exists())
        mode = "rwc"
        if not writable:  # SQLite reads a WAL database without its log only if it is declared immutable.
            mode = "ro" if Path(f"{self._path}-wal").exists() else "ro&immutable=1"
        uri = f"{self._path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(uri, timeout=30, isolation_level=None, uri=True)
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
        """The value under `key` (`spec`, `models`, `environment`, `created`)."""
        with self._connect() as db:
            return json.loads(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])

    @property
    def spec(self) -> StudySpec:
        """The spec of the study, with the model digests of its creation."""
        return make_spec(self.meta("spec"), self.meta("models"))

    def cells(self) -> list[StoredCell]:
        """All cells in the order of the spec."""
        with self._connect() as db:
            rows = db.execute("SELECT digest, config, status, seconds, result, error FROM cells ORDER BY place")
            return [_stored(*row) for row in rows]

    def results(self, kind: type[R]) -> dict[str, R]:
        """Digest -> result of the finished cells whose results are of a class."""
        return {cell.digest: cell.result for cell in self.cells() if isinstance(cell.result, kind)}

    def completions(self, digest: str, name: str = "test") -> list[JudgedCompletion]:
        """The completions that a cell wrote under a name, in order of n_ops and index."""
        completions = read_completions(Workspace(self.directory).completions(digest, name))
        return sorted(completions, key=lambda completion: (completion.n_ops, completion.index))

    def solved(self, digest: str, name: str = "test") -> list[bool]:
        """Whether each of these completions is correct."""
        return [completion.correct for completion in self.completions(digest, name)]

    def workspace(self, cell: Cell | None = None) -> Workspace:
        """The workspace of the study, with the results that `cell` needs."""
        needs = cell.needs() if cell else []
        results: dict[str, Result] = self.results(Result) if needs else {}  # type: ignore[type-abstract]
        return Workspace(self.directory, {needed.digest: results[needed.digest] for needed in needs})

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

        A cell that has had `MAX_ATTEMPTS` workers is `failed`.
        """
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            rows = db.execute("SELECT digest, worker, heartbeat FROM cells WHERE status = 'running'").fetchall()
            dead = [d for d, worker, beat in rows if not _alive(worker) or beat < time.time() - STALE_SECONDS]
            for digest in dead:
                db.execute(_PUT_BACK + "WHERE digest = ?", (MAX_ATTEMPTS, "its worker died", digest))
            db.execute("COMMIT")
            return len(dead)

    def claim(self, worker: str) -> Cell | None:
        """A cell to run, now `running` under the name of the worker; None if no cell is ready."""
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            row = db.execute(f"SELECT digest, config FROM cells WHERE {_READY} ORDER BY place LIMIT 1").fetchone()
            if row:
                db.execute(
                    "UPDATE cells SET status = 'running', worker = ?, heartbeat = ?, attempts = attempts + 1 "
                    "WHERE digest = ?",
                    (worker, time.time(), row[0]),
                )
            db.execute("COMMIT")
        return make_cell(json.loads(row[1])) if row else None

    @contextmanager
    def beating(self, worker: str, digests: Callable[[], Iterable[str]]) -> Iterator[None]:
        """Send heartbeats in the background for the cells that `digests` returns, until the block ends."""
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
        """Record that the worker still runs the cell."""
        with self._connect() as db:
            db.execute("UPDATE cells SET heartbeat = ? WHERE digest = ? AND worker = ?", (time.time(), digest, worker))

    def finish(self, digest: str, worker: str, result: Result, seconds: float) -> bool:
        """Store a result. Returns False if another worker has the cell by now; then its result counts."""
        with self._connect() as db:
            done = db.execute(
                "UPDATE cells SET status = 'done', result = ?, seconds = ?, error = NULL "
                "WHERE digest = ? AND worker = ? AND status = 'running'",
                (json.dumps(result.plain()), seconds, digest, worker),
            )
            return done.rowcount == 1

    def fail(self, digest: str, worker: str, reason: str) -> None:
        """Put a cell back, or mark it `failed` after `MAX_ATTEMPTS`."""
        with self._connect() as db:
            db.execute(_PUT_BACK + "WHERE digest = ? AND worker = ?", (MAX_ATTEMPTS, reason, digest, worker))

    def release(self, workers: Iterable[str]) -> None:
        """Put back the cells of stopped workers. These attempts do not count."""
        with self._connect() as db:
            db.executemany(
                "UPDATE cells SET status = 'pending', worker = NULL, attempts = attempts - 1 "
                "WHERE worker = ? AND status = 'running'",
                [(worker,) for worker in workers],
            )

    def retry_failed(self) -> None:
        """Put back failed cells, with all their attempts."""
        with self._connect() as db:
            db.execute("UPDATE cells SET status = 'pending', attempts = 0 WHERE status = 'failed'")


def _stored(
    digest: str, config: str, status: str, seconds: float | None, result: str | None, error: str | None
) -> StoredCell:
    cell = make_cell(json.loads(config))
    values: Mapping[str, Any] | None = json.loads(result) if result else None
    return StoredCell(digest, cell, status, seconds, cell.RESULT.from_plain(values) if values else None, error)


def worker_name(pid: int | None = None) -> str:
    """Host and process of a worker on this machine, by default of this process."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def _alive(worker: str) -> bool:
    host, _, pid = worker.rpartition(":")
    if host != socket.gethostname():
        return True  # Only the heartbeat shows whether it lives.
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # The process of another user.
    return True
