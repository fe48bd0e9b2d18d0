"""Problems of distinct structures, the items of evaluations and of studies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from ..core.problem import Problem
from .dressing import part_of
from .sampling import ProblemBatch, SamplerConfig, sample_batch

_SCAN = 20
"""At most this many indices are read for each requested structure."""


@lru_cache(maxsize=32)
def distinct_problems(
    sampler: SamplerConfig, split: str, count: int, offset: int = 0, part: tuple[int, int] = (0, 1)
) -> tuple[tuple[int, Problem], ...]:
    """(index, problem) of the first `count` items from index `offset` on with distinct structures, all of one
    (part, parts) of the structures.

    A small n_ops has few structures (44 over all splits for n_ops 1 at the defaults), and a known structure under other
    names is not a new problem. The search reads at most 20 indices for each requested problem (and part). It also ends
    after a block of max(64, `count`) indices without a new structure. The result is then shorter than `count`, and
    `Summary.n` shows its length. Recent results are cached, because a study requests the same test set many times.
    """
    return tuple((index, batch.problem(row)) for index, batch, row in _first(sampler, split, count, offset, part))


@lru_cache(maxsize=32)
def count_distinct(sampler: SamplerConfig, split: str, count: int, part: tuple[int, int] = (0, 1)) -> int:
    """How many `distinct_problems` finds, without making them."""
    return sum(1 for _ in _first(sampler, split, count, 0, part))


def _first(
    sampler: SamplerConfig, split: str, count: int, offset: int, part: tuple[int, int]
) -> Iterator[tuple[int, ProblemBatch, int]]:
    """The index of each item of `distinct_problems`, its batch and its row there."""
    found: set[str] = set()
    number, parts = part
    low, end = offset, offset + _SCAN * count * parts
    while len(found) < count and low < end:
        block, before = range(low, min(end, low + max(64, count) * parts)), len(found)
        batch = sample_batch(sampler, split, block)
        for row, structure in enumerate(batch.structure):
            if structure not in found and len(found) < count and part_of(structure, parts) == number:
                found.add(structure)
                yield block[row], batch, row
        if len(found) == before:
            break
        low = block.stop
