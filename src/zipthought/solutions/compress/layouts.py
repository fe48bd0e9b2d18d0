"""Layouts of input records: where a record has its question, its solution and its final answer."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..solution import UnreadableError

if TYPE_CHECKING:
    from .config import CompressConfig

LAYOUTS = ("auto", "question-answer", "question-cot-answer", "alpaca", "sharegpt", "messages")

FIELDS = ("question", "cot", "answer", "instruction", "input", "output", "messages", "conversations")
"""The fields of all layouts."""
_USER, _ASSISTANT = ("user", "human"), ("assistant", "gpt", "model")


class Source(NamedTuple):
    """The texts of an input record."""

    question: str
    solution: str
    answer: str | None
    """The final answer if the record has it in a field of its own; else None."""


def read_fields(record: Mapping[str, Any], config: CompressConfig) -> Source:
    """Question, solution and answer of a record. Raises `UnreadableError` naming the field that is missing."""
    if config.question_field:
        answer = _text(record, config.answer_field) if config.answer_field else None
        return Source(_text(record, config.question_field), _text(record, config.solution_field), answer)
    layout = _detect(record) if config.layout == "auto" else config.layout
    if layout == "messages":
        return _read_dialogue(record, "messages", "role", "content")
    if layout == "sharegpt":
        return _read_dialogue(record, "conversations", "from", "value")
    if layout == "alpaca":
        extra = record.get("input")
        question = _text(record, "instruction") + (f"\n{extra}" if isinstance(extra, str) and extra else "")
        return Source(question, _text(record, "output"), None)
    if layout == "question-cot-answer":
        return Source(_text(record, "question"), _text(record, "cot"), _text(record, "answer"))
    return Source(_text(record, "question"), _text(record, config.answer_field or "answer"), None)


def _detect(record: Mapping[str, Any]) -> str:
    """The layout that fits a record's fields. Raises `UnreadableError` if none does."""
    if "question" in record and "cot" in record:
        return "question-cot-answer"
    if "question" in record:
        return "question-answer"
    for field, layout in (("messages", "messages"), ("conversations", "sharegpt"), ("instruction", "alpaca")):
        if field in record:
            return layout
    fields = ", ".join(map(str, record)) or "none"
    raise UnreadableError("missing_field", f"the fields ({fields[:200]}) fit no layout; name them by flags")


def _text(record: Mapping[str, Any], field: str) -> str:
    """The text of a field, or its number as text. Raises `UnreadableError` for anything else."""
    value = record.get(field)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise UnreadableError("missing_field", f"the record has no text in {field!r}")
    return value


def _read_dialogue(record: Mapping[str, Any], field: str, role: str, content: str) -> Source:
    """One question and one solution, with or without system messages."""
    turns = record.get(field)
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise UnreadableError("missing_field", f"the record has no list of turns in {field!r}")
    turns = [turn for turn in turns if turn.get(role) != "system"]
    roles = [turn.get(role) for turn in turns]
    if len(turns) != 2 or roles[0] not in _USER or roles[1] not in _ASSISTANT:
        raise UnreadableError("not_one_turn", f"one user and one assistant turn are needed, got {reprlib.repr(roles)}")
    return Source(_text(turns[0], content), _text(turns[1], content), None)
