"""Examples as token ids, and batches of similar length.

Sorting by length inside windows leaves little padding. A batch is a pure function of (examples, seed, step), which is
what makes a resumed run equal to one that was never stopped.

Shapes: B batch, T time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch


class Example(NamedTuple):
    """One sequence; the loss is on `ids[prompt_length:]`."""

    ids: list[int]
    prompt_length: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded, so that causal attention needs no mask."""

    ids: torch.Tensor
    """(B, T) int64"""
    targets: torch.Tensor
    """(B, T) bool: whether position t is to be predicted (from position t-1)."""
    tokens: int
    """Tokens that are not padding."""


def collate(examples: Sequence[Example], pad: int) -> Batch:
    """A batch of these examples in this order."""
    longest = max(len(e.ids) for e in examples)
    ids = np.full((len(examples), longest), pad, dtype=np.int64)
    targets = np.zeros((len(examples), longest), dtype=bool)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = example.ids
        targets[row, example.prompt_length : len(example.ids)] = True
    return Batch(torch.from_numpy(ids), torch.from_numpy(targets), sum(len(e.ids) for e in examples))


def bucketed(lengths: Sequence[int], batch_size: int, rng: np.random.Generator, window: int = 16) -> list[np.ndarray]:
    """Indices of one pass over all examples: shuffled, sorted by length in windows of `window` batches, cut, shuffled.

    Every index occurs once. The last batch of the pass may be smaller.
    """
    order = rng.permutation(len(lengths))
    sizes = np.asarray(lengths)
    batches: list[np.ndarray] = []
    for low in range(0, len(order), batch_size * window):
        part = order[low : low + batch_size * window]
        part = part[np.argsort(sizes[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


class EpochBatches:
    """``batch(step)`` over a fixed list of examples, epoch after epoch."""

    def __init__(self, examples: Sequence[Example], batch_size: int, seed: int, pad: int) -> None:
        if not examples:
            raise ValueError("there are no training examples")
        self._examples, self._batch_size, self._seed, self._pad = examples, batch_size, seed, pad
        self._lengths = [len(e.ids) for e in examples]
        self.steps_per_epoch = -(-len(examples) // batch_size)
        self._plan = lru_cache(maxsize=2)(self._make_plan)

    def _make_plan(self, epoch: int) -> list[np.ndarray]:
        return bucketed(self._lengths, self._batch_size, np.random.default_rng([self._seed, epoch]))

    def indices(self, step: int) -> list[int]:
        """The places of the step's examples."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._plan(epoch)[place].tolist()

    def __call__(self, step: int) -> Batch:
        return collate([self._examples[i] for i in self.indices(step)], self._pad)
