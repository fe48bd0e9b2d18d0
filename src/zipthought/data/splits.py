"""Splits: train, validation or test is a pure function of a problem's structure.

No seed, size or number of operations can leak a held-out structure into training: the same structure has the same
split wherever it is drawn (FORMATS.md 7).
"""

from __future__ import annotations

SPLITS = ("train", "validation", "test")
_TRAIN, _VALIDATION = 80, 90


def split_of(structure: str) -> str:
    """The split of a structure digest: 80% train, 10% validation, 10% test, by its last 8 hex digits."""
    percent = int(structure[-8:], 16) * 100 >> 32
    return "train" if percent < _TRAIN else "validation" if percent < _VALIDATION else "test"
