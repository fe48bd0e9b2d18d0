"""The accuracy to expect of a new run: a Bayesian curve for each format, and its predictive distribution.

Accuracy at N distinct examples is ``c + (a - c) / (1 + exp(-s (ln N - t)))``, from chance c to a ceiling a. The number
of problems that a run solves is beta-binomial around it, because seeds differ by more than the sampled problems do. The
posterior is computed on a grid, with a prior that is flat in a, ln s, t and the logarithm of the precision. With few
runs it is wide; `tests/test_advise.py` measures the coverage of its intervals by leaving cells out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import betaln

CEILINGS = np.linspace(0.04, 1.0, 25)
SLOPES = np.geomspace(0.2, 4.0, 12)
PRECISIONS = np.geomspace(6.0, 600.0, 7)
MIDDLES = 36
"""Grid points for t, from a factor of 50 below the smallest N to a factor of 200 above the largest."""
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
    """The posterior weights of the grid points."""

    chance: float
    a: np.ndarray
    s: np.ndarray
    t: np.ndarray
    precision: np.ndarray
    weight: np.ndarray

    def draws(self, examples: float, seed: int = 0, new_run: bool = True) -> np.ndarray:
        """(DRAWS,) accuracies at N: of new runs, or of the mean over many runs."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(self.weight), size=DRAWS, p=self.weight)
        middle = _curve(self.chance, self.a[chosen], self.s[chosen], self.t[chosen], examples)
        if not new_run:
            return middle
        phi = self.precision[chosen]
        return rng.beta(np.maximum(middle * phi, 1e-3), np.maximum((1 - middle) * phi, 1e-3))

    def predict(self, examples: float, level: float = 0.9) -> Prediction:
        """The accuracy of a new run at N, with the interval that contains it with probability `level`."""
        draws = self.draws(examples)
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return Prediction(float(draws.mean()), float(low), float(high))


def _curve(chance: float, a: np.ndarray, s: np.ndarray, t: np.ndarray, examples: float) -> np.ndarray:
    return chance + np.maximum(a - chance, 0) / (1 + np.exp(-np.clip(s * (np.log(examples) - t), -60, 60)))


def fit(runs: Sequence[Run], chance: float) -> Posterior:
    """The posterior given the runs of one format. Raises `ValueError` where there are none."""
    if not runs:
        raise ValueError("a curve needs at least one run")
    sizes = np.log([run.examples for run in runs])
    middles = np.linspace(sizes.min() - np.log(50), sizes.max() + np.log(200), MIDDLES)
    grid = np.meshgrid(CEILINGS, SLOPES, middles, PRECISIONS, indexing="ij")
    a, s, t, precision = (axis.ravel() for axis in grid)
    log_weight = np.zeros(len(a))
    for run in runs:
        mean = np.clip(_curve(chance, a, s, t, run.examples), 1e-4, 1 - 1e-4)
        alpha, beta = mean * precision, (1 - mean) * precision
        log_weight += betaln(alpha + run.solved, beta + run.n - run.solved) - betaln(alpha, beta)
    weight = np.exp(log_weight - log_weight.max())
    kept = weight > 1e-9
    return Posterior(chance, a[kept], s[kept], t[kept], precision[kept], weight[kept] / weight[kept].sum())
