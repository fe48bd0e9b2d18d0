"""A study as its store holds it at one moment: read once, and checked.

The cells are those of the spec, so a row that is missing or does not belong is known. A finished cell counts only if
its row and its files pass their checksums; otherwise it is `altered` and has no result. Results of earlier versions
have no checksums: they must be readable, and are counted as unchecked.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..evaluation.completions import read_columns, read_completions
from ..evaluation.metrics import JudgedCompletion
from .cells import Cell, Result, make_cell
from .conform import conforms
from .database import MALFORMED, connect, file_checksum, text_checksum
from .failures import Failure, failures_of
from .meta import SETTINGS, read_meta
from .progress import RunningCell, read_progress
from .spec import StudySpec
from .workspace import Workspace

R = TypeVar("R", bound=Result)
STATUSES = ("done", "running", "pending", "failed")
ALTERED = "altered"
"""The status of a cell whose row or files have a fault."""


class Row(NamedTuple):
    """A row of the table of cells, of any types."""

    digest: Any
    config: Any
    needs: Any
    status: Any
    seconds: Any
    result: Any
    error: Any
    files: Any
    checksum: Any


COLUMNS = ", ".join(Row._fields)
OLD_COLUMNS = ", ".join(Row._fields[:-2]) + ", NULL, NULL"
"""Of formats 1 and 2."""


@dataclass(frozen=True, slots=True)
class StoredCell:
    """A cell of the study."""

    digest: str
    config: Cell
    status: str
    """One of `STATUSES`, or `ALTERED`."""
    seconds: float | None
    result: Result | None
    """The result of `execute`; None until the cell is done."""
    error: str | None
    """The reason of a failure."""
    fault: str = ""
    """What is wrong with it, as the rest of a sentence; empty: nothing."""
    checked: bool = True
    """False for a finished cell without checksums, which an earlier version wrote."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"cell {self.digest} ({self.config.label}, seed {self.config.seed})"


class Fault(NamedTuple):
    """Damage."""

    name: str
    """What is damaged."""
    problem: str
    """The rest of the sentence."""

    def __str__(self) -> str:
        return f"{self.name} {self.problem}"


class Snapshot:
    """The content of a store.

    With `weights`, the kept weights are checked, too. Reports need none. Raises `ValueError` if a later version wrote
    the store, and `StoreError` if its database cannot be read.
    """

    def __init__(self, directory: Path, weights: bool = False) -> None:
        self.directory = directory
        with connect(directory / "study.db") as db:
            db.execute("BEGIN")
            self._meta = read_meta(db, directory)
            rows = [
                Row(*row) for row in db.execute(f"SELECT {COLUMNS if self._meta.checked else OLD_COLUMNS} FROM cells")
            ]
        self.meta = self._meta.values
        """Key -> value of `environment`, `created` and others, where they can be read."""
        self._recorded: dict[str, dict[str, str]] = {}
        self.cells, self.strays = self._cells(rows, weights)
        """The cells in the order of the spec, and the rows that belong to none of them."""

    def _cells(self, rows: Sequence[Row], weights: bool) -> tuple[list[StoredCell], list[Any]]:
        by_digest: dict[Any, list[Row]] = {}
        for row in rows:
            by_digest.setdefault(row.digest, []).append(row)
        spec = self._meta.spec
        expected = spec.cells() if spec else [c for row in rows if (c := _config(row)) and c.digest == row.digest]
        cells = []
        for cell in expected:
            found = by_digest.pop(cell.digest, [])
            if len(found) == 1:
                cells.append(self._cell(cell, found[0], weights))
            else:
                fault = "is stored twice" if found else "has no row"
                cells.append(StoredCell(cell.digest, cell, ALTERED, None, None, None, fault))
        return cells, list(by_digest)

    def _cell(self, cell: Cell, row: Row, weights: bool) -> StoredCell:
        result, files, fault = check_row(cell, row, row.checksum is None and self._exempt(row.digest))
        checked = row.status != "done" or row.checksum is not None
        if not fault and row.status == "done":
            fault = file_fault(Workspace(self.directory), cell, files if checked else None, weights)
        if fault:
            return StoredCell(cell.digest, cell, ALTERED, None, None, None, fault)
        self._recorded[cell.digest] = files
        seconds = row.seconds if isinstance(row.seconds, int | float) else None
        error = None if row.error is None else str(row.error)
        return StoredCell(cell.digest, cell, row.status, seconds, result, error, "", checked)

    def _exempt(self, digest: str) -> bool:
        """Whether a finished cell may lack checksums."""
        return not self._meta.checked or digest in self._meta.unchecked

    @property
    def spec(self) -> StudySpec:
        """The spec. Raises `ValueError` if the store's record of it is damaged."""
        if self._meta.spec is None:
            faults = [f"{key} {self._meta.faults[key]}" for key in SETTINGS if key in self._meta.faults]
            raise ValueError(
                f"the settings of the study in {self.directory} are damaged ({'; '.join(faults)}); "
                "'zipthought study run' with its file or preset restores them"
            )
        return self._meta.spec

    @property
    def faults(self) -> list[Fault]:
        """All damage."""
        return [
            *(Fault(f"row {key!r} of meta", problem) for key, problem in self._meta.faults.items()),
            *(Fault(cell.name, cell.fault) for cell in self.cells if cell.fault),
            *(Fault(f"row {digest!r} of cells", "belongs to no cell of the study") for digest in self.strays),
        ]

    def counts(self) -> dict[str, int]:
        """Status -> number of cells."""
        statuses = [cell.status for cell in self.cells]
        return {status: n for status in (*STATUSES, ALTERED) if (n := statuses.count(status))}

    def running(self) -> list[RunningCell]:
        """The cells that workers have, with the progress of their training by now."""
        workspace = Workspace(self.directory)
        running = [cell.config for cell in self.cells if cell.status == "running"]
        return [RunningCell(cell=cell, progress=read_progress(workspace.scratch(cell.digest))) for cell in running]

    def failures(self) -> list[Failure]:
        """The failures of the present run, or of the last one."""
        return failures_of((cell.config, cell.status, cell.error) for cell in self.cells)

    def results(self, kind: type[R]) -> dict[str, R]:
        """Digest -> result of the finished cells whose results are of a class."""
        return {cell.digest: cell.result for cell in self.cells if isinstance(cell.result, kind)}

    def completions(self, digest: str, name: str = "test") -> list[JudgedCompletion]:
        """The completions that a cell wrote under a name, in order of n_ops and index.

        Raises `OSError` if there are none, and `ValueError` if the file has changed since the snapshot.
        """
        completions = read_completions(self._file(digest, name))
        return sorted(completions, key=lambda completion: (completion.n_ops, completion.index))

    def solved(self, digest: str, name: str = "test") -> list[bool]:
        """Whether each of these completions is correct. It reads three columns, so it is faster than `completions`."""
        n_ops, index, correct = read_columns(self._file(digest, name), ("n_ops", "index", "correct"))
        order = sorted(range(len(correct)), key=lambda i: (n_ops[i], index[i]))
        return [correct[i] for i in order]

    def _file(self, digest: str, name: str) -> io.BytesIO:
        workspace = Workspace(self.directory)
        path = workspace.completions(digest, name)
        recorded = self._recorded.get(digest, {}).get(workspace.name(path))
        if recorded is not None and file_checksum(path) != recorded:
            raise ValueError(f"{path} has changed while it was read; run the command again")
        return io.BytesIO(path.read_bytes())


