"""A Hugging Face dataset directory: Parquet by split, and a dataset card that its viewer reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...files.escape import markdown_text, yaml_string
from ..schema import Record
from .base import template

NAME = "hf"
FILE_TYPE = "parquet"


def path_of(split: str) -> str:
    """The file of a split."""
    return f"data/{split}-00000-of-00001.parquet"


def row(record: Record) -> dict[str, Any]:
    _ = record["messages"]
    return record


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    files = "\n".join(f"      - split: {split}\n        path: {yaml_string(path_of(split))}" for split in counts)
    splits = "\n".join(f"- {split}: {count:,} records" for split, count in counts.items())
    rows = "\n".join(
        f"| {field} | {', '.join(map(markdown_text, sorted(seen)[:24]))} |" for field, seen in kinds.items()
    )
    return {"README.md": template("hf/README.md", files=files, splits=splits, rows=rows)}
