"""What a finding is, and the rule that all verdicts follow.

A finding compares statistics that were named before the run. Each comparison has a standard error by hierarchical
bootstrap (seeds, then problems) and an interval of that many of them as Student's t has with seeds - 1 degrees of
freedom: with few seeds the percentiles of a bootstrap are too narrow (of three seeds without an effect, one time in
four all three err to the same side; `tests/test_findings.py` measures the error rates).

`supported`: every interval lies above 0 (ratios: above 1), at 95% after a Bonferroni correction for the findings of the
study. All must hold, so that nothing is to be corrected within a finding (an intersection-union test, Berger 1982).
`contradicted`: at least one lies below, after a correction for the number of comparisons, too. `inconclusive`
otherwise, and always with fewer than `LEAST_SEEDS` seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import norm as normal
from scipy.stats import t as student

LEVEL = 0.05
"""Of the study: the chance that any interval misses, at most."""
LEAST_SEEDS = 3
FITTED = 0.9
"""Training accuracy below which a run lacks updates, whatever else it lacks."""
COMMON_RULE = (
    "Standard errors are by bootstrap over seeds, then problems (both paired); intervals take Student's t with one "
    "degree of freedom less than there are seeds. Supported: every interval, at 95% after a Bonferroni correction for "
    "the {findings} findings of the study, lies above {null}. Contradicted: at least one lies below it, after a "
    "correction for the number of comparisons, too. Inconclusive otherwise, and always with fewer than 3 seeds."
)


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference (or a ratio) with its interval, and the wider one that a contradiction takes."""

    value: float
    low: float
    high: float
    wide_high: float
    """Upper end after the correction for the number of comparisons."""

    @classmethod
    def of(
        cls, value: float, draws: np.ndarray, seeds: int, findings: int = 1, comparisons: int = 1, ratio: bool = False
    ) -> Comparison:
        """From the bootstrap draws; a ratio's interval is made of its logarithm."""
        middle, spread = (math.log(value), np.log(draws)) if ratio else (value, draws)
        error = float(np.std(spread))
        low, high = (middle + side * error * quantile(seeds, LEVEL / findings) for side in (-1, 1))
        wide = middle + error * quantile(seeds, LEVEL / findings / comparisons)
        ends = [math.exp(min(end, 700.0)) if ratio else end for end in (low, high, wide)]
        return cls(float(value), *ends)

    def text(self, digits: int = 2, sign: bool = True) -> str:
        """The value and its interval."""
        mark = "+" if sign else ""
        return f"{self.value:{mark}.{digits}f} ({self.low:{mark}.{digits}f} to {self.high:{mark}.{digits}f})"


def quantile(seeds: int, level: float) -> float:
    """How many standard errors an interval takes on each side, that misses with chance `level`; with one seed, whose
    noise no interval knows, those of the normal distribution."""
    return float(student.ppf(1 - level / 2, seeds - 1) if seeds > 1 else normal.ppf(1 - level / 2))


def decide(comparisons: Sequence[Comparison], seeds: int, null: float = 0.0) -> str:
    """The verdict of some comparisons, all of which the claim says are above `null`."""
    if seeds < LEAST_SEEDS or not comparisons:
        return "inconclusive"
    if all(c.low > null for c in comparisons):
        return "supported"
    return "contradicted" if any(c.wide_high < null for c in comparisons) else "inconclusive"


def undecided(name: str, claim: str, rule: str, why: str) -> Finding:
    """The finding of a study in which there is nothing to compare."""
    return Finding(id=name, claim=claim, rule=rule, verdict="inconclusive", summary=why)


def common_rule(findings: int, null: int = 0) -> str:
    """The part of a rule that all findings share."""
    return COMMON_RULE.format(findings=findings, null=null)
