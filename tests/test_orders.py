"""F4 on planted data."""

from dataclasses import replace

import numpy as np
import pytest
from planted_orders import COUNT, GOLD, LENGTHS, planted, study
from synthetic_study import finished_study

from zipthought.study.experiments.orders.equal import at_tokens, common_tokens, paired_lengths
from zipthought.study.experiments.orders.findings import Precision, View, f4
from zipthought.study.experiments.orders.measurements import RunMeasurements
from zipthought.study.experiments.orders.rows import length_rows
from zipthought.study.report import measure, report_data
from zipthought.study.spec import make_spec

FLOOR = 2 / 23
QUICK = Precision(draws=150)


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ((0.8, 0.4, 0.3), "supported"),
        ((0.3, 0.3, 0.8), "contradicted"),
        ((0.8, 0.8, 0.3), "inconclusive"),
    ],
)
def test_f4_finds_what_is_planted(accuracies, verdict):
    finding = f4(study(*accuracies), Precision(findings=5, draws=300), planned=6)
    assert finding.verdict == verdict
    assert "No verdict" not in finding.summary
    assert "On problems of 7 to 12 operations (view familiar)" in finding.summary
    assert "; 6 seeds." in finding.summary
    assert [(row["order"], row["fits"]) for row in finding.rows] == [(order, "yes") for order in GOLD]
    assert finding.rows[0]["forward less this"] is None
    assert finding.rows[0]["trained lengths"] == pytest.approx(0.95, abs=0.03)
    assert finding.rows[0]["trained lengths, before SFT"] == 0
    assert finding.rows[1]["training tokens"] == 80_000


def test_an_order_that_does_not_fit_takes_the_verdict_and_stays_in_every_row():
    data = study(0.8, 0.4, 0.3)
    slow = data["familiar", "backward"]
    accuracy = np.array([1.0, 1.0, 1.0, 1.0, 0.7, 0.64])  # A mean of 0.89: two seeds are enough.
    data["familiar", "backward"] = replace(slow, training_accuracy=accuracy)
    finding = f4(data, QUICK)
    assert finding.verdict == "inconclusive"
    assert (
        "No verdict, because not every order fits its training problems (accuracy below 0.9): backward (0.89)."
        in finding.summary
    )
    assert "floor" not in finding.summary
    assert [(row["order"], row["fits"]) for row in finding.rows] == [
        ("forward", "yes"), ("backward", "no"), ("hierarchical", "yes")
    ]  # fmt: skip
    assert finding.rows[1]["forward less this"].startswith("+0.4")
    assert "At equal text length, which favours the other orders: inconclusive." in finding.summary
    rows = length_rows(data, 50)
    assert {(row.order, row.n_ops) for row in rows} == {(order, n) for order in GOLD for n in LENGTHS}
    barely = replace(slow, training_accuracy=np.full(6, 0.9))
    assert f4(data | {("familiar", "backward"): barely}, QUICK).verdict == "supported"


def test_at_the_floor_there_is_no_verdict_even_where_orders_differ():
    finding = f4(study(0.09, 0.02, 0.02, noise=0.0, hard=0.0), QUICK)
    assert finding.verdict == "inconclusive"
    assert "No verdict, because no order is off the floor on longer problems: the best, forward, has" in finding.summary
    assert "not above 0.087" in finding.summary
    assert "fits" not in finding.summary.partition("No verdict")[2]
    both = study(0.04, 0.04, 0.04, fit=0.5)
    assert "; and no order is off the floor" in f4(both, QUICK).summary
    other_modulus = f4(study(0.09, 0.02, 0.02, noise=0.0, hard=0.0), QUICK, modulus=97)
    assert other_modulus.verdict == "supported"  # The floor is 0.021 there.


def test_the_best_order_may_be_any_and_only_one_needs_to_leave_the_floor():
    assert f4(study(0.04, 0.04, 0.6), QUICK).verdict == "contradicted"
    assert f4(study(0.6, 0.04, 0.04), QUICK).verdict == "supported"


