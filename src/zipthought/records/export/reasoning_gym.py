"""reasoning-gym: items of question, answer and metadata, and a dataset class that reads and scores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..schema import Record
from .base import jsonl as path_of
from .base import reward_columns, template

NAME = "reasoning-gym"
FILE_TYPE = "jsonl"
__all__ = ["FILE_TYPE", "NAME", "extra_files", "path_of", "row"]


def row(record: Record) -> dict[str, Any]:
    system, user = record["messages"][0]["content"], record["prompt"]
    metadata = {
        "source_dataset": "zipthought",
        "source_index": record["index"],
        "difficulty": {"n_ops": record["n_ops"]},
        **reward_columns(record),
    }
    return {"question": f"{system}\n\n{user}", "answer": record["answer"], "metadata": metadata}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    return {"zipthought_gym.py": template("reasoning_gym/zipthought_gym.py")}
