"""The cache of answers: an SQLite file beside the output. An answer is on the disk before the next step, so a stopped
run asks for none of its answers again."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Answer(NamedTuple):
    """What a model answered."""

    text: str
    tokens: int
    """Generated tokens, the end of sequence included."""
    truncated: bool
    """Whether it reached the limit of tokens."""
    estimated: bool = False
    """Whether the tokens are estimated, because the endpoint did not state them, or stated what cannot be."""


class Cache:
    """Key -> answer. Threads may write to it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self._lock = db, threading.Lock()

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return self._db.execute("SELECT 1 FROM answers WHERE key = ?", (key,)).fetchone() is not None

    def get(self, key: str) -> Answer | None:
        """The answer of a key; None if there is none."""
        with self._lock:
            row = self._db.execute(
                "SELECT text, tokens, truncated, estimated FROM answers WHERE key = ?", (key,)
            ).fetchone()
        return Answer(row[0], row[1], bool(row[2]), bool(row[3])) if row else None

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer; the first of a key stays."""
        with self._lock:
            self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?)", (key, *answer))


@contextmanager
def open_cache(path: Path) -> Iterator[Cache]:
    """The cache in a file, which is made if it is missing. Raises `ValueError` if the file is no cache."""
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # In WAL mode a crash of the process loses nothing.
        db.execute(
            "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, text TEXT NOT NULL, tokens INTEGER NOT NULL, "
            "truncated INTEGER NOT NULL, estimated INTEGER NOT NULL) WITHOUT ROWID"
        )
        db.execute("SELECT key, text, tokens, truncated, estimated FROM answers LIMIT 1")
    except sqlite3.DatabaseError as error:
        db.close()
        raise ValueError(f"{path} is no cache of answers ({error}); choose another --cache") from error
    try:
        yield Cache(db)
    finally:
        db.close()
