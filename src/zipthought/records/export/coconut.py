"""Coconut (Hao et al. 2024): a JSON array of question, steps and answer, and a configuration of its `run.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...files.escape import yaml_string
from ..schema import Record
from .base import first_split, question, template
from .segments import segments_of

NAME = "coconut"
FILE_TYPE = "json"


def path_of(split: str) -> str:
    """The file of a split."""
    return f"{split}.json"


def row(record: Record) -> dict[str, Any]:
    return {"question": question(record), "steps": segments_of(record).before_answer, "answer": record["answer"]}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    """The configuration names no file for a split without rows."""
    train, held_out = (
        yaml_string(str((directory / path_of(split)).resolve()) if split in counts else "")
        for split in ("train", first_split(counts, "validation", "test"))
    )
    return {"coconut.yaml": template("coconut/coconut.yaml", train=train, held_out=held_out)}
