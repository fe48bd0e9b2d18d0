"""F4: which order of the steps generalizes to longer problems (paper, finding 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....report.data import Finding
from ...statistics import bootstrap_means
from ...verdicts import FITTED, LEVEL, Comparison, common_rule, decide, quantile, undecided, unresolved
from .equal import TOLERANCE, at_lengths, at_tokens, common_tokens, paired_lengths
from .measurements import OrderMeasurements

UNIDIRECTIONAL = "forward"
FLOOR = 2.0
"""The best order is off the floor if its accuracy is clearly above this many times that of guessing, 1/modulus. Always
giving the most frequent answer has 1.2 times that accuracy (chains of 7, 9 and 12 operations, 3,000 problems each)."""

CLAIM = "A unidirectional order of the steps generalizes best to longer problems."
RULE = (
    "From one base, a model is trained on traces of each order, on the same problems and by the same rule for the "
    "number of updates. It is measured on held-out problems of every trained length and of more operations than any "
    "in training. The order hierarchical is a text of zipthought, not of the paper. The accuracy of the forward order"
    " on all longer problems, minus that of each other order, is compared with 0, at equal training problems. "
    "{common} A verdict is given only under two conditions. Otherwise it is inconclusive, and the summary names the "
    "condition that failed. First, every order fits its own training problems: mean of the "
    "highest accuracies of its runs at least {fitted:g}. An "
    "order that does not may lack updates rather than generalization. Second, the best order is off the floor on "
    "longer problems: the lower end of the interval of its accuracy lies above {floor:.3f}, which is twice the "
    "accuracy of guessing (2/modulus). This interval has a further correction for the number of orders, because the "
    "best is chosen after the run. At the floor no order generalizes, so differences say nothing. Two comparisons "
    "stand beside the verdict, with words by the same rule, and do not change it. At equal training tokens: accuracy "
    "on held-out problems of the trained lengths when both runs have seen the tokens of the shorter one, linear in "
    "the logarithm of tokens between two measurements. Longer problems are measured at the end of a run only, so this"
    " compares how fast two orders are learned. At equal text length: each longer length of forward is paired with "
    "the length of the other order whose gold texts have the nearest mean number of tokens, if within "
    "{tolerance:.0%}, and the difference is the mean over these pairs. Texts of other orders are longer, so their "
    "paired problems are shorter and may be of a trained length. This favours the other order: it can confirm the "
    "verdict and cannot refute it. The verdict is that of the view {view}. In the view familiar, unused quantities "
    "are added until training prompts have as many sentences as the longest test problems, and random gaps between "
    "sentences spread training texts over as many positions. So longer problems bring more operations, but no new "
    "position or distance. It is the same for every order. In the view plain, training problems are unchanged."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What the intervals of a study depend on."""

    findings: int = 1
    """Findings of the study."""
    draws: int = 1000
    """Draws of the bootstrap."""


def compared(ours: np.ndarray, theirs: np.ndarray, comparisons: int, precision: Precision) -> Comparison:
    """(S, P) and (S, Q) values of two orders -> the difference of their means, paired as in `bootstrap_means`."""
    draws = bootstrap_means(ours, precision.draws) - bootstrap_means(theirs, precision.draws)
    value = float(ours.mean() - theirs.mean())
    return Comparison.of(value, draws, len(ours), precision.findings, comparisons)


