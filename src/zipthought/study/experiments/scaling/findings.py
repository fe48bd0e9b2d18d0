"""F1 and F2a: what data each format needs, and what more data bring it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.methods import parse_method
from ..cells import SFTCell
from ..experiments import Scaling
from ..statistics import Fit, Outcomes, Threshold, fit_formats
from ..store import Store
from .verdicts import FITTED, Comparison, Finding, common_rule, decide, undecided

VIEWS = ("examples", "tokens", "flops")
"""What is held equal: distinct training examples, their tokens, or the compute of training on all of them."""
VIEW_NAMES = {"examples": "examples", "tokens": "training tokens", "flops": "training FLOPs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """What the grid of one base measured."""

    model: str
    seeds: int
    """How many are complete."""
    fits: dict[str, Fit]
    """Format -> the curve of held-out accuracy in distinct examples, and its bootstrap draws."""
    compute: dict[str, Fit]
    """Format -> the same in training FLOPs, along the runs with the most examples; empty where these were measured at
    one point only."""
    tokens_per_example: dict[str, float]
    """Format -> mean training tokens of one example, prompt included."""
    training_accuracy: dict[str, float]
    """Format -> mean accuracy on its own training problems at the largest data size."""
    thresholds: tuple[float, ...] = (0.5,)
    """Accuracies whose N* is sought."""


def collect(store: Store, scaling: Scaling) -> list[Scaled]:
    """What the grid of each base measured. Seeds that are not complete in every format and data size are left out."""
    spec, results = store.spec, store.results()
    found: dict[str, dict[tuple[str, int, int], SFTCell]] = defaultdict(dict)
    asked: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in scaling.cells(spec):
        assert isinstance(cell, SFTCell)
        asked[cell.model][cell.format] = None
        if cell.digest in results:
            found[cell.model][cell.format, cell.seed, cell.examples] = cell
    seeds = scaling.seeds_of(spec)
    most = max(scaling.examples)
    made = []
    for model, formats in asked.items():
        cells = found[model]
        complete = [s for s in seeds if all((f, s, n) in cells for f in formats for n in scaling.examples)]
        outcomes: dict[str, Outcomes] = {}
        compute: dict[str, Outcomes] = {}
        for fmt in formats if complete else ():
            runs = [[results[cells[fmt, seed, n].digest] for n in scaling.examples] for seed in complete]
            rows = [[correct_rows(store, cells[fmt, seed, n].digest) for n in scaling.examples] for seed in complete]
            outcomes[fmt] = Outcomes(scaling.examples, np.array(rows, dtype=bool))
            points = [run[-1]["points"] for run in runs]
            flops = np.mean([[point["flops"] for point in seed] for seed in points], axis=0)
            bits = [[[bit == "1" for bit in point["correct"]] for point in seed] for seed in points]
            compute[fmt] = Outcomes(tuple(flops.tolist()), np.array(bits, dtype=bool))
        per_example = defaultdict(list)
        training = defaultdict(list)
        for (fmt, _, n), cell in cells.items():
            per_example[fmt].append(results[cell.digest]["distinct_tokens"] / n)
            if n == most:
                training[fmt].append(results[cell.digest]["splits"]["train"]["accuracy"])
        made.append(
            Scaled(
                model=model,
                seeds=len(complete),
                fits=fit_formats(outcomes, spec.bootstrap),
                compute=fit_formats(compute, spec.bootstrap),
                tokens_per_example={fmt: float(np.mean(v)) for fmt, v in per_example.items()},
                training_accuracy={fmt: float(np.mean(v)) for fmt, v in training.items()},
                thresholds=scaling.thresholds,
            )
        )
    return made


def correct_rows(store: Store, digest: str, name: str = "test") -> list[bool]:
    """Whether each held-out problem was solved, in order of n_ops and index."""
    return [row.correct for row in store.completions(digest, name)]


def _coarse(fits: dict[str, Fit]) -> list[str]:
    return [fmt for fmt in fits if parse_method(fmt).k > 1]


def _view(data: Scaled, view: str) -> tuple[dict[str, Fit], dict[str, float]]:
    """The fits of a view, and what their N are multiplied by."""
    if view == "flops":
        return data.compute, dict.fromkeys(data.compute, 1.0)
    return data.fits, data.tokens_per_example if view == "tokens" else dict.fromkeys(data.fits, 1.0)


F1_CLAIM = "Coarser chains of thought need more SFT data."
F1_RULE = (
    "N* is the number of distinct training examples at which the fitted curve of held-out accuracy reaches "
    "{threshold}; where it does so outside the measured range, the end of the range stands in for it, and the ratio is "
    "a bound, which counts for no more than it says. For each format with granularity above 1, the ratio of its N* to "
    "that of explicit is compared with 1. {common} The verdict is that of examples and of the first base. Beside it "
    "stand, by the same rule, the verdicts at equal tokens of the distinct training examples, and at equal training "
    "compute: FLOPs along the runs with the most examples. Formats that do not fit their own training problems at the "
    "largest N (accuracy below 0.9) are named: updates may be short there."
)


def f1(measured: Sequence[Scaled], findings: int = 1) -> Finding:
    """Data needed, by granularity (paper, finding 1)."""
    threshold = measured[0].thresholds[0] if measured else 0.5
    rule = F1_RULE.format(threshold=threshold, common=common_rule(findings, 1))
    if not measured or "explicit" not in measured[0].fits or not _coarse(measured[0].fits):
        why = "No seed has every explicit and coarser cell at two data sizes or more: nothing to compare."
        return undecided("F1", F1_CLAIM, rule, why)
    rows = []
    verdicts: dict[tuple[str, str], str] = {}
    decisive: dict[str, Comparison] = {}
    for data in measured:
        for at in data.thresholds:
            for view in VIEWS:
                fits, scale = _view(data, view)
                coarse = _coarse(fits)
                if "explicit" not in fits:
                    continue
                points = {fmt: fit.threshold(at) for fmt, fit in fits.items()}
                draws = {fmt: fit.threshold_draws(at) * scale[fmt] for fmt, fit in fits.items()}
                ratios = {}
                for fmt in coarse:
                    ratio = points[fmt].value * scale[fmt] / (points["explicit"].value * scale["explicit"])
                    compared = Comparison.of(
                        ratio, draws[fmt] / draws["explicit"], data.seeds, findings, len(coarse), ratio=True
                    )
                    ratios[fmt] = _bounded(compared, points[fmt], points["explicit"])
                    rows.append(
                        {
                            "base": data.model,
                            "at equal": VIEW_NAMES[view],
                            "accuracy": f"{at:g}",
                            "format": fmt,
                            "needs": _bound(points[fmt], scale[fmt]),
                            "explicit needs": _bound(points["explicit"], scale["explicit"]),
                            "ratio": _ratio(points[fmt], points["explicit"], ratio),
                            "interval": _range(ratios[fmt]),
                        }
                    )
                if at == threshold:
                    verdicts[data.model, view] = decide(list(ratios.values()), data.seeds, 1.0)
                    if view == VIEWS[0] and data is measured[0]:
                        decisive = ratios
    first = measured[0]
    shown = {row["format"]: row["ratio"] for row in reversed(rows[: len(decisive)])}
    parts = [f"{fmt} {shown[fmt]} times ({_range(c)})" for fmt, c in decisive.items()]
    summary = f"Examples to reach {threshold}, against explicit: {'; '.join(parts)}; {first.seeds} seeds."
    others = [
        f"equal {VIEW_NAMES[view]}: {verdicts[first.model, view]}"
        for view in VIEWS[1:]
        if (first.model, view) in verdicts
    ]
    summary += f" At {', at '.join(others)}."
    for data in measured[1:]:
        summary += f" From {data.model}: {verdicts.get((data.model, VIEWS[0]), 'inconclusive')}."
    short = {f: a for f, a in first.training_accuracy.items() if f in decisive and a < FITTED}
    if short:
        named = ", ".join(f"{fmt} ({acc:.2f})" for fmt, acc in short.items())
        summary += (
            f" Caution: at the largest N {named} did not fit their own training problems in the updates that all "
            "formats had, so that this does not tell data from updates."
        )
    return Finding(
        id="F1", claim=F1_CLAIM, rule=rule, verdict=verdicts[first.model, VIEWS[0]], summary=summary, rows=rows
    )


def _bounded(compared: Comparison, mine: Threshold, base: Threshold) -> Comparison:
    """The comparison without what a censored N* cannot say: where the ratio is known to be at least its value, its
    upper end; where it is at most that, its lower end."""
    at_least = mine.censored == "above" or base.censored == "below"
    at_most = mine.censored == "below" or base.censored == "above"
    return Comparison(
        compared.value,
        0.0 if at_most else compared.low,
        math.inf if at_least else compared.high,
        math.inf if at_least else compared.wide_high,
    )


def _ratio(mine: Threshold, base: Threshold, value: float) -> str:
    """The ratio of two N*, marked as a bound where one of them is; a dash where both lie beyond the same end."""
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


def _bound(threshold: Threshold, scale: float) -> str:
    """N* with its sign where it is a bound."""
    sign = {"above": "> ", "below": "< ", "": ""}[threshold.censored]
    value = threshold.value * scale
    return "-" if not math.isfinite(value) else f"{sign}{value:.0f}" if value < 1e7 else f"{sign}{value:.2e}"


F2A_CLAIM = "Composed and implicit chains of thought gain more from more SFT data than explicit ones."
F2A_RULE = (
    "The gain is the rise of the fitted curve of held-out accuracy (a saturating power law) over the measured range, "
    "for each doubling of the distinct training examples. For each composed and implicit format, its gain less that of "
    "explicit is compared with 0. {common} Doubling examples doubles their tokens, so the verdict at equal tokens is "
    "the same. Beside it stand that for each doubling of training compute, along the runs with the most examples, and "
    "the gains over the last step of the range, from the second largest data size to the largest, where explicit is "
    "nearest to its ceiling."
)


def f2a(measured: Sequence[Scaled], findings: int = 1) -> Finding:
    """Slopes of the data-scaling curves (paper, finding 2)."""
    rule = F2A_RULE.format(common=common_rule(findings))
    if not measured or "explicit" not in measured[0].fits or not _coarse(measured[0].fits):
        why = "No seed has every explicit and coarser cell at two data sizes or more: nothing to compare."
        return undecided("F2a", F2A_CLAIM, rule, why)
    rows = []
    verdicts: dict[tuple[str, str], str] = {}
    decisive: dict[str, Comparison] = {}
    for data in measured:
        for view in ("examples", "flops"):
            fits, _ = _view(data, view)
            coarse = _coarse(fits)
            if "explicit" not in fits:
                continue
            gains = {fmt: Comparison.of(fit.gain(), fit.gain_draws(), data.seeds) for fmt, fit in fits.items()}
            against, at_last = (
                {
                    fmt: Comparison.of(
                        fits[fmt].gain(last) - fits["explicit"].gain(last),
                        fits[fmt].gain_draws(last) - fits["explicit"].gain_draws(last),
                        data.seeds,
                        findings,
                        len(coarse),
                    )
                    for fmt in coarse
                }
                for last in (False, True)
            )
            for fmt, fit in fits.items():
                rows.append(
                    {
                        "base": data.model,
                        "a doubling of": VIEW_NAMES[view],
                        "format": fmt,
                        "gain": gains[fmt].text(3),
                        "less explicit's": against[fmt].text(3) if fmt in against else "-",
                        "gain, last step": fit.gain(last=True),
                        "less explicit's, last step": at_last[fmt].text(3) if fmt in at_last else "-",
                        "ceiling": fit.curve.a,
                        "exponent": fit.curve.s,
                        "R²": fit.r2,
                    }
                )
            verdicts[data.model, view] = decide(list(against.values()), data.seeds)
            if view == "examples" and data is measured[0]:
                decisive = against
    first = measured[0]
    base = first.fits["explicit"].gain()
    parts = [f"{fmt} {c.text(3)}" for fmt, c in decisive.items()]
    summary = (
        f"Gain in accuracy for each doubling of the examples, less explicit's ({base:+.3f}): {'; '.join(parts)}; "
        f"{first.seeds} seeds."
    )
    if (first.model, "flops") in verdicts:
        summary += f" For each doubling of compute: {verdicts[first.model, 'flops']}."
    for data in measured[1:]:
        summary += f" From {data.model}: {verdicts.get((data.model, 'examples'), 'inconclusive')}."
    return Finding(
        id="F2a", claim=F2A_CLAIM, rule=rule, verdict=verdicts[first.model, "examples"], summary=summary, rows=rows
    )
