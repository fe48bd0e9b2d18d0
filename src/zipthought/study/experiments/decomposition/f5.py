"""F5: does RLVR with a price on tokens compress again what RLVR without it decomposed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....report.data import Finding
from ...cells import PRICED, RLVR_PRICED, SFT_STATE
from ...statistics import bootstrap_means
from ...verdicts import Comparison, common_rule, decide, undecided, unresolved
from . import NAMES
from .f3 import MEASURE, difference
from .measurements import DecompositionMeasurements

CLAIM = (
    "RLVR with a price on tokens compresses again what RLVR without the price decomposed, and keeps the accuracy "
    "within 0.05."
)
MARGIN = 0.05
"""The accuracy that a compression may cost."""
RULE = (
    "{measure} A second RLVR, with a price on tokens, starts from the model that RLVR without a price left. Two values "
    "are compared with 0: the share of operations that the first RLVR shows singly, with right or wrong arithmetic, "
    "minus that of the second; and the accuracy after the second RLVR minus that after the first, plus {margin:g}. "
    "{common} The verdict is inconclusive if the first RLVR decomposed nothing: if the interval of its coverage minus "
    "that after SFT does not lie above 0. RLVR with the price from the model after SFT is reported and does not "
    "decide. The verdict is that of the first format and the first length of SFT that the study names."
)
_COMPARED = 2


def f5(measured: Sequence[DecompositionMeasurements], findings: int = 1, draws: int = 1000) -> Finding:
    """The finding. `findings` is the number of findings of the study."""
    rule = RULE.format(measure=MEASURE, common=common_rule(findings), margin=MARGIN)
    whole = [data for data in measured if {PRICED, RLVR_PRICED} <= data.coverage.keys()]
    if not whole:
        return undecided("F5", CLAIM, rule, "No seed is complete: nothing to compare.")
    rows: list[dict[str, Any]] = []
    verdicts: list[str] = []
    summaries: list[str] = []
    for data in whole:
        each = {state: _compared(data, state, findings, draws) for state in (PRICED, RLVR_PRICED)}
        decomposed = _decomposed(data, findings, draws)
        decided = decide(list(each[RLVR_PRICED].values()), data.seeds)
        verdicts.append(decided if decomposed else "inconclusive")
        rows += [_row(data, state, compared) for state, compared in each.items()]
        summaries.append(_summary(data, each[RLVR_PRICED], decomposed))
    summary = summaries[0]
    for data, verdict in list(zip(whole, verdicts, strict=True))[1:]:
        summary += f" With {data.format} and {data.sft_steps} updates: {verdict}."
    return Finding(id="F5", claim=CLAIM, rule=rule, verdict=verdicts[0], summary=summary, rows=rows)


def _compared(data: DecompositionMeasurements, state: str, findings: int, draws: int) -> dict[str, Comparison]:
    """What decides, of a state with a price: name -> comparison with 0."""
    shown = data.of("attempted", "rlvr") - data.of("attempted", state)
    accuracy = data.of("correct", state) - data.of("correct", "rlvr") + MARGIN
    return {
        name: Comparison.of(values.mean(), bootstrap_means(values, draws), data.seeds, findings, _COMPARED)
        for name, values in (("operations shown singly", shown), ("accuracy", accuracy))
    }


def _decomposed(data: DecompositionMeasurements, findings: int, draws: int) -> bool:
    """Whether RLVR without a price decomposed anything."""
    return decide([difference(data, "coverage", SFT_STATE, findings, 1, draws)], data.seeds) == "supported"


def _row(data: DecompositionMeasurements, state: str, each: Mapping[str, Comparison]) -> dict[str, Any]:
    return {
        "format": data.format,
        "SFT updates": data.sft_steps,
        "model": NAMES[state],
        "shown singly, right or wrong": data.mean("attempted", state),
        "of RLVR": data.mean("attempted", "rlvr"),
        "RLVR less this": each["operations shown singly"].text(3),
        "response tokens": data.shown[state]["response tokens"],
        "tokens of RLVR": data.shown["rlvr"]["response tokens"],
        "accuracy": data.mean("correct", state),
        "accuracy of RLVR": data.mean("correct", "rlvr"),
        f"accuracy gained plus {MARGIN:g}": each["accuracy"].text(3),
    }


def _summary(data: DecompositionMeasurements, each: Mapping[str, Comparison], decomposed: bool) -> str:
    tokens = [data.shown[state]["response tokens"] for state in ("rlvr", RLVR_PRICED)]
    summary = (
        f"{data.format} after {data.sft_steps} updates of SFT: {data.mean('attempted', 'rlvr'):.2f} of the operations "
        f"are shown singly after RLVR, {data.mean('attempted', RLVR_PRICED):.2f} after a second RLVR with the price, "
        f"less by {each['operations shown singly'].text()}; response tokens {tokens[0]:.1f} and {tokens[1]:.1f}; "
        f"accuracy {data.mean('correct', 'rlvr'):.2f} and {data.mean('correct', RLVR_PRICED):.2f}, the gain plus "
        f"{MARGIN:g} is {each['accuracy'].text()}; {data.seeds} seeds."
    )
    if not decomposed:
        summary += " RLVR without a price decomposed nothing, so nothing was to be compressed again."
    return summary + unresolved(each)
