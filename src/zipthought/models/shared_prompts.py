"""Attention of many completions to shared prompts, for decoding one token at a time.

The keys and values of a prompt are stored once for all its completions. Most of the memory traffic of a decoding step
is for the prompts, and this reads each one once for its group instead of once for each row. One softmax covers the
columns of the prompt and of the row together, so the result is the usual attention.

Shapes: G groups (prompts), S completions of a prompt, B = G x S rows, H key heads, R query heads of a key head,
P columns of the prompts, T of the completions, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

_PLAIN_ATTENTION = ("gpt2", "llama", "qwen2", "qwen3")
"""Model types with plain attention: scaled, causal, without windows, sinks or caps."""
_NAME = "zipthought_shared_prompts"


class Prompts:
    """Keys and values of the prompts of a batch."""

    def __init__(self, layers: list[tuple[torch.Tensor, torch.Tensor]], lengths: torch.Tensor) -> None:
        """`layers`: keys and values (G, H, P, D) of each layer. `lengths`: (G,) columns without padding."""
        self.layers = layers
        columns = torch.arange(layers[0][0].shape[2], device=lengths.device)
        padding = columns >= lengths[:, None]  # (G, P)
        self._mask = torch.zeros(padding.shape, device=lengths.device).masked_fill_(padding, float("-inf"))

    def keep(self, groups: torch.Tensor) -> None:
        """Keep only the groups with these indices."""
        self.layers = [(keys[groups], values[groups]) for keys, values in self.layers]
        self._mask = self._mask[groups]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """(B, H x R, 1, D) queries and (B, H, T, D) keys and values of the completions -> (B, 1, H x R, D) outputs."""
        keys, values = self.layers[layer]
        groups, heads, width, size = keys.shape
        rows, repeats = len(query) // groups, query.shape[1] // heads

        def by_group(x: torch.Tensor) -> torch.Tensor:  # (B, H, R, n) -> (G, H, S x R, n)
            return x.view(groups, rows, heads, repeats, -1).transpose(1, 2).reshape(groups, heads, rows * repeats, -1)

        def by_row(x: torch.Tensor) -> torch.Tensor:  # the inverse
            return x.view(groups, heads, rows, repeats, -1).transpose(1, 2).reshape(len(query), heads, repeats, -1)

        query = query.reshape(len(query), heads, repeats, size) * scaling
        of_prompt = by_group(query) @ keys.transpose(-1, -2) + self._mask[:, None, None]  # (G, H, S x R, P)
        own = query @ key.transpose(-1, -2)  # (B, H, R, T)
        precise = torch.promote_types(query.dtype, torch.float32)
        weights = torch.cat([by_row(of_prompt), own], dim=-1).softmax(-1, dtype=precise).to(query.dtype)
        of_prompt, own = weights[..., :width].contiguous(), weights[..., width:].contiguous()
        mixed = by_row(by_group(of_prompt) @ values) + own @ value  # (B, H, R, D)
        return mixed.reshape(len(query), 1, heads * repeats, size)


_prompts: ContextVar[Prompts] = ContextVar("prompts")


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _prompts.get().attend(module.layer_idx, query, key, value, scaling), None


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, lambda *_, **__: None)


def is_supported(model: PreTrainedModel) -> bool:
    """Whether `Prompts` can replace the model's attention."""
    return model.config.model_type in _PLAIN_ATTENTION and model.config._attn_implementation == "sdpa"


@contextmanager
def attending(model: PreTrainedModel, prompts: Prompts) -> Iterator[None]:
    """Within this context, each row that `model` reads attends to its prompt and to its own columns of the cache."""
    before = model.config._attn_implementation
    token = _prompts.set(prompts)
    model.config._attn_implementation = _NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before
        _prompts.reset(token)


__all__ = ["Prompts", "attending", "is_supported"]
