"""Failures of cells: which of them are alike, which another attempt cannot mend, and when alike ones end a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .cells import Cell

DIED = "its worker died"
"""How the error of a cell begins whose worker was killed, perhaps for want of memory, or whose node is gone."""
MAX_EQUAL_FAILURES = 3
"""So many cells with the same failure end a run."""
_VARYING = re.compile(r"\b(?=[a-fx.-]*\d)[0-9a-fx.-]+\b", re.IGNORECASE)
"""Numbers, digests and addresses."""


class Reason(NamedTuple):
    """Why a cell failed."""

    error: str
    """The class of the exception, and its text, on one line."""
    final: bool
    """Whether another attempt would end in the same way. Memory, disks and networks may be better at the next one."""

    @classmethod
    def of(cls, error: Exception) -> Reason:
        """The reason of an exception."""
        return cls(
            f"{type(error).__name__}: {' '.join(str(error).split())}", not isinstance(error, OSError | RuntimeError)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The cells that failed with one error, up to its numbers and digests."""

    error: str
    """The error of the first of them."""
    cells: int
    """How many there are."""
    digest: str
    """The digest of the first."""
    label: str
    """Its label."""
    seed: int
    """Its seed."""

    @property
    def kind(self) -> str:
        """The error without numbers and digests."""
        return kind_of(self.error)

    @property
    def summary(self) -> str:
        """How many cells failed, and the error."""
        return f"{self.cells} cell{'s' if self.cells != 1 else ''} failed: {self.error}"

    def plain(self) -> dict[str, Any]:
        """The failure as JSON values; `digest`, `cell` and `seed` are those of the first cell."""
        return {
            "error": self.error, "cells": self.cells, "digest": self.digest, "cell": self.label, "seed": self.seed
        }  # fmt: skip

    def __str__(self) -> str:
        return f"cell {self.digest} ({self.label}, seed {self.seed}) failed: {self.error}"


def kind_of(error: str) -> str:
    """An error without numbers and digests. Errors that differ in these alone are the same failure."""
    return _VARYING.sub("#", error)


def failures_of(cells: Iterable[tuple[Cell, str, str | None]]) -> list[Failure]:
    """The failures of unfinished cells, as (cell, status, error), in the order of their first cells.

    A cell whose worker died counts only when it is given up: such a death may have any cause outside of the cell.
    """
    kinds: dict[str, list[tuple[Cell, str]]] = {}
    for cell, status, error in cells:
        if error and (status == "failed" or not error.startswith(DIED)):
            kinds.setdefault(kind_of(error), []).append((cell, error))
    return [
        Failure(error=error, cells=len(alike), digest=cell.digest, label=cell.label, seed=cell.seed)
        for alike in kinds.values()
        for cell, error in alike[:1]
    ]


class RepeatedFailureError(RuntimeError):
    """So many cells have failed alike that a run stopped. Its cells are kept: the next run goes on with them."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.cells} cells failed in the same way, the first of them: {failure}")
        self.failure = failure


class FailureWatch:
    """Looks at the failures of a run, again and again."""

    def __init__(self, most: int, on_failure: Callable[[Failure], None] | None = None) -> None:
        """`on_failure` receives the first failure of each kind. `most` 0: no failure ends the run.

        Raises `ValueError` for a negative `most`.
        """
        if most < 0:
            raise ValueError(f"max_equal_failures must be at least 0 (never stop), got {most}")
        self._most, self._on_failure = most, on_failure
        self._seen: set[str] = set()

    def check(self, failures: Iterable[Failure]) -> None:
        """Report new kinds. Raises `RepeatedFailureError` if `most` cells have failed alike."""
        for failure in failures:
            if failure.kind not in self._seen:
                self._seen.add(failure.kind)
                if self._on_failure:
                    self._on_failure(failure)
            if 0 < self._most <= failure.cells:
                raise RepeatedFailureError(failure)
