"""F1 and F2a on data with a planted truth."""

import math
from dataclasses import replace

import numpy as np
import pytest
from planted import SIZES, Stairs, fit_once, means_only, planted, rising, scaled

from zipthought.study.experiments.scaling.bounds import Bounds, bounds_of, jump_of, ratio_of
from zipthought.study.experiments.scaling.f1 import f1
from zipthought.study.experiments.scaling.f2a import f2a, saturated_from
from zipthought.study.statistics import Outcomes, fit_formats

EARLY, LATE = rising(0.99, 2, 200), rising(0.99, 2, 1500)


def flat(*accuracies, seeds=4, problems=100):
    """The fit of a format with exactly these accuracies at each size."""
    solved = np.arange(problems) < np.array(accuracies)[:, None] * problems
    correct = np.tile(solved, (seeds, 1, 1))
    return fit_formats({"x": Outcomes(SIZES[: len(accuracies)], correct)}, 50)["x"]


def test_bounds_follow_from_the_measured_sizes_alone():
    assert bounds_of(flat(0.1, 0.1, 0.9, 0.9), 0.5, 4, {}) == (512, 4096)
    assert bounds_of(flat(0.9, 0.9), 0.5, 4, {}) == (0, 64)
    assert bounds_of(flat(0.1, 0.1), 0.5, 4, {}) == (512, math.inf)
    assert bounds_of(flat(0.1, 0.45, 0.55), 0.5, 4, {}) == (64, math.inf)  # Too close to the threshold.


def test_an_accuracy_below_counts_only_where_training_problems_are_fitted():
    assert bounds_of(flat(0.1, 0.1), 0.5, 4, {64: 0.95, 512: 0.3}) == (64, math.inf)


def test_ratios_of_bounds():
    assert ratio_of(Bounds(512, 4096), Bounds(0, 64)) == (8, math.inf)
    assert ratio_of(Bounds(512, math.inf), Bounds(64, 512)) == (1, math.inf)  # The same N separates them.
    assert ratio_of(Bounds(0, 64), Bounds(512, 4096)) == (0, 0.125)
    assert ratio_of(Bounds(512, 4096), Bounds(64, 512), scale=0.5) == (0.5, 32)


def test_f1_is_decided_by_the_grid_where_sizes_separate_the_formats():
    finding = f1([scaled(planted({"explicit": EARLY, "composed:2": LATE}, 1))])
    assert finding.verdict == "supported"
    row = finding.rows[0]
    assert (row["explicit needs"], row["needs"]) == ("64 to 512", "512 to 4096")
    assert row["ratio by the grid"] == "1.00 to 64.00"
    assert float(row["by curves"]) == pytest.approx(7.5, rel=0.4)


def test_f1_is_contradicted_by_the_opposite_effect():
    assert f1([scaled(planted({"explicit": LATE, "implicit:2": EARLY}, 2))]).verdict == "contradicted"


def test_where_a_format_rises_between_two_sizes_only_these_bound_what_it_needs():
    assert jump_of(flat(0.05, 0.05, 0.95, 0.95), 0.5) == (512, 4096)
    assert jump_of(flat(0.05, 0.3, 0.95, 0.95), 0.5) is None  # 0.3 says that the rise has begun.
    assert jump_of(flat(0.05, 0.05, 0.4, 0.95), 0.5) is None
    assert jump_of(flat(0.05, 0.05, 0.4, 0.45), 0.5) is None  # Never reached.


def test_f1_does_not_call_a_sudden_and_a_gradual_rise_with_the_same_need_different():
    """The forms put a sudden rise in the middle between two sizes, wherever it is."""
    sudden = Stairs(((0.95, 700),), steepness=20)
    gradual = rising(0.99, 0.9, 720)
    assert gradual.crossing(0.5) == pytest.approx(sudden.crossing(0.5), rel=0.05)
    for seed in range(2):
        finding = f1([scaled(planted({"explicit": sudden, "composed:2": gradual}, seed), draws=30)])
        assert finding.verdict == "inconclusive"
        low, high = map(float, finding.rows[0]["interval over all forms"].split(" to "))
        # The need of explicit may be anywhere from 512 to 4096, that of composed:2 is about 700.
        assert low < 700 / 4096 * 1.2
        assert high > 700 / 512


def test_f1_needs_every_format():
    curves = {"explicit": EARLY, "composed:2": LATE, "implicit:2": EARLY}
    assert f1([scaled(planted(curves, 3))]).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("change", "words"),
    [({"step0": 0.7}, "reaches the threshold without data"), ({}, "accuracy 0.10")],
)
def test_f1_compares_nothing_where_the_base_needs_no_data(change, words):
    data = replace(scaled(planted({"explicit": EARLY, "composed:2": LATE}, 1)), **change)
    finding = f1([data])
    assert finding.verdict == ("inconclusive" if change else "supported")
    assert words in finding.summary