def test_missing_seeds_are_counted_and_two_decide_nothing():
    assert "; 5 of 6 seeds are complete." in f4(study(0.8, 0.4, 0.3, seeds=5), QUICK, planned=6).summary
    assert f4(study(0.8, 0.4, 0.3, seeds=2), QUICK, planned=6).verdict == "inconclusive"
    assert f4({}).verdict == "inconclusive"
    assert f4({key: d for key, d in study(0.8, 0.4, 0.3).items() if key[1] != "forward"}).verdict == "inconclusive"


def test_the_first_view_decides_and_the_other_stands_beside_it():
    data = study(0.8, 0.4, 0.3) | study(0.04, 0.04, 0.04, seed=1, view="plain")
    finding = f4(data, QUICK)
    assert finding.verdict == "supported"
    assert "In the view plain: inconclusive (no order is off the floor" in finding.summary
    assert "The verdict is that of the view familiar." in finding.rule
    assert "The order hierarchical is a text of zipthought, not of the paper." in finding.rule
    assert len(finding.rows) == 6


def test_equal_outcomes_decide_nothing():
    data = study(0.8, 0.4, 0.3)
    sure = {key: replace(d, correct=np.full(d.correct.shape, key[1] == "forward")) for key, d in data.items()}
    finding = f4(sure, QUICK)
    assert finding.verdict == "inconclusive"
    assert "No evidence: the comparison with backward has an interval without width" in finding.summary


def test_equal_tokens_interpolate_between_measurements():
    rng = np.random.default_rng(0)
    order = planted(rng, "forward", 0.5, seeds=1)
    run = RunMeasurements(tokens=np.array([0, 100, 400]), correct=np.array([[True, True], [False, True], [True, True]]))
    order = replace(order, runs=(run,))
    assert at_tokens(order, 200) == pytest.approx(np.array([[0.5, 1.0]]))  # Halfway in logarithms.
    assert at_tokens(order, 400).tolist() == [[1.0, 1.0]]
    assert at_tokens(order, 100).tolist() == [[0.0, 1.0]]
    late = replace(order, runs=(RunMeasurements(tokens=np.array([500, 800]), correct=run.correct[1:]),))
    once = replace(order, runs=(RunMeasurements(tokens=np.array([300]), correct=run.correct[:1]),))
    assert common_tokens([order, once]) == 300
    assert common_tokens([order, late]) is None
    unmeasured = study(0.8, 0.4, 0.3)
    ends = {
        key: replace(d, runs=tuple(RunMeasurements(tokens=run.tokens[-1:], correct=run.correct[-1:]) for run in d.runs))
        for key, d in unmeasured.items()
    }
    assert "At equal training tokens, on trained lengths: not measured." in f4(ends, QUICK).summary


def test_equal_tokens_favour_the_order_with_the_shorter_texts():
    """All orders learn alike by updates. At equal tokens the others are earlier in their runs."""
    finding = f4(study(0.5, 0.5, 0.5, noise=0.01), QUICK)
    assert "At equal training tokens, on trained lengths: supported." in finding.summary
    assert finding.rows[1]["at equal training tokens"].startswith("+0.2")


def test_equal_text_length_pairs_longer_problems_with_shorter_ones():
    data = {order: d for (_, order), d in study(0.6, 0.4, 0.3).items()}
    assert paired_lengths(data["forward"], data["backward"]) == [(7, 4), (8, 5), (9, 5), (10, 6), (11, 7), (12, 7)]
    far = replace(data["backward"], gold_tokens=dict.fromkeys(LENGTHS, 1000.0))
    assert paired_lengths(data["forward"], far) == []
    view = View(data, FLOOR, QUICK)
    assert view.at_text["backward"].value < 0  # Four of the six paired lengths are trained ones.
    assert view.verdict() == "supported"
    assert view.text_word() == "contradicted"
    unpaired = f4({("familiar", order): d for order, d in (data | {"backward": far}).items()}, QUICK)
    assert "At equal text length: no lengths to compare." in unpaired.summary


