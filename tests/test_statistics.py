"""Curves, thresholds, intervals and the verdict on F1, on data where the truth is planted."""

import math

import numpy as np
import pytest

from zipthought.study.experiments.scaling.f1 import f1
from zipthought.study.experiments.scaling.f2a import f2a
from zipthought.study.experiments.scaling.measurements import ScalingMeasurements
from zipthought.study.statistics import (
    Curve,
    Outcomes,
    binomial_interval,
    bootstrap_means,
    fit_curve,
    fit_formats,
    goodness,
    threshold_of,
)

N = (64, 256, 1024, 4096)


def planted(curves, seed, seeds=3, problems=200):
    """Outcomes drawn from known curves, with problems that differ in difficulty and a little noise between seeds."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 0.5, size=problems)
    outcomes = {}
    for fmt, curve in curves.items():
        correct = np.empty((seeds, len(N), problems), dtype=bool)
        for s in range(seeds):
            shift = rng.normal(0, 0.15)
            for k, n in enumerate(N):
                p = np.clip(curve(n), 1e-6, 1 - 1e-6)
                logit = math.log(p / (1 - p)) + difficulty + shift
                correct[s, k] = rng.random(problems) < 1 / (1 + np.exp(-logit))
        outcomes[fmt] = Outcomes(N, correct)
    return outcomes


def scaled(outcomes, trained=1.0, model="bundled", compute=None):
    return ScalingMeasurements(
        model=model,
        seeds=len(next(iter(outcomes.values())).correct),
        fits=fit_formats(outcomes, draws=200),
        compute=fit_formats(compute or {}, draws=200),
        tokens_per_example={fmt: 50.0 if fmt == "explicit" else 25.0 for fmt in outcomes},
        training_accuracy=dict.fromkeys(outcomes, trained),
    )


def verdict_on_f1(outcomes, trained=1.0):
    return f1([scaled(outcomes, trained)])


def test_a_curve_is_recovered_and_its_threshold_is_its_inverse():
    truth = Curve(0.95, 1.1, math.log(500))
    curve = fit_curve(N, [float(truth(n)) for n in N], [1000] * 4)
    assert curve == pytest.approx(truth, rel=0.05)
    assert goodness(curve, N, [float(truth(n)) for n in N]) > 0.999
    found = threshold_of(curve, 0.5, N)
    assert found.censored == ""
    assert float(curve(found.value)) == pytest.approx(0.5)


def test_a_crossing_outside_the_measured_range_is_censored():
    low, high = Curve(1.0, 1.0, math.log(8)), Curve(1.0, 1.0, math.log(1e6))
    assert threshold_of(low, 0.5, N) == (64, "below")
    assert threshold_of(high, 0.5, N) == (4096, "above")
    assert threshold_of(Curve(0.4, 1.0, math.log(100)), 0.5, N) == (4096, "above")


def test_flat_and_saturated_accuracies_fit_without_failing():
    for accuracy in ([0.0] * 4, [1.0] * 4, [0.04, 0.05, 0.03, 0.04]):
        curve = fit_curve(N, accuracy, [100] * 4)
        assert all(abs(float(curve(n)) - a) < 0.05 for n, a in zip(N, accuracy, strict=True))


def test_one_data_size_is_no_curve():
    with pytest.raises(ValueError, match="two data sizes"):
        fit_curve([64], [0.5], [100])


def test_binomial_interval_by_hand():
    # Clopper-Pearson for 5 of 10, from published tables.
    assert binomial_interval(5, 10) == pytest.approx((0.187, 0.813), abs=1e-3)
    assert binomial_interval(0, 10) == pytest.approx((0.0, 0.308), abs=1e-3)
    assert binomial_interval(10, 10) == pytest.approx((0.692, 1.0), abs=1e-3)


def test_the_bootstrap_is_paired_seeded_and_centred():
    outcomes = planted({"explicit": Curve(1, 1, math.log(300))}, 0)
    correct = outcomes["explicit"].correct
    draws = bootstrap_means(correct, 100, seed=1)
    assert np.array_equal(draws, bootstrap_means(correct, 100, seed=1))
    assert np.abs(draws.mean(axis=0) - outcomes["explicit"].accuracy()).max() < 0.02
    by_seed = np.arange(3.0)[:, None]  # The seeds drawn are the same for any number of problems.
    few, many = (bootstrap_means(by_seed * np.ones(p), 50) for p in (10, 400))
    assert few == pytest.approx(many)


def test_f1_finds_an_effect_that_is_there():
    curves = {"explicit": Curve(1, 1, math.log(150)), "composed:2": Curve(1, 1, math.log(600))}
    finding = verdict_on_f1(planted(curves, 1))
    assert finding.verdict == "supported"
    assert float(finding.rows[0]["ratio"]) == pytest.approx(4, rel=0.4)


def test_f1_names_formats_that_lack_updates():
    curves = {"explicit": Curve(1, 1, math.log(150)), "composed:2": Curve(1, 1, math.log(600))}
    assert "Caution" not in verdict_on_f1(planted(curves, 1)).summary
    assert "composed:2 (0.40)" in verdict_on_f1(planted(curves, 1), trained=0.4).summary


def test_f1_decides_nothing_on_two_seeds():
    curves = {"explicit": Curve(1, 1, math.log(150)), "composed:2": Curve(1, 1, math.log(600))}
    assert verdict_on_f1(planted(curves, 1, seeds=2)).verdict == "inconclusive"


def test_f1_is_contradicted_by_the_opposite_effect():
    curves = {"explicit": Curve(1, 1, math.log(900)), "implicit:2": Curve(1, 1, math.log(150))}
    assert verdict_on_f1(planted(curves, 2)).verdict == "contradicted"


def test_f1_calls_no_effect_where_there_is_none():
    """At 95%, with one format, at most about 5 of 100 planted nulls may be called; 20 runs allow 3."""
    curve = Curve(1, 1, math.log(400))
    called = [
        verdict_on_f1(planted({"explicit": curve, "composed:2": curve}, 100 + i, seeds=4)).verdict for i in range(20)
    ]
    assert sum(verdict != "inconclusive" for verdict in called) <= 3


def test_f1_with_both_curves_censored_says_nothing():
    curves = {"explicit": Curve(1, 1, math.log(1e6)), "implicit:2": Curve(1, 1, math.log(1e7))}
    assert verdict_on_f1(planted(curves, 3)).verdict == "inconclusive"


def test_f1_without_explicit_cells_is_inconclusive():
    assert verdict_on_f1(planted({"composed:2": Curve(1, 1, 5)}, 4)).verdict == "inconclusive"


def test_f1_states_every_view_and_every_base():
    """At equal examples the compressed format needs twice as much; at equal tokens, being half as long, as much; along
    compute it needs eight times as much."""
    curves = {"explicit": Curve(1, 1.5, math.log(300)), "composed:2": Curve(1, 1.5, math.log(600))}
    compute = {"explicit": Curve(1, 1.5, math.log(150)), "composed:2": Curve(1, 1.5, math.log(1200))}
    first = scaled(planted(curves, 5, seeds=6, problems=600), compute=planted(compute, 6, seeds=6))
    other = scaled(planted(dict.fromkeys(curves, Curve(1, 1, math.log(300))), 7), model="bundled-mixed")
    finding = f1([first, other], findings=5)
    assert finding.verdict == "supported"
    assert "At equal training tokens: inconclusive" in finding.summary
    assert "at equal training FLOPs: supported" in finding.summary
    assert "From bundled-mixed: inconclusive" in finding.summary
    by_view = {row["at equal"]: row for row in finding.rows if row["base"] == "bundled"}
    assert float(by_view["training tokens"]["ratio"]) == pytest.approx(
        float(by_view["examples"]["ratio"]) / 2, rel=0.05
    )
    assert "5 findings" in finding.rule


SLOW, FAST = Curve(0.9, 0.4, math.log(500)), Curve(0.9, 1.6, math.log(500))


@pytest.mark.parametrize(
    ("explicit", "composed", "verdict"),
    [(SLOW, FAST, "supported"), (FAST, SLOW, "contradicted"), (FAST, FAST, "inconclusive")],
)
def test_f2a_finds_the_slope_that_is_there(explicit, composed, verdict):
    finding = f2a([scaled(planted({"explicit": explicit, "composed:2": composed}, 11))], findings=2)
    assert finding.verdict == verdict
    truth = composed.gain_per_doubling(64, 4096)
    row = next(row for row in finding.rows if row["format"] == "composed:2")
    assert float(row["gain"].split()[0]) == pytest.approx(truth, abs=0.02)


def test_f2a_tells_the_last_step_from_the_whole_range():
    """Explicit rises first and is at its ceiling when the composed format begins to rise."""
    early, late = Curve(0.95, 2, math.log(150)), Curve(0.95, 2, math.log(2500))
    finding = f2a([scaled(planted({"explicit": early, "composed:2": late}, 13, seeds=6))], findings=2)
    row = next(row for row in finding.rows if row["format"] == "composed:2")
    whole, last = (float(row[name].split()[0]) for name in ("less explicit's", "less explicit's, last step"))
    assert last > 0.1 > whole


def test_f2a_calls_no_effect_where_there_is_none():
    called = [
        f2a([scaled(planted({"explicit": FAST, "composed:2": FAST}, 200 + i, seeds=4))]).verdict for i in range(20)
    ]
    assert sum(verdict != "inconclusive" for verdict in called) <= 3