def test_f1_decides_nothing_on_two_seeds():
    assert f1([scaled(planted({"explicit": EARLY, "composed:2": LATE}, 1, seeds=2))]).verdict == "inconclusive"


def test_f1_takes_no_bound_from_a_format_that_lacks_updates():
    """The curves still say that it needs more; the summary says what they rest on."""
    finding = f1([scaled(planted({"explicit": EARLY, "composed:2": LATE}, 1), trained=0.4)])
    assert finding.rows[0]["needs"].startswith("at most")
    assert "composed:2 at 64 (0.40)" in finding.summary


def test_f1_with_nothing_inside_the_range_says_nothing():
    curves = {"explicit": rising(1, 1, 1e7), "implicit:2": rising(1, 1, 1e8)}
    assert f1([scaled(planted(curves, 3))]).verdict == "inconclusive"
    assert f1([scaled(planted({"composed:2": LATE}, 4))]).verdict == "inconclusive"


def test_f1_states_every_view_and_every_base():
    curves = {"explicit": EARLY, "composed:2": LATE}
    along = planted(curves, 6, sizes=(30.0, 120.0, 480.0))
    first = scaled(planted(curves, 5), costs={"updates": along, "flops": along})
    other = scaled(planted(dict.fromkeys(curves, LATE), 7), model="other")
    finding = f1([first, other], findings=6)
    assert finding.verdict == "supported"
    assert "At equal training tokens: inconclusive" in finding.summary  # A bound of 1 becomes one of a half.
    assert "at equal updates: supported" in finding.summary
    assert "From other: inconclusive" in finding.summary
    by_view = {row["at equal"]: row for row in finding.rows if row["base"] == "neutral"}
    assert set(by_view) == {"examples", "training tokens", "updates", "training FLOPs"}
    # A composed example has half of the tokens.
    assert float(by_view["training tokens"]["by curves"]) == pytest.approx(
        float(by_view["examples"]["by curves"]) / 2, rel=0.05
    )
    assert "6 findings" in finding.rule


def test_f1_calls_no_effect_where_there_is_none():
    """`benchmarks/calibration.py` measured 0 false calls in 200 such nulls (1,000 in all), so their rate is below 1.5%
    (binomial, 95%). At that rate, 3 of 20 or more have p = 0.003."""
    null = rising(0.95, 1, 1500)
    called = [
        f1([scaled(planted(dict.fromkeys(("explicit", "composed:2"), null), i), draws=60, fit=fit_once)]).verdict
        for i in range(20)
    ]
    assert sum(verdict != "inconclusive" for verdict in called) <= 2


SATURATED = rising(0.99, 3, 100)


@pytest.mark.parametrize(
    ("explicit", "composed", "verdict"),
    [
        (SATURATED, rising(0.95, 1, 5000), "supported"),
        (rising(0.99, 1.5, 100), rising(0.3, 1, 10), "contradicted"),  # Explicit still gains, composed is at its end.
        (SATURATED, rising(0.99, 3, 100), "inconclusive"),
    ],
)
def test_f2a_finds_what_is_planted_where_explicit_is_saturated(explicit, composed, verdict):
    data = scaled(planted({"explicit": explicit, "composed:2": composed}, 11, problems=600))
    assert saturated_from(data) == 1
    finding = f2a([data], findings=2)
    assert finding.verdict == verdict, finding.summary
    assert {row["range"] for row in finding.rows} == {"saturated", "whole"}
    row = next(r for r in finding.rows if r["range"] == "whole" and r["format"] == "composed:2")
    truth = float(composed(SIZES[-1]) - composed(SIZES[0])) / math.log2(SIZES[-1] / SIZES[0])
    assert float(row["gain"].split()[0]) == pytest.approx(truth, abs=0.02)


def test_f2a_has_no_range_where_explicit_is_not_saturated():
    finding = f2a([scaled(planted({"explicit": LATE, "composed:2": rising(0.9, 1, 20000)}, 12))])
    assert finding.verdict == "inconclusive"
    assert "no range" in finding.summary


def test_f2a_is_not_decided_by_a_format_that_lacks_updates():
    data = scaled(planted({"explicit": SATURATED, "composed:2": rising(0.95, 1, 5000)}, 11), trained=0.4)
    finding = f2a([data])
    assert finding.verdict == "inconclusive"
    assert "Left out of the verdict: composed:2" in finding.summary


def test_f2a_calls_no_effect_where_there_is_none():
    """`benchmarks/calibration.py` measured 0 false calls in 800 nulls, so their rate is below 0.4% (binomial, 95%).
    At that rate, 2 of 20 or more have p = 0.003."""
    null = rising(0.97, 2, 150)
    called = [
        f2a([scaled(planted(dict.fromkeys(("explicit", "composed:2"), null), i), draws=60, fit=means_only)]).verdict
        for i in range(20)
    ]
    assert sum(verdict != "inconclusive" for verdict in called) <= 1
