"""The shapes of models, as far as their memory depends on them. No weights are read.

A model on this disk has them in its `config.json`. Those of `KNOWN` are public configurations of hub models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The shape of a decoder."""

    parameters: int
    """Of the whole model, tied embeddings once."""
    layers: int
    hidden: int
    """Width of the residual stream."""
    intermediate: int
    """Width of the MLP."""
    kv_width: int
    """Key (or value) heads times their width."""
    vocabulary: int

    @classmethod
    def of(cls, config: Mapping[str, Any], parameters: int = 0) -> Shape:
        """The shape that a `config.json` states. `parameters` 0: those of a decoder with a gated MLP (Llama, Qwen2)
        without biases.

        Raises `ValueError` if the configuration has no such entries.
        """

        def entry(*names: str, default: int | None = None) -> int:
            found = next((config[name] for name in names if config.get(name)), default)
            if not isinstance(found, int):
                raise ValueError(f"the configuration of the model has no {names[0]}")
            return found

        hidden, heads = entry("hidden_size", "n_embd"), entry("num_attention_heads", "n_head")
        layers, vocabulary = entry("num_hidden_layers", "n_layer"), entry("vocab_size")
        intermediate = entry("intermediate_size", "n_inner", default=4 * hidden)
        width = entry("head_dim", default=hidden // heads)
        kv_width = width * entry("num_key_value_heads", default=heads)
        if not parameters:
            layer = 2 * hidden * (width * heads + kv_width) + 3 * hidden * intermediate
            parameters = layers * layer + vocabulary * hidden * (1 if config.get("tie_word_embeddings", True) else 2)
        return cls(
            parameters=parameters,
            layers=layers,
            hidden=hidden,
            intermediate=intermediate,
            kv_width=kv_width,
            vocabulary=vocabulary,
        )


_COLUMNS = (
    "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "vocab_size",
    "tie_word_embeddings",
)  # fmt: skip
_TABLE: dict[str, tuple[int, ...]] = {
    "Qwen/Qwen2.5-0.5B": (24, 896, 4864, 14, 2, 151_936, True),
    "Qwen/Qwen2.5-1.5B": (28, 1536, 8960, 12, 2, 151_936, True),
    "Qwen/Qwen2.5-3B": (36, 2048, 11_008, 16, 2, 151_936, True),
    "Qwen/Qwen2.5-7B": (28, 3584, 18_944, 28, 4, 152_064, False),
    "HuggingFaceTB/SmolLM2-135M": (30, 576, 1536, 9, 3, 49_152, True),
    "HuggingFaceTB/SmolLM2-360M": (32, 960, 2560, 15, 5, 49_152, True),
    "HuggingFaceTB/SmolLM2-1.7B": (24, 2048, 8192, 32, 32, 49_152, True),
    "meta-llama/Llama-3.2-1B": (16, 2048, 8192, 32, 8, 128_256, True),
    "meta-llama/Llama-3.2-3B": (28, 3072, 8192, 24, 8, 128_256, True),
}
KNOWN = {name: Shape.of(dict(zip(_COLUMNS, row, strict=True))) for name, row in _TABLE.items()}
"""Hub id of a base -> its shape, from the `config.json` of the hub. Its instruct version has the same."""


def known_shape(name: str) -> Shape | None:
    """The shape of a hub model of `KNOWN`, or of the model in a directory; None for another one."""
    config = Path(name) / "config.json"
    if config.is_file():
        return Shape.of(json.loads(config.read_text(encoding="utf-8")))
    return KNOWN.get(name.partition("@")[0].removesuffix("-Instruct"))
