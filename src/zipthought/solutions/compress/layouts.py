"""Layouts of input records: where a record has its question, its solution and its final answer.

A layout is a row of a table: `LAYOUTS`, and before them the rows of a TOML file of the user's (`read_layouts`):

    [[layout]]
    name = "verl"
    question = "extra_info.question"
    solution = "extra_info.answer"
    answer = "reward_model.ground_truth"

A record has the first layout whose question and solution it has. A field is a path: `a.b` is the field `b` of the
field `a`, unless a field is called `a.b`.
"""

from __future__ import annotations

import reprlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..solution import UnreadableError

if TYPE_CHECKING:
    from .config import CompressConfig

_USER, _ASSISTANT = ("user", "human"), ("assistant", "gpt", "model")
_INSTRUCTIONS = ("system", "developer")


class Layout(NamedTuple):
    """Where a record has its texts."""

    name: str
    question: str = ""
    """The field of the question: text, or a list of turns."""
    solution: str = ""
    """The field of the solution: text, a list of steps, or a list of turns."""
    answer: str = ""
    """The field of the final answer, if there is one. The solution may state it, too: they must then agree."""
    extra: str = ""
    """A field with more text of the question."""
    turns: str = ""
    """The field of a dialogue, in place of question and solution: a list of turns of `role` and `content`, or of `from`
    and `value`. One is the user's, one the assistant's, and others are instructions."""


LAYOUTS = (
    Layout("messages", turns="messages"),
    Layout("sharegpt", turns="conversations"),
    Layout("prompt-completion", "prompt", "completion", "answer"),
    Layout("question-cot-answer", "question", "cot", "answer"),
    Layout("question-steps-answer", "question", "steps", "answer"),
    Layout("question-rationale", "question", "rationale", "answer"),
    Layout("question-solution", "question", "solution", "answer"),
    Layout("question-response", "question", "response", "answer"),
    Layout("problem-solution", "problem", "solution", "answer"),
    Layout("query-response", "query", "response", "answer"),
    Layout("prompt-response", "prompt", "response", "answer"),
    Layout("alpaca", "instruction", "output", "answer", extra="input"),
    Layout("instruction-response", "instruction", "response", "answer", extra="input"),
    Layout("question-answer", "question", "answer"),
)


class Source(NamedTuple):
    """The texts of an input record."""

    question: str
    solution: str
    answer: str | None
    """The final answer if the record has it in a field of its own; else None."""
    system: str = ""
    """The record's own instructions: its turns of the roles `system` and `developer`, or its field `system`."""


@cache
def read_layouts(path: Path | None) -> tuple[Layout, ...]:
    """The layouts of a TOML file, then `LAYOUTS`. Raises `OSError` for a file that cannot be opened, and `ValueError`
    for one that is no table of layouts."""
    if path is None:
        return LAYOUTS
    try:
        rows = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from error
    tables = rows.pop("layout", [])
    if rows or not isinstance(tables, list) or not tables:
        raise ValueError(f"{path} must have [[layout]] tables and nothing else")
    own = tuple(_layout(path, table) for table in tables)
    names = [layout.name for layout in (*own, *LAYOUTS)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}: the layout {twice[0]!r} exists already; choose another name")
    return (*own, *LAYOUTS)


def _layout(path: Path, table: object) -> Layout:
    if not isinstance(table, dict) or not all(isinstance(value, str) and value for value in table.values()):
        raise ValueError(f"{path}: the settings of a layout must be text, got {reprlib.repr(table)}")
    if unknown := sorted(set(table) - set(Layout._fields)):
        raise ValueError(f"{path}: a layout has no {unknown[0]!r}; use {', '.join(Layout._fields)}")
    layout = Layout(**{"name": "", **table})
    texts = bool(layout.question and layout.solution and not layout.turns)
    dialogue = bool(layout.turns and not (layout.question or layout.solution or layout.extra))
    if not layout.name or not (texts or dialogue):
        raise ValueError(f"{path}: a layout needs a name, and question and solution, or turns alone")
    return layout


def columns(layouts: Iterable[Layout]) -> list[str]:
    """The fields of layouts, with the field that holds a path, and `system`."""
    paths = ["system"] + [path for layout in layouts for path in layout[1:] if path]
    return list(dict.fromkeys(part for path in paths for part in (path, path.partition(".")[0])))


