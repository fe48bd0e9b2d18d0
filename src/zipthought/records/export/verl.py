"""verl: Parquet rows with the system turn in the prompt, reward files, and a command line for GRPO."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ..schema import Record
from .base import first_split, reward_columns, template, turns

NAME = "verl"
FILE_TYPE = "parquet"


def path_of(split: str) -> str:
    """The file of a split."""
    return f"{split}.parquet"


def row(record: Record) -> dict[str, Any]:
    return {
        "data_source": "zipthought",
        "prompt": turns(record)[0],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": record["answer"]},
        "extra_info": {
            "split": record["split"],
            "index": record["index"],
            "id": record["id"],
            "n_ops": record["n_ops"],
            **reward_columns(record),
        },
    }


def extra_files(directory: Path, counts: dict[str, int], kinds: dict[str, dict[str, int]]) -> dict[str, str]:
    return {
        "reward.py": template("verl/reward.py"),
        "group_advantage.py": template("verl/group_advantage.py"),
        "run_grpo.sh": template(
            "verl/run_grpo.sh", held_out=shlex.quote(path_of(first_split(counts, "validation", "test")))
        ),
    }
