"""The file of training results beside the output. Each result is in it as soon as it is known, so a stopped command
goes on, and a further row trains that row alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.atomic import write_text

_MARK = "zipthought_compare"
Cell = dict[str, Any]
"""The result of one run: `correct` ("0110", a digit for each question), `response_tokens` and the like."""


class Results:
    """Key -> result."""

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        """Raises `ValueError` if the file is there and holds no such results, unless `overwrite`."""
        self._path, self._overwrite = path, overwrite
        self._cells = self._read()

    def get(self, key: str) -> Cell | None:
        """The result of a key; None if there is none."""
        return self._cells.get(key)

    def put(self, key: str, cell: Cell) -> None:
        """Keep a result. It is on the disk when this returns."""
        self._cells = {**self._read(), **self._cells, key: cell}  # Another command may have added some.
        write_text(self._path, json.dumps({_MARK: 1, "results": self._cells}, indent=1, sort_keys=True) + "\n")
        self._overwrite = False

    def _read(self) -> dict[str, Cell]:
        if not self._path.exists() or (self._overwrite and not is_results(self._path)):
            return {}
        if not is_results(self._path):
            raise ValueError(
                f"{self._path} holds no results of zipthought compare; give --overwrite to replace it, or choose "
                "another --output"
            )
        cells: dict[str, Cell] = json.loads(self._path.read_text(encoding="utf-8"))["results"]
        return cells


def is_results(path: Path) -> bool:
    """Whether a file holds results of an earlier comparison."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and _MARK in value and isinstance(value.get("results"), dict)


def key_of(parts: Mapping[str, Any]) -> str:
    """The identity of a result: 32 hex digits of sha256 of what it depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


__all__ = ["Cell", "Results", "is_results", "key_of"]
