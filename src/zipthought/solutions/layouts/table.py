"""The table of layouts: where a record has its question, its solution and its final answer.

A layout is a row of `LAYOUTS`, or before them of a TOML file of the user's (`read_layouts`):

    [[layout]]
    name = "verl"
    question = "extra_info.question"
    solution = "extra_info.answer"
    answer = "reward_model.ground_truth"

A record has the first layout whose question and solution it has, or of several with the same two the first whose answer
it has. A field is a path: `a.b` is the field `b` of the field `a`, unless a field is called `a.b`.
"""

from __future__ import annotations

import reprlib
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

THOUGHTS = ("reasoning_content", "thinking", "reasoning")
"""Fields of a record or of an assistant's turn that hold the train of thought before the solution."""

OPTIONS = "options"
"""The field of a record that holds the options of its question."""


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
    """A field with more text of the question: text, or a list of texts."""
    turns: str = ""
    """The field of a dialogue, in place of question and solution: a list of turns of `role` and `content`, or of `from`
    and `value`."""
    thoughts: str = ""
    """The field of the train of thought before the solution; without one, the first of `THOUGHTS` that the record has.
    In a dialogue the assistant's turns have it."""
    options: str = ""
    """The field of the question's options; without one, `OPTIONS` if the record has it."""


LAYOUTS = (
    Layout("messages", turns="messages"),
    Layout("sharegpt", turns="conversations"),
    Layout("prompt-completion", "prompt", "completion", "answer"),
    Layout("question-cot-answer", "question", "cot", "answer"),
    Layout("question-steps-answer", "question", "steps", "answer"),
    Layout("question-rationale", "question", "rationale", "answer"),
    Layout("aqua", "question", "rationale", "correct"),
    Layout("question-solution", "question", "solution", "answer"),
    Layout("question-response", "question", "response", "answer"),
    Layout("problem-solution", "problem", "solution", "answer"),
    Layout("query-response", "query", "response", "answer"),
    Layout("prompt-response", "prompt", "response", "answer"),
    Layout("alpaca", "instruction", "output", "answer", extra="input"),
    Layout("instruction-response", "instruction", "response", "answer", extra="input"),
    Layout("question-answer", "question", "answer"),
    Layout("problem-answer", "problem", "answer"),
    Layout("prompt-answer", "prompt", "answer"),
)


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
    dialogue = bool(layout.turns and not (layout.question or layout.solution or layout.extra or layout.options))
    if not layout.name or not (texts or dialogue):
        raise ValueError(f"{path}: a layout needs a name, and question and solution, or turns alone")
    return layout


def columns(layouts: Iterable[Layout]) -> list[str]:
    """The fields of layouts, with the field that holds a path, `THOUGHTS`, `OPTIONS`, and `system`."""
    paths = ["system", *THOUGHTS, OPTIONS] + [path for layout in layouts for path in layout[1:] if path]
    return list(dict.fromkeys(part for path in paths for part in (path, path.partition(".")[0])))