def read_fields(record: Mapping[str, Any], config: CompressConfig) -> Source:
    """Question, solution and answer of a record. Raises `UnreadableError` naming the field that is missing."""
    if config.question_field:
        layout = Layout("", config.question_field, config.solution_field)
    elif config.layout == "auto":
        layout = _detect(record, config.layouts)
    else:
        layout = next(layout for layout in config.layouts if layout.name == config.layout)
    return _source(record, layout, config.answer_field)


def detect_source(record: Mapping[str, Any]) -> Source:
    """Question, solution and answer of a record that has one of `LAYOUTS`. Raises `UnreadableError` if it has none."""
    return _source(record, _detect(record, LAYOUTS), "")


def _source(record: Mapping[str, Any], layout: Layout, answer_field: str) -> Source:
    field = answer_field or layout.answer
    has_answer = bool(answer_field) or (bool(field) and _find(record, field) is not None)
    source = _texts(record, layout)._replace(answer=_text(record, field) if has_answer else None)
    own = record.get("system")
    return source if source.system or not isinstance(own, str) else source._replace(system=own)


def _detect(record: Mapping[str, Any], layouts: Sequence[Layout]) -> Layout:
    """The first layout that fits a record's fields. Raises `UnreadableError` if none does."""
    for layout in layouts:
        needed = (layout.turns,) if layout.turns else (layout.question, layout.solution)
        if all(_find(record, path) is not None for path in needed):
            return layout
    fields = ", ".join(map(str, record)) or "none"
    raise UnreadableError("missing_field", f"the fields ({fields[:200]}) fit no layout; name them by flags")


def _texts(record: Mapping[str, Any], layout: Layout) -> Source:
    """Question, solution and instructions."""
    if layout.turns:
        return _dialogue(_turns(record, layout.turns))
    prompt = _find(record, layout.question)
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], dict) and "role" in prompt[0]:
        answer = _find(record, layout.solution)
        turns = answer if isinstance(answer, list) else [{"role": "assistant", "content": answer}]
        return _dialogue([*_turns(record, layout.question), *turns])
    question = _text(record, layout.question)
    extra = _find(record, layout.extra) if layout.extra else None
    if isinstance(extra, str) and extra:
        question += f"\n{extra}"
    return Source(question, _text(record, layout.solution), None)


def _find(record: Mapping[str, Any], path: str) -> Any:
    """The value of a field, None where it is missing."""
    if path in record:
        return record[path]
    value: Any = record
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _text(record: Mapping[str, Any], path: str) -> str:
    """The text of a field: of a number its digits, of a list of texts its lines, of a list of parts their texts.

    Raises `UnreadableError` for anything else.
    """
    value = _find(record, path)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, list):
        lines = [_part(part) for part in value]
        value = None if None in lines else "\n".join(line for line in lines if line is not None)
    if not isinstance(value, str):
        raise UnreadableError("missing_field", f"the record has no text in {path!r}")
    return value


def _part(part: object) -> str | None:
    """The text of an item of a list: text, or a part of a message (`{"type": "text", "text": ...}`)."""
    if isinstance(part, dict) and part.get("type") == "text":
        part = part.get("text", part.get("value"))
    return part if isinstance(part, str) else None


def _turns(record: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    """The turns of a dialogue. Raises `UnreadableError` where there are none."""
    turns = _find(record, path)
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise UnreadableError("missing_field", f"the record has no list of turns in {path!r}")
    return turns


def _dialogue(turns: Sequence[Any]) -> Source:
    """The user's text and the assistant's, with or without instructions. Raises `UnreadableError` for other turns."""
    named = [(_role(turn), turn) for turn in turns if _role(turn) not in _INSTRUCTIONS]
    system = [_turn_text(turn) for turn in turns if _role(turn) in _INSTRUCTIONS]
    roles = [role for role, _ in named]
    if len(named) != 2 or roles[0] not in _USER or roles[1] not in _ASSISTANT:
        raise UnreadableError("not_one_turn", f"one user and one assistant turn are needed, got {reprlib.repr(roles)}")
    question, solution = (_turn_text(turn) for _, turn in named)
    return Source(question, solution, None, "\n".join(system))


def _turn_text(turn: Mapping[str, Any]) -> str:
    return _text(turn, "content" if "role" in turn else "value")


def _role(turn: Any) -> Any:
    return turn.get("role", turn.get("from")) if isinstance(turn, dict) else None


__all__ = ["LAYOUTS", "Layout", "Source", "columns", "detect_source", "read_fields", "read_layouts"]
