"""F4: which order of the steps generalizes to longer problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..cells import SFTCell
from ..experiments import Orders
from ..statistics import bootstrap_means
from ..store import Store
from .verdicts import FITTED, Comparison, Finding, common_rule, decide, undecided

UNIDIRECTIONAL = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What one order did in one view. S seeds, P problems, the same for every order."""

    n_ops: np.ndarray
    """(P,) operations of each problem."""
    longer: np.ndarray
    """(P,) bool: whether it has more operations than those of training."""
    correct: np.ndarray
    """(S, P) bool"""
    first_wrong: np.ndarray
    """(S, P) place of the first step that is not valid over the steps that were written, in 0..1; not a number where
    every step is."""
    training_accuracy: float
    """Mean accuracy on its own training problems."""
    response_tokens: float
    """Mean tokens of its completions of longer problems."""
    truncated: float
    """Share of these that ran out of tokens."""

    def accuracy(self) -> float:
        """On longer problems."""
        return float(self.correct[:, self.longer].mean())


def collect(store: Store, orders: Orders) -> dict[tuple[str, str], Ordered]:
    """(view, order) -> what was measured, over the seeds that are complete."""
    spec, results = store.spec, store.results()
    found = {}
    for cell in orders.cells(spec):
        if isinstance(cell, SFTCell) and cell.digest in results:
            found["familiar" if cell.positions else "plain", cell.order, cell.seed] = cell
    pairs = [(view, order) for view in orders.views for order in orders.orders]
    complete = [s for s in orders.seeds_of(spec) if all((*pair, s) in found for pair in pairs)]
    made = {}
    for pair in pairs if complete else ():
        cells = [found[*pair, seed] for seed in complete]
        runs = [store.completions(cell.digest) for cell in cells]
        n_ops = np.array([row.n_ops for row in runs[0]])
        longer = n_ops > max(orders.n_ops)
        beyond = [row for run in runs for row in run if row.n_ops > max(orders.n_ops)]
        trained = [results[cell.digest]["splits"]["train"]["accuracy"] for cell in cells]
        made[pair] = Ordered(
            n_ops=n_ops,
            longer=longer,
            correct=np.array([[row.correct for row in run] for run in runs], dtype=bool),
            first_wrong=np.array([[_first_wrong(row.steps) for row in run] for run in runs]),
            training_accuracy=float(np.mean(trained)),
            response_tokens=float(np.mean([row.response_tokens for row in beyond])),
            truncated=float(np.mean([row.truncated for row in beyond])),
        )
    return made


def _first_wrong(steps: Sequence[str]) -> float:
    wrong = next((place for place, step in enumerate(steps, 1) if step != "valid"), None)
    return wrong / len(steps) if wrong else float("nan")


F4_CLAIM = "A unidirectional order of the steps generalizes best to longer problems."
F4_RULE = (
    "One base is trained on traces of each order, on the same problems for as many updates, and measured on held-out "
    "problems of more operations than any in training. Accuracy there of the forward order, less that of each other "
    "order, is compared with 0. {common} The verdict is that of the view {view}: there, training prompts have as many "
    "sentences as the longest test problems (unused quantities are added), and random gaps between sentences spread "
    "training texts over as many positions, so that longer problems bring more operations but no new position or "
    "distance; the same for every order. In the view plain, problems are as they come. Orders that do not fit their "
    "own training problems (accuracy below 0.9) are named: they may lack updates, not generalization."
)


def f4(measured: dict[tuple[str, str], Ordered], findings: int = 1, draws: int = 1000) -> Finding:
    """Orders beyond the trained lengths (paper, finding 4)."""
    views = list(dict.fromkeys(view for view, _ in measured))
    rule = F4_RULE.format(common=common_rule(findings), view=views[0] if views else "familiar")
    names = [order for view, order in measured if view == views[0]] if views else []
    others = [order for order in names if order != UNIDIRECTIONAL]
    if UNIDIRECTIONAL not in names or not others:
        why = "No seed is complete in the forward order and another one: nothing to compare."
        return undecided("F4", F4_CLAIM, rule, why)
    rows = []
    verdicts: dict[str, str] = {}
    decisive: dict[str, Comparison] = {}
    for view in views:
        data = {order: measured[view, order] for order in names}
        means = {order: bootstrap_means(d.correct[:, d.longer], draws) for order, d in data.items()}
        forward = data[UNIDIRECTIONAL]
        against = {
            order: Comparison.of(
                forward.accuracy() - data[order].accuracy(),
                means[UNIDIRECTIONAL] - means[order],
                len(forward.correct),
                findings,
                len(others),
            )
            for order in others
        }
        for order, d in data.items():
            wrong = d.first_wrong[:, d.longer]
            rows.append(
                {
                    "view": view,
                    "order": order,
                    "longer": Comparison.of(d.accuracy(), means[order], len(d.correct)).text(sign=False),
                    "forward less this": against[order].text() if order in against else "-",
                    **{f"n_ops {n}": float(d.correct[:, d.n_ops == n].mean()) for n in sorted(set(d.n_ops.tolist()))},
                    "training problems": d.training_accuracy,
                    "first wrong step at": None if np.isnan(wrong).all() else float(np.nanmean(wrong)),
                    "response tokens": d.response_tokens,
                    "truncated": d.truncated,
                }
            )
        verdicts[view] = decide(list(against.values()), len(forward.correct))
        if view == views[0]:
            decisive = against
    first = measured[views[0], UNIDIRECTIONAL]
    parts = [f"{c.text()} more than {order}" for order, c in decisive.items()]
    summary = (
        f"On longer problems (view {views[0]}) forward has accuracy {first.accuracy():.2f}: {', '.join(parts)}; "
        f"{len(first.correct)} seeds."
    )
    for view in views[1:]:
        summary += f" In the view {view}: {verdicts[view]}."
    short = {order: measured[views[0], order].training_accuracy for order in names}
    if named := ", ".join(f"{order} ({acc:.2f})" for order, acc in short.items() if acc < FITTED):
        summary += f" Caution: {named} did not fit the training problems in the updates that all orders had."
    return Finding(id="F4", claim=F4_CLAIM, rule=rule, verdict=verdicts[views[0]], summary=summary, rows=rows)
