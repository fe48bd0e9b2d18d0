"""Evaluation: problems of a split, or of records, the completions of a model, their verdicts and a summary by n_ops.

    evaluation = evaluate(model, tokenizer, EvaluateConfig(split="test", n_ops=(2, 4, 8)))
    evaluation.summary().by_n_ops[4].accuracy

The default is greedy pass@1 by n_ops, as in the paper (section 4). Prompts come from `records.chat`, as in training.
Verdicts come from `surfaces.verify`, as in rewards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..models.backends import Backend, Request, backend_of
from ..records.chat import prompt_ids, prompt_messages, surface_of, token_budget
from ..tasks.distinct import distinct_problems
from .completions import read_completions, write_completions
from .config import DecodingConfig, EvaluateConfig
from .metrics import Item, JudgedCompletion, Summary, judge_completion, summarize

Progress = Callable[[int, int], None]
"""Receives the number of finished completions and the total."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Judged completions."""

    completions: list[JudgedCompletion]

    def summary(self) -> Summary:
        """The summary of all completions, and by n_ops."""
        return summarize(self.completions)

    def write_completions(self, path: Path | str) -> None:
        """Write the completions to a file, as `completions.write_completions` does."""
        write_completions(self.completions, path)


def evaluate(
    model: PreTrainedModel | Backend,
    tokenizer: PreTrainedTokenizerBase,
    config: EvaluateConfig,
    *,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a model, in this process or behind a backend (`models.backends`), on problems of a split.

    Raises `ValueError` for a split without structures, and for problems that exceed the model's positions.
    """
    surface = surface_of(tokenizer) if config.surface == "auto" else config.surface
    items = [
        Item.of(problem, surface, index)
        for n in config.n_ops
        for index, problem in distinct_problems(config.sampler(n), config.split, config.count, config.offset)
    ]
    return evaluate_items(model, tokenizer, items, config.decoding(), on_progress=on_progress)


def evaluate_records(
    model: PreTrainedModel | Backend,
    tokenizer: PreTrainedTokenizerBase,
    records: Iterable[Mapping[str, Any]],
    decoding: DecodingConfig | None = None,
    *,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a model on the problems of records, for example of a file. An item's index is that of its record.

    Raises `ValueError` for a record whose problem cannot be read, and for one whose `answer` is wrong.
    """
    items = [_item_of_record(record, index) for index, record in enumerate(records)]
    return evaluate_items(model, tokenizer, items, decoding, on_progress=on_progress)


def _item_of_record(record: Mapping[str, Any], index: int) -> Item:
    try:
        item = Item.of_record(record, index)
    except ValueError as error:
        raise ValueError(f"record {index}: {error}") from error
    if fault := item.fault_of_answer(record):
        raise ValueError(f"record {index}: {fault}")
    return item


def evaluate_items(
    model: PreTrainedModel | Backend,
    tokenizer: PreTrainedTokenizerBase,
    items: Sequence[Item],
    decoding: DecodingConfig | None = None,
    *,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Generate and judge completions of items, one n_ops after another in the order of their first items."""
    decoding = decoding or DecodingConfig()
    judged: list[JudgedCompletion] = []
    total = len(items) * decoding.samples

    def progress(done: int, _: int) -> None:
        if on_progress:
            on_progress(len(judged) + done, total)

    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(item.problem.n_ops, []).append(item)
    for n_ops, group in groups.items():
        generated = backend_of(model, tokenizer).generate(
            [prompt_ids(tokenizer, prompt_messages(i.prompt, i.problem.modulus, i.surface)) for i in group],
            Request(
                max_new_tokens=decoding.max_new_tokens
                or token_budget(tokenizer, ((i.problem, i.surface) for i in group), decoding.orders),
                samples=decoding.samples,
                temperature=decoding.temperature,
                seed=_sampling_seed(decoding.seed, n_ops),
                batch_size=decoding.batch_size,
            ),
            on_progress=progress,
        )
        judged += [
            judge_completion(
                item,
                completion.text,
                response_tokens=completion.n_tokens,
                truncated=completion.truncated,
                sample=sample,
            )
            for item, completions in zip(group, generated, strict=True)
            for sample, completion in enumerate(completions)
        ]
    return Evaluation(judged)


def _sampling_seed(seed: int, n_ops: int) -> int:
    """A seed for each n_ops, so that prompts of different n_ops do not share random numbers."""
    return int.from_bytes(hashlib.sha256(f"samples|{seed}|{n_ops}".encode()).digest()[:4], "big")


__all__ = [
    "DecodingConfig",
    "EvaluateConfig",
    "Evaluation",
    "Item",
    "distinct_problems",
    "evaluate",
    "evaluate_items",
    "evaluate_records",
    "read_completions",
]
