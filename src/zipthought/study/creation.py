"""Making the store of a study, or making an existing one ready to go on: it may have grown, be of an earlier format, or
be damaged."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .cells import Cell
from .database import CHECKED_COLUMNS, FORMAT, SCHEMA, StoreError, connect, structural_faults, transaction
from .meta import KINDS, MACHINES, REGISTRATION, SETTINGS, Meta, machine, read_meta, write_meta
from .snapshot import ALTERED, Snapshot
from .spec import StudySpec
from .workspace import Workspace


def prepare(
    directory: Path,
    spec: StudySpec,
    environment: Mapping[str, Any],
    registration: Mapping[str, Any] | None = None,
) -> list[str]:
    """Make `directory` the store of a study, in which every cell that has no sound result is pending.

    Returns what was damaged and is mended now, as sentences. Raises `ValueError` if another study, or a study of a
    later version, lives there, for a registration that comes after the first result, and as `StudySpec.cells` does;
    `StoreError` if the database cannot be used.
    """
    cells = spec.cells()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "completions").mkdir(exist_ok=True)
    with connect(directory / "study.db", create=True) as db:
        if structural_faults(db):
            db.execute("REINDEX")
            if faults := structural_faults(db):
                raise StoreError(
                    f"{directory / 'study.db'} is damaged ({faults[0]}); restore it from a copy, or move it away and "
                    "run the study again"
                )
        with transaction(db):
            for statement in SCHEMA:
                db.execute(statement)
            stored = {digest for (digest,) in db.execute("SELECT digest FROM cells")}
            kept = spec.keeping(_recorded_models(db, directory))
            spec, cells = kept, cells if kept is spec else kept.cells()
            before, messages = _settings(db, directory, spec, cells, stored, environment, registration)
            for position, cell in enumerate(cells):
                if cell.digest not in stored:
                    _insert(db, cell, position)
            if missing := len(before - stored):
                messages.append(f"{missing} cells had no row in {directory / 'study.db'}; they run again")
    return messages + _put_back(directory)


def _recorded_models(db: sqlite3.Connection, directory: Path) -> Mapping[str, str]:
    """Base -> its digest in the table `meta`; empty for a new store, and for one whose row is damaged."""
    has_rows = db.execute("SELECT COUNT(*) FROM meta").fetchone()[0]
    meta = read_meta(db, directory) if has_rows else None
    return meta.values["models"] if meta and meta.spec else {}


def _settings(
    db: sqlite3.Connection,
    directory: Path,
    spec: StudySpec,
    cells: list[Cell],
    stored: set[Any],
    environment: Mapping[str, Any],
    registration: Mapping[str, Any] | None,
) -> tuple[set[Any], list[str]]:
    """Write the table `meta` of a new, grown, older or damaged store, whose table of cells has the digests `stored`.
    Returns the digests that the study had so far, and what was damaged."""
    digests = {cell.digest for cell in cells}
    models = {cell.model: cell.model_digest for cell in cells}
    now: dict[str, Any] = {
        "spec": spec.plain(),
        "models": models,
        "environment": dict(environment),
        "created": time.time(),
        "format": FORMAT,
        "unchecked": [],
        MACHINES: [machine(environment)],
    }
    if registration:
        now[REGISTRATION] = dict(registration)
    if not stored and not db.execute("SELECT COUNT(*) FROM meta").fetchone()[0]:
        write_meta(db, now)
        return set(), []
    meta = read_meta(db, directory)
    before = {cell.digest for cell in meta.spec.cells()} if meta.spec else stored
    if before - digests:
        raise ValueError(f"{directory} holds a study of other settings or weights; use another --output-dir")
    _check_registration(db, directory, meta, registration)
    kept = {key: value for key, value in meta.values.items() if key in KINDS and key not in meta.faults}
    kept[MACHINES] = meta.machines
    unfinished = db.execute("SELECT COUNT(*) FROM cells WHERE status != 'done'").fetchone()[0]
    here = machine(environment)
    if (unfinished or digests - stored) and not any(each.items() <= here.items() for each in meta.machines):
        kept[MACHINES] = [*meta.machines, here]
    if not _same(meta, spec, models):  # It has grown. The new command reproduces it.
        kept = {key: value for key, value in kept.items() if key not in (*SETTINGS, "environment")}
    if not meta.checked:
        for column in CHECKED_COLUMNS:
            db.execute(f"ALTER TABLE cells ADD COLUMN {column} TEXT")
        kept |= {
            "format": FORMAT,
            "unchecked": [d for (d,) in db.execute("SELECT digest FROM cells WHERE status = 'done'")],
        }
    write_meta(db, now | kept)
    return before, [f"row {key!r} of meta {problem}; it is written anew" for key, problem in meta.faults.items()]


def _check_registration(
    db: sqlite3.Connection, directory: Path, meta: Meta, registration: Mapping[str, Any] | None
) -> None:
    """Raise `ValueError` for a registration other than that of the study, or one that comes after its first result, and
    if that of the study is damaged and none replaces it."""
    if REGISTRATION in meta.faults and not registration:
        raise ValueError(f"the registration of the study in {directory} is damaged; give its file with --registration")
    if REGISTRATION in meta.faults or not registration:
        return
    before = meta.values.get(REGISTRATION)
    if before is not None and before != registration:
        raise ValueError(f"{directory} holds a study with another registration; use another --output-dir")
    done = db.execute("SELECT COUNT(*) FROM cells WHERE status = 'done'").fetchone()[0]
    if before is None and done:
        raise ValueError(
            f"{directory} holds a study with {done} finished cells and no registration; register before the run, and "
            "use another --output-dir"
        )


def _same(meta: Meta, spec: StudySpec, models: Mapping[str, str]) -> bool:
    return meta.spec is not None and meta.spec.plain() == spec.plain() and meta.values["models"] == models


def _put_back(directory: Path) -> list[str]:
    """Make pending the cells that are not sound, and remove rows of no cell. Returns what was damaged."""
    snapshot = Snapshot(directory, weights=True)
    workspace = Workspace(directory)
    messages = [f"row {digest!r} of cells belongs to no cell of the study; it is removed" for digest in snapshot.strays]
    damaged = [(position, cell) for position, cell in enumerate(snapshot.cells) if cell.status == ALTERED]
    with connect(directory / "study.db") as db, transaction(db):
        db.executemany("DELETE FROM cells WHERE digest IS ?", [(digest,) for digest in snapshot.strays])
        for position, cell in damaged:
            workspace.clear(cell.digest)
            db.execute("DELETE FROM cells WHERE digest = ?", (cell.digest,))
            _insert(db, cell.config, position)
            messages.append(f"{cell.name} {cell.fault}; it runs again")
    return messages


def _insert(db: sqlite3.Connection, cell: Cell, position: int) -> None:
    needs = json.dumps([needed.digest for needed in cell.needs()])
    row = (cell.digest, position, json.dumps(cell.plain()), needs)
    columns = "digest, place, config, needs, status, attempts"
    db.execute(f"INSERT INTO cells ({columns}) VALUES (?, ?, ?, ?, 'pending', 0)", row)
