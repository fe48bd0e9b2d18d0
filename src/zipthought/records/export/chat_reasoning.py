"""Chat messages whose assistant turn has its steps in `reasoning_content` and its answer in `content`, which the chat
templates of reasoning models put around their own tags.

The steps are the text between ``<think>`` and ``</think>``. Of a completion without these tags they are what stands
before the final answer. Blanks around both parts are left out, because the templates write their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...solutions.sentences import split_trace
from ..schema import Record
from .base import jsonl as path_of
from .base import template, turns
from .segments import segments_of

NAME = "chat-reasoning"
FILE_TYPE = "jsonl"
__all__ = ["FILE_TYPE", "NAME", "extra_files", "path_of", "row"]


def row(record: Record) -> dict[str, Any]:
    """Raises `ValueError` also for a tag that is not around one trace at the beginning."""
    reasoning, content = split_trace(record["completion"])
    if content == record["completion"]:
        segments = segments_of(record)
        reasoning = "".join(segments.texts[: segments.final or 0])
        content = "".join(segments.texts[segments.final or 0 :])
    assistant = {"role": "assistant", "reasoning_content": reasoning.strip(), "content": content.strip()}
    return {"messages": [*turns(record)[0], assistant]}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    return {"train_sft.py": template("chat_reasoning/train_sft.py")}
