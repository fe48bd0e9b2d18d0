"""The SQLite file of a study: its tables, connections, and checksums of what it holds.

A checksum finds damage and careless edits. It does not stop somebody who edits a value and computes the checksum anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FORMAT = 3
"""The version of the store's layout. Format 1 (version 0.1) records no version, and its results lack some counts.
Formats 1 and 2 (version 0.2) have no checksums."""
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """
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
    error TEXT,
    files TEXT, -- name -> sha256 of the files that the cell wrote
    checksum TEXT -- of digest, seconds, result and files
)
""",
)
CHECKED_COLUMNS = ("files", "checksum")
"""Columns of the table of cells that formats 1 and 2 lack."""
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading values of a wrong kind raises."""
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free some space and run the command again; finished cells are kept",
    sqlite3.SQLITE_IOERR: "check the disk and its free space, then run the command again",
    sqlite3.SQLITE_READONLY: "make the study's directory writable, or copy it to a place that is",
    sqlite3.SQLITE_BUSY: "another process holds it; try again when that has ended",
    sqlite3.SQLITE_LOCKED: "another process holds it; try again when that has ended",
}


class StoreError(ValueError):
    """The database of a study cannot be used."""


@contextmanager
def connect(path: Path, create: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection in autocommit mode. Only with `create` does it make a missing file.

    Bytes that are no UTF-8 are read as lone surrogates, so that one damaged value does not hide the others. Raises
    `StoreError` for a file that cannot be used.
    """
    writable = all(os.access(p, os.W_OK) for p in (path.parent, path) if p.exists())
    mode = "rwc" if create else "rw"
    if not writable:  # SQLite reads a WAL database without its log only if it is declared immutable.
        mode = "ro" if Path(f"{path}-wal").exists() else "ro&immutable=1"
    db = None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", timeout=30, isolation_level=None, uri=True)
        db.text_factory = lambda text: text.decode(errors="surrogateescape")
        db.execute("PRAGMA synchronous = FULL")
        if create and writable:
            db.execute("PRAGMA journal_mode = WAL")
        yield db
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        remedy = _REMEDIES.get(code, "restore it from a copy, or move it away and run the study again")
        raise StoreError(f"{path} cannot be used as a study's store ({error}); {remedy}") from error
    finally:
        if db is not None:
            db.close()


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that writes; an exception undoes it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # SQLite itself undoes it after some errors, such as a full disk.
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def structural_faults(db: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the pages and the indexes of a database. Values that break a rule of their column
    are left to the checks of rows."""
    try:
        messages = [" ".join(str(message).split()) for (message,) in db.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:  # Damage that the check itself cannot pass.
        return [str(error)]
    return [m for m in messages if m != "ok" and not re.search(r"value in \w+\.\w+|constraint failed in", m)]


def text_checksum(*values: Any) -> str:
    """A sha256 over values of a row: text, numbers and None."""
    return hashlib.sha256(json.dumps(values, default=repr).encode()).hexdigest()


def file_checksum(path: Path) -> str:
    """The sha256 of a file's bytes. Raises `OSError` as `open` does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
