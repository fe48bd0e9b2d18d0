"""The values of a record's fields, by their paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..solution import UnreadableError


def find(record: Mapping[str, Any], path: str) -> Any:
    """The value of a field, None where it is missing. ``a.b`` is a field of a field, unless a field is called so."""
    if path in record:
        return record[path]
    if "." not in path:
        return None
    value: Any = record
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def text_of(record: Mapping[str, Any], path: str) -> str:
    """The text of a field: of a number its digits, of a list of texts its lines, of a list of parts their texts.

    Raises `UnreadableError` for anything else.
    """
    text = as_text(find(record, path))
    if text is None:
        raise UnreadableError("missing_field", f"the record has no text in {path!r}")
    return text


def as_text(value: object) -> str | None:
    """The text of a value, as `text_of` has it; None for a value without text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        lines = [_part(part) for part in value]
        return None if None in lines else "\n".join(line for line in lines if line is not None)
    return value if isinstance(value, str) else None


def _part(part: object) -> str | None:
    """The text of an item of a list: text, or a part of a message (`{"type": "text", "text": ...}`)."""
    if isinstance(part, dict) and part.get("type") == "text":
        part = part.get("text", part.get("value"))
    return part if isinstance(part, str) else None
