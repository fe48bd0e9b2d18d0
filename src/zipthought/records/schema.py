"""The record: one problem with one trace, as it stands in a data file. The schema is in this module alone.

    {"answer": "14", "completion": "Define ...", "format": "composed", "id": "0f...", "index": 3, "k": 2, ...}

`make_record` is the exact path, for any task, format, order and surface. `generation.fast` writes the same bytes for
the combinations that it declares.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Mapping
from typing import Any

from ..core.compress import compress
from ..core.methods import METHODS, Method, parse_method
from ..core.problem import Problem
from ..surfaces import get_surface
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
"""The fields of every record. A format with a parameter that is not its granularity adds `parameter`."""


def check_record(record: Mapping[str, Any]) -> None:
    """Raises `ValueError` naming the first field of a record whose value is not of the schema. Fields that are missing
    or null, and fields that the schema does not have, pass."""
    for field, value in record.items():
        if value is not None and field in _CHECKS:
            _CHECKS[field](field, value)


def _check_text(field: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{field!r} must be text, got {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{field!r} has half of a surrogate pair at character {error.start + 1}") from error


def _check_integer(field: str, value: Any) -> None:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{field!r} must be a whole number of 64 bits, got {reprlib.repr(value)}")


def _check_modulus(field: str, value: Any) -> None:
    _check_integer(field, value)
    if value < 2:
        raise ValueError(f"{field!r} must be at least 2, got {value}")


def _check_share(field: str, value: Any) -> None:
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise ValueError(f"{field!r} must be a number above 0 and at most 1, got {reprlib.repr(value)}")


def _check_messages(field: str, value: Any) -> None:
    turns = value if isinstance(value, list) and all(isinstance(turn, dict) for turn in value) else []
    roles = [turn.get("role") for turn in turns]
    if roles[:1] != ["system"] or roles[-1:] != ["assistant"] or "user" not in roles or roles.count("system") > 1:
        raise ValueError(f"{field!r} must be a system turn, a user's and others, and last an assistant's")
    for turn in turns:
        for name in ("role", "content"):
            _check_text(name, turn.get(name))


_CHECKS = {
    **dict.fromkeys((*FIELDS, "accepted", "parameter", "source_id"), _check_text),
    **dict.fromkeys(("index", "n_ops", "k", "tokens", "tokens_source", "unread"), _check_integer),
    "modulus": _check_modulus,
    "share": _check_share,
    "messages": _check_messages,
}


def canonical_json(record: Mapping[str, Any]) -> str:
    """The one way to write a record as JSON: keys sorted, no spaces, ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


def record_id(record: Mapping[str, Any]) -> str:
    """The first 16 hex digits of sha256 of the record's canonical JSON without its `id`."""
    content = {field: value for field, value in record.items() if field != "id"}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def format_of(record: Mapping[str, Any]) -> str:
    """The whole name of a record's format, ``composed:2`` or ``random-steps:0.5``; `unknown` where it names none."""
    name = str(record.get("format") or "unknown")
    if name in METHODS:
        return METHODS[name].format_of(record)
    return name if record.get("parameter") is None else f"{name}:{record['parameter']}"


def make_record(
    problem: Problem,
    method: str | Method,
    order: str = "forward",
    surface: str = "english",
    split: str = "train",
    index: int = 0,
    aliases: Mapping[str, str] | None = None,
    completion: str | None = None,
) -> Record:
    """The record of a problem in a format, an order and a surface. Raises `ValueError` as `compress` does.

    Without `aliases` (name -> two upper-case letters), the surface draws them from the trace. `completion` is the text
    of a method that needs a model (`pruned`); None: the method writes it.
    """
    method = parse_method(method) if isinstance(method, str) else method
    writer = get_surface(surface)
    prompt = writer.render_problem(problem)
    if completion is None:
        completion = writer.render(compress(problem, method, order), aliases)
    record: Record = {
        "id": "",
        "structure": problem.structure,
        "split": split,
        "index": index,
        "n_ops": problem.n_ops,
        "modulus": problem.modulus,
        **method.fields(problem.n_ops),
        "order": order,
        "surface": surface,
        "prompt": prompt,
        "completion": completion,
        "answer": str(problem.answer),
        "messages": messages(prompt, completion, problem.modulus, surface),
    }
    record["id"] = record_id(record)
    return record


def arrow_schema(with_parameter: bool = False) -> Any:
    """The schema of records in a Parquet file. Raises `ImportError` where pyarrow is missing."""
    import pyarrow

    text, integer = pyarrow.string(), pyarrow.int64()
    turn = pyarrow.struct([("role", text), ("content", text)])
    types = {"index": integer, "n_ops": integer, "modulus": integer, "k": integer, "messages": pyarrow.list_(turn)}
    fields = (*FIELDS, "parameter") if with_parameter else FIELDS
    return pyarrow.schema([(field, types.get(field, text)) for field in fields])
