"""The findings: claims written down before the run, and the rule by which the data decide each.

A finding is a function from what a study measured to a `Finding`. The verdict is computed; nothing here can be set by
hand. Adding one is a function and its line in `FINDINGS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.formats import parse_format
from .statistics import Fit, Threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What findings are computed from."""

    fits: dict[str, Fit]
    """Format -> the fitted curve of held-out accuracy and its bootstrap draws."""
    tokens_per_example: dict[str, float]
    """Format -> mean training tokens of one example, prompt included."""
    seeds: int
    """How many seeds are behind the fits."""
    training_accuracy: dict[str, float]
    """Format -> mean accuracy on its own training problems at the largest data size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim, its rule and what the data say."""

    id: str
    claim: str
    rule: str
    verdict: str
    """`supported`, `contradicted` or `inconclusive`."""
    summary: str
    """One sentence with the numbers."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """A table."""


F1_CLAIM = "Coarser chains of thought need more SFT data."
F1_THRESHOLD = 0.5
F1_SEEDS = 3
FITTED = 0.9
"""Training accuracy below which a format lacks updates, whatever it lacks of data."""
F1_RULE = (
    "N* is the number of distinct training examples at which the fitted curve of held-out accuracy reaches 0.5; where "
    "it does so outside the measured range, the end of the range stands in for it, which can only move a ratio towards "
    "1. For each format with granularity above 1, the ratio of its N* to that of explicit has an interval by bootstrap "
    "over seeds, then problems (both paired), at 95% after a Bonferroni correction for the number of formats. "
    "Supported: every interval lies above 1. Contradicted: at least one lies below 1. Inconclusive otherwise, and "
    "always with fewer than 3 seeds, which cannot tell the noise of training. The same ratio counted in distinct "
    "training tokens stands beside it; the verdict is that of examples, at equal samples and updates. Formats that do "
    "not fit their own training problems at the largest N (accuracy below 0.9) are named: updates may be short there."
)


def f1(measured: Measured) -> Finding:
    """Data needed, by granularity (paper, finding 1)."""
    fits = measured.fits
    coarse = [fmt for fmt in fits if parse_format(fmt).k > 1]
    if "explicit" not in fits or not coarse:
        return Finding(
            id="F1",
            claim=F1_CLAIM,
            rule=F1_RULE,
            verdict="inconclusive",
            summary="No seed has every explicit and coarser cell at two data sizes or more: nothing to compare.",
        )
    points = {fmt: fit.threshold(F1_THRESHOLD) for fmt, fit in fits.items()}
    stars = {fmt: fit.threshold_draws(F1_THRESHOLD) for fmt, fit in fits.items()}
    tail = 0.05 / len(coarse) / 2
    rows, lows, highs = [], [], []
    for fmt in coarse:
        ratio = stars[fmt] / stars["explicit"]
        low, high = (float(q) for q in np.quantile(ratio, [tail, 1 - tail]))
        tokens = measured.tokens_per_example[fmt] / measured.tokens_per_example["explicit"]
        lows.append(low)
        highs.append(high)
        rows.append(
            {
                "format": fmt,
                "N*": _bound(points[fmt].value, points[fmt].censored),
                "N* explicit": _bound(points["explicit"].value, points["explicit"].censored),
                "ratio": _ratio(points, fmt),
                "interval": f"{low:.2f} to {high:.2f}",
                "ratio in tokens": _ratio(points, fmt, tokens),
                "interval in tokens": f"{low * tokens:.2f} to {high * tokens:.2f}",
            }
        )
    if measured.seeds < F1_SEEDS:
        verdict = "inconclusive"
    elif all(low > 1 for low in lows):
        verdict = "supported"
    elif any(high < 1 for high in highs):
        verdict = "contradicted"
    else:
        verdict = "inconclusive"
    parts = [f"{row['format']} {row['ratio']} times ({row['interval']})" for row in rows]
    summary = f"Examples to reach {F1_THRESHOLD}, against explicit: {'; '.join(parts)}; {measured.seeds} seeds."
    short = {fmt: acc for fmt, acc in measured.training_accuracy.items() if fmt in coarse and acc < FITTED}
    if short:
        named = ", ".join(f"{fmt} ({acc:.2f})" for fmt, acc in short.items())
        summary += (
            f" Caution: at the largest N {named} did not fit their own training problems in the updates that all "
            "formats had, so that this does not tell data from updates."
        )
    return Finding(id="F1", claim=F1_CLAIM, rule=F1_RULE, verdict=verdict, summary=summary, rows=rows)


def _ratio(points: dict[str, Threshold], fmt: str, scale: float = 1.0) -> str:
    """The ratio of two N*, marked as a bound where one of them is; a dash where both lie beyond the same end."""
    mine, base = points[fmt], points["explicit"]
    if mine.censored and mine.censored == base.censored:
        return "-"
    sign = "> " if mine.censored == "above" or base.censored == "below" else ""
    sign = "< " if mine.censored == "below" or base.censored == "above" else sign
    return f"{sign}{scale * mine.value / base.value:.2f}"


def _bound(value: float, censored: str) -> str:
    sign = {"above": "> ", "below": "< ", "": ""}[censored]
    return f"{sign}{value:.0f}" if math.isfinite(value) else "-"


FINDINGS: dict[str, Callable[[Measured], Finding]] = {"F1": f1}
