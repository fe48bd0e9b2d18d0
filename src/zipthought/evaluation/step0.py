"""What a base writes before any training, by format and order: is one of them its habit?

A base that favours a format starts with an advantage there, and a study that does not say so compares habits instead of
data. Two measures: how often a sampled completion is the gold trace of a format, and how well gold traces are
predicted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.compress import compress
from ..core.problem import Problem
from ..models.generation import generate
from ..records.chat import completion_ids, prompt_ids, prompt_messages, token_budget
from ..surfaces import terse, verify
from ..tasks.distinct import distinct_problems
from ..tasks.sampling import SamplerConfig
from ..train.batches import Example, collate

OTHER = "other"
"""What stands for the format of a completion that is no gold trace."""
BATCH = 64


class Kind(NamedTuple):
    """A format in an order."""

    format: str
    order: str


class Habit(NamedTuple):
    """A base on problems of one length."""

    accuracy: float
    """Correct answers among sampled completions (temperature 1)."""
    faithful: float
    """Faithful ones among them."""
    written: dict[str, float]
    """``format order`` or `OTHER` -> its share of the sampled completions. Kinds with the same trace share the first
    name."""
    loss: dict[str, float]
    """``format order`` -> nats per token of gold completions."""


def habit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sampler: SamplerConfig,
    kinds: Sequence[Kind],
    count: int,
    split: str = "test",
) -> Habit:
    """The habit on `count` problems of one length in `terse`."""
    problems = [problem for _, problem in distinct_problems(sampler, split, count)]
    prompts = [prompt_ids(tokenizer, prompt_messages(terse.render_problem(p), p.modulus, terse.NAME)) for p in problems]
    sampled = generate(
        model,
        tokenizer,
        prompts,
        max_new_tokens=token_budget(tokenizer, ((p, terse.NAME) for p in problems)),
        temperature=1.0,
        seed=0,
    )
    texts = [completions[0].text for completions in sampled]
    verdicts = [verify(text, problem, terse.NAME) for text, problem in zip(texts, problems, strict=True)]
    gold = {f"{kind.format} {kind.order}": [_gold(problem, kind) for problem in problems] for kind in kinds}
    names = [
        next((name for name, of_kind in gold.items() if of_kind[i] == text), OTHER) for i, text in enumerate(texts)
    ]
    return Habit(
        accuracy=sum(verdict.answer == "correct" for verdict in verdicts) / len(problems),
        faithful=sum(verdict.faithful for verdict in verdicts) / len(problems),
        written={name: number / len(problems) for name, number in Counter(names).most_common()},
        loss={name: _loss(model, tokenizer, prompts, of_kind) for name, of_kind in gold.items()},
    )


def _gold(problem: Problem, kind: Kind) -> str:
    return terse.render(compress(problem, kind.format, kind.order))


@torch.no_grad()
def _loss(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[list[int]], texts: Sequence[str]
) -> float:
    """Nats per token of these completions."""
    total, tokens = 0.0, 0
    for low in range(0, len(prompts), BATCH):
        pairs = zip(prompts[low : low + BATCH], texts[low : low + BATCH], strict=True)
        examples = [Example(prompt + completion_ids(tokenizer, text), len(prompt)) for prompt, text in pairs]
        batch = collate(examples, tokenizer.pad_token_id or 0)
        hidden = model.get_decoder()(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
        wanted = batch.targets[:, 1:]
        logits = model.get_output_embeddings()(hidden[wanted])
        total += cross_entropy(logits.float(), batch.ids[:, 1:][wanted], reduction="sum").item()
        tokens += int(wanted.sum())
    return total / tokens
