"""Mean lengths of prompts and responses in tokens, measured on sampled problems. Estimates of work use them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ...models.names import resolve
from ...records.pruned import make_records, unscored
from ...solutions.compress import token_counter
from ...tasks.sampling import SamplerConfig, sample_batch
from .base import Cell

SAMPLED = 64
"""Sampled problems of each length."""
LONGEST = 1.3
"""The longest text of a length, over the mean: up to 1.15 in 3,000 problems of 4 to 12 operations. The rest is for
tokenizers with more tokens than words."""


def mean_tokens(cell: Cell, fmt: str, order: str, n_ops: tuple[int, ...]) -> tuple[float, float]:
    """Mean tokens of a prompt and of a response, over problems of these lengths.

    The tokenizer is that of the cell's model if its files are on this disk; otherwise words and punctuation marks are
    counted.
    """
    lengths = [_mean_tokens(cell.model, cell.surface, fmt, order, cell.sampler(n)) for n in n_ops]
    return sum(p for p, _ in lengths) / len(lengths), sum(r for _, r in lengths) / len(lengths)


def longest_tokens(cell: Cell, fmt: str, order: str, n_ops: tuple[int, ...]) -> float:
    """An estimate of the tokens of the longest prompt with its response."""
    return LONGEST * sum(mean_tokens(cell, fmt, order, (max(n_ops),)))


@lru_cache(maxsize=1024)
def _mean_tokens(model: str, surface: str, fmt: str, order: str, sampler: SamplerConfig) -> tuple[float, float]:
    file = Path(resolve(model)) / "tokenizer.json"
    count = token_counter(str(file) if file.exists() else "")
    batch = sample_batch(sampler, "train", range(SAMPLED))
    problems = [(row, batch.problem(row)) for row in range(SAMPLED)]
    records = make_records(problems, fmt, order, surface, scorer=unscored)
    prompts = sum(count(" ".join(m["content"] for m in r["messages"][:-1])) for r in records)
    return prompts / SAMPLED, sum(count(r["completion"]) for r in records) / SAMPLED
