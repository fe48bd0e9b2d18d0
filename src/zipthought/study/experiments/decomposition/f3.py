"""F3: decomposition by RLVR (paper, finding 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....report.data import Finding
from ...cells import BRANCHES, SFT_STATE
from ...statistics import bootstrap_ratio
from ...verdicts import Comparison, common_rule, decide, undecided, unresolved
from . import STATES
from .measurements import DecompositionMeasurements

CLAIM = "RLVR after SFT decomposes compressed steps into single operations; more SFT does not."
RULE = (
    "The excess is the share of valid single-operation steps among the steps of greedy completions that work out "
    "operations of the problem, with correct or wrong arithmetic, on held-out problems of the trained lengths. "
    "Sentences that restate the problem are no steps. Both counts exclude "
    "the single-operation steps of the format's own trace, the short last group of a chain: the excess is 0 for the "
    "format as trained and 1 for an explicit trace. The excess after RLVR, minus that of three other models, is "
    "compared with 0: the model after SFT that RLVR started from, that model after as many further updates of SFT, and "
    "after as many further tokens of SFT (about equal compute). {common} The verdict is that of the first format and "
    "the first length of SFT that the study names; the summary also gives the others."
)
NAMES = {SFT_STATE: "after SFT", "rlvr": "RLVR", "sft-updates": "SFT, same updates", "sft-tokens": "SFT, same tokens"}
"""State of a model -> its name in the report."""


def f3(measured: Sequence[DecompositionMeasurements], findings: int = 1, draws: int = 1000) -> Finding:
    """The finding. `findings` is the number of findings of the study."""
    rule = RULE.format(common=common_rule(findings))
    if not measured:
        return undecided("F3", CLAIM, rule, "No seed is complete: nothing to compare.")
    rows: list[dict[str, Any]] = []
    comparisons: list[dict[str, Comparison]] = []
    for data in measured:
        shares = {state: bootstrap_ratio(data.excess[state][:, data.trained], draws) for state in data.excess}
        differences = {
            state: Comparison.of(
                data.share("rlvr") - data.share(state),
                shares["rlvr"] - shares[state],
                data.seeds,
                findings,
                len(BRANCHES),
            )
            for state in STATES
            if state != "rlvr"
        }
        comparisons.append(differences)
        rows += [_row(data, state, shares[state], differences) for state in STATES]
    verdicts = [
        decide(list(differences.values()), data.seeds) for data, differences in zip(measured, comparisons, strict=True)
    ]
    summary = _summary(measured, comparisons[0], verdicts)
    return Finding(id="F3", claim=CLAIM, rule=rule, verdict=verdicts[0], summary=summary, rows=rows)


def _row(
    data: DecompositionMeasurements, state: str, shares: np.ndarray, differences: Mapping[str, Comparison]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "format": data.format,
        "SFT updates": data.sft_steps,
        "model": NAMES[state],
        "excess": Comparison.of(data.share(state), shares, data.seeds).text(3, sign=False),
        "accuracy": float(data.correct[state][:, data.trained].mean()),
    }
    if not data.trained.all():
        row["accuracy, longer"] = float(data.correct[state][:, ~data.trained].mean())
    row |= data.shown[state]
    return row | ({"RLVR less this": differences[state].text(3)} if state in differences else {})


def _summary(
    measured: Sequence[DecompositionMeasurements], decisive: Mapping[str, Comparison], verdicts: Sequence[str]
) -> str:
    first = measured[0]
    against = ", ".join(f"{c.text()} against {NAMES[state]}" for state, c in decisive.items())
    summary = (
        f"{first.format} after {first.sft_steps} updates of SFT: excess single-operation share "
        f"{first.share(SFT_STATE):.2f} before and {first.share('rlvr'):.2f} after RLVR; {against}; {first.seeds} seeds."
    ) + unresolved({NAMES[state]: comparison for state, comparison in decisive.items()})
    for data, verdict in list(zip(measured, verdicts, strict=True))[1:]:
        summary += f" With {data.format} and {data.sft_steps} updates: {verdict}."
    return summary
