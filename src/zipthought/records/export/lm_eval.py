"""lm-eval: a task of generated solutions, scored by us: accuracy and the share of faithful solutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...files.escape import yaml_string
from ..schema import Record
from .base import first_split, reward_columns, template
from .base import jsonl as path_of

NAME = "lm-eval"
FILE_TYPE = "jsonl"
__all__ = ["FILE_TYPE", "NAME", "extra_files", "path_of", "row"]


def row(record: Record) -> dict[str, Any]:
    system = record["messages"][0]["content"]
    return {"system": system, **reward_columns(record), "solution": record["completion"]}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    files = "\n".join(f"    {split}: {yaml_string(str((directory / path_of(split)).resolve()))}" for split in counts)
    return {
        "zipthought.yaml": template(
            "lm_eval/zipthought.yaml", files=files, held_out=yaml_string(first_split(counts, "test", "validation"))
        ),
        "utils.py": template("lm_eval/utils.py"),
    }
