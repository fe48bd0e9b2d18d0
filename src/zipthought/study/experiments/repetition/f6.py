"""F6, a finding of our own: what does repetition lack, new names or new structures?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....core.methods import parse_method
from ....report.data import Finding
from ...statistics import bootstrap_means
from ...verdicts import Comparison, common_rule, decide, undecided, unresolved
from .findings import FormatMeasurements

CLAIM = "At equal updates, the same structures under new names teach compressed formats more than the same prompts."
RULE = (
    "Three arms have as many updates as the most epochs: the same prompts again (repeat), their structures with other "
    "names, unused quantities and order of the sentences at every pass (redress), and structures that are all new "
    "(fresh). For each composed and implicit format, the held-out accuracy of redress minus that of repeat is compared "
    "with 0. {common} The table also has fresh minus redress: what new structures add to new names."
)


def f6(measured: Mapping[str, FormatMeasurements], findings: int = 1, draws: int = 1000) -> Finding:
    """The finding. `findings` is the number of findings of the study."""
    rule = RULE.format(common=common_rule(findings))
    coarse = [fmt for fmt in measured if parse_method(fmt).NAME in ("composed", "implicit")]
    if not coarse or any("redress" not in data.arms for data in measured.values()):
        return undecided("F6", CLAIM, rule, "No seed is complete in the arms repeat and redress: nothing to compare.")
    seeds = next(iter(measured.values())).seeds
    compared: dict[str, Comparison] = {}
    rows: list[dict[str, Any]] = []
    for fmt, data in measured.items():
        arms = {"repeat": data.test, **data.arms}
        means = {arm: bootstrap_means(solved[:, -1], draws) for arm, solved in arms.items()}
        accuracy = {arm: float(solved[:, -1].mean()) for arm, solved in arms.items()}

        def less(one: str, other: str, means: Mapping[str, np.ndarray], of: Mapping[str, float]) -> Comparison:
            return Comparison.of(of[one] - of[other], means[one] - means[other], seeds, findings, len(coarse))

        gained = less("redress", "repeat", means, accuracy)
        if fmt in coarse:
            compared[fmt] = gained
        row: dict[str, Any] = {
            "format": fmt,
            "epochs": data.epochs[-1],
            **accuracy,
            "redress less repeat": gained.text(),
        }
        if "fresh" in arms:
            row["fresh less redress"] = less("fresh", "redress", means, accuracy).text()
        rows.append(row)
    parts = [f"{fmt} {comparison.text()}" for fmt, comparison in compared.items()]
    epochs = next(iter(measured.values())).epochs[-1]
    summary = f"After the updates of {epochs} epochs, redressed minus repeated: {'; '.join(parts)}; {seeds} seeds."
    return Finding(
        id="F6",
        claim=CLAIM,
        rule=rule,
        verdict=decide(list(compared.values()), seeds),
        summary=summary + unresolved(compared),
        rows=rows,
    )
