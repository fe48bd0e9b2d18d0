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
    positions: torch.Tensor | None = None
    """(B, T) int64 where they are not 0, 1, 2, ..."""


def collate(examples: Sequence[Example], pad: int, positions: Sequence[np.ndarray] | None = None) -> Batch:
    """A batch of these examples in this order, at these positions."""
    longest = max(len(e.ids) for e in examples)
    ids = np.full((len(examples), longest), pad, dtype=np.int64)
    targets = np.zeros((len(examples), longest), dtype=bool)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = example.ids
        targets[row, example.prompt_length : len(example.ids)] = True
    placed = None
    if positions is not None:
        placed = torch.zeros((len(examples), longest), dtype=torch.int64)
        for row, places in enumerate(positions):
            placed[row, : len(places)] = torch.from_numpy(places)
    return Batch(torch.from_numpy(ids), torch.from_numpy(targets), sum(len(e.ids) for e in examples), placed)


def spread_positions(ids: Sequence[int], ends: frozenset[int], limit: int, rng: np.random.Generator) -> np.ndarray:
    """(T,) positions of a text with a random gap before it and after each of its sentences, whose ends are tokens in
    `ends`; all below `limit` where the text itself is shorter.

    A text of few sentences thus shows distances that only a longer one has, while positions within a sentence stay
    next to each other. (Randomizing all of them, as Ruoss et al. 2023 do, undoes what a base knows of neighbours.)
    """
    room = max(0, limit - len(ids))
    after = np.array([0, *(place + 1 for place, token in enumerate(ids[:-1]) if token in ends)])
    total = int(rng.integers(room + 1))
    # Even gaps would only stretch the text; of uneven ones a few take most of the room.
    gaps = np.floor(rng.dirichlet(np.full(len(after), 0.3)) * total)
    shift = np.zeros(len(ids), dtype=np.int64)
    shift[after] = gaps.astype(np.int64)
    return np.arange(len(ids)) + shift.cumsum()


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

    def __init__(
        self,
        examples: Sequence[Example],
        batch_size: int,
        seed: int,
        pad: int,
        positions: int = 0,
        sentence_ends: frozenset[int] = frozenset(),
    ) -> None:
        if not examples:
            raise ValueError("there are no training examples")
        self._positions, self._ends = positions, sentence_ends
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
        chosen = [self._examples[i] for i in self.indices(step)]
        if not self._positions:
            return collate(chosen, self._pad)
        rng = np.random.default_rng([self._seed, step, self._positions])
        return collate(chosen, self._pad, [spread_positions(e.ids, self._ends, self._positions, rng) for e in chosen])
