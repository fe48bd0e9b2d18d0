"""``zipthought study check``: everything that can be checked about a study, at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .database import connect, structural_faults
from .snapshot import Fault, Snapshot
from .store import Store

_FOLDERS = ("completions", "weights", "scratch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found."""

    cells: dict[str, int]
    """Status -> number of cells."""
    faults: list[Fault]
    """Damage."""
    unchecked: int
    """Finished cells without checksums, which an earlier version wrote."""
    leftovers: list[str]
    """Files that belong to no finished cell: those of runs in progress, or of runs that were killed."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        faults = [fault._asdict() for fault in self.faults]
        return {"cells": self.cells, "faults": faults, "unchecked": self.unchecked, "leftovers": self.leftovers}


def check(directory: Path) -> Checked:
    """Check the database, its rows against the spec, and the files of each finished cell, weights included.

    Raises `ValueError` if there is no study or if its database cannot be read.
    """
    Store.open(directory)
    with connect(directory / "study.db") as db:
        faults = [Fault("study.db", f"is damaged: {message}") for message in structural_faults(db)]
    study = Snapshot(directory, weights=True)
    return Checked(
        cells=study.counts(),
        faults=faults + study.faults,
        unchecked=sum(not cell.checked for cell in study.cells),
        leftovers=_leftovers(study),
    )


def _leftovers(study: Snapshot) -> list[str]:
    done = {cell.digest for cell in study.cells if cell.status == "done"}
    faulty = {cell.digest for cell in study.cells if cell.fault}  # Their files are named as faults.
    names = []
    for folder in _FOLDERS:
        for path in sorted((study.directory / folder).glob("*")):
            owner = path.name.partition(".")[0]
            if owner not in faulty and (owner not in done or folder == "scratch"):
                names.append(f"{folder}/{path.name}")
    return names