def check_row(cell: Cell, row: Row, exempt: bool = False) -> tuple[Result | None, dict[str, str], str]:
    """(result, name -> checksum of each of its files, fault) of a cell's row. `exempt`: a finished cell needs no
    checksum."""
    if fault := _settings_fault(cell, row):
        return None, {}, fault
    if row.status != "done":
        left = [name for name in ("result", "files", "checksum") if getattr(row, name) is not None]
        return None, {}, f"is {row.status}, but has a {left[0]}" if left else ""
    if row.result is None:
        return None, {}, "is done, but has no result"
    if not exempt and row.checksum is None:
        return None, {}, "has no checksum"
    if not exempt and row.checksum != text_checksum(row.digest, row.seconds, row.result, row.files):
        return None, {}, "fails its checksum: its result, its time or its list of files was altered"
    try:
        result = cell.RESULT.from_plain(json.loads(row.result))
        files = {} if exempt else dict(json.loads(row.files))
    except MALFORMED:
        return None, {}, "has a result that cannot be read"
    if exempt and not conforms(result):
        return None, {}, "has a result with values of a wrong type"
    return result, files, ""


def _settings_fault(cell: Cell, row: Row) -> str:
    """What is wrong with the columns that the spec determines, and with the status."""
    if row.config != json.dumps(cell.plain()):
        stored = _config(row)
        if stored is None:
            return "has settings that cannot be read, or is of an unknown kind"
        if stored.digest != cell.digest:
            return "has altered settings"
    if row.needs != json.dumps([needed.digest for needed in cell.needs()]):
        return "has an altered list of needed cells"
    return "" if row.status in STATUSES else f"has an unknown status {row.status!r}"


def _config(row: Row) -> Cell | None:
    """The cell of a row's settings; None if they cannot be read."""
    try:
        return make_cell(json.loads(row.config))
    except MALFORMED:
        return None


def file_fault(workspace: Workspace, cell: Cell, recorded: dict[str, str] | None, weights: bool) -> str:
    """What is wrong with the files of a finished cell. `recorded` is None for one without checksums, whose completions
    must be readable."""
    if recorded is None:
        return _unchecked_fault(workspace, cell, weights)
    paths = {name: workspace.root / name for name in recorded}
    for name, path in paths.items():
        if not workspace.owns(cell.digest, name):
            return f"lists a file that is not its own: {name}"
        if name.startswith("weights") and not weights:
            continue
        if problem := _problem(path, recorded[name]):
            return f"has {'weights' if name.startswith('weights') else 'completions'} that {problem}: {name}"
    return ""


def _unchecked_fault(workspace: Workspace, cell: Cell, weights: bool) -> str:
    for path in (workspace.completions(cell.digest, name) for name in cell.completion_names()):
        if not path.is_file():
            return f"has completions that are missing: {workspace.name(path)}"
        try:
            read_completions(io.BytesIO(path.read_bytes()))
        except (OSError, *MALFORMED):
            return f"has completions that cannot be read: {workspace.name(path)}"
    if weights and cell.keeps_weights and not workspace.weights(cell.digest).is_dir():
        return f"has weights that are missing: {workspace.name(workspace.weights(cell.digest))}"
    return ""


def _problem(path: Path, recorded: str) -> str:
    try:
        if not path.is_file():
            return "are no file" if path.exists() else "are missing"
        return "" if file_checksum(path) == recorded else "were altered"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def rows_of(db: sqlite3.Connection, digests: Iterable[str]) -> dict[str, Row]:
    """The rows of some cells, by digest."""
    rows = (db.execute(f"SELECT {COLUMNS} FROM cells WHERE digest = ?", (digest,)).fetchone() for digest in digests)
    return {row[0]: Row(*row) for row in rows if row}
