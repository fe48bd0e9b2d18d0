"""pass@k: unbiased estimate of the probability that one of k samples is correct (Chen et al. 2021, eq. 1)."""

from __future__ import annotations


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n-c, k) / C(n, k) for c correct among n samples, computed as a product of ratios to avoid overflow.

    Raises `ValueError` for k outside 1..n and c outside 0..n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"k must be 1..n (the samples of a problem, {n}), got {k}; draw more samples")
    if not 0 <= c <= n:
        raise ValueError(f"c must be 0..n ({n}), got {c}")
    if n - c < k:
        return 1.0
    if c < k:  # C(n-c, k) / C(n, k) = C(n-k, c) / C(n, c); use the shorter product.
        c, k = k, c
    all_wrong = 1.0
    for i in range(k):
        all_wrong *= (n - c - i) / (n - i)
    return 1.0 - all_wrong


def ks_for(samples: int) -> list[int]:
    """The k that are reported: powers of two below `samples`, and `samples`."""
    powers = [1 << i for i in range(samples.bit_length()) if 1 << i < samples]
    return [*powers, samples]


__all__ = ["ks_for", "pass_at_k"]
