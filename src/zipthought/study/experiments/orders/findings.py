"""F4: which order of the steps generalizes to longer problems (paper, finding 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....report.data import Finding
from ...cells import SFTCell, SFTCellResult
from ...snapshot import Snapshot
from ...statistics import bootstrap_means
from ...verdicts import FITTED, Comparison, common_rule, decide, undecided, unresolved
from . import Orders

UNIDIRECTIONAL = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMeasurements:
    """The measurements of one order in one view. S seeds; P problems, the same for every order."""

    n_ops: np.ndarray
    """(P,) operations of each problem."""
    longer: np.ndarray
    """(P,) bool: whether the problem is longer than those of training."""
    correct: np.ndarray
    """(S, P) bool"""
    first_wrong: np.ndarray
    """(S, P) position of the first invalid step divided by the number of steps, in 0..1; nan if all steps are valid."""
    training_accuracy: float
    """Mean accuracy on its own training problems."""
    response_tokens: float
    """Mean tokens of its completions of longer problems."""
    truncated: float
    """The share of these completions that reached the length limit."""

    def accuracy(self) -> float:
        """The accuracy on longer problems."""
        return float(self.correct[:, self.longer].mean())


def collect(study: Snapshot, orders: Orders) -> dict[tuple[str, str], OrderMeasurements]:
    """(view, order) -> its measurements, over the seeds that are complete."""
    cells: dict[tuple[str, str, int], SFTCell] = {}
    for cell in orders.finished(study):
        cells["familiar" if cell.positions else "plain", cell.order, cell.seed] = cell
    pairs = [(view, order) for view in orders.views for order in orders.orders]
    seeds = [s for s in orders.seeds_of(study.spec) if all((*pair, s) in cells for pair in pairs)]
    if not seeds:
        return {}
    return {pair: _measure(study, orders, [cells[*pair, seed] for seed in seeds]) for pair in pairs}


def _measure(study: Snapshot, orders: Orders, cells: Sequence[SFTCell]) -> OrderMeasurements:
    results = study.results(SFTCellResult)
    runs = [study.completions(cell.digest) for cell in cells]
    n_ops = np.array([completion.n_ops for completion in runs[0]])
    beyond = [completion for run in runs for completion in run if completion.n_ops > max(orders.n_ops)]
    return OrderMeasurements(
        n_ops=n_ops,
        longer=n_ops > max(orders.n_ops),
        correct=np.array([[completion.correct for completion in run] for run in runs], dtype=bool),
        first_wrong=np.array([[_first_wrong(completion.steps) for completion in run] for run in runs]),
        training_accuracy=float(np.mean([results[cell.digest].train.accuracy for cell in cells])),
        response_tokens=float(np.mean([completion.response_tokens for completion in beyond])),
        truncated=float(np.mean([completion.truncated for completion in beyond])),
    )


def _first_wrong(steps: Sequence[str]) -> float:
    position = next((i for i, step in enumerate(steps, 1) if step != "valid"), None)
    return position / len(steps) if position else float("nan")


CLAIM = "A unidirectional order of the steps generalizes best to longer problems."
RULE = (
    "One base is trained on traces of each order, on the same problems with equal updates, and measured on held-out "
    "problems of more operations than any in training. The accuracy of the forward order on them, minus that of each "
    "other order, is compared with 0. {common} The verdict is that of the view {view}. In the view familiar, unused "
    "quantities are added until training prompts have as many sentences as the longest test problems, and random gaps "
    "between sentences spread training texts over as many positions. So longer problems bring more operations, but no "
    "new position or distance. It is the same for every order. In the view plain, training problems are unchanged. The "
    "summary names orders that do not fit their own training problems (accuracy below 0.9): they may lack updates "
    "rather than generalization."
)


def f4(measured: Mapping[tuple[str, str], OrderMeasurements], findings: int = 1, draws: int = 1000) -> Finding:
    """The finding. `findings` is the number of findings of the study."""
    views = list(dict.fromkeys(view for view, _ in measured))
    rule = RULE.format(common=common_rule(findings), view=views[0] if views else "familiar")
    orders = [order for view, order in measured if view == views[0]] if views else []
    others = [order for order in orders if order != UNIDIRECTIONAL]
    if UNIDIRECTIONAL not in orders or not others:
        reason = "No seed is complete in the forward order and another one: nothing to compare."
        return undecided("F4", CLAIM, rule, reason)
    rows: list[dict[str, Any]] = []
    comparisons: dict[str, dict[str, Comparison]] = {}
    for view in views:
        data = {order: measured[view, order] for order in orders}
        means = {order: bootstrap_means(d.correct[:, d.longer], draws) for order, d in data.items()}
        forward = data[UNIDIRECTIONAL]
        comparisons[view] = {
            order: Comparison.of(
                forward.accuracy() - data[order].accuracy(),
                means[UNIDIRECTIONAL] - means[order],
                len(forward.correct),
                findings,
                len(others),
            )
            for order in others
        }
        rows += [_row(view, order, d, means[order], comparisons[view].get(order)) for order, d in data.items()]
    seeds = len(measured[views[0], UNIDIRECTIONAL].correct)
    verdicts = {view: decide(list(compared.values()), seeds) for view, compared in comparisons.items()}
    return Finding(
        id="F4",
        claim=CLAIM,
        rule=rule,
        verdict=verdicts[views[0]],
        summary=_summary(measured, orders, comparisons[views[0]], verdicts),
        rows=rows,
    )


def _row(view: str, order: str, data: OrderMeasurements, draws: np.ndarray, less: Comparison | None) -> dict[str, Any]:
    wrong = data.first_wrong[:, data.longer]
    by_length = {f"n_ops {n}": float(data.correct[:, data.n_ops == n].mean()) for n in sorted(set(data.n_ops.tolist()))}
    return {
        "view": view,
        "order": order,
        "longer": Comparison.of(data.accuracy(), draws, len(data.correct)).text(sign=False),
        "forward less this": less.text() if less else "-",
        **by_length,
        "training problems": data.training_accuracy,
        "first wrong step at": None if np.isnan(wrong).all() else float(np.nanmean(wrong)),
        "response tokens": data.response_tokens,
        "truncated": data.truncated,
    }


def _summary(
    measured: Mapping[tuple[str, str], OrderMeasurements],
    orders: Sequence[str],
    decisive: Mapping[str, Comparison],
    verdicts: Mapping[str, str],
) -> str:
    view, *further = verdicts
    first = measured[view, UNIDIRECTIONAL]
    parts = [f"{c.text()} more than {order}" for order, c in decisive.items()]
    summary = (
        f"On longer problems (view {view}) forward has accuracy {first.accuracy():.2f}: {', '.join(parts)}; "
        f"{len(first.correct)} seeds."
    ) + unresolved(decisive)
    for other in further:
        summary += f" In the view {other}: {verdicts[other]}."
    trained = {order: measured[view, order].training_accuracy for order in orders}
    if named := ", ".join(f"{order} ({acc:.2f})" for order, acc in trained.items() if acc < FITTED):
        summary += f" Caution: {named} did not fit the training problems with the updates of this experiment."
    return summary
