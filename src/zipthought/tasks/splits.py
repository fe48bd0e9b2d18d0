"""Splits: train, validation or test is a pure function of a problem's structure.

No seed, size or number of operations can leak a held-out structure into training: the same structure has the same
split wherever it is drawn.
"""

from __future__ import annotations

import numpy as np

SPLITS = ("train", "validation", "test")
_TRAIN, _VALIDATION = 80, 90
TRAINING_SHARE = _TRAIN / 100
"""The share of structures in the train split."""


def split_of(structure: str) -> str:
    """The split of a structure digest: 80% train, 10% validation, 10% test, by its last 8 hex digits."""
    percent = int(structure[-8:], 16) * 100 >> 32
    return "train" if percent < _TRAIN else "validation" if percent < _VALIDATION else "test"


_OF_PERCENT = np.array([split_of(f"{-(-(percent << 32) // 100):08x}") for percent in range(100)])
"""`split_of` for each hundredth of the range of digests."""


def in_split(digests: np.ndarray, split: str) -> np.ndarray:
    """(B, 32) structure digests -> (B,) bool: whether `split_of` puts each into `split`."""
    last = np.ascontiguousarray(digests[:, -4:]).view(">u4")[:, 0].astype(np.uint64)
    return np.equal(_OF_PERCENT, split)[last * np.uint64(100) >> np.uint64(32)]
