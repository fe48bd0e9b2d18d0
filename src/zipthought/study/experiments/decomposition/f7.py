"""F7: does RLVR decompose a learnt format, or does it only return to what the base did?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....report.data import Finding
from ...cells import BASE_STATE, SFT_STATE
from ...verdicts import Comparison, common_rule, decide, undecided, unresolved
from . import NAMES
from .f3 import GATE, MEASURE, difference, gate
from .measurements import DecompositionMeasurements

CLAIM = "RLVR decomposes a learnt format beyond what the base itself does; it does not only return to the base's habit."
COMPARISONS = (
    ("coverage", SFT_STATE),
    ("coverage", BASE_STATE),
    ("attempted", BASE_STATE),
    ("correct", BASE_STATE),
)
"""(measure, state that RLVR is compared with)"""
MEASURES = {"coverage": "single_op_coverage", "attempted": "shown singly, right or wrong", "correct": "accuracy"}
"""Measure -> its name in the report."""
MARGIN = 0.1
"""RLVR counts as returned to the base's habit if its coverage is surely less than this much above the base's."""
RULE = (
    "{measure} Four differences are compared with 0: the coverage after RLVR minus that after SFT and minus that of "
    "the base before any SFT; the share of operations that RLVR shows singly, with right or wrong arithmetic, minus "
    "that of the base, because better arithmetic alone raises the coverage; and the accuracy after RLVR minus that of "
    "the base. {common} {gate} The summary answers decomposition if the finding is supported, and reversion if the "
    "format was learnt, the interval of RLVR minus SFT lies above 0 and that of RLVR minus base below {margin:g}, both "
    "in coverage. The verdict is that of the first format and the first length of SFT that the study names."
)


def f7(
    measured: Sequence[DecompositionMeasurements], learnt: float = 0.8, findings: int = 1, draws: int = 1000
) -> Finding:
    """The finding. `learnt` is the setting; `findings` is the number of findings of the study."""
    rule = RULE.format(measure=MEASURE, common=common_rule(findings), gate=GATE.format(learnt=learnt), margin=MARGIN)
    if not measured:
        return undecided("F7", CLAIM, rule, "No seed is complete: nothing to compare.")
    if any(BASE_STATE not in data.coverage for data in measured):
        return undecided("F7", CLAIM, rule, "No base row: the base was not measured, so nothing can be compared to it.")
    rows: list[dict[str, Any]] = []
    verdicts: list[str] = []
    compared: list[dict[tuple[str, str], Comparison]] = []
    for data in measured:
        each = {(m, s): difference(data, m, s, findings, len(COMPARISONS), draws) for m, s in COMPARISONS}
        decided = decide(list(each.values()), data.seeds)
        verdicts.append("inconclusive" if gate(data, learnt) else decided)
        rows += [_row(data, measure, state, comparison) for (measure, state), comparison in each.items()]
        compared.append(each)
    summary = _summary(measured, compared, verdicts, learnt)
    return Finding(id="F7", claim=CLAIM, rule=rule, verdict=verdicts[0], summary=summary, rows=rows)


def answer(
    data: DecompositionMeasurements, verdict: str, differences: Mapping[tuple[str, str], Comparison], learnt: float
) -> str:
    """`decomposition`, `reversion` or `open`."""
    if verdict == "supported":
        return "decomposition"
    rise, beyond = differences["coverage", SFT_STATE], differences["coverage", BASE_STATE]
    returned = decide([rise], data.seeds) == "supported" and beyond.high < MARGIN
    return "reversion" if returned and data.mean("faithful", SFT_STATE) >= learnt else "open"


def _row(data: DecompositionMeasurements, measure: str, state: str, comparison: Comparison) -> dict[str, Any]:
    return {
        "format": data.format,
        "SFT updates": data.sft_steps,
        "measure": MEASURES[measure],
        "compared with": NAMES[state],
        "its value": data.mean(measure, state),
        "RLVR": data.mean(measure, "rlvr"),
        "RLVR less this": comparison.text(3),
    }


def _summary(
    measured: Sequence[DecompositionMeasurements],
    compared: Sequence[Mapping[tuple[str, str], Comparison]],
    verdicts: Sequence[str],
    learnt: float,
) -> str:
    first = measured[0]
    named = {f"{NAMES[state]} in {MEASURES[m]}": comparison for (m, state), comparison in compared[0].items()}
    answers = [answer(d, v, each, learnt) for d, v, each in zip(measured, verdicts, compared, strict=True)]
    summary = (
        f"Decomposition or reversion: {answers[0]}. {first.format} after {first.sft_steps} updates of SFT: RLVR "
        f"differs by {', '.join(f'{c.text()} from {name}' for name, c in named.items())}; {first.seeds} seeds."
    )
    if reason := gate(first, learnt):
        summary += f" {reason}"
    summary += unresolved(named)
    for data, verdict, each in list(zip(measured, verdicts, answers, strict=True))[1:]:
        summary += f" With {data.format} and {data.sft_steps} updates: {verdict} ({each})."
    return summary
