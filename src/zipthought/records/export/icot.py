"""Stepwise internalization (Deng et al. 2024): a line ``question||steps #### answer`` for each record, and a command
line for the `train.py` of its authors. `compress` reads the same layout."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from ...solutions import FAMILIES
from ..reading import verdict_of
from ..schema import Record
from .base import first_split, question, template
from .segments import segments_of

NAME = "icot"
FILE_TYPE = "txt"
_MARKS = ("||", "####")
_UNENDED = re.compile(r"(?<=[^\s.,;:!?])\s*\n\s*")


def path_of(split: str) -> str:
    """The file of a split."""
    return f"{split}.txt"


def row(record: Record) -> dict[str, Any]:
    """Raises `ValueError` also for a text with one of the marks, and for lines that read differently as one line."""
    answer = _one_line(record["answer"])
    texts = {"question": _one_line(question(record)), "completion": _steps(record, answer), "answer": answer}
    for field, text in texts.items():
        if mark := next((mark for mark in _MARKS if mark in text), None):
            raise ValueError(f"the {field} has {mark!r}, which separates the parts of a line of {NAME}")
    return {"text": f"{texts['question']}||{texts['completion']} #### {answer}"}


def _steps(record: Record, answer: str) -> str:
    """The completion without its answer on one line. A line break is a blank, or a full stop and a blank if the
    equations of a real solution would read differently without."""
    text = "\n".join(segments_of(record).before_answer)
    if record.get("surface") not in FAMILIES:
        return _one_line(text)
    verdict = verdict_of(record, record["completion"])
    for line in (_one_line(text), _one_line(_UNENDED.sub(". ", text))):
        joined = verdict_of(record, f"{line}\n#### {answer}")
        if joined.steps == verdict.steps and joined.faithful >= verdict.faithful:
            return line
    raise ValueError("the completion has lines that cannot stand on one line, where its equations read differently")


def _one_line(text: str) -> str:
    return " ".join(filter(None, map(str.strip, text.splitlines())))


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    held_out = shlex.quote(path_of(first_split(counts, "validation", "test")))
    return {"run_icot.sh": template("icot/run_icot.sh", held_out=held_out)}
