"""Families of tiny models by name. This module does not import torch, because `train.config` checks names here.

Adding a family is one module with a subclass of `ModelFamily` and the registration of an instance. The contract test
(`tests/test_optimizers.py`) covers everything that is registered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ..core.registry import Registry

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

HEAD_DIM = 64
"""Width of a Llama head. It decides, together with `ROPE_THETA`, whether a tiny model can find a name among a thousand:
of 32 dimensions at the usual 10,000 only 14 turn slowly enough to compare names over 150 positions."""
ROPE_THETA = 100_000.0
MAX_POSITIONS = 2048


class Shape(NamedTuple):
    """The size of a model."""

    width: int
    layers: int
    heads: int


class Vocabulary(NamedTuple):
    """What a configuration needs of a tokenizer."""

    size: int
    pad: int
    bos: int
    eos: int


class ModelFamily(ABC):
    """The contract of a family: an architecture of `transformers`."""

    NAME: ClassVar[str]
    """The `model_type` of its configurations."""

    @abstractmethod
    def config(self, shape: Shape, vocabulary: Vocabulary) -> PretrainedConfig:
        """A configuration with tied embeddings and without dropout."""

    @abstractmethod
    def output_weights(self, model: PreTrainedModel, layers: int) -> list[torch.Tensor]:
        """The weights that add the top `layers` layers to the residual stream: with zeros there, these layers change
        nothing. An empty list if models of the family cannot grow (`models.tiny.grow`)."""


MODEL_FAMILIES: Registry[ModelFamily] = Registry("model family", ("config", "output_weights"))


class Llama(ModelFamily):
    """Llama: rotary positions, RMS norm, gated MLP."""

    NAME = "llama"

    def config(self, shape: Shape, vocabulary: Vocabulary) -> PretrainedConfig:
        from transformers import LlamaConfig

        return LlamaConfig(
            vocab_size=vocabulary.size,
            hidden_size=shape.width,
            intermediate_size=2 * shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            head_dim=HEAD_DIM,
            rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            pad_token_id=vocabulary.pad,
            bos_token_id=vocabulary.bos,
            eos_token_id=vocabulary.eos,
        )

    def output_weights(self, model: PreTrainedModel, layers: int) -> list[torch.Tensor]:
        blocks = model.model.layers[-layers:]
        return [weight for block in blocks for weight in (block.self_attn.o_proj.weight, block.mlp.down_proj.weight)]


class GPT2(ModelFamily):
    """GPT-2: learned positions. Its models cannot grow."""

    NAME = "gpt2"

    def config(self, shape: Shape, vocabulary: Vocabulary) -> PretrainedConfig:
        from transformers import GPT2Config

        return GPT2Config(
            vocab_size=vocabulary.size,
            n_embd=shape.width,
            n_inner=3 * shape.width,
            n_layer=shape.layers,
            n_head=shape.heads,
            n_positions=MAX_POSITIONS // 4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            pad_token_id=vocabulary.pad,
            bos_token_id=vocabulary.bos,
            eos_token_id=vocabulary.eos,
        )

    def output_weights(self, model: PreTrainedModel, layers: int) -> list[torch.Tensor]:
        return []


for _family in (Llama(), GPT2()):
    MODEL_FAMILIES.register(_family)


__all__ = ["MODEL_FAMILIES", "ModelFamily", "Shape", "Vocabulary"]
