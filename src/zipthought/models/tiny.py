"""Tiny models: architectures of `transformers`, small enough to post-train on a laptop's CPU.

The sizes are about 0.2M, 0.6M, 1M and 2M parameters with the `terse` vocabulary and tied embeddings.
"""

from __future__ import annotations

import copy

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from .families import MODEL_FAMILIES, Shape, Vocabulary

SIZES = {"0.2M": Shape(80, 2, 2), "0.6M": Shape(128, 3, 2), "1M": Shape(128, 5, 2), "2M": Shape(224, 4, 4)}


def tiny_config(family: str, size: str, vocab_size: int, pad: int, bos: int, eos: int) -> PretrainedConfig:
    """The configuration of a family and size. Raises `ValueError` with the known names."""
    if size not in SIZES:
        raise ValueError(f"unknown size {size!r}; use {', '.join(SIZES)}")
    return MODEL_FAMILIES.find(family).config(SIZES[size], Vocabulary(vocab_size, pad, bos, eos))


def build_tiny(config: PretrainedConfig, seed: int) -> PreTrainedModel:
    """A model with fresh weights in float32, which follow from the seed. The global generator is not changed."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def grow(model: PreTrainedModel, layers: int, seed: int) -> PreTrainedModel:
    """The model with `layers` layers added on top. Their outputs are zero, so the grown model computes the same.

    This is block expansion (Wu et al. 2024, LLaMA Pro) with all new blocks on top. Raises `ValueError` for a family
    that cannot grow.
    """
    family = MODEL_FAMILIES.find(model.config.model_type)
    config = copy.deepcopy(model.config)
    config.num_hidden_layers += layers
    grown = build_tiny(config, seed)
    outputs = family.output_weights(grown, layers)
    if not outputs:
        raise ValueError(f"models of the family {family.NAME!r} cannot grow; use grow=0")
    grown.load_state_dict(model.state_dict(), strict=False)
    for weight in outputs:
        torch.nn.init.zeros_(weight)
    return grown
