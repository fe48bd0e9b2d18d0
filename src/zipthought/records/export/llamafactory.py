"""LLaMA-Factory: alpaca rows with their system message, and `dataset_info.json` that names every column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...files.json_text import parse_json
from ..schema import Record
from .base import jsonl as path_of

NAME = "llamafactory"
FILE_TYPE = "jsonl"
COLUMNS = {"prompt": "instruction", "query": "input", "response": "output", "system": "system"}
INFO = "dataset_info.json"
UPDATED = (INFO,)
__all__ = ["COLUMNS", "FILE_TYPE", "NAME", "UPDATED", "extra_files", "path_of", "row"]


def row(record: Record) -> dict[str, Any]:
    system = record["messages"][0]["content"]
    return {"instruction": record["prompt"], "input": "", "output": record["completion"], "system": system}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    """What the directory registers already stays. Raises `ValueError` where that cannot be read."""
    info = _registered(directory / INFO) | {
        f"zipthought_{split}": {"file_name": path_of(split), "formatting": "alpaca", "columns": COLUMNS}
        for split in counts
    }
    return {INFO: json.dumps(info, indent=2) + "\n"}


def _registered(path: Path) -> dict[str, Any]:
    try:
        info = parse_json(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); mend it or choose another directory") from error
    if not isinstance(info, dict):
        raise ValueError(f"{path} is not a JSON object; mend it or choose another directory")
    return info
