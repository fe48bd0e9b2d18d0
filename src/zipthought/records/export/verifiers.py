"""verifiers: a package with the items as a taskset, whose tasks score what a model replies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..schema import Record
from .base import reward_columns, template

NAME = "verifiers"
FILE_TYPE = "jsonl"


def path_of(split: str) -> str:
    """The file of a split, in the package."""
    return f"zipthought_env/{split}.jsonl"


def row(record: Record) -> dict[str, Any]:
    system, user = (turn["content"] for turn in record["messages"][:2])
    return {"id": record["id"], "system_prompt": system, "prompt": user, "info": reward_columns(record)}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    return {
        "pyproject.toml": template("verifiers/pyproject.toml"),
        "zipthought_env/__init__.py": template("verifiers/zipthought_env.py"),
    }
