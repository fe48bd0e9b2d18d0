"""F2a: what more data bring each format (paper, finding 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....report.data import Finding
from ...verdicts import FITTED, Comparison, common_rule, decide, undecided, unresolved
from .f1 import NOTHING, unfitted
from .measurements import ScalingMeasurements, comparable

SATURATED = 0.9
"""Held-out accuracy of explicit from which the claim's range begins."""
CLAIM = "Composed and implicit chains of thought gain more from more SFT data than explicit ones."
RULE = (
    "The gain is the rise of mean held-out accuracy per doubling of the distinct training prompts, between two "
    "measured sizes. The claim is about the range in which explicit is saturated (the paper's 3,000 to 120,000 "
    "examples): from the smallest measured N at which the mean accuracy of explicit is at least {saturated} to the "
    "largest N. For each composed and implicit format, its gain minus that of explicit is compared with 0. {common} A "
    "format that does not fit its own training problems (accuracy below {fitted} at every point of its runs) at both "
    "ends of the range counts for "
    "neither: it may lack updates. Without a range, or where every format is left out: inconclusive; where some are, "
    "the claim cannot be supported. Doubling the examples doubles their tokens, so the verdict at equal tokens is the "
    "same. The table also has the gains over the whole measured range, where explicit climbs too."
)


def f2a(measured: Sequence[ScalingMeasurements], findings: int = 1) -> Finding:
    """The finding. `findings` is the number of findings of the study."""
    rule = RULE.format(common=common_rule(findings), saturated=SATURATED, fitted=FITTED)
    if not comparable(measured):
        return undecided("F2a", CLAIM, rule, NOTHING)
    decisions = [_decision(data, findings) for data in measured]
    rows = [row for data in measured for row in _rows(data, findings)]
    verdict, summary = decisions[0]
    for data, (other, _) in list(zip(measured, decisions, strict=True))[1:]:
        summary += f" From {data.model}: {other}."
    return Finding(id="F2a", claim=CLAIM, rule=rule, verdict=verdict, summary=summary, rows=rows)


def saturated_from(data: ScalingMeasurements) -> int | None:
    """The index of the smallest N from which explicit is saturated; None if that is no N or the largest."""
    explicit = data.fits["explicit"]
    reached = [i for i, accuracy in enumerate(explicit.accuracy) if accuracy >= SATURATED]
    return reached[0] if reached and reached[0] < len(explicit.examples) - 1 else None


def _decision(data: ScalingMeasurements, findings: int) -> tuple[str, str]:
    """The verdict from one base, and its summary."""
    low = saturated_from(data)
    best = max(data.fits["explicit"].accuracy)
    if low is None:
        return "inconclusive", (
            f"Explicit reaches an accuracy of {SATURATED} at no measured N below the largest (at most {best:.2f}): the "
            "study has no range for this claim."
        )
    sizes = data.fits["explicit"].examples
    formats = data.coarse()
    gains = _gains(data, findings, low)
    left_out = [fmt for fmt in formats if not (data.fitted(fmt, sizes[low]) and data.fitted(fmt, sizes[-1]))]
    compared = {fmt: gain for fmt, gain in gains.items() if fmt not in left_out}
    verdict = decide(list(compared.values()), data.seeds)
    if left_out and verdict == "supported":
        verdict = "inconclusive"
    parts = [f"{fmt} {c.text(3)}" for fmt, c in gains.items()]
    summary = (
        f"Gain in accuracy per doubling of the examples from {sizes[low]:g} to {sizes[-1]:g}, minus that of explicit "
        f"({data.fits['explicit'].gain(low):+.3f}): {'; '.join(parts)}; {data.seeds} seeds."
    )
    if left_out:
        summary += f" Left out of the verdict: {', '.join(left_out)}."
    return verdict, summary + unresolved(compared) + unfitted(data, formats)


def _gains(data: ScalingMeasurements, findings: int, low: int) -> dict[str, Comparison]:
    """Format -> its gain minus that of explicit, from the size of index `low` to the largest."""
    explicit = data.fits["explicit"]
    return {
        fmt: Comparison.of(
            data.fits[fmt].gain(low) - explicit.gain(low),
            data.fits[fmt].gain_draws(low) - explicit.gain_draws(low),
            data.seeds,
            findings,
            len(data.coarse()),
        )
        for fmt in data.coarse()
    }


def _rows(data: ScalingMeasurements, findings: int) -> list[dict[str, Any]]:
    """A row for each format and range: where explicit is saturated, and all that was measured."""
    low = saturated_from(data)
    rows = []
    for name, start in (("saturated", low), ("whole", 0)):
        if start is None:
            continue
        gains = _gains(data, findings, start)
        for fmt, fit in data.fits.items():
            sizes = fit.examples
            rows.append(
                {
                    "base": data.model,
                    "range": name,
                    "examples": f"{sizes[start]:g} to {sizes[-1]:g}",
                    "format": fmt,
                    "gain": Comparison.of(fit.gain(start), fit.gain_draws(start), data.seeds).text(3),
                    "less explicit's": gains[fmt].text(3) if fmt in gains else "-",
                    "training accuracy": data.training.get(fmt, {}).get(sizes[-1]),
                }
            )
    return rows
