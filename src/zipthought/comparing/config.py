"""Settings of a comparison. This module does not import torch: the command line builds its help from these classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.hub import is_hub
from ..train.config import OptimizerConfig, SFTConfig


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file of records, which is a row of the table."""

    file: Path
    name: str = ""
    """Of the row; empty: the format of its records, or the name of the file without its suffix."""

    @classmethod
    def parse(cls, text: str) -> NamedFile:
        """A file, or NAME=FILE. Raises `ValueError` where either part is empty."""
        if Path(text).exists() or is_hub(Path(text)) or "=" not in text:
            return cls(Path(text))
        name, _, file = text.partition("=")
        if not name.strip() or not file:
            raise ValueError(f"a row is FILE or NAME=FILE, got {text!r}")
        return cls(Path(file), name.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The model that each file trains, and the questions that measure it."""

    model: str = ""
    """Train this model on each file: bundled, bundled-deep, bundled-mixed, neutral, neutral-2, a directory with a
    model, or a hub id, also with a revision (org/name@v1). Empty: no training."""
    test: Path | None = None
    """Records of the questions that the trained models answer: a file that `zipthought evaluate --data` reads. No
    record of these questions is trained on."""
    budget_tokens: int = 200_000
    """Training tokens of each model, prompts included: a run has the number of updates that comes closest."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the order of the data. Each is a training run for each file."""
    optimizer: str = "adamw"
    """`adamw` or `muon`."""
    learning_rate: float | None = None
    """Peak learning rate. None: one that suits the size of the model, as `train sft` chooses it."""
    batch_size: int = 32
    """Sequences in an update."""
    max_length: int = 2048
    """Maximal tokens of an example. Longer ones are left out and counted."""
    max_new_tokens: int | None = None
    """Limit of the tokens of an answer. None: 1.25 x the longest solution of --test + 16, or 1024 without solutions."""
    limit: int = 0
    """The first so many records of --test; 0 means all."""
    device: str = "auto"
    """auto, cpu or cuda."""
    threads: int = 0
    """CPU threads; 0 is the default of torch."""

    def __post_init__(self) -> None:
        if bool(self.model) != bool(self.test):
            raise ValueError("--model and --test go together: a model to train, and questions to measure it on")
        if self.budget_tokens < 1 or self.limit < 0:
            raise ValueError(
                f"--budget-tokens must be at least 1 and --limit at least 0, got {self.budget_tokens} and {self.limit}"
            )
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"--seeds needs numbers of at least 0, each once, got {self.seeds}")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError(f"--max-new-tokens must be at least 1, got {self.max_new_tokens}")
        self.sft(1, 0)

    def sft(self, updates: int, seed: int) -> SFTConfig:
        """The settings of one run. Raises `ValueError` as `SFTConfig` does."""
        return SFTConfig(
            steps=updates,
            batch_size=self.batch_size,
            max_length=self.max_length,
            seed=seed,
            checkpoint_every=0,
            optimizer=OptimizerConfig(optimizer=self.optimizer, learning_rate=self.learning_rate),
        )

    def recipe(self) -> dict[str, Any]:
        """What the result of a run depends on, but for its data, its seed, the base and the questions."""
        return {
            "budget_tokens": self.budget_tokens,
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "max_length": self.max_length,
            "max_new_tokens": self.max_new_tokens,
        }


__all__ = ["NamedFile", "TrainOptions"]
