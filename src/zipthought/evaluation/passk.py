"""pass@k: the chance that at least one of k samples of a problem is correct, without bias (Chen et al. 2021, eq. 1)."""

from __future__ import annotations


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n-c, k) / C(n, k), for c correct among n samples, as a product of ratios in which nothing overflows.

    Raises `ValueError` for k outside 1..n and c outside 0..n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"k must be 1..n (the samples of a problem, {n}), got {k}; draw more samples")
    if not 0 <= c <= n:
        raise ValueError(f"c must be 0..n ({n}), got {c}")
    if n - c < k:
        return 1.0
    if c < k:  # The shorter of two equal products: C(n-c, k) / C(n, k) = C(n-k, c) / C(n, c).
        c, k = k, c
    all_wrong = 1.0
    for i in range(k):
        all_wrong *= (n - c - i) / (n - i)
    return 1.0 - all_wrong


def ks_for(samples: int) -> list[int]:
    """The k that are reported for so many samples: powers of two, and `samples` itself."""
    powers = [1 << i for i in range(samples.bit_length()) if 1 << i < samples]
    return [*powers, samples]


__all__ = ["ks_for", "pass_at_k"]
