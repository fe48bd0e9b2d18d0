"""What a file of solutions holds: tokens, verdicts, and tokens saved against another file on the same questions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..files.earlier import RECORD
from ..mixing.examples import Example, examples_of
from ..mixing.texts import digest
from ..records.mixed import has_own_fields, read_mixed
from ..records.reading import BadLine, place, unit, verdict_of
from ..records.schema import canonical_json, format_of
from ..solutions import FAMILIES
from ..solutions.decided import find_all_equations
from ..solutions.equations import UnreadEquals
from ..solutions.layouts import Reading
from ..solutions.traces import pardoned
from ..surfaces import SURFACES
from .config import NamedFile

Count = Callable[[str], int]
"""Counts the tokens of a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A file and its measures. A share is of all its records."""

    name: str
    file: str
    sha256: str
    """Of its records as they are read, whatever the type of the file."""
    records: int
    mean_tokens: float
    """Of a completion."""
    right: float
    """Share with the right final answer."""
    verified: float
    """Share with a right answer, every step valid, and a chain of steps that leads to the answer
    (`Verdict.faithful`)."""
    readable: float
    """Share in which everything that looks like a step was read, and the final answer too."""
    unjudged: int
    """Records without a problem or a right answer that can be read. They count as neither right nor verified."""
    unjudged_reason: str
    """Of the first of them."""
    tokens: Mapping[int, float] = field(repr=False)
    """The digest of a question -> the mean tokens of its completions."""
    examples: list[Example] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """The tokens that a file saves against another one, on the questions that both have."""

    shared: int
    """These questions."""
    saved: float | None
    """1 - tokens / tokens of the reference, over all of them. None without such questions."""
    p10: float | None
    """Of the same share of each question."""
    p90: float | None


def read_row(source: NamedFile, reading: Reading, count: Count, on_record: Callable[[int], None]) -> FileRow:
    """Read and verify the records of a file. `on_record` receives how many are done.

    Raises `OSError` for a file that cannot be read, and `ValueError` naming the first line that holds no record, or for
    a file without any.
    """
    content = hashlib.sha256()
    examples: list[Example] = []
    judged: list[tuple[bool, bool, bool]] = []
    tokens: dict[int, list[int]] = {}
    faults: list[str] = []
    for example in _examples(source.file, reading):
        content.update(f"{canonical_json(example.record)}\n".encode())
        try:
            judged.append(_judge(example))
        except ValueError as error:
            judged.append((False, False, False))
            faults.append(f"{unit(source.file)} {example.number}: {error}")
        tokens.setdefault(digest(example.question), []).append(count(example.completion))
        examples.append(example)
        on_record(len(examples))
    if not examples:
        raise ValueError(f"{source.file} holds no records")
    right, verified, readable = np.mean(np.array(judged, float), axis=0).tolist()
    return FileRow(
        name=source.name or _name(source.file, examples),
        file=str(source.file),
        sha256=content.hexdigest(),
        records=len(examples),
        mean_tokens=sum(map(sum, tokens.values())) / len(examples),
        right=right,
        verified=verified,
        readable=readable,
        unjudged=len(faults),
        unjudged_reason=faults[0] if faults else "",
        tokens={key: sum(counts) / len(counts) for key, counts in tokens.items()},
        examples=examples,
    )


def _examples(file: Path, reading: Reading) -> Iterator[Example]:
    """The examples of a file. A record of zipthought stays as it is: with its tag, if it has one."""
    for number, raw in enumerate(read_mixed(file, ()), 1):
        try:
            if isinstance(raw, BadLine):
                raise ValueError(raw.reason)
            is_own = has_own_fields(raw) or all(name in raw for name in RECORD)
            for example in examples_of(number, raw, reading):
                yield example._replace(record=dict(raw)) if is_own else example
        except ValueError as error:
            raise ValueError(f"{place(file, number)}: {error}; mend the file or remove the {unit(file)}") from error


def _name(file: Path, examples: list[Example]) -> str:
    names = {format_of(example.record) for example in examples}
    name = names.pop()
    return file.stem if names or name in ("unknown", "original") else name


def _judge(example: Example) -> tuple[bool, bool, bool]:
    """Whether a completion is right, verified and readable. Raises `ValueError` where it cannot be judged."""
    verdict = verdict_of(example.record, example.completion)
    parsed = all(step.verdict != "unparseable" for step in verdict.steps) and verdict.answer in ("correct", "wrong")
    return verdict.answer == "correct", verdict.faithful, parsed and not _has_unread(example.record, example)


def _has_unread(record: Mapping[str, Any], example: Example) -> bool:
    """Whether a real solution has an equation that could not be read (docs/real_data.md)."""
    name = record.get("surface")
    if not isinstance(name, str) or name in SURFACES:
        return False
    notate = getattr(FAMILIES[name], "notate", str)
    text, question = notate(example.completion), notate(example.question)
    found = pardoned(text, find_all_equations(text, question))
    return any(isinstance(equation, UnreadEquals) for equation in found)


def saving(row: FileRow, reference: FileRow) -> Saving:
    """The tokens that `row` saves against `reference`."""
    shared = sorted(row.tokens.keys() & reference.tokens.keys())
    before = np.array([reference.tokens[key] for key in shared], float)
    after = np.array([row.tokens[key] for key in shared], float)
    if not before.sum():
        return Saving(shared=len(shared), saved=None, p10=None, p90=None)
    shares = 1 - after[before > 0] / before[before > 0]
    low, high = np.percentile(shares, [10, 90]).tolist()
    return Saving(shared=len(shared), saved=float(1 - after.sum() / before.sum()), p10=low, p90=high)


__all__ = ["Count", "FileRow", "Saving", "read_row", "saving"]
