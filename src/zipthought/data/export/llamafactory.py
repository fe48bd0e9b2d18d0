"""LLaMA-Factory: alpaca rows with their system message, and `dataset_info.json` that names every column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..records import Record
from .common import jsonl as path_of

NAME = "llamafactory"
FILE_TYPE = "jsonl"
COLUMNS = {"prompt": "instruction", "query": "input", "response": "output", "system": "system"}
__all__ = ["COLUMNS", "FILE_TYPE", "NAME", "path_of", "register", "row"]


def row(record: Record) -> dict[str, Any]:
    system, user, assistant = (turn["content"] for turn in record["messages"])
    return {"instruction": user, "input": "", "output": assistant, "system": system}


def register(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    info = {
        f"zipthought_{split}": {"file_name": path_of(split), "formatting": "alpaca", "columns": COLUMNS}
        for split in counts
    }
    return {"dataset_info.json": json.dumps(info, indent=2) + "\n"}
