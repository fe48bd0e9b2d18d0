"""Which questions are in the evaluation files: equal, of the same structure, or similar.

Similar questions are found exactly, by the prefix filter of Bayardo et al. (2007, "Scaling up all pairs similarity
search"): of two sets with a Jaccard index of at least t, the first n - ceil(t n) + 1 items share one. The index is in
memory, with about 5 KB for each evaluation question.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from .texts import Shingles, digest, guard, jaccard, shingles, words_of

EQUAL, STRUCTURE, SIMILAR = "overlap", "overlap_structure", "overlap_near"


class Overlap(NamedTuple):
    """That a question is in an evaluation file."""

    reason: str
    """`overlap` (an equal question), `overlap_structure` (the same synthetic problem, whatever its names are), or
    `overlap_near` (a similar question with the same numbers)."""
    where: str
    """The evaluation question: its file and line."""
    similarity: float
    """Jaccard index; 1 of equal questions and structures."""


class EvaluationQuestions:
    """The questions of evaluation files."""

    def __init__(self, threshold: float) -> None:
        """`threshold` is the Jaccard index of similar questions; 0: only equal ones are found."""
        self._threshold = threshold
        self._equal: dict[int, str] = {}
        self._structures: dict[str, str] = {}
        self._postings: dict[int, list[int]] = {}
        self._similar: list[tuple[Shingles, str]] = []

    def __len__(self) -> int:
        return len(self._equal)

    def add(self, question: str, structure: str, where: str) -> None:
        """Add a question, and the structure of its problem if it is synthetic. `where` names its file and line."""
        if (key := digest(question)) in self._equal:
            return
        self._equal[key] = where
        if structure:
            self._structures[structure] = where
        elif self._threshold:
            words = words_of(question)
            items = shingles(words)
            for posting in self._keys(items, guard(words)):
                self._postings.setdefault(posting, []).append(len(self._similar))
            self._similar.append((items, where))

    def find(self, question: str, structure: str) -> Overlap | None:
        """The overlap of a question, if there is one. Synthetic problems are compared by structure rather than by
        similarity: their sentences are all alike."""
        if where := self._equal.get(digest(question)):
            return Overlap(EQUAL, where, 1.0)
        if structure:
            same = self._structures.get(structure)
            return Overlap(STRUCTURE, same, 1.0) if same else None
        if not self._similar:
            return None
        words = words_of(question)
        items = shingles(words)
        candidates = {row for key in self._keys(items, guard(words)) for row in self._postings.get(key, ())}
        similarity, row = max(((jaccard(items, self._similar[row][0]), -row) for row in candidates), default=(0.0, 0))
        return Overlap(SIMILAR, self._similar[-row][1], similarity) if similarity >= self._threshold else None

    def _keys(self, items: Shingles, numbers: int) -> Iterable[int]:
        """The keys of the prefix: a shingle together with the numbers of the text."""
        prefix = len(items) - math.ceil(self._threshold * len(items) - 1e-9) + 1
        return [item ^ numbers for item in items[:prefix].tolist()]


__all__ = ["EQUAL", "SIMILAR", "STRUCTURE", "EvaluationQuestions", "Overlap"]
