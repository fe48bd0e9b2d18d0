"""The contract of an export target, and what several targets share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ...solutions import FAMILIES
from ..schema import Record

TEMPLATES = Path(__file__).parent / "templates"
REWARD_COLUMNS = ("surface", "modulus", "answer")
"""The columns that `zipthought.train.interfaces` reads from a row, beside the `question`."""


class Export(Protocol):
    """A target: a module with these members, and optionally `UPDATED`: names of the extra files that keep what they
    hold already, and so may always be written."""

    NAME: str
    """As in ``zipthought export --to NAME``."""
    FILE_TYPE: str
    """One of `writers.WRITERS`."""

    def path_of(self, split: str) -> str:
        """The data file of a split, relative to the output directory."""

    def row(self, record: Record) -> dict[str, Any]:
        """The row of a record. Raises `KeyError` or `ValueError` for a field that is missing or cannot be used."""

    def extra_files(
        self, directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]
    ) -> Mapping[str, str]:
        """The files beside the data: relative path -> text. `counts` are rows by split; `kinds` has, for the surface,
        format, k, n_ops and modulus, how often each value occurs. Raises `ValueError` for files of the directory that
        it must read and cannot."""


def turns(record: Record) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The turns before the assistant's, and the assistant's."""
    messages = record["messages"]
    return messages[:-1], messages[-1:]


def question(record: Record) -> str:
    """The problem as one text, for a target with its own notation of the final answer: the system message and the
    prompt, without a message of a family of real solutions, which only asks for a notation."""
    system = record["messages"][0]["content"]
    family = FAMILIES.get(record.get("surface") or "")
    asked = {family.SYSTEM, *getattr(family, "SYSTEMS", {}).values()} if family else set()
    return record["prompt"] if system in asked else f"{system}\n{record['prompt']}"


def reward_columns(record: Record) -> dict[str, Any]:
    """The columns by which a reward reads the problem."""
    return {"question": record["prompt"], **{name: record[name] for name in REWARD_COLUMNS}}


def first_split(counts: dict[str, int], *preferred: str) -> str:
    """The first of the preferred splits that has rows, else `train`."""
    return next((split for split in preferred if split in counts), "train")


def template(name: str, **values: str) -> str:
    """A file of `templates`, with ``@NAME@`` and quotes around it replaced by each value. Values are quoted for the
    language of the file."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    return re.sub(r'("?)@([A-Z_]+)@\1', lambda match: values[match[2].lower()], text)


def jsonl(split: str) -> str:
    """The usual data file of a split."""
    return f"{split}.jsonl"
