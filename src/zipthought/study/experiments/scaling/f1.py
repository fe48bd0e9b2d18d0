"""F1: the data that each format needs, by granularity (paper, finding 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ....report.data import Finding
from ...statistics import Threshold
from ...verdicts import FITTED, Comparison, common_rule, decide, undecided, unresolved
from .measurements import X_NAMES, ScalingMeasurements, comparable

CLAIM = "Coarser chains of thought need more SFT data."
RULE = (
    "N* is the number of distinct training examples at which the fitted curve of held-out accuracy reaches "
    "{threshold}. If the crossing lies outside the measured range, N* is the end of the range and the ratio is a "
    "bound, whose interval is open on the unknown side. For each format with granularity above 1, the ratio of its N* "
    "to that of explicit is compared with 1. {common} The verdict is that at equal examples, from the first base. The "
    "same rule also gives verdicts at equal tokens of the distinct training examples, and at equal training compute, "
    "the FLOPs along the runs with the most examples. The summary names formats that do not fit their own training "
    "problems at the largest N (accuracy below 0.9): they may lack updates."
)
NOTHING = "No seed has every explicit and coarser cell at two data sizes or more: nothing to compare."


def f1(measured: Sequence[ScalingMeasurements], findings: int = 1) -> Finding:
    """The finding. `findings` is the number of findings of the study."""
    threshold = measured[0].thresholds[0] if measured else 0.5
    rule = RULE.format(threshold=threshold, common=common_rule(findings, 1))
    if not comparable(measured):
        return undecided("F1", CLAIM, rule, NOTHING)
    rows: list[dict[str, Any]] = []
    ratios: dict[tuple[str, str], dict[str, Comparison]] = {}
    for data in measured:
        for accuracy in data.thresholds:
            for x in X_NAMES:
                if "explicit" not in data.at_equal(x)[0]:
                    continue
                compared, shown = _compare(data, x, accuracy, findings)
                rows += shown
                if accuracy == threshold:
                    ratios[data.model, x] = compared
    seeds = {data.model: data.seeds for data in measured}
    verdicts = {key: decide(list(compared.values()), seeds[key[0]], 1.0) for key, compared in ratios.items()}
    return Finding(
        id="F1",
        claim=CLAIM,
        rule=rule,
        verdict=verdicts[measured[0].model, "examples"],
        summary=_summary(measured, threshold, ratios, verdicts, rows),
        rows=rows,
    )


def _compare(
    data: ScalingMeasurements, x: str, accuracy: float, findings: int
) -> tuple[dict[str, Comparison], list[dict[str, Any]]]:
    """Format -> the ratio of its N* to that of explicit, and the rows of the table."""
    fits, scale = data.at_equal(x)
    points = {fmt: fit.threshold(accuracy) for fmt, fit in fits.items()}
    draws = {fmt: fit.threshold_draws(accuracy) * scale[fmt] for fmt, fit in fits.items()}
    explicit = points["explicit"]
    ratios, rows = {}, []
    formats = data.coarse(x)
    for fmt in formats:
        ratio = points[fmt].value * scale[fmt] / (explicit.value * scale["explicit"])
        against = draws[fmt] / draws["explicit"]
        compared = Comparison.of(ratio, against, data.seeds, findings, len(formats), ratio=True)
        ratios[fmt] = _bounded(compared, points[fmt], explicit)
        rows.append(
            {
                "base": data.model,
                "at equal": X_NAMES[x],
                "accuracy": f"{accuracy:g}",
                "format": fmt,
                "needs": _amount(points[fmt], scale[fmt]),
                "explicit needs": _amount(explicit, scale["explicit"]),
                "ratio": _ratio(points[fmt], explicit, ratio),
                "interval": _range(ratios[fmt]),
            }
        )
    return ratios, rows


def _summary(
    measured: Sequence[ScalingMeasurements],
    threshold: float,
    ratios: dict[tuple[str, str], dict[str, Comparison]],
    verdicts: dict[tuple[str, str], str],
    rows: Sequence[dict[str, Any]],
) -> str:
    first = measured[0]
    decisive = ratios[first.model, "examples"]
    shown = {row["format"]: row["ratio"] for row in reversed(rows[: len(decisive)])}
    parts = [f"{fmt} {shown[fmt]} times ({_range(c)})" for fmt, c in decisive.items()]
    summary = f"Examples to reach {threshold}, against explicit: {'; '.join(parts)}; {first.seeds} seeds."
    summary += unresolved(decisive, 1.0)
    others = [
        f"equal {X_NAMES[x]}: {verdicts[first.model, x]}" for x in ("tokens", "flops") if (first.model, x) in verdicts
    ]
    summary += f" At {', at '.join(others)}."
    for data in measured[1:]:
        summary += f" From {data.model}: {verdicts.get((data.model, 'examples'), 'inconclusive')}."
    unfit = {fmt: acc for fmt, acc in first.training_accuracy.items() if fmt in decisive and acc < FITTED}
    if unfit:
        named = ", ".join(f"{fmt} ({acc:.2f})" for fmt, acc in unfit.items())
        summary += (
            f" Caution: at the largest N {named} did not fit their own training problems with the updates of this "
            "grid. The effect may come from too few updates rather than too little data."
        )
    return summary


def _bounded(compared: Comparison, mine: Threshold, base: Threshold) -> Comparison:
    """The comparison, with an open interval where a censored N* makes the ratio a bound: a lower bound has no upper
    end, and an upper bound no lower end."""
    at_least = mine.censored == "above" or base.censored == "below"
    at_most = mine.censored == "below" or base.censored == "above"
    return Comparison(
        compared.value,
        0.0 if at_most else compared.low,
        math.inf if at_least else compared.high,
        math.inf if at_least else compared.wide_high,
    )


def _ratio(mine: Threshold, base: Threshold, value: float) -> str:
    """The ratio of two N*, marked if it is a bound; a dash if both lie beyond the same end."""
    if mine.censored and mine.censored == base.censored:
        return "-"
    sign = "> " if mine.censored == "above" or base.censored == "below" else ""
    sign = "< " if mine.censored == "below" or base.censored == "above" else sign
    return f"{sign}{value:.2f}"


def _range(compared: Comparison) -> str:
    """The interval of a ratio, whose ends may be unknown."""
    if math.isinf(compared.high):
        return f"{compared.low:.2f} or more" if compared.low else "unknown"
    return f"{compared.low:.2f} to {compared.high:.2f}" if compared.low else f"{compared.high:.2f} or less"


def _amount(threshold: Threshold, scale: float) -> str:
    """N*, marked if it is a bound."""
    sign = {"above": "> ", "below": "< ", "": ""}[threshold.censored]
    value = threshold.value * scale
    return "-" if not math.isfinite(value) else f"{sign}{value:.0f}" if value < 1e7 else f"{sign}{value:.2e}"
