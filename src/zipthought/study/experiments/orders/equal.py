"""F4 at equal cost: the accuracy of two orders at equal training tokens, and at equal length of their texts.

Backward and hierarchical texts are longer than forward ones. So equal problems are neither equal training tokens nor
texts of equal length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .measurements import OrderMeasurements, RunMeasurements

TOLERANCE = 0.1
"""Texts are of equal length if their mean tokens differ by at most this share of the forward order's."""


def common_tokens(orders: Sequence[OrderMeasurements]) -> float | None:
    """The training tokens of the shortest run of these orders; None if another run has its first measurement later.

    Points without tokens, which measure the base, do not count.
    """
    runs = [run for order in orders for run in order.runs]
    shortest = float(min(run.tokens[-1] for run in runs))
    return shortest if all((run.tokens[run.tokens > 0] <= shortest).any() for run in runs) else None


def at_tokens(order: OrderMeasurements, tokens: float) -> np.ndarray:
    """(S, Q) whether held-out problems of the trained lengths are solved after so many training tokens, 0..1.

    Between two measurements of a run it is linear in the logarithm of the tokens.
    """
    return np.array([_interpolated(run, tokens) for run in order.runs])


def _interpolated(run: RunMeasurements, tokens: float) -> np.ndarray:
    trained = run.tokens > 0
    at, correct = np.log(run.tokens[trained]), run.correct[trained].astype(float)
    after = min(int(np.searchsorted(at, np.log(tokens))), len(at) - 1)
    before = max(after - 1, 0)
    width = at[after] - at[before]
    share = (np.log(tokens) - at[before]) / width if width else 1.0
    return (1 - share) * correct[before] + share * correct[after]


def paired_lengths(forward: OrderMeasurements, other: OrderMeasurements) -> list[tuple[int, int]]:
    """(n, n') for each longer length n of the forward order: the length of the other order whose gold texts have the
    nearest number of tokens, if it is within `TOLERANCE`."""
    pairs = []
    for n in (n for n in forward.lengths if n > max(forward.trained)):
        tokens = forward.gold_tokens[n]
        nearest = min(other.lengths, key=lambda m: abs(other.gold_tokens[m] - tokens))
        if abs(other.gold_tokens[nearest] - tokens) <= TOLERANCE * tokens:
            pairs.append((n, nearest))
    return pairs


def at_lengths(order: OrderMeasurements, lengths: Sequence[int]) -> np.ndarray:
    """(S, Q) the mean over `lengths` of whether problem q of that length is solved, 0..1.

    A length may occur twice. Q is the smallest number of problems of a length.
    """
    solved = [order.correct[:, order.n_ops == n] for n in lengths]
    fewest = min(values.shape[1] for values in solved)
    return np.mean([values[:, :fewest] for values in solved], axis=0)
