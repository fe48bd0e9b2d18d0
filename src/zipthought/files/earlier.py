"""Which existing files are earlier outputs of zipthought. Only those are replaced without ``--overwrite``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

RECORD = ("id", "surface", "format", "prompt", "completion", "messages")
"""Fields that a row of records has at least."""
REJECT = ("reason", "detail", "source_id")
"""Fields that a row of rejects has at least."""
COMPLETION = ("prompt", "completion", "gold", "answer", "correct", "granularity", "steps")
"""Columns that a file of completions has at least."""
PAIR = ("prompt", "chosen", "rejected", "kind")
"""Fields that a row of preference pairs has at least."""
_LOOK = 1 << 20
"""Bytes of a file that are looked at."""


def holds(path: Path, *kinds: Iterable[str]) -> bool:
    """Whether a file is empty, or its first row has all fields of one of the `kinds`. It is JSON Lines or Parquet."""
    try:
        with path.open("rb") as file:
            head = file.read(_LOOK)
        if not head:
            return True
        names = _columns(path) if head.startswith(b"PAR1") else set(json.loads(head.splitlines()[0]))
    except (OSError, ValueError, TypeError, RecursionError):
        return False
    return any(names.issuperset(fields) for fields in kinds)


def is_records(path: Path) -> bool:
    """Whether a file is empty or holds records."""
    return holds(path, RECORD)


def is_compressed(path: Path) -> bool:
    """Whether a file is empty or holds records or rejects, as ``compress`` writes them."""
    return holds(path, RECORD, REJECT)


def is_sampled(path: Path) -> bool:
    """Whether a file is empty or holds records or pairs, as ``sample`` writes them."""
    return holds(path, RECORD, PAIR)


def is_completions(path: Path) -> bool:
    """Whether a file is empty or holds completions, as ``evaluate`` writes them."""
    return holds(path, COMPLETION)


def _columns(path: Path) -> set[str]:
    """The names of a Parquet file's columns. Raises `OSError` and `ValueError` as pyarrow does."""
    from .parquet import import_parquet

    return set(import_parquet().read_schema(path).names)


def mentions_us(path: Path) -> bool:
    """Whether the beginning of a file has the name of this project."""
    try:
        with path.open("rb") as file:
            return b"zipthought" in file.read(_LOOK)
    except OSError:
        return False


__all__ = ["holds", "is_completions", "is_compressed", "is_records", "is_sampled", "mentions_us"]
