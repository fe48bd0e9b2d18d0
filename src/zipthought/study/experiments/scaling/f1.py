"""F1: the data that each format needs, by granularity (paper, finding 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ....report.data import Finding
from ...statistics import MAIN_FORM, Threshold
from ...verdicts import FITTED, LEAST_SEEDS, LEVEL, Comparison, undecided
from .bounds import JUMP, Bounds, Ratio, bounds_of, jump_of, ratio_of
from .measurements import COSTS, X_NAMES, ScalingMeasurements, comparable

CLAIM = "Coarser chains of thought need more SFT data."
RULE = (
    "N* is the number of distinct training prompts at which held-out accuracy reaches {threshold}. For each format "
    "with granularity above 1, the ratio of its N* to that of explicit is compared with 1, by the grid alone: N* is "
    "at most a measured N where the interval of the mean accuracy lies above the threshold, and more than an N where "
    "it lies below and the format fits its own training problems (accuracy of at least {fitted} at some point of its "
    "runs). Standard errors "
    "come from a bootstrap over seeds, then problems; they are at least those of the measured problems. Intervals are "
    "Student's t with seeds - 1 degrees of freedom, at 95% after a Bonferroni correction for the {findings} findings "
    "of the study and for the sizes. Supported: every format needs more. Contradicted: one needs less, after a "
    "further correction for the number of formats. Otherwise, with fewer than 3 seeds, and where the base reaches the "
    "threshold before any training: inconclusive. The verdict is that at equal examples, from the first base. The "
    "same rule gives verdicts at equal tokens of the distinct training examples, and at equal updates and training "
    "compute along the runs with the most examples. Curves do not decide: their form between two sizes is an "
    "assumption. They are shown beside the bounds, in several forms with the floor of a guess (logistic and Weibull "
    "in ln N, linear interpolation). Their interval runs from the lowest to the highest end over all forms; it is "
    "open where N* lies outside the measured range, and reaches to both sizes where a format makes its whole rise "
    "between them (from within {jump} of a guess to within {jump} of its highest accuracy)."
)
NOTHING = "No seed has every explicit and coarser cell at two data sizes or more: nothing to compare."


@dataclass(frozen=True, slots=True)
class _Need:
    """How much more a format needs than explicit."""

    grid: Ratio
    forms: dict[str, Comparison]
    """Form -> the ratio of N*, with open intervals where it is a bound."""
    least: Bounds
    explicit: Bounds

    @property
    def interval(self) -> tuple[float, float]:
        """From the lowest to the highest end over all forms."""
        return min(c.low for c in self.forms.values()), max(c.high for c in self.forms.values())

    @property
    def status(self) -> str:
        """`more`, `less` or `open`, by the grid."""
        if self.grid.low >= 1:
            return "more"
        return "less" if self.grid.high <= 1 else "open"


def f1(measured: Sequence[ScalingMeasurements], findings: int = 1) -> Finding:
    """The finding. `findings` is the number of findings of the study."""
    threshold = measured[0].thresholds[0] if measured else 0.5
    rule = RULE.format(threshold=threshold, fitted=FITTED, findings=findings, jump=JUMP)
    if not comparable(measured):
        return undecided("F1", CLAIM, rule, NOTHING)
    rows: list[dict[str, Any]] = []
    needs: dict[tuple[str, str], dict[str, _Need]] = {}
    for data in measured:
        for accuracy in data.thresholds:
            for x in X_NAMES:
                if "explicit" not in data.at_equal(x)[0]:
                    continue
                compared = _needs(data, x, accuracy, findings)
                rows += [_row(data, x, accuracy, fmt, need) for fmt, need in compared.items()]
                if accuracy == threshold:
                    needs[data.model, x] = compared
    verdicts = {
        (data.model, x): _verdict(data, needs[data.model, x], threshold)
        for data in measured
        for x in X_NAMES
        if (data.model, x) in needs
    }
    return Finding(
        id="F1",
        claim=CLAIM,
        rule=rule,
        verdict=verdicts[measured[0].model, "examples"],
        summary=_summary(measured, threshold, needs[measured[0].model, "examples"], verdicts),
        rows=rows,
    )


def _needs(data: ScalingMeasurements, x: str, accuracy: float, findings: int) -> dict[str, _Need]:
    """Format -> what it needs against explicit, to reach an accuracy."""
    fits, scale = data.at_equal(x)
    formats = data.coarse(x)
    level = LEVEL / findings
    at = {fmt: fit.thresholds(accuracy) for fmt, fit in fits.items() if fmt in ("explicit", *formats)}
    jumps = {fmt: jump_of(fits[fmt], accuracy) for fmt in at}

    def bounds(fmt: str, level: float) -> Bounds:
        # Along a run, the training problems are those of the largest size at every point.
        return bounds_of(fits[fmt], accuracy, data.seeds, {} if x in COSTS else data.training.get(fmt, {}), level)

    needs = {}
    for fmt in formats:
        relative = scale[fmt] / scale["explicit"]
        more = ratio_of(bounds(fmt, level), bounds("explicit", level), relative)
        less = ratio_of(bounds(fmt, level / len(formats)), bounds("explicit", level / len(formats)), relative)
        forms = {}
        for form, (mine, draws) in at[fmt].items():
            base, base_draws = at["explicit"][form]
            ratio = Comparison.of(
                relative * mine.value / base.value,
                relative * draws / base_draws,
                data.seeds,
                findings,
                ratio=True,
            )
            forms[form] = _bounded(_widened(ratio, mine, base, jumps[fmt], jumps["explicit"]), mine, base)
        grid = Ratio(more.low, less.high)
        needs[fmt] = _Need(grid, forms, bounds(fmt, level), bounds("explicit", level))
    return needs


def _verdict(data: ScalingMeasurements, needs: dict[str, _Need], threshold: float) -> str:
    known = data.step0 is not None and data.step0 >= threshold
    if data.seeds < LEAST_SEEDS or not needs or known:
        return "inconclusive"
    statuses = {need.status for need in needs.values()}
    return "supported" if statuses == {"more"} else "contradicted" if "less" in statuses else "inconclusive"


def _row(data: ScalingMeasurements, x: str, accuracy: float, fmt: str, need: _Need) -> dict[str, Any]:
    scale = data.at_equal(x)[1]
    low, high = need.interval
    return {
        "base": data.model,
        "at equal": X_NAMES[x],
        "accuracy": f"{accuracy:g}",
        "format": fmt,
        "needs": _amount(need.least, scale[fmt]),
        "explicit needs": _amount(need.explicit, scale["explicit"]),
        "ratio by the grid": _range(need.grid.low, need.grid.high),
        "by curves": f"{need.forms[MAIN_FORM].value:.2f}",
        "interval over all forms": _range(low, high),
        "verdict": need.status,
    }


def _summary(
    measured: Sequence[ScalingMeasurements],
    threshold: float,
    needs: dict[str, _Need],
    verdicts: dict[tuple[str, str], str],
) -> str:
    first = measured[0]
    parts = [
        f"{fmt} {_range(n.grid.low, n.grid.high)} times by the grid, {_range(*n.interval)} by curves"
        for fmt, n in needs.items()
    ]
    summary = f"Examples to reach {threshold}, against explicit: {'; '.join(parts)}; {first.seeds} seeds."
    if first.step0 is not None:
        summary += f" Before any training the base has accuracy {first.step0:.2f}."
        if first.step0 >= threshold:
            summary += " It reaches the threshold without data, so N* compares nothing."
    others = [
        f"equal {name}: {verdicts[first.model, x]}"
        for x, name in X_NAMES.items()
        if x != "examples" and (first.model, x) in verdicts
    ]
    if others:
        summary += f" At {', at '.join(others)}."
    for data in measured[1:]:
        summary += f" From {data.model}: {verdicts.get((data.model, 'examples'), 'inconclusive')}."
    return summary + unfitted(first, list(needs))


def unfitted(data: ScalingMeasurements, formats: Sequence[str]) -> str:
    """A sentence that names the formats and sizes whose training problems were not fitted; empty if all were."""
    named = [
        f"{fmt} at {n:g} ({data.training[fmt][n]:.2f})"
        for fmt in formats
        for n in sorted(data.training.get(fmt, {}))
        if not data.fitted(fmt, n)
    ]
    if not named:
        return ""
    return (
        f" Not fitted to their own training problems, so that updates may be missing rather than data: "
        f"{', '.join(named)}."
    )


def _widened(
    compared: Comparison,
    mine: Threshold,
    base: Threshold,
    my_jump: tuple[float, float] | None,
    base_jump: tuple[float, float] | None,
) -> Comparison:
    """The comparison, with an interval that reaches to both ends of the jumps (`jump_of`) of the two formats."""
    my_low, my_high = my_jump or (mine.value, mine.value)
    base_low, base_high = base_jump or (base.value, base.value)
    down = min(1.0, my_low / mine.value) * min(1.0, base.value / base_high)
    up = max(1.0, my_high / mine.value) * max(1.0, base.value / base_low)
    return Comparison(compared.value, compared.low * down, compared.high * up, compared.wide_high * up)


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


def _range(low: float, high: float) -> str:
    """An interval of a ratio, whose ends may be unknown."""
    if math.isinf(high):
        return f"{low:.2f} or more" if low else "unknown"
    return f"{low:.2f} to {high:.2f}" if low else f"{high:.2f} or less"


def _amount(bounds: Bounds, scale: float) -> str:
    """The bounds of N*, in units of `scale` each."""
    above, reached = bounds.above * scale, bounds.reached * scale
    if math.isinf(reached):
        return f"> {_number(above)}" if above else "-"
    return f"{_number(above)} to {_number(reached)}" if above else f"at most {_number(reached)}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value < 1e7 else f"{value:.2e}"
