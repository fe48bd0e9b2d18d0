"""The table that the orders experiment adds to the report: each order at each length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...statistics import bootstrap_means
from ...verdicts import Comparison
from .measurements import OrderMeasurements


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthRow:
    """One order on the held-out problems of one length, over all complete seeds."""

    view: str
    """`familiar` or `plain`."""
    order: str
    """The order of the steps."""
    n_ops: int
    """Operations of the problems."""
    trained: str
    """`yes` for a length of the training problems, else `no`."""
    accuracy: float
    """The share of correct final answers, 0..1."""
    low: float
    """The lower end of its 95% interval."""
    high: float
    """The upper end of that interval."""
    faithful: float
    """The share of completions with a correct answer, only valid steps and a complete chain."""
    gold_tokens: float
    """Mean tokens of a gold text."""
    response_tokens: float
    """Mean tokens of a completion."""
    truncated: float
    """The share of completions that reached the length limit."""
    first_wrong_step: float | None
    """The mean position (from 1) of the first invalid step, over completions that have one."""
    first_wrong_share: float | None
    """The mean of this position divided by the steps of the completion, 0..1."""
    wrong_without_invalid_step: float | None
    """The share of wrong answers whose steps are all valid, for example because the text stops early."""


def length_rows(measured: Mapping[tuple[str, str], OrderMeasurements], draws: int) -> list[LengthRow]:
    """A row for each view, order and length. `draws` of the bootstrap give the intervals."""
    return [_row(view, order, d, n, draws) for (view, order), d in measured.items() for n in d.lengths]


def _row(view: str, order: str, d: OrderMeasurements, n_ops: int, draws: int) -> LengthRow:
    at = d.n_ops == n_ops
    correct, first = d.correct[:, at], d.first_wrong[:, at]
    interval = Comparison.of(float(correct.mean()), bootstrap_means(correct, draws), len(correct))
    return LengthRow(
        view=view,
        order=order,
        n_ops=n_ops,
        trained="yes" if n_ops in d.trained else "no",
        accuracy=interval.value,
        low=max(0.0, interval.low),
        high=min(1.0, interval.high),
        faithful=float(d.faithful[:, at].mean()),
        gold_tokens=d.gold_tokens[n_ops],
        response_tokens=float(d.response_tokens[:, at].mean()),
        truncated=float(d.truncated[:, at].mean()),
        first_wrong_step=_mean(first[~np.isnan(first)]),
        first_wrong_share=_mean((first / np.maximum(d.steps[:, at], 1))[~np.isnan(first)]),
        wrong_without_invalid_step=_mean(np.isnan(first[~correct])),
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None
