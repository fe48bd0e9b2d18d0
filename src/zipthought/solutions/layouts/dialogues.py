"""Dialogues: lists of turns of `role` and `content`, or of `from` and `value`."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..solution import UnreadableError
from .fields import as_text, text_of
from .thoughts import Thoughts, find_thoughts, without_thoughts

_CALLS = ("tool_calls", "function_call")
"""Fields of an assistant's turn that calls a tool."""

_ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "system": "system",
    "developer": "system",
}
"""The role of a turn, as the record calls it -> as `messages` of compressed records call it."""

Turn = dict[str, Any]


class Exchange(NamedTuple):
    """A solution of a dialogue, and what was said before it."""

    before: tuple[Turn, ...]
    """The turns before the solution, without instructions."""
    solution: str
    thoughts: Thoughts
    system: str
    """The texts of the roles `system` and `developer`."""

    @property
    def question(self) -> str:
        """The texts of the turns before the solution."""
        return "\n\n".join(turn["content"] for turn in self.before if turn["content"])


def exchanges(turns: Sequence[Any], thoughts: str = "", first: int = 0) -> Iterator[Exchange]:
    """The assistant's turns that say something after the user's first, in their order, from the turn `first` on.

    `thoughts` is the field of the train of thought. Raises `UnreadableError` for turns of other roles, for a turn
    without text, and where no such turn exists.
    """
    roles = [_role(turn) for turn in turns]
    system = "\n".join(_text(turn) for role, turn in zip(roles, turns, strict=True) if role == "system")
    before: list[Turn] = []
    found = 0
    for index, (role, turn) in enumerate(zip(roles, turns, strict=True)):
        if role is None:
            break
        if role == "system":
            continue
        is_answer = role == "assistant" and any(one["role"] == "user" for one in before)
        if is_answer and index >= first and _says(turn):
            found += 1
            _, own = without_thoughts(turn.get(_content(turn)))
            own = own if own.field else find_thoughts(turn, thoughts)
            yield Exchange(tuple(before), _text(turn), own, system)
        before.append(_plain(role, turn))
    if not found or None in roles:
        names = [_name(turn) if isinstance(turn, dict) else turn for turn in turns]
        raise UnreadableError(
            "no_solution_turn", f"an assistant's turn after a user's is needed, got {reprlib.repr(names)}"
        )


def _plain(role: str, turn: Mapping[str, Any]) -> Turn:
    """A turn as messages have it. What else it has, such as the calls of tools, stays. Null is no value: a row of
    Parquet has every field of any turn."""
    is_other = {"role", "from", "content", "value"}.isdisjoint
    other = {key: value for key, value in turn.items() if is_other((key,)) and value is not None}
    _, thoughts = without_thoughts(turn.get(_content(turn)))
    own = {thoughts.field: thoughts.text} if thoughts.field else {}
    return {**own, **other, "role": role, "content": _text(turn)}


def _says(turn: Mapping[str, Any]) -> bool:
    """Whether a turn has words, and is not only the call of a tool."""
    return _name(turn) != "function_call" and not any(turn.get(name) for name in _CALLS)


def _text(turn: Mapping[str, Any]) -> str:
    """The text of a turn. Raises `UnreadableError` where there is none, unless it is the call of a tool."""
    name = _content(turn)
    content, _ = without_thoughts(turn.get(name))
    text = as_text(content)
    if text is None and not _says(turn):
        return ""
    return text_of({name: content}, name)


def _content(turn: Mapping[str, Any]) -> str:
    """The field of a turn's text."""
    return "value" if turn.get("role") is None else "content"


def _name(turn: Mapping[str, Any]) -> Any:
    """The role of a turn, as the record calls it."""
    role = turn.get("role")
    return turn.get("from") if role is None else role


def _role(turn: Any) -> str | None:
    """The role of a turn; None for one that is not known."""
    role = _name(turn) if isinstance(turn, dict) else None
    return _ROLES.get(role) if isinstance(role, str) else None
