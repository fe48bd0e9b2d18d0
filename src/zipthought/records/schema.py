"""The record: one problem with one trace, as it stands in a data file, and the reader for files of records.

    {"answer": "14", "completion": "Define ...", "format": "composed", "id": "0f...", "index": 3, "k": 2, ...}

`make_record` is the exact path, for any task, format, order and surface. `fastpath` writes the same bytes for the
common cases. `read_records` also reads files of other programs, and tells what is wrong with a line that it cannot
read; `problem_of` finds the problem of a record of either kind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..core.compress import compress
from ..core.methods import METHODS, Method, parse_method
from ..core.problem import Problem
from ..core.verify import Verdict
from ..files.parquet import import_parquet
from ..solutions import FAMILIES
from ..surfaces import english, get_surface, verify
from .chat import messages

Record = dict[str, Any]

FIELDS = (
    "id",
    "structure",
    "split",
    "index",
    "n_ops",
    "modulus",
    "format",
    "k",
    "order",
    "surface",
    "prompt",
    "completion",
    "answer",
    "messages",
)


class BadLine(NamedTuple):
    """A line of a data file that holds no record."""

    number: int
    """Its place in the file, from 1; for Parquet, of the row."""
    reason: str
    """What is wrong with it."""


def canonical_json(record: Mapping[str, Any]) -> str:
    """The one way to write a record as JSON: keys sorted, no spaces, ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


def record_id(record: Mapping[str, Any]) -> str:
    """The first 16 hex digits of sha256 of the record's canonical JSON without its `id` (FORMATS.md 7)."""
    content = {field: value for field, value in record.items() if field != "id"}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def format_of(record: Mapping[str, Any]) -> str:
    """The whole name of a record's format, ``composed:2`` or ``random-steps:0.5``; `unknown` where it names none."""
    name = str(record.get("format") or "unknown")
    parameter = record.get("parameter") or record.get("share")
    if parameter is None and name in METHODS and METHODS[name].takes_k:
        parameter = record.get("k")
    return name if parameter is None else f"{name}:{parameter}"


def make_record(
    problem: Problem,
    fmt: str | Method,
    order: str = "forward",
    surface: str = "english",
    split: str = "train",
    index: int = 0,
    aliases: Mapping[str, str] | None = None,
) -> Record:
    """The record of a problem in a format, an order and a surface. Raises `ValueError` as `compress` does.

    `aliases` (name -> two upper-case letters) are drawn from the trace where none are given.
    """
    fmt = parse_method(fmt) if isinstance(fmt, str) else fmt
    module = get_surface(surface)
    prompt = module.render_problem(problem)
    completion = module.render(compress(problem, fmt, order), aliases)
    record: Record = {
        "id": "",
        "structure": problem.structure,
        "split": split,
        "index": index,
        "n_ops": problem.n_ops,
        "modulus": problem.modulus,
        **fmt.fields(problem.n_ops),
        "order": order,
        "surface": surface,
        "prompt": prompt,
        "completion": completion,
        "answer": str(problem.answer),
        "messages": messages(prompt, completion, problem.modulus, surface),
    }
    record["id"] = record_id(record)
    return record


def read_records(path: Path | str) -> Iterator[Record | BadLine]:
    """The records of a JSON Lines file, or of a Parquet file (by its suffix), one after the other.

    A line that holds no record comes as a `BadLine` in its place, and reading goes on. Raises `OSError` for a file that
    cannot be opened, and `ValueError` for a `.parquet` file that is not one or that needs pyarrow, which is missing.
    """
    path = Path(path)
    return _read_parquet(path) if path.suffix == ".parquet" else _read_jsonl(path)


def read_whole(path: Path) -> Iterator[Record]:
    """As `read_records`. Raises `ValueError` for a line that holds no record, by its number."""
    for record in read_records(path):
        if isinstance(record, BadLine):
            raise ValueError(f"{path}, line {record.number}: {record.reason}; mend the file or leave the line out")
        yield record


def _read_jsonl(path: Path) -> Iterator[Record | BadLine]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                yield BadLine(number, "empty line")
                continue
            try:
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                yield BadLine(number, f"not UTF-8 (byte {error.start + 1} of the line)")
            except json.JSONDecodeError as error:
                yield BadLine(number, f"torn JSON: {error.msg} at character {error.pos + 1}")
            except RecursionError:
                yield BadLine(number, "torn JSON: nested too deeply")
            except ValueError as error:  # An integer of more digits than Python converts.
                yield BadLine(number, f"torn JSON: {error}")
            else:
                if isinstance(record, dict):
                    yield record
                else:
                    yield BadLine(number, f"not an object, but a JSON {_json_kind(record)}")


def _json_kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "literal"
    return "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"


def _read_parquet(path: Path) -> Iterator[Record | BadLine]:
    parquet = import_parquet()
    with path.open("rb") as file:
        try:
            table = parquet.ParquetFile(file)
        except ValueError as error:  # pyarrow.ArrowInvalid is one.
            raise ValueError(f"{path} is not a Parquet file: {error}") from error
        for batch in table.iter_batches(batch_size=1024):
            yield from batch.to_pylist()


def problem_of(record: Mapping[str, Any], modulus: int | None = None) -> Problem:
    """The problem that a record states: ours (`prompt`, `surface`), or a foreign one (`problem`, `question`: english).

    The modulus is the record's, or `modulus` where the record has none. Raises `ValueError` naming what is missing,
    what cannot be read, or both moduli where they differ.
    """
    stated = record.get("modulus")
    if stated is not None and (type(stated) is not int or stated < 2):
        raise ValueError(f"the record's modulus must be a whole number of at least 2, got {stated!r}")
    if stated is not None and modulus is not None and stated != modulus:
        raise ValueError(f"the record's modulus is {stated}, but {modulus} is asked for; leave the latter out")
    m = modulus if stated is None else stated
    if m is None:
        raise ValueError("the record has no modulus; give one")
    if record.get("prompt") is not None:
        return get_surface(surface_name(record) or english.NAME).parse_problem(_text(record, "prompt"), m)
    if record.get("problem") is None:
        raise ValueError("the record has neither 'prompt' nor 'problem'")
    return english.parse_problem(f"{_text(record, 'problem').strip()} {_text(record, 'question').strip()}", m)


def solution_of(record: Mapping[str, Any]) -> str:
    """The solution text of a record: `completion`, or the `solution` of a foreign one. Raises `ValueError`."""
    return _text(record, "completion" if record.get("completion") is not None else "solution")


def verdict_of(record: Mapping[str, Any], solution: str, modulus: int | None = None) -> Verdict:
    """The verdict on a solution of the problem that a record states, ours or a real one.

    Raises `ValueError` for a record whose problem or right answer cannot be read, as `problem_of` does.
    """
    name = record.get("surface")
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name].verify(_text(record, "prompt"), solution, _text(record, "answer"))
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
