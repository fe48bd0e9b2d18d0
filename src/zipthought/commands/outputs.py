"""What commands read and write beside the files that their options name. `files.atomic.refuse_overwrite` uses it."""

from __future__ import annotations

from pathlib import Path

from ..models.names import BUNDLED

STORE_FILES = ("study.db", "study.db-wal", "study.db-shm", "study.db-journal", "completions", "weights")
"""Files and directories of a study that reports are made of. SQLite reads the files beside `study.db`, too."""


def model_files(model: str) -> list[Path]:
    """The files of a local model that loading may read: all in its directory but Parquet, which no model has.

    There are none for a bundled base, a hub id and an empty name.
    """
    if not model or model in BUNDLED or not Path(model).is_dir():
        return []
    return [path for path in Path(model).iterdir() if path.is_file() and path.suffix != ".parquet"]
