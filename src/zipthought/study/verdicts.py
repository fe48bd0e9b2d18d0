"""From comparisons to verdicts: the rule that all findings follow.

A finding compares statistics that were named before the run. The standard error of each comparison comes from a
hierarchical bootstrap (seeds, then problems). Its interval is the estimate plus or minus t(seeds - 1) standard errors.
Percentiles of a bootstrap are too narrow with few seeds: without an effect, all of three seeds err to the same side one
time in four. `benchmarks/calibration.py` measures the error rates.

supported       Every interval lies above 0 (ratios: above 1), at 95% after a Bonferroni correction for the findings of
                the study. All must hold, so nothing is corrected within a finding (an intersection-union test, Berger
                1982).
contradicted    At least one interval lies below, after a further correction for the number of comparisons.
inconclusive    Otherwise, and always with fewer than `LEAST_SEEDS` seeds.

An interval without width is not evidence: if every draw gives the same value, the bootstrap has not measured the error.
Nor is a difference below `LEAST_DIFFERENCE`. Such a comparison supports nothing
and contradicts nothing, and the summary says so (`unresolved`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from ..report.data import Finding

LEVEL = 0.05
"""The study's error rate: the probability that at least one interval misses its true value."""
LEAST_SEEDS = 3
LEAST_DIFFERENCE = 1e-3
"""A smaller difference (of a ratio from 1, too) is no effect."""
LEAST_WIDTH = 1e-9
"""A narrower interval has no width; rounding errors are smaller."""
FITTED = 0.9
"""A format with a lower training accuracy did not fit its training problems, so it may lack updates."""
COMMON_RULE = (
    "Standard errors come from a bootstrap over seeds, then problems, both paired. An interval is the estimate plus or "
    "minus t(seeds - 1) standard errors (Student's t). Supported: every interval lies above {null}, at 95% after a "
    "Bonferroni correction for the {findings} findings of the study. Contradicted: at least one interval lies below "
    "{null}, after a further correction for the number of comparisons. Otherwise, and always with fewer than 3 seeds: "
    "inconclusive. A difference from {null} below 0.001, and an interval without width, count for neither."
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference (or a ratio) with its interval, and the wider interval that a contradiction needs."""

    value: float
    low: float
    high: float
    wide_high: float
    """The upper end after the correction for the number of comparisons."""

    @classmethod
    def of(
        cls, value: float, draws: np.ndarray, seeds: int, findings: int = 1, comparisons: int = 1, ratio: bool = False
    ) -> Comparison:
        """From the draws of a bootstrap. The interval of a ratio is computed on its logarithm."""
        middle, spread = (math.log(value), np.log(draws)) if ratio else (value, draws)
        error = float(np.std(spread))
        low, high = (middle + side * error * quantile(seeds, LEVEL / findings) for side in (-1, 1))
        wide = middle + error * quantile(seeds, LEVEL / findings / comparisons)
        ends = [math.exp(min(end, 700.0)) if ratio else end for end in (low, high, wide)]
        return cls(float(value), *ends)

    def unresolved(self, null: float = 0.0) -> str:
        """Why it counts for no verdict, as the rest of a sentence; empty if it does count."""
        if self.high - self.low < LEAST_WIDTH:
            return "has an interval without width: all seeds and problems give the same value"
        if abs(self.value - null) < LEAST_DIFFERENCE:
            return f"is within 0.001 of {null:g}"
        return ""

    def text(self, digits: int = 2, sign: bool = True) -> str:
        """The value and its interval."""
        mark = "+" if sign else ""
        return f"{self.value:{mark}.{digits}f} ({self.low:{mark}.{digits}f} to {self.high:{mark}.{digits}f})"


def quantile(seeds: int, level: float) -> float:
    """The half-width, in standard errors, of an interval that misses with probability `level`: the quantile of
    Student's t with seeds - 1 degrees of freedom. With one seed, that of the normal distribution, which ignores the
    noise between seeds."""
    return float(special.stdtrit(seeds - 1, 1 - level / 2) if seeds > 1 else special.ndtri(1 - level / 2))


def decide(comparisons: Sequence[Comparison], seeds: int, null: float = 0.0) -> str:
    """The verdict on a claim that all comparisons lie above `null`."""
    if seeds < LEAST_SEEDS or not comparisons:
        return "inconclusive"
    clear = [c for c in comparisons if not c.unresolved(null)]
    if len(clear) == len(comparisons) and all(c.low > null for c in clear):
        return "supported"
    return "contradicted" if any(c.wide_high < null for c in clear) else "inconclusive"


def unresolved(comparisons: Mapping[str, Comparison], null: float = 0.0) -> str:
    """A sentence for the summary of a finding on its comparisons, by name, that count for no verdict; empty if all
    count."""
    reasons = [f"{name} {reason}" for name, c in comparisons.items() if (reason := c.unresolved(null))]
    return f" No evidence: the comparison with {'; that with '.join(reasons)}." if reasons else ""


def undecided(id: str, claim: str, rule: str, reason: str) -> Finding:  # noqa: A002
    """The finding of a study that has nothing to compare."""
    return Finding(id=id, claim=claim, rule=rule, verdict="inconclusive", summary=reason)


def common_rule(findings: int, null: int = 0) -> str:
    """The part of a rule that all findings share."""
    return COMMON_RULE.format(findings=findings, null=null)