def test_rows_by_length_by_hand():
    data = study(0.5, 0.5, 0.5, seeds=3)
    d = data["familiar", "forward"]
    at = d.n_ops == 8
    first = np.full(d.correct.shape, np.nan)
    correct = np.ones_like(d.correct)
    correct[0, at] = False
    first[0, np.flatnonzero(at)[:50]] = 3.0
    row = next(
        row
        for row in length_rows({("plain", "forward"): replace(d, correct=correct, first_wrong=first)}, 50)
        if row.n_ops == 8
    )
    assert (row.view, row.trained, row.accuracy) == ("plain", "no", pytest.approx(2 / 3))
    assert (row.first_wrong_step, row.first_wrong_share) == (3.0, pytest.approx(3 / 9))
    assert row.wrong_without_invalid_step == 0.5
    assert (row.gold_tokens, row.truncated) == (96, 0.0)
    assert row.low == 0.0  # One of three seeds fails: nothing is known.


def false_calls(studies, noise, level=0.5, draws=100):
    """The share of studies without an effect that are called."""
    called = 0
    for seed in range(studies):
        data = study(level, level, level, seed=1000 + seed, noise=noise)
        called += f4(data, Precision(draws=draws)).verdict != "inconclusive"
    return called / studies


def coverage(studies, noise, effect=0.1, draws=100):
    """The share of studies whose interval of forward less backward holds the true difference. Problems are of unequal
    difficulty, the same for both orders."""
    held = 0
    for seed in range(studies):
        rng = np.random.default_rng(5000 + seed)
        hard = rng.normal(0, 0.1, len(LENGTHS) * COUNT)
        pair = {
            order: planted(rng, order, value, noise=noise, hard=hard)
            for order, value in (("forward", 0.5 + effect), ("backward", 0.5))
        }
        interval = View(pair, FLOOR, Precision(draws=draws)).at_samples["backward"]
        held += interval.low <= effect <= interval.high
    return held / studies


@pytest.mark.long
def test_error_rates_in_the_design_of_the_studies():
    """40 studies each. `benchmarks/calibration.py` measured false calls in 1% of 100 such nulls, and none at the floor.
    At 2%, 5 of 40 or more have p = 0.001. At a coverage of 95%, 33 of 40 or fewer have p = 0.003 (binomial)."""
    assert false_calls(40, noise=0.1) <= 4 / 40
    assert false_calls(40, noise=0.05, level=0.05) == 0  # At the floor.
    assert coverage(40, noise=0.1) >= 34 / 40


def test_a_stored_study_gives_the_arrays(tiny_base, tmp_path):
    orders = {"n_ops": [2, 3], "longer_n_ops": [4], "examples": 40, "steps": 2, "test_count": 5, "train_count": 2}
    spec = make_spec({"name": "x", "model": str(tiny_base), "bootstrap": 20, "seeds": [0, 1, 2], "orders": orders})
    snapshot = finished_study(tmp_path, spec).read()
    measured = measure(snapshot)["orders"]
    assert set(measured) == {(view, order) for view in ("familiar", "plain") for order in GOLD}
    d = measured["plain", "backward"]
    assert (d.seeds, d.lengths, d.longer.sum()) == ((0, 1, 2), [2, 3, 4], 5)
    shapes = {name: getattr(d, name).shape for name in ("correct", "faithful", "first_wrong", "steps", "truncated")}
    assert set(shapes.values()) == {(3, 15)}
    assert d.gold_tokens[4] > d.gold_tokens[3] > measured["plain", "forward"].gold_tokens[3]
    assert [run.correct.shape for run in d.runs] == [(1, 10)] * 3
    data = report_data(snapshot, measure(snapshot))
    assert len(data.tables["orders_by_length"]) == 2 * 3 * 3
    assert "Orders by length" in data.shown
    assert data.findings[0].verdict == "inconclusive"
