"""Files of records of every kind: of zipthought, of other programs, and real solutions in a layout.

`verify` and `evaluate` read their files here, so both take the same files and judge a text in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.verify import Verdict
from ..files.sources import is_data_file, is_hub, read_source
from ..solutions.compress.records import parse_record
from ..solutions.finals import final_answer
from ..solutions.layouts import Reading, Source
from ..solutions.solution import UnreadableError
from .reading import BadLine, read_records
from .schema import Record


def read_mixed(file: Path, fields: Collection[str]) -> Iterator[Record | BadLine]:
    """The records of a file that `compress` reads, or of JSON Lines under any name. Of Parquet only `fields` are read.

    Raises `OSError` and `ValueError` as `read_records` and `read_source` do.
    """
    is_usual = file.suffix in (".jsonl", ".parquet") or not (is_data_file(file) or file.is_dir())
    if is_usual and not is_hub(file):
        yield from read_records(file, fields)
        return
    for item in read_source(file, fields):
        try:
            yield parse_record(item.text)
        except ValueError as error:
            yield BadLine(item.number, str(error))


def has_own_fields(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of zipthought, or states a problem in `english` (fields `problem` and `question`). Any
    other one is a real solution in a layout."""
    is_english = record.get("problem") is not None and record.get("question") is not None
    return is_english or any(record.get(name) is not None for name in ("surface", "modulus"))


def right_answer(source: Source) -> str | None:
    """The right answer: that of the record, or without one that of its solution. None where neither has one.

    Raises `UnreadableError` for a solution with two final answers.
    """
    stated = final_answer(source.solution) if source.answer is None else None
    return stated.written if stated else source.answer


def verdict_of_source(reading: Reading, source: Source, right: str) -> Verdict:
    """The verdict on the solution of a source, whose right answer is `right`. Raises `ValueError` where the question or
    `right` cannot be read."""
    verdict = reading.family_of(source.question).verify(source.question, source.solution, right)
    is_open = reading.accept and verdict.answer == "correct" and not verdict.complete
    is_near = is_open and _near(reading, source) in reading.accept
    return replace(verdict, complete=True) if is_near else verdict


def _near(reading: Reading, source: Source) -> str:
    """The reason for which a solution does not verify; empty if it does."""
    try:
        reading.family_of(source.question).read(source.question, source.solution, source.answer)
    except UnreadableError as error:
        return error.reason
    return ""


__all__ = ["has_own_fields", "read_mixed", "right_answer", "verdict_of_source"]
