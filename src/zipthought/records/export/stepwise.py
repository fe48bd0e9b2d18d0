"""Stepwise supervision for process rewards: a prompt, the parts of its completion, and a label for each of them.

A label is False if the part has a step that is not valid, or states a final answer that is not correct; else True. So a
part without a step is True. Each part is labelled on its own: a step that follows from a wrong one, and is right but
for that, is True (Uesato et al. 2022 label it False, and Lightman et al. 2023 stop at the first False).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..reading import verdict_of
from ..schema import Record
from .base import jsonl as path_of
from .base import template, turns
from .segments import segments_of

NAME = "stepwise"
FILE_TYPE = "jsonl"
__all__ = ["FILE_TYPE", "NAME", "extra_files", "path_of", "row"]


def row(record: Record) -> dict[str, Any]:
    segments = segments_of(record)
    verdict = verdict_of(record, record["completion"])
    labels = [True] * len(segments.texts)
    for part, step in zip(segments.steps, verdict.steps, strict=True):
        labels[part] &= step.verdict == "valid"
    if segments.final is not None:
        labels[segments.final] &= verdict.answer == "correct"
    prompt = "".join(f"{turn['content']}\n" for turn in turns(record)[0])
    return {"prompt": prompt, "completions": list(segments.texts), "labels": labels}


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    return {"train_prm.py": template("stepwise/train_prm.py")}
