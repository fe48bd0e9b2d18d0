"""The counts of a compression run, and the summary that is made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ...core.methods import Method

BINS = 200
"""Bins of the histogram of token ratios. The last bin has all ratios of 2 and above."""


class Counts:
    """Records by reason and tokens by format. The counts of several processes can be added."""

    def __init__(self, formats: Iterable[Method]) -> None:
        self.input = self.verified = self.ambiguous = self.unread = 0
        self.reasons: Counter[str] = Counter()
        self.tokens_before = 0
        self.tokens_after: Counter[str] = Counter()
        self.ratios = {str(method): [0] * (BINS + 1) for method in formats}

    def add(self, other: Counts) -> None:
        self.input += other.input
        self.verified += other.verified
        self.ambiguous += other.ambiguous
        self.unread += other.unread
        self.tokens_before += other.tokens_before
        self.reasons.update(other.reasons)
        self.tokens_after.update(other.tokens_after)
        for name, bins in other.ratios.items():
            self.ratios[name] = [a + b for a, b in zip(self.ratios[name], bins, strict=True)]

    def add_tokens(self, name: str, before: int, after: int) -> None:
        """Count one record in the format `name`, whose text went from `before` to `after` tokens."""
        self.tokens_after[name] += after
        self.ratios[name][min(BINS, after * BINS // (2 * before)) if before else BINS] += 1

    def summary(self) -> dict[str, Any]:
        """The summary as `compress --json` prints it (docs/outputs.md). A ratio is the tokens after over before."""
        formats = {
            name: {
                "records": self.verified,
                "tokens_before": self.tokens_before,
                "tokens_after": self.tokens_after[name],
                "ratio": self.tokens_after[name] / self.tokens_before if self.tokens_before else None,
                **{f"ratio_p{p}": _quantile(bins, p) for p in (10, 50, 90)},
            }
            for name, bins in self.ratios.items()
        }
        return {
            "input": self.input,
            "verified": self.verified,
            "rejected": self.input - self.verified,
            "reasons": dict(self.reasons.most_common()),
            "ambiguous_operands": self.ambiguous,
            "unread_equations": self.unread,
            "formats": formats,
        }


def _quantile(bins: list[int], percent: int) -> float | None:
    """The lower edge of the bin with the quantile; None for an empty histogram."""
    remaining = sum(bins) * percent / 100
    for index, count in enumerate(bins):
        remaining -= count
        if count and remaining <= 0:
            return index * 2 / BINS
    return None