class View:
    """The comparisons of one view."""

    def __init__(self, data: Mapping[str, OrderMeasurements], floor: float, precision: Precision) -> None:
        self.data, self._floor, self._precision = data, floor, precision
        self.forward = data[UNIDIRECTIONAL]
        self.seeds = len(self.forward.seeds)
        self.others = {order: d for order, d in data.items() if order != UNIDIRECTIONAL}
        longer = {order: d.correct[:, d.longer] for order, d in data.items()}
        draws = {order: bootstrap_means(solved, precision.draws) for order, solved in longer.items()}
        self.longer = {
            order: Comparison.of(d.accuracy(), draws[order], self.seeds, precision.findings)
            for order, d in data.items()
        }
        """Order -> its accuracy on longer problems."""
        self.best = max(data, key=lambda order: data[order].accuracy())
        reach = quantile(self.seeds, LEVEL / precision.findings / len(data)) * float(np.std(draws[self.best]))
        self.best_low = data[self.best].accuracy() - reach
        """The lower end of the interval of the best order's accuracy, corrected for the number of orders."""
        self.at_samples = {order: self._compared(longer[UNIDIRECTIONAL], longer[order]) for order in self.others}
        self.at_tokens = {
            order: self._compared(at_tokens(self.forward, tokens), at_tokens(other, tokens))
            for order, other in self.others.items()
            if (tokens := common_tokens([self.forward, other])) is not None
        }
        self.pairs = {order: paired_lengths(self.forward, other) for order, other in self.others.items()}
        self.at_text = {
            order: self._compared(
                at_lengths(self.forward, [n for n, _ in pairs]), at_lengths(self.others[order], [m for _, m in pairs])
            )
            for order, pairs in self.pairs.items()
            if pairs
        }

    def _compared(self, ours: np.ndarray, theirs: np.ndarray) -> Comparison:
        return compared(ours, theirs, len(self.others), self._precision)

    def unmet(self) -> list[str]:
        """The conditions of a verdict that fail, as clauses with their figures."""
        clauses = []
        fits = {order: float(d.training_accuracy.mean()) for order, d in self.data.items()}
        if named := ", ".join(f"{order} ({value:.2f})" for order, value in fits.items() if value < FITTED):
            clauses.append(f"not every order fits its training problems (accuracy below {FITTED:g}): {named}")
        if self.best_low <= self._floor:
            clauses.append(
                f"no order is off the floor on longer problems: the best, {self.best}, has accuracy "
                f"{self.data[self.best].accuracy():.3f} with a lower end of {self.best_low:.3f}, which is not above "
                f"{self._floor:.3f}"
            )
        return clauses

    def verdict(self) -> str:
        """The verdict at equal training problems."""
        return "inconclusive" if self.unmet() else decide(list(self.at_samples.values()), self.seeds)

    def tokens_word(self) -> str:
        """That at equal training tokens; empty if some run has no measurement there."""
        return self._word(self.at_tokens)

    def text_word(self) -> str:
        """That at equal text length; empty if some order has no pair of lengths."""
        word = self._word(self.at_text)
        return "inconclusive" if word and self.unmet() else word

    def _word(self, comparisons: Mapping[str, Comparison]) -> str:
        return decide(list(comparisons.values()), self.seeds) if len(comparisons) == len(self.others) else ""

    def row(self, name: str, order: str) -> dict[str, Any]:
        """The row of an order in the table of the finding."""
        d = self.data[order]
        before = [run.correct[0].mean() for run in d.runs if run.tokens[0] == 0]
        pairs = ", ".join(f"{n} with {m}" for n, m in self.pairs.get(order, ()))
        return {
            "view": name,
            "order": order,
            "longer": self.longer[order].text(sign=False),
            "forward less this": _text(self.at_samples.get(order)),
            "at equal training tokens": _text(self.at_tokens.get(order)),
            "at equal text length": _text(self.at_text.get(order)),
            "lengths of equal text": pairs or None,
            "training problems": float(d.training_accuracy.mean()),
            "fits": "yes" if d.training_accuracy.mean() >= FITTED else "no",
            "trained lengths": float(d.correct[:, ~d.longer].mean()),
            "trained lengths, before SFT": float(np.mean(before)) if before else None,
            "training tokens": float(d.training_tokens.mean()),
        }


def _text(comparison: Comparison | None) -> str | None:
    return comparison.text() if comparison else None


def f4(
    measured: Mapping[tuple[str, str], OrderMeasurements],
    precision: Precision | None = None,
    modulus: int = 23,
    planned: int = 0,
    view: str = "familiar",
) -> Finding:
    """The finding. Answers are residues of `modulus`; `planned` is the number of seeds of the experiment, complete or
    not; `view` decides the verdict."""
    precision = precision or Precision()
    names = sorted({name for name, _ in measured}, key=lambda name: name != view)
    floor = FLOOR / modulus
    common = common_rule(precision.findings)
    rule = RULE.format(common=common, fitted=FITTED, floor=floor, tolerance=TOLERANCE, view=view)
    orders = [order for name, order in measured if name == view]
    if UNIDIRECTIONAL not in orders or len(orders) < 2:
        reason = "No seed is complete in the forward order and another one: nothing to compare."
        return undecided("F4", CLAIM, rule, reason)
    views = {name: View({order: measured[name, order] for order in orders}, floor, precision) for name in names}
    return Finding(
        id="F4",
        claim=CLAIM,
        rule=rule,
        verdict=views[view].verdict(),
        summary=_summary(views, planned),
        rows=[shown.row(name, order) for name, shown in views.items() for order in orders],
    )


def _summary(views: Mapping[str, View], planned: int) -> str:
    (name, first), *further = views.items()
    longer = [n for n in first.forward.lengths if n > max(first.forward.trained)]
    seeds = f"{first.seeds} of {planned} seeds are complete" if first.seeds < planned else f"{first.seeds} seeds"
    parts = [f"{c.text()} more than {order}" for order, c in first.at_samples.items()]
    summary = (
        f"On problems of {_range(longer)} operations (view {name}) forward has accuracy "
        f"{first.longer[UNIDIRECTIONAL].text(sign=False)}: {', '.join(parts)}; {seeds}."
    )
    if unmet := first.unmet():
        summary += f" No verdict, because {'; and '.join(unmet)}."
    summary += unresolved(first.at_samples)
    summary += f" At equal training tokens, on trained lengths: {first.tokens_word() or 'not measured'}."
    text = first.text_word()
    summary += f" At equal text length{', which favours the other orders' if text else ''}: "
    summary += f"{text or 'no lengths to compare'}."
    for other, view in further:
        why = f" ({'; and '.join(view.unmet())})" if view.unmet() else ""
        summary += f" In the view {other}: {view.verdict()}{why}."
    return summary


def _range(lengths: Sequence[int]) -> str:
    return f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
