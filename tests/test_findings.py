"""Verdicts on planted data: each test finds an effect that is there, and calls none where there is none."""

from dataclasses import replace

import numpy as np
import pytest
from planted import EPOCHS, difficulties, repeated, solved
from planted_states import EQUAL, planted

from zipthought.study.experiments.decomposition.f3 import difference, f3
from zipthought.study.experiments.decomposition.f7 import f7
from zipthought.study.experiments.repetition.f6 import f6
from zipthought.study.experiments.repetition.findings import FormatMeasurements, f2b
from zipthought.study.verdicts import Comparison, decide, quantile, unresolved


def wobbly(rng, means, problems, noise):
    """(S, ..., P) bool: each seed has its own shift of the rates `means`, (...)."""
    return solved(rng, means, difficulties(rng, problems), noise=noise)


def repetition(composed, implicit, seed=0):
    """(gain, memory) of each."""
    rng = np.random.default_rng(seed)
    difficulty = difficulties(rng, 200)
    return {
        fmt: repeated(rng, difficulty, [0.2, 0.2 + gain / 2, 0.2 + gain], memory)
        for fmt, (gain, memory) in (("composed:2", composed), ("implicit:2", implicit))
    }


@pytest.mark.parametrize(
    ("composed", "implicit", "verdict"),
    [
        ((0.5, 0.0), (0.0, 0.5), "supported"),
        ((0.0, 0.0), (0.5, 0.5), "contradicted"),  # Implicit gains instead.
        ((0.5, 0.5), (0.0, 0.0), "contradicted"),  # Composed memorizes instead.
        ((0.5, 0.3), (0.0, 0.3), "inconclusive"),
    ],
)
def test_f2b_finds_what_is_planted(composed, implicit, verdict):
    finding = f2b(repetition(composed, implicit), findings=5, draws=300)
    assert finding.verdict == verdict
    assert len(finding.rows) == 2 * len(EPOCHS)
    assert finding.rows[0]["epochs"] == 1
    assert finding.rows[0]["gap"] == pytest.approx(0.1, abs=0.06)


@pytest.mark.parametrize(
    ("more", "verdict"),
    [((0.3, 0.3), "supported"), ((-0.3, 0.3), "contradicted"), ((0.3, 0.0), "inconclusive")],
)
def test_f6_finds_what_is_planted(more, verdict):
    rng = np.random.default_rng(0)
    difficulty = difficulties(rng, 200)
    data = {
        fmt: repeated(rng, difficulty, [0.4] * 3, 0.1, arms={"redress": [0.4, 0.4, 0.4 + gain], "fresh": [0.4] * 3})
        for fmt, gain in zip(("composed:2", "implicit:2"), more, strict=True)
    }
    finding = f6(data, draws=300)
    assert finding.verdict == verdict
    assert finding.rows[0]["redress"] == pytest.approx(0.4 + more[0], abs=0.1)
    assert float(finding.rows[0]["redress less repeat"].split()[0]) == pytest.approx(more[0], abs=0.1)
    without = {fmt: replace(d, arms={}) for fmt, d in data.items()}
    assert "nothing to compare" in f6(without).summary


def test_nothing_measured_is_inconclusive():
    assert f2b({}).verdict == "inconclusive"


@pytest.mark.long
@pytest.mark.parametrize("noise", [0.15, 0.4])
def test_where_there_is_no_effect_few_verdicts_find_one(noise):
    """60 planted nulls each. `benchmarks/calibration.py` measured false calls in at most 4% of 200 nulls of a design.
    At 4%, 8 of 60 or more have p = 0.003 (binomial)."""
    called = {"F2b": 0, "F6": 0}
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        difficulty = difficulties(rng, 200)
        null = {
            fmt: repeated(rng, difficulty, [0.3] * 3, 0.1, noise, arms={"redress": [0.3] * 3})
            for fmt in ("composed:2", "implicit:2")
        }
        called["F2b"] += f2b(null, draws=120).verdict != "inconclusive"
        called["F6"] += f6(null, draws=120).verdict != "inconclusive"
    assert max(called.values()) <= 7, called


