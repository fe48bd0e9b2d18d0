"""What commands read and write beside the files that their options name. `files.atomic.refuse_overwrite` uses it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..files.atomic import refuse_overwrite
from ..models.names import BUNDLED

RUN_FILES = (
    "README.md", "card.json", "chat_template.jinja", "checkpoint.pt", "config.json", "generation_config.json",
    "metrics.jsonl", "model.safetensors", "run.json", "special_tokens_map.json", "tokenizer.json",
    "tokenizer_config.json",
)  # fmt: skip
"""Names of the files that a training run writes in its directory."""

STORE_FILES = ("study.db", "study.db-wal", "study.db-shm", "study.db-journal", "completions", "weights")
"""Files and directories of a study that reports are made of. SQLite reads the files beside `study.db`, too."""


def model_files(model: str) -> list[Path]:
    """The files of a local model that loading may read: all in its directory but Parquet, which no model has.

    There are none for a bundled base, a hub id and an empty name.
    """
    if not model or model in BUNDLED or not Path(model).is_dir():
        return []
    return [path for path in Path(model).iterdir() if path.is_file() and path.suffix != ".parquet"]


def refuse_run_overwrite(output_dir: Path, model: str, files: Iterable[Path]) -> None:
    """Raises `ValueError` if a training run in `output_dir` would write over its model or another of its inputs."""
    refuse_overwrite([output_dir / name for name in RUN_FILES], [*model_files(model), *files])
