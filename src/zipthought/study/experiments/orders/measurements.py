"""What F4 is computed from: plain arrays, which `collect` fills from the finished cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....evaluation.metrics import JudgedCompletion
from ...cells import SFTCell, SFTCellResult
from ...cells.tokens import mean_tokens
from ...snapshot import Snapshot
from . import Orders


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMeasurements:
    """The measurements during one run. K points; Q held-out problems of the trained lengths."""

    tokens: np.ndarray
    """(K,) training tokens so far, ascending."""
    correct: np.ndarray
    """(K, Q) bool"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMeasurements:
    """The measurements of one order in one view. S seeds; P held-out problems, the same for every order."""

    seeds: tuple[int, ...]
    """(S,)"""
    trained: tuple[int, ...]
    """Operations of the training problems."""
    n_ops: np.ndarray
    """(P,) operations of each problem."""
    correct: np.ndarray
    """(S, P) bool"""
    faithful: np.ndarray
    """(S, P) bool"""
    first_wrong: np.ndarray
    """(S, P) position of the first invalid step, from 1; nan if all steps are valid."""
    steps: np.ndarray
    """(S, P) steps of the completion."""
    response_tokens: np.ndarray
    """(S, P) tokens of the completion."""
    truncated: np.ndarray
    """(S, P) bool: whether the completion reached the length limit."""
    gold_tokens: Mapping[int, float]
    """n_ops -> mean tokens of a gold text in this order."""
    training_accuracy: np.ndarray
    """(S,) highest accuracy on its own training problems."""
    training_tokens: np.ndarray
    """(S,) training tokens of the measured model."""
    runs: tuple[RunMeasurements, ...]
    """One for each seed."""

    @property
    def longer(self) -> np.ndarray:
        """(P,) bool: whether the problem is longer than those of training."""
        return self.n_ops > max(self.trained)

    @property
    def lengths(self) -> list[int]:
        """The measured numbers of operations, ascending."""
        return sorted(set(self.n_ops.tolist()))

    def accuracy(self) -> float:
        """The accuracy on longer problems."""
        return float(self.correct[:, self.longer].mean())


def collect(study: Snapshot, orders: Orders) -> dict[tuple[str, str], OrderMeasurements]:
    """(view, order) -> its measurements, over the seeds that are complete in every view and order."""
    cells: dict[tuple[str, str, int], SFTCell] = {}
    for cell in orders.finished(study):
        cells["familiar" if cell.positions else "plain", cell.order, cell.seed] = cell
    pairs = [(view, order) for view in orders.views for order in orders.orders]
    seeds = [s for s in orders.seeds_of(study.spec) if all((*pair, s) in cells for pair in pairs)]
    if not seeds:
        return {}
    return {pair: _measure(study, orders, [cells[*pair, seed] for seed in seeds]) for pair in pairs}


def _measure(study: Snapshot, orders: Orders, cells: Sequence[SFTCell]) -> OrderMeasurements:
    stored = study.results(SFTCellResult)
    results = [stored[cell.digest] for cell in cells]
    completions = [study.completions(cell.digest) for cell in cells]

    def over(value: Callable[[JudgedCompletion], Any], dtype: type) -> np.ndarray:
        return np.array([[value(completion) for completion in run] for run in completions], dtype=dtype)

    return OrderMeasurements(
        seeds=tuple(cell.seed for cell in cells),
        trained=orders.n_ops,
        n_ops=np.array([completion.n_ops for completion in completions[0]]),
        correct=over(lambda c: c.correct, bool),
        faithful=over(lambda c: c.faithful, bool),
        first_wrong=over(lambda c: _first_wrong(c.steps), float),
        steps=over(lambda c: len(c.steps), int),
        response_tokens=over(lambda c: c.response_tokens, int),
        truncated=over(lambda c: c.truncated, bool),
        gold_tokens={n: mean_tokens(cells[0], cells[0].format, cells[0].order, (n,))[1] for n in orders.lengths()},
        training_accuracy=np.array([result.fit for result in results]),
        training_tokens=np.array([result.tokens for result in results]),
        runs=tuple(
            RunMeasurements(
                tokens=np.array([point.tokens for point in result.points]),
                correct=np.array([point.correct for point in result.points], dtype=bool),
            )
            for result in results
        ),
    )


def _first_wrong(steps: Sequence[str]) -> float:
    return next((float(i) for i, step in enumerate(steps, 1) if step != "valid"), float("nan"))
