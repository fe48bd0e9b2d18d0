"""Supervised fine-tuning on completions: the loss covers the assistant's turn and its end-of-sequence token.

    zipthought train sft --model bundled --data composed-2.jsonl --output-dir out

The learning-rate schedule is cosine after a linear warm-up; batches are bucketed by length; runs are deterministic and
resume exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..records.chat import completion_ids, prompt_ids, require_known
from .batches import EpochBatches, Example
from .config import SFTConfig
from .loop import LoopResult, fingerprint, next_token, train_loop


def encode(tokenizer: PreTrainedTokenizerBase, record: Mapping[str, Any]) -> Example:
    """The tokens of a record, through the one prompt builder.

    Raises `ValueError` for a record whose `messages` do not end with an assistant's turn after others, and for text
    that the tokenizer has no tokens for: training on unknown tokens teaches nothing and says nothing.
    """
    turns = record.get("messages")
    if (
        not isinstance(turns, list)
        or len(turns) < 2
        or not all(isinstance(t, dict) and isinstance(t.get("content"), str) and t.get("role") for t in turns)
        or [turn["role"] == "assistant" for turn in turns[-2:]] != [False, True]
    ):
        raise ValueError("a record needs messages of {role, content}, the last one of the assistant")
    *prompt, answer = turns
    before = prompt_ids(tokenizer, prompt)
    after = completion_ids(tokenizer, answer["content"])
    require_known(tokenizer, after)
    return Example(before + after, len(before))


def encode_all(
    tokenizer: PreTrainedTokenizerBase, records: Iterable[Mapping[str, Any]], max_length: int
) -> tuple[list[Example], int]:
    """The examples of at most `max_length` tokens, and how many are longer.

    Raises `ValueError` for a record that cannot be trained on, by its place, and where every example is too long.
    """
    encoded = []
    for place, record in enumerate(records, 1):
        try:
            encoded.append(encode(tokenizer, record))
        except ValueError as error:
            raise ValueError(f"record {place}: {error}") from error
    examples = [e for e in encoded if len(e.ids) <= max_length]
    if encoded and not examples:
        raise ValueError(f"all {len(encoded)} examples are longer than max_length={max_length}; raise it")
    return examples, len(encoded) - len(examples)


def sentence_ends(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a sentence of a prompt or a solution."""
    return frozenset(token for word, token in tokenizer.get_vocab().items() if word.endswith((".", "?")))


def digest(examples: list[Example]) -> str:
    """The identity of the training data."""
    return hashlib.sha256(repr(examples).encode()).hexdigest()


@dataclass(slots=True)
class SFTResult:
    """What a fine-tuning run reports."""

    loop: LoopResult
    examples: int
    """Examples trained on."""
    too_long: int
    """Examples left out since they exceed `max_length`."""
    distinct_tokens: int
    """Tokens of the examples, each counted once."""


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Iterable[Mapping[str, Any]],
    config: SFTConfig,
    *,
    directory: Path | None = None,
    resume: bool = False,
    on_step: Callable[[dict[str, Any]], None] | None = None,
    on_start: Callable[[int], None] | None = None,
) -> SFTResult:
    """Fine-tune `model` in place on records with `messages`.

    `on_start` hears the number of updates. Raises `ValueError` where no example is left, and as `train_loop` does.
    """
    examples, too_long = encode_all(tokenizer, records, config.max_length)
    pad, ends = tokenizer.pad_token_id or 0, sentence_ends(tokenizer) if config.positions else frozenset()
    batches = EpochBatches(examples, config.batch_size, config.seed, pad, config.positions, ends)
    steps = config.total_steps(batches.steps_per_epoch)
    if on_start:
        on_start(steps)
    loop = train_loop(
        model,
        next_token(model, batches, config.micro_batch),
        steps,
        config.optimizer,
        directory=directory,
        resume=resume,
        checkpoint_every=config.checkpoint_every if directory else 0,
        identity={
            **asdict(config),
            "examples": digest(examples),
            "weights": fingerprint(model),
            "threads": torch.get_num_threads(),
        },
        on_step=on_step,
    )
    return SFTResult(loop, len(examples), too_long, sum(len(e.ids) for e in examples))
