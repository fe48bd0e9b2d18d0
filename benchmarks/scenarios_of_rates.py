"""The planted truths of F3, F5, F7, F4 and F8 for `calibration.py`: a function for each finding.

Accuracies and coverages are rates, which seeds and problems shift, and which are cut at 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from planted_orders import COUNT, LENGTHS, study
from planted_states import EQUAL, planted
from scenarios import Interval, Scenario, Settings, Study, in_summary
from scipy.stats import norm

from zipthought.report.data import Finding
from zipthought.study.experiments.baselines.findings import FormatMeasurements, f8
from zipthought.study.experiments.decomposition import COMPARED
from zipthought.study.experiments.decomposition.f3 import f3
from zipthought.study.experiments.decomposition.f5 import MARGIN, f5
from zipthought.study.experiments.decomposition.f7 import COMPARISONS, f7
from zipthought.study.experiments.orders.findings import Precision, f4

Rate = float | tuple[float, ...]
"""That of every seed, or those among which seeds differ."""
COLLAPSE = (0.68, 0.68, 0.68, 0.68, 0.68, 0.2)
"""The rates of seeds of which one collapses; their mean is 0.6."""
EASY = np.linspace(-0.1, 0.1, 101)
"""Shifts of the problems of F3 and F7."""
QUANTILES = norm.ppf((np.arange(101) + 0.5) / 101)
"""Of the normal distribution: the shifts of the problems of F4 are 0.1 times these."""
PROBLEMS = 200
"""Held-out problems of F8."""
WRONG = 0.2
"""The share of operations that are shown with a wrong result, of those that are not shown validly."""


def shift_of(at: Settings) -> float:
    """The standard deviation of a seed's shift of a rate: that of its logit, at a rate of 0.5."""
    return at.noise / 4


def mean_of(rate: Rate, shift: float, problems: np.ndarray) -> float:
    """The mean of a rate over all seeds and problems."""
    rates = np.reshape(rate, (-1, 1, 1)) + shift * QUANTILES[:, None] + problems
    return float(np.clip(rates, 0, 1).mean())


def by_seed(at: Settings, rate: Rate, sure: bool) -> float | np.ndarray:
    """(S, 1) the rates of seeds. They are those of a tuple in random order (sure), or each is drawn from it."""
    if isinstance(rate, float):
        return rate
    drawn = at.rng.permutation(np.resize(rate, at.seeds)) if sure else at.rng.choice(rate, at.seeds)
    return drawn[:, None]


def of_states(
    name: str, coverage: Mapping[str, Rate], accuracy: Mapping[str, float], sure: bool = True
) -> Callable[[Settings], Study]:
    """Planted studies of F3, F5 or F7: two trained and two longer lengths, 100 problems each."""

    def draw(at: Settings) -> Study:
        shift = shift_of(at)
        data = planted(
            {state: by_seed(at, rate, sure) for state, rate in coverage.items()},
            accuracy, wrong=WRONG, seeds=at.seeds, problems=400, noise=shift, rng=at.rng,
        )  # fmt: skip

        def less(rates: Mapping[str, Rate], state: str) -> float:
            """RLVR less a state."""
            of_state = 0.0 if state == "base" else shift  # The base is one model.
            return mean_of(rates["rlvr"], shift, EASY) - mean_of(rates[state], of_state, EASY)

        if name == "F3":
            others = [state for state in coverage if state not in ("rlvr", *COMPARED)]
            truths = [less(coverage, state) for state in (*COMPARED, *others)]
            return Study(lambda findings: f3([data], findings=findings, draws=at.draws), truths)
        if name == "F5":
            shown, gain = (1 - WRONG) * less(coverage, "rlvr-priced"), MARGIN - less(accuracy, "rlvr-priced")
            return Study(lambda findings: f5([data], findings=findings, draws=at.draws), [shown, gain])
        share = {"coverage": 1.0, "attempted": 1 - WRONG, "correct": 1.0}
        rates = {"coverage": coverage, "attempted": coverage, "correct": accuracy}
        truths = [share[measure] * less(rates[measure], state) for measure, state in COMPARISONS]
        return Study(lambda findings: f7([data], findings=findings, draws=at.draws), truths)

    return draw


def f3_scenarios() -> list[Scenario]:
    above = dict.fromkeys(EQUAL, 0.6)
    planted_truths: list[tuple[Any, ...]] = [
        ("none", "nothing", EQUAL),
        ("none", "RLVR as SFT with the same tokens, the rest far below", EQUAL | {"rlvr": 0.7, "sft-tokens": 0.7}),
        ("none", "one seed of six collapses", above | {"rlvr": COLLAPSE}),
        ("none", "each seed collapses with probability 1/6", above | {"rlvr": COLLAPSE}, False),
        *(("effect", f"{more:g} each", EQUAL | {"rlvr": 0.3 + more}) for more in (0.05, 0.1, 0.2)),
    ]
    return [
        Scenario(kind, name, of_states("F3", coverage, EQUAL, *sure), in_summary)
        for kind, name, coverage, *sure in planted_truths
    ]


