"""Tiny configurations: real `transformers` architectures small enough to post-train on a laptop's CPU.

Sizes are about 0.2M, 0.6M and 2M parameters with the `terse` vocabulary, embeddings tied.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PretrainedConfig, PreTrainedModel

SIZES = {"0.2M": (80, 2, 2), "0.6M": (128, 3, 2), "2M": (224, 4, 4)}
"""Name -> (width, layers, heads)."""
HEAD_DIM = 64
"""Width of a Llama head, and with `ROPE_THETA` what decides whether a tiny model finds a name among a thousand: of 32
dimensions at the usual 10,000 only 14 turn slowly enough to compare names over 150 positions (docs/LOG.md)."""
ROPE_THETA = 100_000.0
FAMILIES = ("llama", "gpt2")
MAX_POSITIONS = 2048


def tiny_config(family: str, size: str, vocab_size: int, pad: int, bos: int, eos: int) -> PretrainedConfig:
    """The configuration of a family and size. Raises `ValueError` naming those that exist."""
    if size not in SIZES:
        raise ValueError(f"unknown size {size!r}; use {', '.join(SIZES)}")
    width, layers, heads = SIZES[size]
    special: dict[str, Any] = {"pad_token_id": pad, "bos_token_id": bos, "eos_token_id": eos}
    if family == "llama":
        return LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            head_dim=HEAD_DIM,
            rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            **special,
        )
    if family == "gpt2":
        return GPT2Config(
            vocab_size=vocab_size,
            n_embd=width,
            n_inner=3 * width,
            n_layer=layers,
            n_head=heads,
            n_positions=MAX_POSITIONS // 4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **special,
        )
    raise ValueError(f"unknown family {family!r}; use {', '.join(FAMILIES)}")


def build_tiny(config: PretrainedConfig, seed: int) -> PreTrainedModel:
    """A model with fresh weights, float32, the same for the same seed; the caller's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def grow(model: PreTrainedModel, layers: int, seed: int) -> PreTrainedModel:
    """The model with that many layers added on top, whose outputs are zero, so that it computes what it did.

    Block expansion as in Wu et al. 2024 (LLaMA Pro), the new blocks on top. Raises `ValueError` for an architecture
    other than Llama's.
    """
    if model.config.model_type != "llama":
        raise ValueError(f"only llama models can be grown, got {model.config.model_type}")
    config = copy.deepcopy(model.config)
    config.num_hidden_layers += layers
    grown = build_tiny(config, seed)
    grown.load_state_dict(model.state_dict(), strict=False)
    for layer in grown.model.layers[-layers:]:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    return grown
