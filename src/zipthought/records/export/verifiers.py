"""verifiers: a package whose `load_environment` makes a single-turn environment of the items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..schema import Record
from .base import first_split, reward_columns, template, turns

NAME = "verifiers"
FILE_TYPE = "jsonl"


def path_of(split: str) -> str:
    """The file of a split, in the package."""
    return f"zipthought_env/{split}.jsonl"


def row(record: Record) -> dict[str, Any]:
    return {"prompt": turns(record)[0], "answer": record["answer"], "info": reward_columns(record)}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    return {
        "pyproject.toml": template("verifiers/pyproject.toml"),
        "zipthought_env/__init__.py": template(
            "verifiers/zipthought_env.py", held_out=repr(first_split(counts, "validation", "test"))
        ),
    }