@pytest.mark.long
@pytest.mark.parametrize(
    ("finding", "coverage", "accuracy"),
    [
        (f3, EQUAL, EQUAL),
        (f7, EQUAL, EQUAL),
        # The hardest nulls for `supported`: all comparisons but one hold by far.
        (f3, EQUAL | {"rlvr": 0.7, "sft-tokens": 0.7}, EQUAL),
        (f7, EQUAL | {"rlvr": 0.7}, EQUAL),
    ],
)
def test_few_verdicts_on_decomposition_find_what_is_not_there(finding, coverage, accuracy):
    """50 planted nulls each. `benchmarks/calibration.py` measured false calls in at most 4% of 100 nulls of a design.
    At 4%, 7 of 50 or more have p = 0.004 (binomial)."""
    nulls = [planted(coverage, accuracy, seeds=6, problems=100, noise=0.05, rng=number) for number in range(50)]
    called = [finding([null], draws=100).verdict != "inconclusive" for null in nulls]
    assert sum(called) <= 6


def test_the_intervals_of_the_decomposition_cover_what_is_planted():
    """100 intervals. `benchmarks/calibration.py` measured a coverage of at least 94% where nothing collapses. At 94%,
    86 or fewer have p = 0.003 (binomial)."""
    inside = 0
    for number in range(100):
        data = planted(EQUAL | {"rlvr": 0.6}, seeds=6, problems=100, noise=0.05, rng=number)
        comparison = difference(data, "coverage", "sft", 1, 1, 100)
        inside += comparison.low < 0.3 < comparison.high
    assert inside >= 87


def test_an_interval_takes_students_t():
    draws = np.random.default_rng(0).normal(1.0, 0.1, 4000)
    found = Comparison.of(1.0, draws, seeds=3, findings=5, comparisons=2)
    assert quantile(3, 0.01) == pytest.approx(9.925, abs=1e-3)  # From published tables of t.
    assert found.low == pytest.approx(1 - 9.925 * 0.1, abs=0.03)
    assert found.wide_high > found.high
    ratio = Comparison.of(2.0, 2.0 * np.exp(draws - 1), seeds=5, ratio=True)
    assert ratio.low == pytest.approx(2 * np.exp(-2.776 * 0.1), abs=0.03)


def test_decisions():
    above, below, wide = Comparison(1, 0.5, 1.5, 2), Comparison(-1, -1.5, -0.5, -0.2), Comparison(0, -1, 1, 2)
    assert decide([above, above], 3) == "supported"
    assert decide([above, above], 2) == "inconclusive"
    assert decide([above, wide], 3) == "inconclusive"
    assert decide([above, below], 3) == "contradicted"
    assert decide([], 5) == "inconclusive"


def test_a_difference_of_nothing_and_an_interval_without_width_are_no_verdict():
    none, tiny, sure = Comparison(0, 0, 0, 0), Comparison(4e-4, 3e-4, 5e-4, 5e-4), Comparison(0.3, 0.3, 0.3, 0.3)
    below, clear = Comparison(-0.3, -0.3, -0.3, -0.3), Comparison(0.3, 0.2, 0.4, 0.5)
    for nothing in (none, tiny, sure, below):
        assert decide([nothing], 100) == "inconclusive"
        assert decide([nothing, clear], 100) == "inconclusive"
    assert decide([Comparison(1.0004, 1.0003, 1.0005, 1.0006)], 100, null=1.0) == "inconclusive"
    assert decide([none, Comparison(-0.3, -0.4, -0.2, -0.1)], 100) == "contradicted"
    assert decide([Comparison(8.0, 8.0, np.inf, np.inf)], 100, null=1.0) == "supported"  # A bound, open on one side.
    assert unresolved({"a": clear}) == ""
    assert "the comparison with b has an interval without width" in unresolved({"a": clear, "b": sure})
    assert "the comparison with b is within 0.001 of 0" in unresolved({"a": clear, "b": tiny})


def test_findings_say_why_equal_outcomes_decide_nothing():
    same = np.ones((5, 3, 20), dtype=bool)
    data = FormatMeasurements(epochs=EPOCHS, test=same, train=same, old_train=same, old_held_out=~same)
    found = f2b({"composed:2": data, "implicit:2": data}, draws=50)
    assert found.verdict == "inconclusive"
    assert (
        "No evidence: the comparison with the fewest epochs of composed:2 has an interval without width"
        in found.summary
    )
