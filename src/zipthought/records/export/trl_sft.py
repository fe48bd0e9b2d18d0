"""TRL's SFTTrainer: `prompt` and `completion` as messages, so that the loss is on the completion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..schema import Record
from .base import jsonl as path_of
from .base import template, turns

NAME = "trl-sft"
FILE_TYPE = "jsonl"
__all__ = ["FILE_TYPE", "NAME", "extra_files", "path_of", "row"]


def row(record: Record) -> dict[str, Any]:
    prompt, completion = turns(record)
    return {"prompt": prompt, "completion": completion}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    return {"train_sft.py": template("trl_sft/train_sft.py")}
