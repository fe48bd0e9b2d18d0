"""Curves, thresholds and intervals, on data where the truth is planted."""

import math

import numpy as np
import pytest

from zipthought.study.statistics import (
    FORMS,
    Curve,
    Interpolation,
    Outcomes,
    binomial_interval,
    bootstrap_means,
    fit_curve,
    fit_formats,
    goodness,
    threshold_of,
)

N = (64, 256, 1024, 4096)


def test_a_curve_is_recovered_and_its_threshold_is_its_inverse():
    truth = Curve(0.95, 1.1, math.log(500))
    curve = fit_curve(N, [float(truth(n)) for n in N], [1000] * 4)
    assert curve[:3] == pytest.approx(truth[:3], rel=0.05)
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
    correct = np.random.default_rng(0).random((3, 4, 200)) < 0.4
    draws = bootstrap_means(correct, 100, seed=1)
    assert np.array_equal(draws, bootstrap_means(correct, 100, seed=1))
    assert np.abs(draws.mean(axis=0) - correct.mean(axis=(0, 2))).max() < 0.02
    by_seed = np.arange(3.0)[:, None]  # The seeds drawn are the same for any number of problems.
    few, many = (bootstrap_means(by_seed * np.ones(p), 50) for p in (10, 400))
    assert few == pytest.approx(many)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recovered_above_the_floor_of_a_guess(form):
    truth = Curve(0.95, 1.1, math.log(500), 1 / 23, form)
    curve = fit_curve(N, [float(truth(n)) for n in N], [1000] * 4, floor=1 / 23, form=form)
    assert curve[:3] == pytest.approx(truth[:3], rel=0.05)
    assert float(curve(curve.crossing(0.5))) == pytest.approx(0.5)
    assert curve.crossing(0.04) == 0.0
    assert curve.crossing(0.96) == math.inf


def test_interpolation_joins_the_measured_points():
    joined = Interpolation((64, 256, 1024), (0.1, 0.3, 0.2))
    assert joined.crossing(0.2) == pytest.approx(128)
    assert joined.crossing(0.31) == math.inf
    assert joined.crossing(0.1) == 0.0


def test_an_accuracy_of_one_has_an_error():
    outcomes = {"explicit": Outcomes((64, 256), np.ones((4, 2, 100), dtype=bool))}
    fit = fit_formats(outcomes, 50)["explicit"]
    assert fit.accuracy_draws.std() < 1e-9
    # One more right and one more wrong than 100 right ones, by hand: 101/102.
    assert fit.errors() == pytest.approx([math.sqrt(101 / 102 * 1 / 102 / 102)] * 2)


def test_the_spread_of_the_forms_is_in_the_thresholds():
    accuracy = np.array([0.05, 0.1, 0.6])
    correct = np.tile(np.arange(100) < accuracy[:, None] * 100, (4, 1, 1))
    fit = fit_formats({"composed:2": Outcomes((64, 512, 4200), correct)}, 20, floor=1 / 23)["composed:2"]
    found = {form: threshold.value for form, (threshold, _) in fit.thresholds(0.5).items()}
    assert set(found) == {*FORMS, "interpolation"}
    assert found["interpolation"] == pytest.approx(512 * (4200 / 512) ** 0.8)
    assert max(found.values()) / min(found.values()) > 1.02
