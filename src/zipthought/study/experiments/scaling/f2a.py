"""F2a: what more data bring each format, by the slopes of the data-scaling curves (paper, finding 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....report.data import Finding
from ...verdicts import Comparison, common_rule, decide, undecided, unresolved
from .f1 import NOTHING
from .measurements import X_NAMES, ScalingMeasurements, comparable

CLAIM = "Composed and implicit chains of thought gain more from more SFT data than explicit ones."
RULE = (
    "The gain is the rise of the fitted curve of held-out accuracy (a saturating power law) over the measured range, "
    "per doubling of the distinct training examples. For each composed and implicit format, its gain minus that of "
    "explicit is compared with 0. {common} Doubling the examples doubles their tokens, so the verdict at equal tokens "
    "is the same. The table also has the gains per doubling of training compute, along the runs with the most "
    "examples, and the gains over the last step of the range, from the second largest data size to the largest, where "
    "explicit is nearest to its ceiling."
)


def f2a(measured: Sequence[ScalingMeasurements], findings: int = 1) -> Finding:
    """The finding. `findings` is the number of findings of the study."""
    rule = RULE.format(common=common_rule(findings))
    if not comparable(measured):
        return undecided("F2a", CLAIM, rule, NOTHING)
    rows: list[dict[str, Any]] = []
    gains: dict[tuple[str, str], dict[str, Comparison]] = {}
    for data in measured:
        for x in ("examples", "flops"):
            if "explicit" in data.at_equal(x)[0]:
                gains[data.model, x] = _gains(data, x, findings, last=False)
                rows += _rows(data, x, gains[data.model, x], _gains(data, x, findings, last=True))
    seeds = {data.model: data.seeds for data in measured}
    verdicts = {key: decide(list(compared.values()), seeds[key[0]]) for key, compared in gains.items()}
    first = measured[0]
    parts = [f"{fmt} {c.text(3)}" for fmt, c in gains[first.model, "examples"].items()]
    summary = (
        f"Gain in accuracy per doubling of the examples, minus that of explicit "
        f"({first.fits['explicit'].gain():+.3f}): {'; '.join(parts)}; {first.seeds} seeds."
    ) + unresolved(gains[first.model, "examples"])
    if (first.model, "flops") in verdicts:
        summary += f" Per doubling of compute: {verdicts[first.model, 'flops']}."
    for data in measured[1:]:
        summary += f" From {data.model}: {verdicts.get((data.model, 'examples'), 'inconclusive')}."
    verdict = verdicts[first.model, "examples"]
    return Finding(id="F2a", claim=CLAIM, rule=rule, verdict=verdict, summary=summary, rows=rows)


def _gains(data: ScalingMeasurements, x: str, findings: int, last: bool) -> dict[str, Comparison]:
    """Format -> its gain minus that of explicit, over the whole range or its last step."""
    fits, _ = data.at_equal(x)
    explicit = fits["explicit"]
    return {
        fmt: Comparison.of(
            fits[fmt].gain(last) - explicit.gain(last),
            fits[fmt].gain_draws(last) - explicit.gain_draws(last),
            data.seeds,
            findings,
            len(data.coarse(x)),
        )
        for fmt in data.coarse(x)
    }


def _rows(
    data: ScalingMeasurements, x: str, gains: dict[str, Comparison], last_gains: dict[str, Comparison]
) -> list[dict[str, Any]]:
    return [
        {
            "base": data.model,
            "a doubling of": X_NAMES[x],
            "format": fmt,
            "gain": Comparison.of(fit.gain(), fit.gain_draws(), data.seeds).text(3),
            "less explicit's": gains[fmt].text(3) if fmt in gains else "-",
            "gain, last step": fit.gain(last=True),
            "less explicit's, last step": last_gains[fmt].text(3) if fmt in last_gains else "-",
            "ceiling": fit.curve.a,
            "exponent": fit.curve.s,
            "R²": fit.r2,
        }
        for fmt, fit in data.at_equal(x)[0].items()
    ]
