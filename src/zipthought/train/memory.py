"""What training needs of the memory of a device: bytes, from the shape of a model (`models.shapes`).

Weights are float32 and computation is in bfloat16, as on GPUs (`models.loading`, `loop.mixed_precision`). A layer keeps
for each token what its backward pass reads, counted from a Qwen2 layer of PyTorch 2.13 and transformers 5.23 by hooks
on saved tensors (`tests/test_memory.py` counts again): 30 bytes for each unit of width, 8 for each unit of the MLP, and
4 for each unit of keys and values. With gradient checkpointing a layer keeps its input alone, in float32.

These are estimates from above: an MLP without a gate keeps less.
"""

from __future__ import annotations

from ..models.shapes import Shape

STATE_BYTES = 16
"""Bytes for each parameter: float32 weights, gradient, and the two moments of AdamW."""
SPARE = 0.9
"""The share of the memory that is planned with. The rest is for fragments and temporary copies."""
_PER_WIDTH, _PER_MLP, _PER_KV = 30, 8, 4
_PER_LOGIT = 14
"""Bytes for each logit of a position with loss: bfloat16 and float32 logits, their log-softmax, and its gradient."""


def layer_bytes(shape: Shape) -> int:
    """What a layer keeps for each token."""
    return _PER_WIDTH * shape.hidden + _PER_MLP * shape.intermediate + _PER_KV * shape.kv_width


def token_bytes(shape: Shape, checkpointing: bool) -> int:
    """What a training pass needs for each token, if all have a loss."""
    kept = 4 * shape.hidden * shape.layers + layer_bytes(shape) if checkpointing else layer_bytes(shape) * shape.layers
    return kept + _PER_LOGIT * shape.vocabulary


def cache_bytes(shape: Shape) -> int:
    """What the key-value cache needs for each token, in bfloat16."""
    return 2 * 2 * shape.layers * shape.kv_width


def fitting_tokens(shape: Shape, checkpointing: bool, free: float) -> int:
    """The tokens of a training pass that fit into `free` bytes. 0 if not even one does."""
    return int(SPARE * free / token_bytes(shape, checkpointing))
