"""Supervised fine-tuning on completions. The loss covers the assistant's turn and the token that ends it.

    zipthought train sft --model bundled --data composed-2.jsonl --output-dir out

The learning rate warms up linearly and decays by a cosine. Batches hold sequences of similar length. Runs are
deterministic and resume exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.methods import parse_method
from ..records.chat import completion_ids, prompt_ids, require_known
from ..records.reading import problem_of, surface_name
from ..records.schema import format_of, make_record
from ..surfaces import english
from ..tasks.dressing import redress
from .batches import EpochBatches, Example
from .config import SFTConfig, results_depend_on
from .held_out import naming_record, numbered_training_records, turns_of
from .loop import LoopResult, OnStep, TimedCheckpoint, fingerprint, next_token, train_loop
from .rates import with_rate


def encode(tokenizer: PreTrainedTokenizerBase, record: Mapping[str, Any]) -> Example:
    """The tokens of a record, through the prompt builder of `records.chat`.

    Raises `ValueError` for a record whose `messages` do not end with an assistant's turn after others, and for text
    with unknown tokens, from which a model would learn nothing.
    """
    turns = turns_of(record)
    if [turn["role"] == "assistant" for turn in turns[-2:]] != [False, True]:
        raise ValueError("a record needs messages of {role, content}, the last one of the assistant")
    *prompt, answer = turns
    before = prompt_ids(tokenizer, prompt)
    after = completion_ids(tokenizer, answer["content"])
    require_known(tokenizer, answer["content"], after[:-1])
    return Example(before + after, len(before))


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The examples of a run, and how many records it left out."""

    examples: list[Example]
    too_long: int
    """Records with more tokens than `SFTConfig.max_length`."""
    held_out: int
    """Records of the validation and test splits."""
    records: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    """(number, record) of each example."""

    @property
    def tokens(self) -> int:
        """Tokens of one epoch."""
        return sum(len(e.ids) for e in self.examples)

    @property
    def digest(self) -> str:
        """The identity of the examples."""
        return hashlib.sha256(repr(self.examples).encode()).hexdigest()


def training_set(
    tokenizer: PreTrainedTokenizerBase, records: Iterable[Mapping[str, Any]], max_length: int
) -> TrainingSet:
    """The examples of at most `max_length` tokens, without held-out records.

    Raises `RecordError` for a record that `encode` refuses, and `ValueError` if no example is left.
    """
    numbered, held_out = numbered_training_records(records)
    examples, used = [], []
    for number, record in numbered:
        with naming_record(number):
            example = encode(tokenizer, record)
        if len(example.ids) <= max_length:
            examples.append(example)
            used.append((number, record))
    if numbered and not examples:
        raise ValueError(f"all {len(numbered)} examples are longer than max_length={max_length}; raise it")
    return TrainingSet(examples, len(numbered) - len(examples), held_out, used)


def redressed(tokenizer: PreTrainedTokenizerBase, data: TrainingSet, max_length: int) -> Callable[[int], list[Example]]:
    """epoch -> the examples with their problems dressed anew (`tasks.dressing`). A dressing of more than `max_length`
    tokens is replaced by the record itself.

    Raises `RecordError` for a record whose problem or format cannot be read.
    """
    dressed = []
    for number, record in data.records:
        with naming_record(number):
            surface = surface_name(record) or english.NAME
            dressed.append((problem_of(record), parse_method(format_of(record)), surface, record))

    def in_epoch(epoch: int) -> list[Example]:
        examples = []
        for (problem, method, surface, record), first in zip(dressed, data.examples, strict=True):
            again = make_record(redress(problem, epoch), method, record.get("order", "forward"), surface)
            example = encode(tokenizer, again)
            examples.append(example if len(example.ids) <= max_length else first)
        return examples

    return in_epoch


def sentence_ends(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a sentence of a prompt or a solution."""
    return frozenset(token for word, token in tokenizer.get_vocab().items() if word.endswith((".", "?")))


@dataclass(slots=True)
class SFTResult:
    """The result of a fine-tuning run."""

    loop: LoopResult
    examples: int
    """Examples trained on."""
    too_long: int
    """Records left out because they exceed `max_length`."""
    held_out: int
    """Records left out because they belong to the validation or test split."""
    distinct_tokens: int
    """Tokens of one epoch."""

    @classmethod
    def of(cls, loop: LoopResult, data: TrainingSet) -> SFTResult:
        """The result of a loop over a training set."""
        return cls(loop, len(data.examples), data.too_long, data.held_out, data.tokens)


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Iterable[Mapping[str, Any]],
    config: SFTConfig,
    *,
    directory: Path | None = None,
    resume: bool = False,
    on_step: OnStep | None = None,
    on_start: Callable[[int], None] | None = None,
    timed: TimedCheckpoint | None = None,
) -> SFTResult:
    """Fine-tune `model` in place on records with `messages`. Records of the validation and test splits are left out.

    `on_start` receives the number of updates. Raises `ValueError` if no example is left, and as `train_loop` does.
    """
    config = with_rate(config, model.num_parameters())
    data = training_set(tokenizer, records, config.max_length)
    pad, ends = tokenizer.pad_token_id or 0, sentence_ends(tokenizer) if config.positions else frozenset()
    in_epoch = redressed(tokenizer, data, config.max_length) if config.redress else None
    batches = EpochBatches(data.examples, config.batch_size, config.seed, pad, config.positions, ends, in_epoch)
    steps = config.total_steps(batches.steps_per_epoch)
    if on_start:
        on_start(steps)
    loop = train_loop(
        model,
        next_token(model, batches, config.micro_batch, config.execution, config.precision),
        steps,
        config.optimizer,
        directory=directory,
        resume=resume,
        checkpoint_every=config.checkpoint_every if directory else 0,
        identity={
            **results_depend_on(config),
            "examples": data.digest,
            "weights": fingerprint(model),
            "threads": torch.get_num_threads(),
        },
        on_step=on_step,
        timed=timed,
    )
    return SFTResult.of(loop, data)


__all__ = ["SFTResult", "TrainingSet", "encode", "fine_tune", "sentence_ends", "training_set"]
