"""Trains of thought that a record has in a field of their own. They are read as ``<think> ... </think>`` before the
solution, and go back to their field on the way out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .fields import as_text, find
from .table import THOUGHTS

_TAG = re.compile(r"</?think(?:ing)?>?")
_PARTS = ("reasoning", "thinking")
"""Types of the parts of a message that hold thoughts."""


class Thoughts(NamedTuple):
    """A train of thought."""

    field: str
    """The field that has it; empty if there is none."""
    text: str = ""

    def before(self, solution: str) -> str:
        """The solution with the train of thought before it."""
        return f"<think>\n{self.text}\n</think>\n\n{solution}" if self.field else solution


def find_thoughts(record: Mapping[str, Any], path: str, solution: str = "") -> Thoughts:
    """The train of thought in the field `path`, or where that is empty in the first of `THOUGHTS` that has text. The
    field of the `solution` is none."""
    for name in (path,) if path else THOUGHTS:
        text = as_text(find(record, name)) if name != solution else None
        if text and text.strip():
            return Thoughts(name, _without_tags(text))
    return Thoughts("")


def has_tags(solution: str) -> bool:
    """Whether a solution has a train of thought itself. Where it ends would be open if another stood before it."""
    return _TAG.search(solution) is not None


def _without_tags(text: str) -> str:
    while _TAG.search(text):  # Removing a tag may join the parts of another.
        text = _TAG.sub("", text)
    return text.strip("\n")


def without_thoughts(parts: object) -> tuple[object, Thoughts]:
    """The content of a message without its parts of the types `reasoning` and `thinking`, and their text."""
    if not isinstance(parts, list):
        return parts, Thoughts("")
    found = [part for part in parts if isinstance(part, dict) and part.get("type") in _PARTS]
    texts = [part.get(part["type"]) or part.get("text") or part.get("value") for part in found]
    text = "\n".join(text for text in texts if isinstance(text, str))
    rest = [part for part in parts if part not in found]
    return rest, Thoughts(THOUGHTS[0], _without_tags(text)) if text.strip() else Thoughts("")
