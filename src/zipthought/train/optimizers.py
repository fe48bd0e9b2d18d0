"""Optimizers by name. This module does not import torch, because `train.config` checks names here.

Adding an optimizer is one module with a subclass of `Optimizer` and the registration of an instance. The contract test
(`tests/test_optimizers.py`) covers everything that is registered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.registry import Registry

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from .config import OptimizerConfig

_OUTER = ("embed", "wte", "wpe", "lm_head")
"""Parts of the names of embeddings and output layers."""


class Optimizer(ABC):
    """The contract of an optimizer."""

    NAME: ClassVar[str]
    """The name in `OptimizerConfig.optimizer`."""
    single: ClassVar[bool]
    """Whether `build` returns exactly one torch optimizer. The engine `trl` supports no other."""

    @abstractmethod
    def build(self, model: PreTrainedModel, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
        """Torch optimizers that together hold every trainable parameter once, at the peak learning rate."""


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", ("single", "build"))


class AdamW(Optimizer):
    """AdamW on all parameters (Loshchilov & Hutter 2019)."""

    NAME = "adamw"
    single = True

    def build(self, model: PreTrainedModel, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
        return [_adamw([p for _, p in _trainable(model)], config)]


class MuonWithAdamW(Optimizer):
    """Muon on the hidden matrices, and AdamW on the other parameters (Jordan et al. 2024)."""

    NAME = "muon"
    single = False

    def build(self, model: PreTrainedModel, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
        from .muon import Muon

        named = _trainable(model)
        hidden = [p for name, p in named if p.ndim == 2 and not any(part in name for part in _OUTER)]
        taken = {id(p) for p in hidden}
        return [
            _adamw([p for _, p in named if id(p) not in taken], config),
            Muon(hidden, lr=config.peak, weight_decay=config.weight_decay),
        ]


def build_optimizers(model: PreTrainedModel, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """The torch optimizers of a configuration. Raises `ValueError` if they leave a trainable parameter out, or hold one
    twice."""
    built = OPTIMIZERS.find(config.optimizer).build(model, config)
    held = sorted(id(p) for optimizer in built for group in optimizer.param_groups for p in group["params"])
    if held != sorted(id(p) for _, p in _trainable(model)):
        raise ValueError(f"the optimizer {config.optimizer!r} does not hold every trainable parameter once")
    return built


def _trainable(model: PreTrainedModel) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _adamw(parameters: Sequence[torch.nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW with weight decay on matrices only."""
    import torch

    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.peak, betas=config.betas, fused=True)


for _optimizer in (AdamW(), MuonWithAdamW()):
    OPTIMIZERS.register(_optimizer)


__all__ = ["OPTIMIZERS", "Optimizer", "build_optimizers"]
