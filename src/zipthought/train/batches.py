"""Examples as token ids, and batches of similar length.

Sorting by length within windows keeps padding low. A batch is a pure function of (examples, seed, step), so a resumed
run equals an uninterrupted one.

Shapes: B batch, T time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch


class Example(NamedTuple):
    """One sequence. The loss covers `ids[prompt_length:]`."""

    ids: list[int]
    prompt_length: int


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """A batch with padding on the right, where causal attention needs no mask."""

    ids: torch.Tensor
    """(B, T) int64"""
    targets: torch.Tensor
    """(B, T) bool: whether the loss covers the prediction of token t (from token t-1)."""
    tokens: int
    """Number of tokens without padding."""
    positions: torch.Tensor | None = None
    """(B, T) int64; None for 0, 1, 2, ..."""


def collate(examples: Sequence[Example], pad: int, positions: Sequence[np.ndarray] | None = None) -> TokenBatch:
    """The batch of these examples, in this order and at these positions."""
    longest = max(len(e.ids) for e in examples)
    ids = np.full((len(examples), longest), pad, dtype=np.int64)
    targets = np.zeros((len(examples), longest), dtype=bool)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = example.ids
        targets[row, example.prompt_length : len(example.ids)] = True
    padded = None
    if positions is not None:
        padded = torch.zeros((len(examples), longest), dtype=torch.int64)
        for row, values in enumerate(positions):
            padded[row, : len(values)] = torch.from_numpy(values)
    return TokenBatch(torch.from_numpy(ids), torch.from_numpy(targets), sum(len(e.ids) for e in examples), padded)


def spread_positions(ids: Sequence[int], ends: frozenset[int], limit: int, rng: np.random.Generator) -> np.ndarray:
    """(T,) positions with a random gap before the text and after each sentence; tokens in `ends` end a sentence.

    All positions are below `limit` if the text is shorter than `limit`. A short text thus shows the distances of a long
    one, and neighbours within a sentence stay neighbours. Randomizing all positions (Ruoss et al. 2023) destroys what a
    base has learned about neighbours.
    """
    room = max(0, limit - len(ids))
    after = np.array([0, *(index + 1 for index, token in enumerate(ids[:-1]) if token in ends)])
    total = int(rng.integers(room + 1))
    # Equal gaps would only stretch the text. With this distribution a few gaps take most of the room.
    gaps = np.floor(rng.dirichlet(np.full(len(after), 0.3)) * total)
    shift = np.zeros(len(ids), dtype=np.int64)
    shift[after] = gaps.astype(np.int64)
    return np.arange(len(ids)) + shift.cumsum()


def bucketed(lengths: Sequence[int], batch_size: int, rng: np.random.Generator, window: int = 16) -> list[np.ndarray]:
    """Indices of the batches of one epoch: shuffled, sorted by length within windows of `window` batches, cut into
    batches, and shuffled again.

    Every index occurs once. The last batch that is cut may be smaller.
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
    """``batch(step)`` over a list of examples, epoch after epoch.

    `in_epoch` gives the examples of an epoch after the first, in the same number; without it they are the same.
    `positions` above 0 spreads each text over up to that many positions, with gaps at `sentence_ends`.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        batch_size: int,
        seed: int,
        pad: int,
        positions: int = 0,
        sentence_ends: frozenset[int] = frozenset(),
        in_epoch: Callable[[int], Sequence[Example]] | None = None,
    ) -> None:
        if not examples:
            raise ValueError("there are no training examples")
        self._positions, self._ends = positions, sentence_ends
        self._examples, self._batch_size, self._seed, self._pad = examples, batch_size, seed, pad
        self._in_epoch = in_epoch
        self.steps_per_epoch = -(-len(examples) // batch_size)
        self._epoch = lru_cache(maxsize=2)(self._plan)

    def _plan(self, epoch: int) -> tuple[Sequence[Example], list[np.ndarray]]:
        """The examples of an epoch, and the indices of its batches."""
        examples = self._in_epoch(epoch) if self._in_epoch and epoch else self._examples
        rng = np.random.default_rng([self._seed, epoch])
        return examples, bucketed([len(e.ids) for e in examples], self._batch_size, rng)

    def indices(self, step: int) -> list[int]:
        """The indices of the step's examples."""
        epoch, index = divmod(step, self.steps_per_epoch)
        return self._epoch(epoch)[1][index].tolist()

    def __call__(self, step: int) -> TokenBatch:
        examples, _ = self._epoch(step // self.steps_per_epoch)
        chosen = [examples[i] for i in self.indices(step)]
        if not self._positions:
            return collate(chosen, self._pad)
        rng = np.random.default_rng([self._seed, step, self._positions])
        return collate(chosen, self._pad, [spread_positions(e.ids, self._ends, self._positions, rng) for e in chosen])
