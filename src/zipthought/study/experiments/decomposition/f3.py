"""F3: decomposition by RLVR (paper, finding 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....report.data import Finding
from ...statistics import bootstrap_means
from ...verdicts import Comparison, common_rule, decide, undecided, unresolved
from . import COMPARED, NAMES
from .measurements import DecompositionMeasurements

CLAIM = "RLVR after SFT decomposes compressed steps into single operations; more SFT does not."
MEASURE = (
    "The single_op_coverage of a greedy completion is the share of the problem's operations that valid steps work out "
    "one at a time; it is 0 without steps and 1 for an explicit trace. It is measured on held-out problems of the "
    "trained lengths."
)
SHOWN_SINGLY = 0.9
"""From this share of the operations on, a state shows nearly everything singly: nothing is left to decompose."""
GATE = (
    "The verdict is inconclusive if less than {learnt:g} of the completions after SFT are faithful (the format was not "
    f"learnt), and if the base or the model after SFT already shows {SHOWN_SINGLY:g} of the operations singly, right "
    "or wrong (nothing is left to decompose)."
)
RULE = (
    "{measure} The coverage after RLVR, minus that of three other models, is compared with 0: the model after SFT that "
    "RLVR started from, that model after as many further updates of SFT, and after as many further tokens of SFT "
    "(about equal compute). {common} {gate} The verdict is that of the first format and the first length of SFT that "
    "the study names; the summary also gives the others. Comparisons with the base, with RLVR from the base and with "
    "rejection sampling are reported and do not decide."
)


def f3(
    measured: Sequence[DecompositionMeasurements], learnt: float = 0.8, findings: int = 1, draws: int = 1000
) -> Finding:
    """The finding. `learnt` is the setting; `findings` is the number of findings of the study."""
    rule = RULE.format(measure=MEASURE, common=common_rule(findings), gate=GATE.format(learnt=learnt))
    if not measured:
        return undecided("F3", CLAIM, rule, "No seed is complete: nothing to compare.")
    rows: list[dict[str, Any]] = []
    verdicts: list[str] = []
    differences: list[dict[str, Comparison]] = []
    for data in measured:
        others = [state for state in NAMES if state in data.coverage and state != "rlvr"]
        each = {state: difference(data, "coverage", state, findings, len(COMPARED), draws) for state in others}
        rows += [_row(data, state, each, draws) for state in NAMES if state in data.coverage]
        decided = decide([each[state] for state in COMPARED], data.seeds)
        verdicts.append("inconclusive" if gate(data, learnt) else decided)
        differences.append(each)
    summary = _summary(measured, differences[0], verdicts, learnt)
    return Finding(id="F3", claim=CLAIM, rule=rule, verdict=verdicts[0], summary=summary, rows=rows)


def difference(
    data: DecompositionMeasurements, measure: str, state: str, findings: int, comparisons: int, draws: int
) -> Comparison:
    """A measure after RLVR minus that of another state, paired by seed and problem."""
    values = data.of(measure, "rlvr") - data.of(measure, state)
    return Comparison.of(values.mean(), bootstrap_means(values, draws), data.seeds, findings, comparisons)


def gate(data: DecompositionMeasurements, learnt: float) -> str:
    """Why the data cannot show a decomposition, as a sentence; empty if they can."""
    faithful = data.mean("faithful", "sft")
    if faithful < learnt:
        return f"The format was not learnt: {faithful:.2f} of the completions after SFT are faithful, below {learnt:g}."
    for state in ("sft", "base"):
        if state in data.attempted and (shown := data.mean("attempted", state)) >= SHOWN_SINGLY:
            model = "base" if state == "base" else "model after SFT"
            return f"Nothing is left to decompose: the {model} already shows {shown:.2f} of the operations singly."
    return ""


def _row(
    data: DecompositionMeasurements, state: str, differences: Mapping[str, Comparison], draws: int
) -> dict[str, Any]:
    values = data.of("coverage", state)
    coverage = Comparison.of(values.mean(), bootstrap_means(values, draws), data.seeds)
    row: dict[str, Any] = {
        "format": data.format,
        "SFT updates": data.sft_steps,
        "model": NAMES[state],
        "single_op_coverage": coverage.text(3, sign=False),
        "format's own": data.own,
        "right or wrong": data.mean("attempted", state),
        "accuracy": data.mean("correct", state),
    }
    if not data.trained.all():
        row["accuracy, longer"] = float(data.correct[state][:, ~data.trained].mean())
    row |= data.shown[state]
    return row | ({"RLVR less this": differences[state].text(3)} if state in differences else {})


def _summary(
    measured: Sequence[DecompositionMeasurements],
    differences: Mapping[str, Comparison],
    verdicts: Sequence[str],
    learnt: float,
) -> str:
    first = measured[0]

    def against(states: Sequence[str]) -> str:
        return ", ".join(f"{differences[state].text()} against {NAMES[state]}" for state in states)

    summary = (
        f"{first.format} after {first.sft_steps} updates of SFT: single_op_coverage "
        f"{first.mean('coverage', 'sft'):.2f} before and {first.mean('coverage', 'rlvr'):.2f} after RLVR (format's own "
        f"{first.own:.2f}); "
        f"{against(COMPARED)}; {first.seeds} seeds."
    )
    if further := [state for state in differences if state not in COMPARED]:
        summary += f" Not part of the verdict: {against(further)}."
    if reason := gate(first, learnt):
        summary += f" {reason}"
    summary += unresolved({NAMES[state]: differences[state] for state in COMPARED})
    for data, verdict in list(zip(measured, verdicts, strict=True))[1:]:
        summary += f" With {data.format} and {data.sft_steps} updates: {verdict}."
    return summary
