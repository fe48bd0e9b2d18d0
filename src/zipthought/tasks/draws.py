"""Counter-based random draws: every draw is a hash of (key, index, attempt, purpose, position).

The key names the configuration, the seed and the split. Draws are computed with numpy for many items at once, and an
item drawn alone, in a batch or in another process is the same.

Shapes: B items.
"""

from __future__ import annotations

import hashlib

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""The constants of SplitMix64 (Steele, Lea & Flood 2014)."""
_PURPOSES = ("start", "op", "constant", "distractor_count", "distractor", "name", "alias", "shuffle", "tree")


def _counter(purpose: str) -> np.uint64:
    """The counter of the first draw for a purpose; the next positions follow. Purposes that a task adds are hashed."""
    if purpose in _PURPOSES:
        return np.uint64(_PURPOSES.index(purpose) + 1) << np.uint64(32)
    number = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "big") | 1 << 31
    return np.uint64(number) << np.uint64(32)


def _mix(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64, elementwise on uint64."""
    x = x ^ (x >> np.uint64(30))
    x *= _MIX[0]
    x ^= x >> np.uint64(27)
    x *= _MIX[1]
    x ^= x >> np.uint64(31)
    return x


class Draws:
    """The draws of a batch of B items in one attempt. Purposes keep draws apart; `start`, `op`, `constant` and `tree`
    are those of the built-in tasks."""

    def __init__(self, key: np.uint64, index: np.ndarray, attempt: int) -> None:
        """key: uint64; index: (B,) the items; attempt: which draw of an item this is, from 0."""
        with np.errstate(over="ignore"):
            self._state = _mix(_mix(index.astype(np.uint64) * _GAMMA + key) + np.uint64(attempt) * _GAMMA)

    def bits(self, purpose: str, count: int) -> np.ndarray:
        """(B, count) uint64."""
        with np.errstate(over="ignore"):
            counter = np.arange(count, dtype=np.uint64) + _counter(purpose)
            return _mix(self._state[:, None] + counter[None, :] * _GAMMA)

    def integers(self, purpose: str, count: int, low: int | np.ndarray, high: int | np.ndarray) -> np.ndarray:
        """(B, count) int64, uniform in low..high-1 (to within 2**-32 times the width)."""
        drawn = self.bits(purpose, count)
        drawn >>= np.uint64(32)
        drawn *= np.asarray(high - low, dtype=np.uint64)
        drawn >>= np.uint64(32)
        return drawn.view(np.int64) + low

    def distinct(self, purpose: str, count: int, population: int) -> np.ndarray:
        """(B, count) int64, distinct within a row: the first `count` positions of a Fisher-Yates shuffle."""
        chosen = self.integers(purpose, count, np.arange(count), np.full(count, population))
        if count * count > 2 * population:
            return _shuffled(chosen, population)
        # Position i is swapped with a position i or later, so a row of distinct choices is its own shuffle.
        columns = np.ascontiguousarray(chosen.T, dtype=np.int16)
        repeats = np.zeros(len(chosen), dtype=bool)
        for position in range(1, count):
            repeats |= (columns[:position] == columns[position]).any(axis=0)
        again = np.flatnonzero(repeats)
        chosen[again] = _shuffled(chosen[again], population)
        return chosen


def _shuffled(chosen: np.ndarray, population: int) -> np.ndarray:
    """The first positions of 0..population-1 after position i is swapped with chosen[:, i], for each i in turn."""
    rows = np.arange(len(chosen))
    pool = np.tile(np.arange(population, dtype=np.int16), (len(chosen), 1))
    for position in range(chosen.shape[1]):
        pick = chosen[:, position]
        taken = pool[rows, pick]
        pool[rows, pick] = pool[:, position]
        pool[:, position] = taken
    return pool[:, : chosen.shape[1]].astype(np.int64)
