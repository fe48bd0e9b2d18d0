"""The problems of a study's measurements, sampled again from their index."""

from __future__ import annotations

from functools import lru_cache

from ..core.problem import Problem
from ..tasks.sampling import SamplerConfig, sample_batch


@lru_cache(maxsize=4096)
def held_out_problem(sampler: SamplerConfig, split: str, index: int) -> tuple[Problem, dict[str, str]]:
    """The problem with this index, and the aliases of its quantities in traces."""
    batch = sample_batch(sampler, split, [index])
    return batch.problem(0), batch.aliases(0)
