"""Pretraining of the tiny base: single facts, look-ups and short chains in `terse`, endless and never repeated.

What the base learns is the language of the task and exact single operations, not any compressed format, so that
compression is learnt in post-training alone. A `granularity` mix (`{1: 0.75, 2: 0.25}`) makes each group of a chain
one operation or two with these probabilities, for a base whose step-by-step prior is less brittle.

    zipthought pretrain --output-dir base      # the recipe of the bundled base
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..core.arithmetic import apply
from ..core.orders import settle
from ..core.problem import Problem
from ..core.trace import Trace, solve
from ..data.chat import completion_ids, prompt_ids, prompt_messages
from ..data.sampling import SamplerConfig, nouns, sample_batch
from ..surfaces import terse
from .batches import Batch, Example, collate
from .loop import OptimizerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """The recipe; its defaults are those of the bundled base."""

    family: str = "llama"
    """`llama` or `gpt2`."""
    size: str = "0.6M"
    """`0.2M`, `0.6M` or `2M`."""
    steps: int = 3000
    """Updates."""
    batch_size: int = 128
    """Sequences an update."""
    n_ops: tuple[int, ...] = (1, 2, 3, 4)
    """Operations of the chains, drawn uniformly."""
    facts: float = 0.04
    """Share of the sequences that are single facts, `3 * 4` -> `3 * 4 = 12 .`, over all residues."""
    lookups: float = 0.04
    """Share of the sequences that ask for a quantity that the prompt gives."""
    granularity: dict[int, float] = field(default_factory=lambda: {1: 1.0})
    """Operations of a group -> its probability; {1: 1.0} is explicit only."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    seed: int = 0
    """Weights and data."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=2e-3))
    """Optimizer and schedule."""

    def __post_init__(self) -> None:
        if abs(sum(self.granularity.values()) - 1) > 1e-9 or min(self.granularity) < 1:
            raise ValueError(f"granularity must be k -> probability with k >= 1 and sum 1, got {self.granularity}")
        if not 0 <= self.facts + self.lookups <= 1:
            raise ValueError(f"facts + lookups must be in 0..1, got {self.facts + self.lookups}")
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"steps and batch_size must be at least 1, got {self.steps} and {self.batch_size}")


def mixed_trace(problem: Problem, granularity: dict[int, float], rng: np.random.Generator) -> Trace:
    """A forward trace of a chain whose group sizes are drawn from `granularity`."""
    sizes, weights = list(granularity), list(granularity.values())
    place, ends = 0, []
    while place < problem.n_ops:
        place = min(problem.n_ops, place + (sizes[0] if len(sizes) == 1 else int(rng.choice(sizes, p=weights))))
        ends.append(problem.order[place])
    return Trace(settle(problem, ends), str(problem.answer), problem=problem)


class PretrainStream:
    """``stream(step)``: the batch of an update, a pure function of (config, step).

    Windows of `WINDOW` updates are made at once and sorted by length, so that little is padding.
    """

    WINDOW = 32

    def __init__(self, config: PretrainConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        self._config, self._tokenizer = config, tokenizer
        vocabulary = tokenizer.get_vocab()
        self._encode = lambda text: [vocabulary[word] for word in text.split()]
        self._head = prompt_ids(tokenizer, prompt_messages("", config.modulus, "terse"))
        self._tail = completion_ids(tokenizer, "")
        self._window = lru_cache(maxsize=2)(self._make_window)

    def _example(self, prompt: str, completion: str) -> Example:
        before = self._head + self._encode(prompt)
        return Example(before + self._encode(completion) + self._tail, len(before))

    def _fact(self, rng: np.random.Generator) -> tuple[str, str]:
        c = self._config
        op = "+-*"[rng.integers(3)]
        left, right = int(rng.integers(c.modulus)), int(rng.integers(1 + (op == "*"), c.number_range))
        value = apply(op, left, right, c.modulus)
        return f"{left} {op} {right}", f"{left} {op} {right} = {value} ."

    def _lookup(self, rng: np.random.Generator) -> tuple[str, str]:
        c = self._config
        count = int(rng.integers(2, 2 + max(c.n_ops)))
        names = [nouns()[i] for i in rng.choice(len(nouns()), size=count, replace=False)]
        values = rng.integers(c.modulus, size=count).tolist()
        asked = int(rng.integers(count))
        problem = Problem(c.modulus, dict(zip(names, values, strict=True)), names[asked])
        return terse.render_problem(problem), terse.render(solve(problem))

    def _make_window(self, window: int) -> list[list[Example]]:
        c = self._config
        rng = np.random.default_rng([c.seed, window])
        count = self.WINDOW * c.batch_size
        kind = rng.random(count)
        lengths = rng.choice(c.n_ops, size=count)
        examples: list[Example] = []
        for n_ops in c.n_ops:
            places = np.flatnonzero((lengths == n_ops) & (kind >= c.facts + c.lookups))
            sampler = SamplerConfig(n_ops=n_ops, seed=c.seed, modulus=c.modulus, number_range=c.number_range)
            batch = sample_batch(sampler, "train", (window * count + places).tolist())
            for row in range(len(places)):
                problem = batch.problem(row)
                trace = mixed_trace(problem, c.granularity, rng)
                examples.append(self._example(terse.render_problem(problem), terse.render(trace)))
        examples += [self._example(*self._fact(rng)) for _ in range(int((kind < c.facts).sum()))]
        examples += [self._example(*self._lookup(rng)) for _ in range(count - len(examples))]
        examples.sort(key=lambda e: len(e.ids))
        batches = [examples[i : i + c.batch_size] for i in range(0, count, c.batch_size)]
        return [batches[i] for i in rng.permutation(len(batches))]

    def __call__(self, step: int) -> Batch:
        window, place = divmod(step, self.WINDOW)
        return collate(self._window(window)[place], self._tokenizer.pad_token_id)
