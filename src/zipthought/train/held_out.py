"""The held-out rule: training never uses records of the validation and test splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tasks.splits import SPLITS

Record = Mapping[str, Any]


def is_held_out(record: Record) -> bool:
    """Whether a record belongs to another split than `train`. A record without a split does not."""
    return record.get("split") not in (None, SPLITS[0])


def numbered_training_records(records: Iterable[Record]) -> tuple[list[tuple[int, Record]], int]:
    """(number, record) of the records to train on, numbered from 1 among all records, and the count of held-out ones.

    Raises `ValueError` if all records are held out.
    """
    kept, held_out = [], 0
    for number, record in enumerate(records, 1):
        if is_held_out(record):
            held_out += 1
        else:
            kept.append((number, record))
    if held_out and not kept:
        raise ValueError(f"all {held_out} records are held out; train on records of the split {SPLITS[0]!r}")
    return kept, held_out


__all__ = ["is_held_out", "numbered_training_records"]
