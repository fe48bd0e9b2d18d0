"""Settings of sampling. This module does not import torch: the command line builds its help from these classes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ..records.chat import Message

KEEP = ("all", "correct", "faithful", "shortest")
PAIRS = ("short-long", "right-wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleConfig:
    """What a model is asked for."""

    model: str
    """The model, as the endpoint names it; or a directory, a bundled model or a hub id with `--backend`."""
    samples: int = 4
    """Solutions of each question."""
    temperature: float = 1.0
    """0 is greedy, which makes sense for one sample."""
    max_new_tokens: int = 1024
    """Limit of the tokens of a solution."""
    seed: int = 0
    """Seed of the samples. An endpoint may ignore it."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("name the model")
        if self.samples < 1 or self.max_new_tokens < 1:
            raise ValueError(
                f"samples and max_new_tokens must be at least 1, got {self.samples} and {self.max_new_tokens}"
            )
        if self.temperature < 0 or self.seed < 0:
            raise ValueError(f"temperature and seed must not be negative, got {self.temperature} and {self.seed}")
        if self.samples > 1 and not self.temperature:
            raise ValueError(f"{self.samples} greedy samples are all the same; set a temperature above 0, or samples=1")

    def key(self, turns: list[Message], sample: int) -> str:
        """The identity of an answer: model, messages, parameters and the number of the sample; 32 hex digits."""
        values: list[Any] = [self.model, turns, self.temperature, self.max_new_tokens, self.seed, sample]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]

    def seed_of(self, turns: list[Message], sample: int) -> int:
        """The seed of one sample, below 2**31."""
        return int(self.key(turns, sample)[:8], 16) >> 1
