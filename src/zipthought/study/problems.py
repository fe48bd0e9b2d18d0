"""The problems of a study: those of its training runs, and those of its measurements by their index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..core.problem import Problem
from ..tasks.distinct import distinct_problems
from ..tasks.dressing import redress
from ..tasks.names import nouns
from ..tasks.sampling import SamplerConfig, sample_batch


@lru_cache(maxsize=4096)
def held_out_problem(sampler: SamplerConfig, split: str, index: int) -> tuple[Problem, dict[str, str]]:
    """The problem with this index, and the aliases of its quantities in traces."""
    batch = sample_batch(sampler, split, [index])
    return batch.problem(0), batch.aliases(0)


def training_problems(
    samplers: Sequence[SamplerConfig],
    examples: int,
    structures: int = 0,
    part: tuple[int, int] = (0, 1),
    sentences: int = 0,
) -> list[tuple[int, Problem]]:
    """(index, problem) of `examples` distinct training prompts, spread evenly over the samplers, with `structures`
    distinct structures (0: as many as examples), from one (part, parts) of the train split; `sentences` as in
    `with_more_sentences`. Dressings of one structure have the index of the first.

    Raises `ValueError` if a length has too few structures.
    """
    chosen = []
    lengths = len(samplers)
    for sampler, count, of_length in zip(
        samplers, even(examples, lengths), even(structures or examples, lengths), strict=True
    ):
        distinct = min(of_length, count)
        problems = distinct_problems(sampler, "train", distinct, part=part)
        if len(problems) < distinct:
            share = f" in one of {part[1]} parts" if part[1] > 1 else ""
            raise ValueError(
                f"only {len(problems)} training structures of n_ops={sampler.n_ops}{share} for {distinct} examples; "
                "lower examples or structures"
            )
        for number in range(count):
            index, problem = problems[number % distinct]
            if number >= distinct:
                problem = redress(problem, number // distinct, sampler.number_range)
            if sentences:
                rng = np.random.default_rng(
                    [abs(sampler.seed), sampler.n_ops, index, *([number] if number >= distinct else [])]
                )
                problem = with_more_sentences(problem, sentences, sampler.number_range, rng)
            chosen.append((index, problem))
    return chosen


def even(total: int, count: int) -> list[int]:
    """`total` as `count` whole numbers that differ by at most 1, the larger ones first."""
    return [total // count + (number < total % count) for number in range(count)]


def with_more_sentences(problem: Problem, most: int, number_range: int, rng: np.random.Generator) -> Problem:
    """The problem with unused quantities at random positions, for a random number of sentences up to `most`.

    Its structure, and so its split, stays the same.
    """
    definitions = list(problem.definitions.items())
    count = int(rng.integers(len(definitions), max(most, len(definitions)) + 1))
    names = iter(rng.permutation(len(nouns())).tolist())
    while len(definitions) < count:
        name = nouns()[next(names)]
        if name not in problem.definitions:
            definition = (name, int(rng.integers(1, number_range)))
            definitions.insert(int(rng.integers(len(definitions) + 1)), definition)
    return Problem(problem.modulus, dict(definitions), problem.target)
