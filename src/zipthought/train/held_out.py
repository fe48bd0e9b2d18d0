"""The records of a training run: the held-out rule, and errors that name a record.

Training never uses records of the validation and test splits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..tasks.splits import SPLITS

Record = Mapping[str, Any]


class RecordError(ValueError):
    """A record that training cannot use."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"record {number}: {reason}")
        self.number, self.reason = number, reason


@contextmanager
def naming_record(number: int) -> Iterator[None]:
    """Raises `RecordError` for an error in the block, which concerns the record of this number."""
    try:
        yield
    except ValueError as error:
        raise RecordError(number, str(error)) from error


@contextmanager
def naming_line(path: Path) -> Iterator[None]:
    """Raises `ValueError` with the file and the line for a `RecordError` in the block."""
    try:
        yield
    except RecordError as error:
        raise ValueError(f"{path}, line {error.number}: {error.reason}") from error


def is_held_out(record: Record) -> bool:
    """Whether a record belongs to another split than `train`. A record without a split does not."""
    return record.get("split") not in (None, SPLITS[0])


def numbered_training_records(records: Iterable[Record]) -> tuple[list[tuple[int, Record]], int]:
    """(number, record) of the records to train on, numbered from 1 among all records, and the count of held-out ones.

    Raises `ValueError` if all records are held out, and `RecordError` for one whose split or structure is no text.
    """
    kept, held_out = [], 0
    for number, record in enumerate(records, 1):
        with naming_record(number):
            for field in ("split", "structure"):
                require_text(record, field)
        if is_held_out(record):
            held_out += 1
        else:
            kept.append((number, record))
    if held_out and not kept:
        raise ValueError(f"all {held_out} records are held out; train on records of the split {SPLITS[0]!r}")
    return kept, held_out


def require_text(record: Record, field: str) -> str | None:
    """The text of a field that may be missing. Raises `ValueError` for a value of another type, and for half of a
    surrogate pair, which JSON can hold and no tokenizer can read."""
    value = record.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"the record's {field!r} must be text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the record's {field!r} holds half of a character at {error.start + 1}") from error
    return value


def turns_of(record: Record) -> list[dict[str, str]]:
    """The messages of a record. Raises `ValueError` if they are no list of {role, content} with text in both."""
    turns = record.get("messages")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError("a record needs messages, a list of {role, content}")
    for turn in turns:
        if None in [require_text(turn, field) for field in ("role", "content")]:
            raise ValueError("a record needs messages of {role, content}")
    return turns


__all__ = [
    "RecordError",
    "is_held_out",
    "naming_line",
    "naming_record",
    "numbered_training_records",
    "require_text",
    "turns_of",
]
