"""Settings of the engine `trl`. This module does not import torch or TRL."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any

VLLM_MODES = ("", "colocate", "server")
VLLM_CORRECTIONS = ("off", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask")
OF_SFT = ("padding_free",)
"""Settings that SFT alone has."""
OF_RLVR = ("vllm", "vllm_memory", "vllm_correction", "vllm_max_ratio")
"""Settings that RLVR alone has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TRLConfig:
    """Settings of the engine `trl` alone. ``accelerate launch`` chooses FSDP and DeepSpeed."""

    lora_rank: int = 0
    """Rank of LoRA adapters on all linear layers (Hu et al. 2021). They are saved in the folder `adapters`, and merged
    into the weights of the saved model. 0 trains all weights."""
    lora_alpha: int = 32
    """Scale of the adapters, divided by their rank."""
    vllm: str = ""
    """Where vLLM generates rollouts: `colocate` on the training GPUs, or `server`. Empty: transformers generates."""
    vllm_memory: float = 0.3
    """Share of a GPU's memory for a colocated vLLM."""
    vllm_correction: str = "sequence_mask"
    """What makes up for vLLM's log-probabilities, which differ from the trainer's. The importance ratio of each token,
    or of each completion, weights the loss. `token_truncate` (Yao et al. 2025) and `sequence_truncate` cut ratios at
    `vllm_max_ratio`, `token_mask` and `sequence_mask` leave out what is above it. `off`: no weights."""
    vllm_max_ratio: float = 3.0
    """The largest importance ratio."""
    padding_free: bool = False
    """SFT with the sequences of a pass one after another in a row, without padding: the same updates in less time where
    lengths differ and attention is `flash_attention_2` or another that knows their limits (`--attention`)."""

    def __post_init__(self) -> None:
        if self.vllm not in VLLM_MODES:
            raise ValueError(f"unknown vllm mode {self.vllm!r}; use colocate or server")
        if self.lora_rank < 0 or not 0 < self.vllm_memory < 1:
            raise ValueError(
                f"lora_rank must be at least 0 and vllm_memory in 0..1, got {self.lora_rank} and {self.vllm_memory}"
            )
        if self.vllm_correction not in VLLM_CORRECTIONS:
            raise ValueError(f"unknown vllm_correction {self.vllm_correction!r}; use {', '.join(VLLM_CORRECTIONS)}")
        if self.vllm_max_ratio < 1:
            raise ValueError(
                f"vllm_max_ratio must be at least 1, the ratio of equal probabilities, got {self.vllm_max_ratio}"
            )

    def given(self, names: Collection[str] | None = None) -> list[str]:
        """Which of these settings, or of all, are not at their defaults."""
        changed = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        return [name for name in changed if names is None or name in names]

    def without(self, names: Collection[str]) -> TRLConfig:
        """The same with these settings at their defaults."""
        default = TRLConfig()
        values: dict[str, Any] = {name: getattr(default, name) for name in names}
        return replace(self, **values)


__all__ = ["OF_RLVR", "OF_SFT", "VLLM_CORRECTIONS", "TRLConfig"]
