"""Measurements of orders with known accuracies, in the design of the studies: trained on 3 to 6 operations, measured up
to 12."""

import numpy as np

from zipthought.study.experiments.orders.measurements import OrderMeasurements, RunMeasurements

TRAINED, LENGTHS, COUNT = (3, 4, 5, 6), tuple(range(3, 13)), 100
GOLD = {"forward": 12, "backward": 20, "hierarchical": 26}
"""Tokens of a gold text for each operation, about those of the surface terse."""


def planted(rng, order, longer, *, seeds=6, noise=0.05, hard=0.1, trained=0.95, fit=0.97):
    """An order with these mean accuracies on trained and on longer problems, each a number or (S, 1). Each
    seed has a shift of its own with standard deviation `noise`. `hard` (P,) or a number shifts the problems: equal for
    all seeds and, as an array, for all orders."""
    n_ops = np.repeat(LENGTHS, COUNT)
    shift = np.broadcast_to(hard, n_ops.shape) if np.ndim(hard) else rng.normal(0, hard, n_ops.shape)
    rate = np.where(n_ops > max(TRAINED), longer + shift, trained)
    correct = rng.random((seeds, len(n_ops))) < np.clip(rate + rng.normal(0, noise, (seeds, 1)), 0, 1)
    steps = np.broadcast_to(n_ops + 1, correct.shape)
    speed = GOLD[order] * 1000
    points = [speed, 2 * speed, 4 * speed]
    shares = (0.3, 0.6, 1.0)
    solved = correct[:, n_ops <= max(TRAINED)]
    runs = tuple(
        RunMeasurements(
            tokens=np.array([0, *points]),
            correct=np.array([np.zeros_like(row), *(row & (rng.random(len(row)) < share) for share in shares)]),
        )
        for row in solved
    )
    return OrderMeasurements(
        seeds=tuple(range(seeds)),
        trained=TRAINED,
        n_ops=n_ops,
        correct=correct,
        faithful=correct & (rng.random(correct.shape) < 0.9),
        first_wrong=np.where(correct, np.nan, 3.0),
        steps=steps,
        response_tokens=np.broadcast_to(n_ops * GOLD[order], correct.shape),
        truncated=np.zeros_like(correct),
        gold_tokens={n: GOLD[order] * n for n in LENGTHS},
        training_accuracy=np.full(seeds, fit),
        training_tokens=np.full(seeds, points[-1]),
        runs=runs,
    )


def study(forward, backward, hierarchical, seed=0, view="familiar", **options):
    rng = np.random.default_rng(seed)
    accuracies = {"forward": forward, "backward": backward, "hierarchical": hierarchical}
    return {(view, order): planted(rng, order, value, **options) for order, value in accuracies.items()}
