"""The accuracy to expect of a new run between the measured numbers of examples, without a form for the curve.

At each measured N the number of problems that a run solves is beta-binomial around the mean accuracy of that N, because
seeds differ by more than the sampled problems do; the posterior is computed on a grid, with a prior that is flat in the
mean and in the logarithm of the precision. Means do not fall with N: their draws are put in order. Between two measured
N the curve rises from one mean to the other. The share of the rise that it has made is Beta(2w, 2(1 - w)), with w the
position in ln N, so in the middle every share is as probable. The interval is narrow at a measured size, and wide
between two sizes with different accuracies. Nothing is extrapolated. `tests/test_advise.py` measures the coverage of
the intervals by leaving sizes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import betaln

MEANS = np.linspace(0.0025, 0.9975, 200)
PRECISIONS = np.geomspace(6.0, 600.0, 7)
CONCENTRATION = 2.0
"""Of the share of a rise that is made between two measured N."""
DRAWS = 4000


class Run(NamedTuple):
    """A measured run."""

    examples: int
    """Distinct training examples."""
    solved: int
    """Held-out problems solved."""
    n: int
    """Held-out problems measured."""


class Prediction(NamedTuple):
    """The accuracy of a new run: its mean and an interval."""

    mean: float
    low: float
    high: float

    def plain(self) -> dict[str, float]:
        """As JSON."""
        return {name: round(value, 4) for name, value in self._asdict().items()}


@dataclass(frozen=True, slots=True)
class Posterior:
    """The posterior of the mean accuracy and of the precision at each measured N."""

    sizes: np.ndarray
    """(sizes,) in ascending order."""
    weights: np.ndarray
    """(sizes, means x precisions) of the grid points."""

    def draws(self, examples: float, seed: int = 0, new_run: bool = True) -> np.ndarray:
        """(DRAWS,) accuracies at N: of new runs, or of the mean over many runs.

        Raises `ValueError` outside the measured sizes.
        """
        if not self.sizes[0] <= examples <= self.sizes[-1]:
            raise ValueError(f"{examples:,} examples lie outside the measured {self.sizes[0]:,} to {self.sizes[-1]:,}")
        rng = np.random.default_rng(seed)
        points = np.array([rng.choice(len(weight), size=DRAWS, p=weight) for weight in self.weights])
        means = np.sort(MEANS[points // len(PRECISIONS)], axis=0)
        above = int(np.searchsorted(self.sizes, examples))
        below = above - int(self.sizes[above] > examples)
        middle = means[below]
        if below < above:
            low, at, high = np.log([self.sizes[below], examples, self.sizes[above]])
            w = (at - low) / (high - low)
            share = rng.beta(CONCENTRATION * w, CONCENTRATION * (1 - w), DRAWS)
            middle = means[below] + share * (means[above] - means[below])
        if not new_run:
            return middle
        either = np.where(rng.random(DRAWS) < 0.5, points[below], points[above])
        phi = PRECISIONS[either % len(PRECISIONS)]
        return rng.beta(np.maximum(middle * phi, 1e-3), np.maximum((1 - middle) * phi, 1e-3))

    def predict(self, examples: float, level: float = 0.9) -> Prediction:
        """The accuracy of a new run at N, with the interval that contains it with probability `level`. Raises
        `ValueError` outside the measured sizes."""
        draws = self.draws(examples)
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return Prediction(float(draws.mean()), float(low), float(high))


def fit(runs: Sequence[Run]) -> Posterior:
    """The posterior given the runs of one format. Raises `ValueError` where there are none."""
    if not runs:
        raise ValueError("a curve needs at least one run")
    sizes = sorted({run.examples for run in runs})
    return Posterior(np.array(sizes), np.array([_weights([run for run in runs if run.examples == n]) for n in sizes]))


def _weights(runs: Sequence[Run]) -> np.ndarray:
    """(means x precisions,) given the runs with one number of examples."""
    mean, precision = (axis.ravel() for axis in np.meshgrid(MEANS, PRECISIONS, indexing="ij"))
    alpha, beta = mean * precision, (1 - mean) * precision
    log_weight = sum(betaln(alpha + run.solved, beta + run.n - run.solved) - betaln(alpha, beta) for run in runs)
    weight = np.exp(log_weight - log_weight.max())
    made: np.ndarray = weight / weight.sum()
    return made
