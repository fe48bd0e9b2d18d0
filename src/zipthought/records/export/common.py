"""What several targets share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..schema import Record

TEMPLATES = Path(__file__).parent / "templates"
REWARD_COLUMNS = ("surface", "modulus", "answer")
"""What `zipthought.train.interfaces` needs of a row, beside the `question`."""


def turns(record: Record) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The turns up to the assistant's, and the assistant's."""
    said = record["messages"]
    return said[:-1], said[-1:]


def reward_columns(record: Record) -> dict[str, Any]:
    """The columns by which a reward finds the problem."""
    return {"question": record["prompt"], **{name: record[name] for name in REWARD_COLUMNS}}


def held_out(counts: dict[str, int], *wanted: str) -> str:
    """The first of the wanted splits that there is, else `train`."""
    return next((split for split in wanted if split in counts), "train")


def template(name: str, **values: str) -> str:
    """A file of `templates`, with ``@NAME@`` replaced by each value."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key.upper()}@", value)
    return text


def jsonl(split: str) -> str:
    """The usual file of a split."""
    return f"{split}.jsonl"
