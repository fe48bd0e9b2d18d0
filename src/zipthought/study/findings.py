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
from .decomposition import BEFORE, BRANCHES
from .statistics import Fit, Threshold, bootstrap_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposed:
    """What became of one format after SFT of one length, on held-out problems of trained lengths and of longer ones.

    S seeds, P problems (the same for every seed and state).
    """

    format: str
    """Of the SFT."""
    sft_steps: int
    """Updates of the SFT."""
    excess: dict[str, np.ndarray]
    """State (`sft` or a branch) -> (S, P, 2): single-operation steps and all steps, less those the format leaves."""
    correct: dict[str, np.ndarray]
    """State -> (S, P) bool."""
    trained: np.ndarray
    """(P,) bool: whether the problem is of a trained length."""
    shown: dict[str, dict[str, float | None]]
    """State -> what else the table shows: name of a measure -> its mean over seeds and trained lengths."""

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.correct[BEFORE])


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
    decompositions: list[Decomposed] = field(default_factory=list)
    """In the order of the spec: the first one bears the verdict."""
    draws: int = 1000
    """Of the bootstrap."""


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


F3_CLAIM = "RLVR after SFT decomposes compressed steps into single operations; more SFT does not."
F3_SEEDS = 3
F3_RULE = (
    "The excess is the share of single-operation steps among the steps of greedy completions that state "
    "operations of the problem, rightly computed or not, on held-out problems of the trained lengths; both counts "
    "are without the short last group that the format itself leaves: 0 for the format as trained, 1 for an "
    "explicit trace. It is compared, paired by seed and problem, between the model after RLVR and three others: "
    "the model after SFT that RLVR started from, that model after as many further SFT updates, and after as many "
    "further SFT tokens. Each difference has an interval by bootstrap over seeds, then problems, at 95% after a "
    "Bonferroni correction for the three. Supported: all three lie above 0. Contradicted: at least one lies below "
    "0. Inconclusive otherwise, and always with fewer than 3 seeds. The verdict is that of the first format and "
    "the first length of SFT that the study names; the others stand beside it."
)
F3_NAMES = {BEFORE: "after SFT", "rlvr": "RLVR", "sft-updates": "SFT, same updates", "sft-tokens": "SFT, same tokens"}
"""State of a model -> what the report calls it."""


def f3(measured: Measured) -> Finding:
    """Decomposition by RLVR (paper, finding 3)."""
    if not measured.decompositions:
        return Finding(
            id="F3",
            claim=F3_CLAIM,
            rule=F3_RULE,
            verdict="inconclusive",
            summary="No seed is complete: nothing to compare.",
        )
    rows: list[dict[str, Any]] = []
    decided: list[tuple[str, list[tuple[float, float, float]], Decomposed]] = []
    tail = 0.05 / len(BRANCHES) / 2
    for found in measured.decompositions:
        draws = {s: bootstrap_ratio(found.excess[s][:, found.trained], measured.draws) for s in found.excess}
        differences = []
        for state in (BEFORE, *BRANCHES):
            low, high = np.quantile(draws[state], [0.025, 0.975])
            row = {
                "format": found.format,
                "SFT updates": found.sft_steps,
                "model": F3_NAMES[state],
                "excess": f"{_excess(found, state):.3f} ({low:.2f} to {high:.2f})",
                "accuracy": float(found.correct[state][:, found.trained].mean()),
            }
            if not found.trained.all():
                row["accuracy, longer"] = float(found.correct[state][:, ~found.trained].mean())
            rows.append(row | found.shown[state])
            if state != "rlvr":
                apart = draws["rlvr"] - draws[state]
                value = _excess(found, "rlvr") - _excess(found, state)
                low, high = (float(q) for q in np.quantile(apart, [tail, 1 - tail]))
                differences.append((value, low, high))
                rows[-1]["RLVR less this"] = f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
        decided.append((_f3_verdict(differences, found.seeds), differences, found))
    verdict, differences, first = decided[0]
    against = ", ".join(
        f"{value:+.2f} ({low:+.2f} to {high:+.2f}) against {F3_NAMES[state]}"
        for (value, low, high), state in zip(differences, [s for s in (BEFORE, *BRANCHES) if s != "rlvr"], strict=True)
    )
    summary = (
        f"{first.format} after {first.sft_steps} updates of SFT: excess single-operation share "
        f"{_excess(first, BEFORE):.2f} before and {_excess(first, 'rlvr'):.2f} after RLVR; {against}; "
        f"{first.seeds} seeds."
    )
    for other, _, found in decided[1:]:
        summary += f" With {found.format} and {found.sft_steps} updates: {other}."
    return Finding(id="F3", claim=F3_CLAIM, rule=F3_RULE, verdict=verdict, summary=summary, rows=rows)


def _excess(found: Decomposed, state: str) -> float:
    single, steps = found.excess[state][:, found.trained].sum(axis=(0, 1))
    return float(single / steps) if steps else 0.0


def _f3_verdict(differences: list[tuple[float, float, float]], seeds: int) -> str:
    if seeds < F3_SEEDS:
        return "inconclusive"
    if all(low > 0 for _, low, _ in differences):
        return "supported"
    return "contradicted" if any(high < 0 for _, _, high in differences) else "inconclusive"


FINDINGS: dict[str, Callable[[Measured], Finding]] = {"F1": f1, "F3": f3}
