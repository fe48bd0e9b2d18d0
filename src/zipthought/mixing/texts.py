"""When two texts are equal, and how similar they are.

Similarity is the Jaccard index of the sets of word shingles (Broder 1997, "On the resemblance and containment of
documents"). In problems of mathematics one number makes another problem of a text that is the same but for it. So two
texts are compared only if they have the same numbers in the same order, number words included.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zlib
from functools import lru_cache
from typing import Any

import numpy as np

SHINGLE = 3
"""Words of a shingle."""
_TAG = re.compile(r"^\s*<keep:[0-9.]+>\s*")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[-+*/=^<>%]")
_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million half
    halves third thirds quarter quarters once twice thrice double triple dozen"""
_NUMBER_WORDS = frozenset(_WORDS.split())
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)

Shingles = Any
"""A sorted array of distinct 64-bit hashes."""


def normalized(text: str) -> str:
    """A text without differences of case, of white space, of Unicode composition, and without a budget tag."""
    return " ".join(unicodedata.normalize("NFC", _TAG.sub("", text)).casefold().split())


def digest(*texts: str) -> int:
    """128 bits of the normalized texts."""
    joined = "\0".join(map(normalized, texts))
    return int.from_bytes(hashlib.blake2b(joined.encode("utf-8", "replace"), digest_size=16).digest(), "little")


def words_of(text: str) -> list[str]:
    """The words, numbers and signs of arithmetic of a text. A number has no commas."""
    return [word.replace(",", "") if word[0].isdigit() else word for word in _WORD.findall(normalized(text))]


def guard(words: list[str], *more: str) -> int:
    """64 bits of all that must be equal in similar texts: the numbers, and `more`."""
    numbers = [word for word in words if word[0].isdigit() or word in _NUMBER_WORDS]
    data = "\0".join((*numbers, "", *more)).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def shingles(words: list[str]) -> Shingles:
    """The shingles of a text. A text of fewer words than a shingle has one, with blanks."""
    padded = words + [""] * (SHINGLE - len(words))
    hashes = np.array([_hash(word) for word in padded], dtype=np.uint64)
    total = hashes[: len(padded) - SHINGLE + 1] * _FACTORS[0]
    for index in range(1, SHINGLE):
        total = (total ^ (total >> np.uint64(29))) * _FACTORS[index] + hashes[index : len(padded) - SHINGLE + 1 + index]
    total ^= total >> np.uint64(32)
    return np.unique(total * _FACTORS[0])


@lru_cache(maxsize=1 << 16)
def _hash(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace")) + 1


def jaccard(a: Shingles, b: Shingles) -> float:
    """Shared shingles over all shingles of two texts."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


__all__ = ["SHINGLE", "Shingles", "digest", "guard", "jaccard", "normalized", "shingles", "words_of"]
