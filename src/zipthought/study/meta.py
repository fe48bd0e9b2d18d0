"""The table `meta` of a study's store: its spec, the digests of its models, its environment and its format."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .database import CHECKED_COLUMNS, FORMAT, MALFORMED, StoreError, text_checksum
from .spec import StudySpec, stored_spec

CHECKSUMS = "checksums"
"""The key of the row with the checksums of all others."""
REGISTRATION = "registration"
"""The key of the row that only registered studies have (`study.registration`)."""
MACHINES = "machines"
"""The key of the row with each machine that was given cells to run, in this order. Older stores have none."""
KINDS: Mapping[str, tuple[type, ...]] = {
    "spec": (dict,),
    "models": (dict,),
    "environment": (dict,),
    "created": (int, float),
    "format": (int,),
    "unchecked": (list,),
    MACHINES: (list,),
    REGISTRATION: (dict,),
}
"""Key -> the types of its JSON value. `unchecked` names finished cells of an earlier format, without checksums."""
SETTINGS = ("spec", "models")
"""Without these rows nothing can be computed from a store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """The rows."""

    values: Mapping[str, Any]
    """Key -> value, without rows that cannot be read."""
    faults: Mapping[str, str]
    """Key -> what is wrong with its row."""
    checked: bool
    """Whether the store has checksums."""
    spec: StudySpec | None
    """The spec, with the model digests of its creation; None if one of `SETTINGS` has a fault."""

    @property
    def unchecked(self) -> set[str]:
        """The digests of cells without checksums, for a store that has them for others."""
        return set(map(str, self.values.get("unchecked", ())))

    @property
    def machines(self) -> list[dict[str, Any]]:
        """The machines that the study ran on so far."""
        recorded: list[dict[str, Any]] = self.values.get(MACHINES, [])
        return recorded or [machine(self.values.get("environment", {}))]


def machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an environment that results can depend on: hardware and versions, but not the command."""
    return {key: value for key, value in environment.items() if key not in ("command", "threads", "backend")}


def read_meta(db: sqlite3.Connection, directory: Path) -> Meta:
    """The rows, checked. Raises `ValueError` if a later version wrote the store, and `sqlite3.Error` without a table
    `meta`."""
    texts: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for key, text in db.execute("SELECT key, value FROM meta"):
        if key in texts:
            faults[str(key)] = "is stored twice"
        texts[key] = text
    columns = _columns(db)
    checked = set(CHECKED_COLUMNS) <= columns
    if not checked and (CHECKSUMS in texts or columns & set(CHECKED_COLUMNS)):
        raise StoreError(f"the store in {directory} lacks the columns of its checksums; restore study.db from a copy")
    sums = _parsed(texts.pop(CHECKSUMS, None), (dict,)) if checked else None
    if checked and sums is None:
        faults[CHECKSUMS] = "is missing or cannot be read"
    values: dict[str, Any] = {}
    for key in dict.fromkeys([*(sums or KINDS), *texts]):
        if key not in texts:
            if key in (sums or SETTINGS):
                faults[key] = "is missing"
            continue
        values[key] = _parsed(texts[key], KINDS.get(key, ()))
        if values[key] is None:
            del values[key]
            faults[key] = "cannot be read"
        elif checked and (sums or {}).get(key) != text_checksum(key, texts[key]):
            faults[key] = "was altered"
    version = values.get("format", 1)
    ours = text_checksum("format", json.dumps(FORMAT))
    if version > FORMAT and (sums or {}).get("format") != ours:  # Otherwise a damaged row, which is a fault.
        raise ValueError(
            f"{directory} was written by a later version of zipthought (store format {version}; this version reads up "
            f"to {FORMAT}); upgrade zipthought"
        )
    spec = None
    if not set(SETTINGS) & set(faults) and all(key in values for key in SETTINGS):
        try:
            spec = stored_spec(values["spec"], values["models"])
        except MALFORMED as error:
            faults["spec"] = f"cannot be used: {error}"
    return Meta(values=values, faults=faults, checked=checked, spec=spec)


def write_meta(db: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    """Replace all rows, with their checksums."""
    texts = {key: json.dumps(value, sort_keys=key != "environment") for key, value in values.items()}
    texts[CHECKSUMS] = json.dumps({key: text_checksum(key, text) for key, text in texts.items()})
    db.execute("DELETE FROM meta")
    db.executemany("INSERT INTO meta VALUES (?, ?)", list(texts.items()))


def _columns(db: sqlite3.Connection) -> set[str]:
    return {row[1] for row in db.execute("PRAGMA table_info(cells)")}


def _parsed(text: Any, kinds: tuple[type, ...]) -> Any:
    """The JSON value of a text; None if there is none of these types (empty: of any)."""
    try:
        value = json.loads(text)
    except MALFORMED:
        return None
    return value if type(value) in kinds or not kinds else None
