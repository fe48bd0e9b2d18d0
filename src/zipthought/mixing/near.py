"""Near-duplicate examples: MinHash with banding (Broder 1997; Leskovec et al., "Mining of Massive Datasets", chapter
3), and an exact Jaccard index of each pair that it proposes.

The signatures are those of `datasketch`. Its index would hold all keys in memory, so the keys are files here, one for
each band: equal keys of a band are found by sorting it. A key also has the numbers of the text, so texts of one
template with other numbers are never compared.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .disk import equal_rows
from .texts import Shingles, guard, jaccard, shingles, words_of

HASHES = 128
"""Permutations of a signature."""
RECALL = 0.98
"""The share of pairs exactly at the threshold that the bands propose at least; of more similar ones it is higher."""
MOST_COMPARED = 8
"""Kept examples of a group that another one of it is compared with."""
_BATCH = 1024
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def rows_of_band(threshold: float) -> int:
    """The most hashes of a band with which pairs at the threshold are proposed with a probability of `RECALL`."""
    return max(
        (r for r in range(1, HASHES + 1) if 1 - (1 - threshold**r) ** (HASHES // r) >= RECALL),
        default=1,
    )


class NearDuplicate(NamedTuple):
    """An example that is similar to an earlier one."""

    row: int
    of: int
    similarity: float


class NearDuplicates:
    """Finds the similar ones of many examples. They are added in their order."""

    def __init__(self, threshold: float, directory: Path) -> None:
        """Raises `ValueError` if datasketch is missing."""
        try:
            from datasketch import MinHash
        except ImportError as error:
            raise ValueError(
                "near duplicates need the package datasketch; install zipthought[mix], or leave near_duplicates at 0"
            ) from error
        self._threshold, self._rows = threshold, rows_of_band(threshold)
        self._files = [tempfile.TemporaryFile(dir=directory) for _ in range(HASHES // self._rows)]  # noqa: SIM115
        self._signatures: list[np.ndarray] = []
        self._guards: list[int] = []
        permutations = MinHash(num_perm=HASHES, scheme="affine32").permutations

        def signature(items: list[int]) -> np.ndarray:
            made = MinHash(num_perm=HASHES, scheme="affine32", hashfunc=int, permutations=permutations)
            made.update_batch(items)
            return made.hashvalues

        self._signature = signature

    def __enter__(self) -> NearDuplicates:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def add(self, text: str, structure: str) -> None:
        """Add an example. Two synthetic problems of different `structure` are never duplicates."""
        words = words_of(text)
        self._signatures.append(self._signature((shingles(words) & np.uint64(0xFFFFFFFF)).tolist()))
        self._guards.append(guard(words, structure))
        if len(self._signatures) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._signatures:
            return
        signatures = np.stack(self._signatures).astype(np.uint64)
        guards = np.array(self._guards, dtype=np.uint64)
        for band, file in enumerate(self._files):
            keys = guards.copy()
            for column in range(band * self._rows, (band + 1) * self._rows):
                keys = (keys ^ (keys >> np.uint64(31)) ^ signatures[:, column]) * _FACTOR
            file.write(keys.tobytes())
        self._signatures, self._guards = [], []

    def find(self, text_of: Callable[[int], str], is_gone: Callable[[int], bool]) -> Iterator[NearDuplicate]:
        """The near duplicates among the examples that are not gone, as each of them must be after it is found.
        `text_of` returns the text of an example."""
        self._flush()

        @lru_cache(maxsize=4096)
        def items_of(row: int) -> Shingles:
            return shingles(words_of(text_of(row)))

        for file in self._files:
            for group in equal_rows(file, 1):
                kept: list[int] = []
                for row in group:
                    if is_gone(row):
                        continue
                    if found := self._similar(row, kept, items_of):
                        yield found
                    elif len(kept) < MOST_COMPARED:
                        kept.append(row)

    def _similar(self, row: int, kept: list[int], items_of: Callable[[int], Shingles]) -> NearDuplicate | None:
        for other in kept:
            if (similarity := jaccard(items_of(row), items_of(other))) >= self._threshold:
                return NearDuplicate(row, other, similarity)
        return None


def text_of_line(line: bytes) -> str:
    """The text of a record's line that is compared: its question and its completion."""
    record = json.loads(line)
    return f"{record['prompt']}\n{record['completion']}"


__all__ = ["HASHES", "RECALL", "NearDuplicate", "NearDuplicates", "rows_of_band", "text_of_line"]
