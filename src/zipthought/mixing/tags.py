"""Budget tags: ``<keep:0.5>`` before the last user turn asks for a solution of half the tokens.

Extra-CoT (Jia et al. 2026, arXiv 2602.08324) fine-tunes on such data, with a control token for each ratio. Here the tag
is text, and it stands in `messages` alone: `train sft`, `train rlvr`, `evaluate --data` and the exports of dialogues
take the prompt from there. `prompt` stays the problem as the verifier reads it, and `keep` has the ratio as a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.compress import compress
from ..records.reading import problem_of, surface_name
from ..records.schema import Record, format_of
from ..solutions.solution import UnreadableError
from ..surfaces import SURFACES, get_surface
from .config import RATIO

ORIGINAL = "original"
"""The format of a solution as its author wrote it."""


def ratio_of(record: Mapping[str, Any], count: Callable[[str], int]) -> float:
    """The tokens of a completion over those of the explicit or original solution.

    Of `compress` a record has both (`tokens`, `tokens_source`). Of a synthetic problem the explicit solution is written
    again and counted by `count`. Raises `UnreadableError` where neither is possible.
    """
    tokens, before = record.get("tokens"), record.get("tokens_source")
    if isinstance(tokens, int) and isinstance(before, int) and before > 0:
        return tokens / before
    if record.get("format") in ("explicit", ORIGINAL):
        return 1.0
    if record.get("surface") in SURFACES:
        problem, surface = problem_of(record), get_surface(surface_name(record) or "english")
        explicit = surface.render(compress(problem, "explicit", record.get("order") or "forward"))
        return count(record["completion"]) / count(explicit)
    raise UnreadableError(
        "no_ratio",
        f"a record of the format {format_of(record)!r} does not say how long its explicit solution is; give its file "
        "a tag that is a number, or none",
    )


def on_grid(ratio: float, step: float) -> float:
    """The nearest multiple of `step`, at least one step and at most 1."""
    return round(min(1.0, max(step, int(ratio / step + 0.5) * step)), 6)


def tag_text(ratio: float) -> str:
    """The tag of a ratio."""
    return f"<keep:{ratio:g}>"


def untagged(record: Record) -> Record:
    """The record without the tag that it has from an earlier mixture."""
    if not isinstance(record.get("keep"), int | float):
        return record
    tag = f"{tag_text(record['keep'])} "
    turns = [
        {**turn, "content": turn["content"].removeprefix(tag)} if turn["role"] == "user" else turn
        for turn in record["messages"]
    ]
    return {name: value for name, value in record.items() if name != "keep"} | {"messages": turns}


def tagged(record: Record, tag: str, step: float, count: Callable[[str], int]) -> Record:
    """The record with its tag; itself where `tag` is empty. Raises `UnreadableError` as `ratio_of` does."""
    record = untagged(record)
    if not tag:
        return record
    keep = on_grid(ratio_of(record, count), step) if tag == RATIO else float(tag)
    turns = list(record["messages"])
    users = [index for index, turn in enumerate(turns) if turn["role"] == "user"]
    if not users:
        raise UnreadableError("no_ratio", "a record without a user turn has no place for a tag")
    turns[users[-1]] = {**turns[users[-1]], "content": f"{tag_text(keep)} {turns[users[-1]]['content']}"}
    return {**record, "keep": keep, "messages": turns}


__all__ = ["ORIGINAL", "on_grid", "ratio_of", "tag_text", "tagged", "untagged"]
