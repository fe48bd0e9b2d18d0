"""Reading records: files of them, of this program and of others, and the problem that a record states.

A line that holds no record comes as a `BadLine` with its reason, and reading goes on.
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..core.problem import Problem
from ..core.verify import Verdict
from ..files.hub import is_hub
from ..files.json_text import DuplicateKeyError, parse_json
from ..files.parquet import BadRow, read_rows
from ..solutions import FAMILIES
from ..solutions.solution import NEAR
from ..surfaces import SURFACES, english, get_surface, verify
from .schema import Record

VERIFIED_FIELDS = (
    *("prompt", "surface", "modulus", "answer", "accepted", "completion", "problem", "question", "solution"),
)
"""The fields that `verdict_of` and `solution_of` read."""


class BadLine(NamedTuple):
    """A line of a data file that holds no record."""

    number: int
    """The number of the line, from 1; in Parquet, of the row."""
    reason: str
    """What is wrong with it."""


def read_records(path: Path | str, fields: Collection[str] = ()) -> Iterator[Record | BadLine]:
    """The records of a JSON Lines file, or of a Parquet file (by its suffix), one after the other. Of Parquet only
    `fields` are read, or all where none is named.

    Raises `OSError` for a file that cannot be opened, and `ValueError` for a `.parquet` file that is not one or has
    none of the fields, or where pyarrow is needed and missing.
    """
    path = Path(path)
    return _read_parquet(path, fields) if path.suffix == ".parquet" else _read_jsonl(path)


def read_whole(path: Path) -> Iterator[Record]:
    """The records of a file in which every line must hold one. Raises `ValueError` naming the first line that does
    not, and otherwise as `read_records`."""
    for record in read_records(path):
        if isinstance(record, BadLine):
            where = place(path, record.number)
            raise ValueError(f"{where}: {record.reason}; mend the file or remove the {unit(path)}")
        yield record


def place(path: Path, number: int) -> str:
    """How messages name a line of a JSON Lines file or a row of a Parquet file."""
    return f"{path}, {unit(path)} {number}"


def unit(path: Path) -> str:
    """What holds a record of a file: a line, or in Parquet and in a dataset of the hub a row."""
    return "row" if path.suffix == ".parquet" or is_hub(path) else "line"


def _read_jsonl(path: Path) -> Iterator[Record | BadLine]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                yield BadLine(number, "empty line")
                continue
            try:
                record = parse_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                yield BadLine(number, f"not UTF-8 (byte {error.start + 1} of the line)")
            except DuplicateKeyError as error:
                yield BadLine(number, str(error))
            except ValueError as error:
                yield BadLine(number, f"torn JSON: {error}")
            else:
                if isinstance(record, dict):
                    yield record
                else:
                    yield BadLine(number, f"not an object, but a JSON {_json_type(record)}")


def _json_type(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "literal"
    return "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"


def _read_parquet(path: Path, fields: Collection[str]) -> Iterator[Record | BadLine]:
    for number, row in enumerate(read_rows(path, fields), 1):
        yield BadLine(number, row.reason) if isinstance(row, BadRow) else row


def problem_of(record: Mapping[str, Any], modulus: int | None = None) -> Problem:
    """The problem that a record states: one of ours (`prompt`, `surface`), or one of another program (`problem`,
    `question`, in `english`).

    `modulus` is for records without one. Raises `ValueError` naming a field that is missing or cannot be read, or both
    moduli where they differ.
    """
    stated = record.get("modulus")
    if stated is not None and (type(stated) is not int or stated < 2):
        raise ValueError(f"the record's modulus must be a whole number of at least 2, got {reprlib.repr(stated)}")
    if stated is not None and modulus is not None and stated != modulus:
        raise ValueError(
            f"the record's modulus is {reprlib.repr(stated)}, but {modulus} was given; leave the latter out"
        )
    m = modulus if stated is None else stated
    if m is None:
        raise ValueError("the record has no modulus; give one")
    if record.get("prompt") is not None:
        return get_surface(surface_name(record) or english.NAME).parse_problem(_text(record, "prompt"), m)
    if record.get("problem") is None:
        raise ValueError("the record has neither 'prompt' nor 'problem'")
    return english.parse_problem(f"{_text(record, 'problem').strip()} {_text(record, 'question').strip()}", m)


def solution_of(record: Mapping[str, Any]) -> str:
    """The solution text of a record: `completion`, or in records of other programs `solution`. Raises `ValueError`
    where there is none."""
    return _text(record, "completion" if record.get("completion") is not None else "solution")


def verdict_of(record: Mapping[str, Any], solution: str, modulus: int | None = None) -> Verdict:
    """The verdict on a solution of the problem that a record states, which may be a real one.

    Raises `ValueError` for a record whose problem or right answer cannot be read, as `problem_of` does.
    """
    name = record.get("surface")
    if isinstance(name, str) and name not in SURFACES and name in FAMILIES:
        made = FAMILIES[name].verify(_text(record, "prompt"), solution, _text(record, "answer"))
        # The record says that the step to its answer is not written.
        is_near = record.get("accepted") in NEAR and made.answer == "correct" and bool(made.steps)
        return replace(made, complete=True) if is_near else made
    return verify(solution, problem_of(record, modulus), surface_name(record))


def surface_name(record: Mapping[str, Any]) -> str | None:
    """The surface that a record names; None where it names none. Raises `ValueError` for one that does not exist."""
    return None if record.get("surface") is None else get_surface(_text(record, "surface")).NAME


def _text(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    if value is None:
        raise ValueError(f"the record has no {field!r}")
    if not isinstance(value, str):
        raise ValueError(f"the record's {field!r} must be text, got {type(value).__name__}")
    return value
