"""TRL's GRPOTrainer: the `prompt` as messages, and the columns that the reward needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..schema import Record
from .base import jsonl as path_of
from .base import reward_columns, template, turns

NAME = "trl-grpo"
FILE_TYPE = "jsonl"
__all__ = ["FILE_TYPE", "NAME", "extra_files", "path_of", "row"]


def row(record: Record) -> dict[str, Any]:
    return {"prompt": turns(record)[0], **reward_columns(record), "id": record["id"], "n_ops": record["n_ops"]}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    return {
        "reward.py": template("trl_grpo/reward.py"),
        "train_grpo.py": template("trl_grpo/train_grpo.py"),
    }
