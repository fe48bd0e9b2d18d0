"""Dialogues: lists of turns of `role` and `content`, or of `from` and `value`."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..solution import UnreadableError
from .fields import as_text, text_of
from .thoughts import Thoughts, find_thoughts, without_thoughts

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


def exchanges(turns: Sequence[Any], thoughts: str = "") -> Iterator[Exchange]:
    """The assistant's turns that say something after the user's first, in their order.

    `thoughts` is the field of the train of thought. Raises `UnreadableError` for turns of other roles, for a turn
    without text, and where no such turn exists.
    """
    roles = [_role(turn) for turn in turns]
    system = "\n".join(_text(turn) for role, turn in zip(roles, turns, strict=True) if role == "system")
    before: list[Turn] = []
    found = 0
    for role, turn in zip(roles, turns, strict=True):
        if role is None:
            break
        if role == "system":
            continue
        if role == "assistant" and any(one["role"] == "user" for one in before) and _says(turn):
            found += 1
            content, own = (
                without_thoughts(turn.get("content")) if "role" in turn else (turn.get("value"), Thoughts(""))
            )
            own = own if own.field else find_thoughts(turn, thoughts)
            yield Exchange(tuple(before), text_of({"content": content}, "content"), own, system)
        before.append(_plain(role, turn))
    if not found or None in roles:
        names = [turn.get("role", turn.get("from")) if isinstance(turn, dict) else turn for turn in turns]
        raise UnreadableError(
            "no_solution_turn", f"an assistant's turn after a user's is needed, got {reprlib.repr(names)}"
        )


def _plain(role: str, turn: Mapping[str, Any]) -> Turn:
    """A turn as messages have it. What else it has, such as the calls of tools, stays."""
    other = {key: value for key, value in turn.items() if key not in ("role", "from", "content", "value")}
    return {**other, "role": role, "content": _text(turn)}


def _says(turn: Mapping[str, Any]) -> bool:
    """Whether a turn has words, and is not only the call of a tool."""
    return "tool_calls" not in turn and turn.get("from") != "function_call"


def _text(turn: Mapping[str, Any]) -> str:
    """The text of a turn. Raises `UnreadableError` where there is none, unless it is the call of a tool."""
    name = "content" if "role" in turn else "value"
    content, _ = without_thoughts(turn.get(name))
    text = as_text(content)
    if text is None and not _says(turn):
        return ""
    return text_of({name: content}, name)


def _role(turn: Any) -> str | None:
    """The role of a turn; None for one that is not known."""
    role = turn.get("role", turn.get("from")) if isinstance(turn, dict) else None
    return _ROLES.get(role) if isinstance(role, str) else None
