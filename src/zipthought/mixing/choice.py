"""How many records each file gives, which, and in which order."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import IO

import numpy as np

from .config import Recipe
from .disk import sorted_rows
from .spool import Spool


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """Random numbers of a purpose, derived from the seed by sha256."""
    text = "\0".join(map(str, (seed, *purpose)))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little"))


def largest_remainder(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers of the sum `total` in proportion to the weights, each less than 1 off. Exact fractions; ties go to
    the first."""
    parts = [Fraction(str(weight)) for weight in weights]  # Of decimals: 0.7 of a thousand is 700.
    quotas = [part * total / sum(parts) for part in parts]
    counts = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(counts)), key=lambda i: (counts[i] - quotas[i], i))
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


def targets(recipe: Recipe, available: Sequence[int]) -> list[int]:
    """The examples, or tokens, that each file should give. `available` is what each has without a repetition."""
    config, sources = recipe.config, recipe.sources
    if sources[0].count is not None:
        return [source.count or 0 for source in sources]
    weights = [source.weight for source in sources]
    if weights[0] is None:
        return largest_remainder(config.count, available) if config.count and sum(available) else list(available)
    stated = [weight or 0.0 for weight in weights]
    if config.count:
        return largest_remainder(config.count, stated)
    whole = sum(Fraction(str(weight)) for weight in stated)
    limits = [
        count * whole / Fraction(str(weight))
        for source, weight, count in zip(sources, stated, available, strict=True)
        if not recipe.repeats(source)
    ]
    return largest_remainder(math.floor(min(limits, default=Fraction(sum(available)))), stated)


def choose(
    rows: np.ndarray,
    into: IO[bytes],
    target: int,
    whole: int,
    repeat: bool,
    rng: np.random.Generator,
    tokens_of: Callable[[int], int] | None = None,
) -> None:
    """Write the rows that a file gives: a random choice without repetition, or with `repeat` all as often as needed and
    a choice of them. By tokens, the last row is taken if the sum is then nearer to the target.

    `whole` is what `rows`, which are shuffled in place, have together: examples, or tokens with `tokens_of`.
    """
    if not whole:
        return
    passes, rest = divmod(target, whole) if repeat else (min(target // whole, 1), min(target, whole))
    for _ in range(passes):
        into.write(rows.data)
    if repeat or not passes:
        rng.shuffle(rows)
        into.write(rows[: _within(rows, rest, tokens_of) if tokens_of else rest].data)


def _within(rows: np.ndarray, target: int, tokens_of: Callable[[int], int]) -> int:
    """How many of the rows have together nearest to `target` tokens."""
    total = 0
    for count, row in enumerate(rows.data):
        tokens = tokens_of(row)
        if total + tokens > target:
            return count + (total < target and total + tokens - target < target - total)
        total += tokens
    return len(rows)


def ordered(rows: np.ndarray, spool: Spool, order: str, rng: np.random.Generator) -> Iterator[int]:
    """The rows, which are shuffled in place, and then sorted if the order is `length` or `curriculum`: ties stay
    shuffled."""
    rng.shuffle(rows)
    if order == "shuffled":
        return iter(rows.data)
    name = "tokens" if order == "length" else "level"
    return sorted_rows(rows, lambda row: getattr(spool.entry(row), name), spool.directory)


__all__ = ["choose", "generator", "largest_remainder", "ordered", "targets"]
