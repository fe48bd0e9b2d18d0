"""Rejection sampling: completions of a model itself, of which SFT keeps the correct ones (Yuan et al. 2023, RFT).

The prompts are those of RLVR, step by step, and so are the rules for a correct answer. Training on the result is one
round of expert iteration: it rewards what RLVR rewards, but never penalizes a wrong completion.
"""

from __future__ import annotations

import hashlib
from typing import Any

from ..models.backends import TrainedBackend
from .config import RLVRConfig
from .loop import mixed_precision
from .prompts import PromptSource
from .rollouts import Rollout, request_of


def correct_samples(
    backend: TrainedBackend,
    prompts: PromptSource,
    config: RLVRConfig,
    tokens: int,
) -> tuple[list[dict[str, Any]], int]:
    """Sample `config.group_size` completions of each prompt, step after step, until this many tokens are sampled.

    Returns the records of the distinct correct ones, in the order in which they were sampled, and the number of sampled
    tokens. A prompt counts for each of its completions, as in the metrics of GRPO. The last step may exceed `tokens`.
    """
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    sampled = step = 0
    while sampled < tokens:
        batch, budget = prompts(step)
        with mixed_precision(backend.model.device, config.precision):
            generated = backend.generate(
                [prompt.ids for prompt in batch],
                request_of(config, budget, _sampling_seed(config.seed, step)),
            )
        for index, group in enumerate(generated):
            for completion in group:
                rollout = Rollout.of(batch, index, completion)
                sampled += len(batch[index].ids) + len(rollout.ids)
                if rollout.verdict is not None and rollout.verdict.answer == "correct":
                    answer = {"role": "assistant", "content": rollout.text}
                    key = (str(batch[index].record["prompt"]), rollout.text)
                    kept.setdefault(key, {"messages": [*batch[index].turns, answer]})
        step += 1
    return list(kept.values()), sampled


def _sampling_seed(seed: int, step: int) -> int:
    """The seed of a step's samples; those of RLVR have another."""
    return int.from_bytes(hashlib.sha256(f"rejection|{seed}|{step}".encode()).digest()[:4], "big")


__all__ = ["correct_samples"]
