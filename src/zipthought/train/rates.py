"""The peak learning rate of a run whose user gives none. This module does not import torch.

The rates for all weights are those of published recipes with AdamW:

| parameters | SFT | RLVR |
| --- | --- | --- |
| below 100M | 1e-3, of this package's tiny models | 2e-4, of this package's tiny models |
| 100M to 1B | 3e-4: the recipe of SmolLM2-1.7B; for 135M and 360M it has 1e-3 (alignment-handbook) | 1e-6 |
| from 1B | 2e-5: the paper's Qwen2.5-3B | 1e-6: the paper's, and DeepSeekMath's (Shao et al. 2024) |

With LoRA adapters the rate is ten times as high, in SFT and in RLVR ("LoRA Without Regret", Schulman et al. 2025). With
a rate for all weights, adapters do not learn (trl#2872).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from .config import LARGE, RLVRConfig, SFTConfig

LORA_FACTOR = 10
"""The learning rate of LoRA adapters over the one of all weights."""
LORA_LEAST = 1e-5
"""Below this rate, adapters hardly learn."""
_Config = TypeVar("_Config", SFTConfig, RLVRConfig)


def with_rate(config: _Config, parameters: int) -> _Config:
    """The configuration with a learning rate: its own, or one that suits a model of so many parameters."""
    if config.optimizer.learning_rate is not None:
        return config
    if isinstance(config, SFTConfig):
        rate = 1e-3 if parameters < LARGE else 3e-4 if parameters < 10 * LARGE else 2e-5
    else:
        rate = 2e-4 if parameters < LARGE else 1e-6
    if config.trl.lora_rank:
        rate = float(f"{rate * LORA_FACTOR:g}")  # 3e-4 * 10 is not 3e-3 in binary.
    return replace(config, optimizer=replace(config.optimizer, learning_rate=rate))


def note_on_rate(config: _Config, parameters: int) -> str | None:
    """One line on the learning rate of a configuration as the user gave it: the one that is chosen for a large model or
    for adapters, or that the given one is too low for LoRA. None if there is nothing to say."""
    given, lora = config.optimizer.learning_rate, config.trl.lora_rank
    if given is None and (lora or parameters >= LARGE):
        rate = _short(with_rate(config, parameters).optimizer.peak)
        return f"learning rate {rate}, chosen for {_size(parameters)} parameters{' with LoRA' if lora else ''}"
    if given is not None and lora and given < LORA_LEAST:
        return (
            f"learning rate {_short(given)} is low for LoRA, which needs about {LORA_FACTOR} times the rate of all "
            f"weights; consider {_short(given * LORA_FACTOR)} or more"
        )
    return None


def _short(rate: float) -> str:
    """``2e-5`` for 2e-05."""
    mantissa, _, exponent = f"{rate:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _size(parameters: int) -> str:
    """``3.09B`` or ``135M``."""
    return f"{parameters / 1e9:.3g}B" if parameters >= 1e9 else f"{parameters / 1e6:.3g}M"


__all__ = ["LORA_FACTOR", "LORA_LEAST", "note_on_rate", "with_rate"]
