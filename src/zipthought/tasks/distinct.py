"""Problems of distinct structures, the items of evaluations and of studies."""

from __future__ import annotations

from functools import lru_cache

from ..core.problem import Problem
from .dressing import part_of
from .sampling import SamplerConfig, sample_batch

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
    found: dict[str, tuple[int, Problem]] = {}
    number, parts = part
    low, end = offset, offset + _SCAN * count * parts
    while len(found) < count and low < end:
        block, before = range(low, min(end, low + max(64, count) * parts)), len(found)
        batch = sample_batch(sampler, split, block)
        for row, structure in enumerate(batch.structure):
            if structure not in found and len(found) < count and part_of(structure, parts) == number:
                found[structure] = (block[row], batch.problem(row))
        if len(found) == before:
            break
        low = block.stop
    return tuple(found.values())