def f5_scenarios() -> list[Scenario]:
    undone = EQUAL | {"rlvr": 0.8, "rlvr-priced": 0.4}
    equal = dict.fromkeys(EQUAL, 0.6)
    planted_truths: list[tuple[Any, ...]] = [
        ("none", "nothing", EQUAL | {"rlvr": 0.7, "rlvr-priced": 0.7}, equal),
        ("none", "shorter, and 0.05 less accurate", undone, equal | {"rlvr-priced": 0.6 - MARGIN}),
        *(("effect", f"{m:g}", EQUAL | {"rlvr": 0.8, "rlvr-priced": 0.8 - m}, equal) for m in (0.05, 0.1, 0.2)),
    ]
    return [
        Scenario(kind, name, of_states("F5", coverage, accuracy), in_summary)
        for kind, name, coverage, accuracy in planted_truths
    ]


def f7_scenarios() -> list[Scenario]:
    high = dict.fromkeys(EQUAL, 0.6) | {"base": 0.2}
    planted_truths: list[tuple[Any, ...]] = [
        ("none", "nothing", EQUAL, EQUAL),
        ("none", "RLVR as SFT, the base far below", high, high),
        ("none", "RLVR as accurate as the base, the rest far below", EQUAL | {"rlvr": 0.7}, EQUAL),
        ("none", "one seed of six collapses", high | {"rlvr": COLLAPSE}, high),
        ("none", "each seed collapses with probability 1/6", high | {"rlvr": COLLAPSE}, high, False),
        *(("effect", f"{m:g} each", EQUAL | {"rlvr": 0.3 + m}, EQUAL | {"rlvr": 0.3 + m}) for m in (0.05, 0.1, 0.2)),
    ]
    return [
        Scenario(kind, name, of_states("F7", coverage, accuracy, *sure), in_summary)
        for kind, name, coverage, accuracy, *sure in planted_truths
    ]


def of_f4(forward: Rate, backward: float, hierarchical: float, sure: bool = True) -> Callable[[Settings], Study]:
    """Planted studies of F4: orders with these accuracies on longer problems."""

    def draw(at: Settings) -> Study:
        hard = at.rng.normal(0, 0.1, len(LENGTHS) * COUNT)
        rates, seed = (by_seed(at, forward, sure), backward, hierarchical), at.rng.integers(2**32)
        data = study(*rates, seed, seeds=at.seeds, noise=shift_of(at), hard=hard)
        of_forward, *others = (mean_of(rate, shift_of(at), 0.1 * QUANTILES) for rate in (forward, *rates[1:]))
        return Study(
            lambda findings: f4(data, Precision(findings=findings, draws=at.draws)), [of_forward - of for of in others]
        )

    return draw


def f4_scenarios() -> list[Scenario]:
    planted_truths: list[tuple[Any, ...]] = [
        ("none", "nothing", 0.5, 0.5, 0.5),
        ("none", "nothing, at the floor", 0.05, 0.05, 0.05),
        ("none", "backward as forward, hierarchical far below", 0.6, 0.6, 0.2),
        ("none", "one seed of six collapses", COLLAPSE, 0.6, 0.6),
        ("none", "each seed collapses with probability 1/6", COLLAPSE, 0.6, 0.6, False),
        *(("effect", f"{more:g} each", 0.5 + more, 0.5, 0.5) for more in (0.05, 0.1, 0.2)),
    ]
    return [Scenario(kind, name, of_f4(*truth), in_summary) for kind, name, *truth in planted_truths]


def of_f8(random: Rate, steps: float, tokens: float, sure: bool = True) -> Callable[[Settings], Study]:
    """Planted studies of F8: formats with these accuracies at the most tokens."""

    def draw(at: Settings) -> Study:
        shift, hard = shift_of(at), at.rng.normal(0, 0.1, PROBLEMS)
        rates: dict[str, Rate] = {"random-steps:0.6": random, "steps:0.6": steps, "tokens:0.6": tokens}

        def planted_format(rate: float | np.ndarray) -> FormatMeasurements:
            each = np.clip(rate + at.rng.normal(0, shift, (at.seeds, 1)) + hard, 0, 1)
            solved = at.rng.random((at.seeds, 1, PROBLEMS)) < each[:, None]
            fitted = cast(Any, SimpleNamespace(fit=0.97))
            return FormatMeasurements(solved=solved, results=[[fitted]] * at.seeds, examples=(600,))

        data = {"explicit": planted_format(0.9), "composed:2": planted_format(0.5)}
        data |= {fmt: planted_format(by_seed(at, rate, sure)) for fmt, rate in rates.items()}
        of_random, *others = (mean_of(rate, shift, 0.1 * QUANTILES) for rate in rates.values())
        return Study(lambda findings: f8(data, (60_000,), findings, at.draws), [of - of_random for of in others])

    return draw


def f8_scenarios() -> list[Scenario]:
    planted_truths: list[tuple[Any, ...]] = [
        ("none", "nothing", 0.3, 0.3, 0.3),
        ("none", "nothing, at the floor", 0.05, 0.05, 0.05),
        ("none", "steps as random steps, tokens far above", 0.3, 0.3, 0.7),
        ("none", "one seed of six collapses", COLLAPSE, 0.6, 0.6),
        ("none", "each seed collapses with probability 1/6", COLLAPSE, 0.6, 0.6, False),
        *(("effect", f"{more:g} each", 0.3, 0.3 + more, 0.3 + more) for more in (0.05, 0.1, 0.2)),
    ]
    return [Scenario(kind, name, of_f8(*truth), in_comparisons) for kind, name, *truth in planted_truths]


def in_comparisons(finding: Finding) -> list[Interval]:
    """The first two: the others are those of the best format."""
    return in_summary(finding)[:2]
