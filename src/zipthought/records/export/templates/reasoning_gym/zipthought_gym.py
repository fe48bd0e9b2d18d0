"""The exported items as a reasoning-gym dataset, `zipthought`; `score_answer` reads whole solutions.

import zipthought_gym, reasoning_gym
data = reasoning_gym.create_dataset("zipthought", split="train")
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reasoning_gym.factory import ProceduralDataset, register_dataset

from zipthought.train.interfaces import compute_score


@dataclass
class ZipthoughtConfig:
    split: str = "train"
    seed: int | None = None
    """Unused: the items are those of the file."""
    size: int = 0
    """How many items; 0 means all of the file."""

    def validate(self) -> None:
        if not self.path.is_file():
            raise AssertionError(f"no items of split {self.split!r}: {self.path}")

    @property
    def path(self) -> Path:
        return Path(__file__).parent / f"{self.split}.jsonl"


class ZipthoughtDataset(ProceduralDataset):
    def __init__(self, config: ZipthoughtConfig):
        config.validate()
        self._items = [json.loads(line) for line in config.path.read_text(encoding="utf-8").splitlines()]
        super().__init__(config=config, seed=config.seed, size=config.size or len(self._items))

    def __getitem__(self, idx: int) -> dict[str, Any]:
        return self._items[idx]

    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        if answer is None:
            return 0.0
        return compute_score("zipthought", answer, entry["answer"], entry["metadata"])["score"]


register_dataset("zipthought", ZipthoughtDataset, ZipthoughtConfig)
