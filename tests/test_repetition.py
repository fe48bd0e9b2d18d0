"""Repetition: its arms, and F6 on data with a planted truth."""

from dataclasses import replace

import numpy as np
import pytest
from small_study import run_here

from zipthought.report.page import build_report
from zipthought.study.cells import SFTCell
from zipthought.study.cells.sft_run import sft_problems
from zipthought.study.experiments.repetition.f6 import f6
from zipthought.study.experiments.repetition.findings import FormatMeasurements
from zipthought.study.report import measure, report_data
from zipthought.study.spec import make_spec
from zipthought.study.store import Store

TABLE = {"n_ops": [3], "batch_size": 4, "examples": 8, "epochs": [1, 2], "formats": ["composed:2"]}


def spec_of(tiny_base, **changes):
    return make_spec({"name": "x", "model": str(tiny_base), "repetition": TABLE | changes})


def test_arms_have_equal_updates_and_differ_in_what_later_passes_show(tiny_base):
    cells = [cell for cell in spec_of(tiny_base).cells() if isinstance(cell, SFTCell)]
    assert [(c.examples, c.structures, c.steps) for c in cells] == [(8, 0, 2), (8, 0, 4), (16, 8, 4), (16, 0, 4)]
    once, repeat, redress, fresh = ([problem for _, problem in sft_problems(cell)] for cell in cells)
    assert once == repeat == redress[:8] == fresh[:8]
    structures = [{p.structure for p in of} for of in (repeat, redress, fresh)]
    assert structures[0] == structures[1] < structures[2]
    assert len(structures[2]) == 16
    assert not {str(p.definitions) for p in redress[8:]} & {str(p.definitions) for p in repeat}


def test_arms_can_be_left_out(tiny_base):
    cells = spec_of(tiny_base, arms=["repeat", "redress"], before=False).cells()
    assert [(c.examples, c.structures) for c in cells] == [(8, 0), (8, 0), (16, 8)]
    limited = spec_of(tiny_base, arms=["repeat", "redress"], structures=4, before=False).cells()
    assert [(c.examples, c.structures) for c in limited] == [(8, 4), (8, 4), (16, 4)]


@pytest.mark.parametrize(
    ("arms", "epochs", "asked"),
    [
        (["repeat", "redress"], [1, 2], ("F2b", "F6")),
        (["repeat", "fresh"], [1, 2], ("F2b",)),
        (["repeat", "redress"], [2], ("F6",)),
    ],
)
def test_intervals_are_not_corrected_for_findings_that_the_settings_do_not_ask_for(tiny_base, arms, epochs, asked):
    spec = spec_of(tiny_base, arms=arms, epochs=epochs)
    assert spec.experiments["repetition"].finding_ids == asked
    found = spec.experiments["repetition"].findings(None, len(asked), spec)
    assert tuple(finding.id for finding in found) == asked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": ["repeat", "rename"]}, "unknown arm 'rename'; use repeat, redress, fresh"),
        ({"arms": ["redress"]}, "arms must have repeat"),
        ({"arms": ["repeat", "repeat"]}, "each once"),
        ({"structures": 4}, "the arm fresh shows 16 structures, got structures = 4"),
    ],
)
def test_arms_that_compare_nothing_are_refused(tiny_base, changes, message):
    with pytest.raises(ValueError, match=message):
        spec_of(tiny_base, **changes)


def test_too_few_structures_for_fresh_ones_are_refused_before_anything_runs(tiny_base):
    with pytest.raises(ValueError, match=r"n_ops=3 has \d+ training structures"):
        spec_of(tiny_base, examples=1024, epochs=[1, 16]).cells()
    assert spec_of(tiny_base, examples=1024, epochs=[1, 16], arms=["repeat", "redress"]).cells()


def planted(seed, repeat, redress, fresh, seeds=5, problems=200, noise=0.03):
    """A format whose arms have these accuracies after the most epochs, with noise between seeds."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 0.1, size=problems)

    def solved(accuracy):
        chances = accuracy + difficulty + rng.normal(0, noise, size=(seeds, 2, 1))
        return rng.random((seeds, 2, problems)) < chances

    test = solved(repeat)
    arms = {"redress": solved(redress), "fresh": solved(fresh)}
    return FormatMeasurements(epochs=(1, 16), test=test, train=test, old_train=~test, old_held_out=~test, arms=arms)


@pytest.mark.parametrize(
    ("composed", "implicit", "verdict"),
    [
        ((0.3, 0.6, 0.8), (0.2, 0.5, 0.5), "supported"),
        ((0.6, 0.3, 0.8), (0.2, 0.5, 0.5), "contradicted"),
        ((0.3, 0.6, 0.8), (0.4, 0.4, 0.7), "inconclusive"),
    ],
)
def test_f6_finds_what_is_planted(composed, implicit, verdict):
    data = {"explicit": planted(0, 0.9, 0.9, 0.9), "composed:2": planted(1, *composed)}
    finding = f6(data | {"implicit:2": planted(2, *implicit)}, findings=2, draws=300)
    assert finding.verdict == verdict, finding.summary
    assert [row["format"] for row in finding.rows] == ["explicit", "composed:2", "implicit:2"]
    row = finding.rows[1]
    assert row["epochs"] == 16
    assert [row[arm] for arm in ("repeat", "redress", "fresh")] == pytest.approx(composed, abs=0.06)
    for key, truth in (
        ("redress less repeat", composed[1] - composed[0]),
        ("fresh less redress", composed[2] - composed[1]),
    ):
        assert float(row[key].split()[0]) == pytest.approx(truth, abs=0.08)
    assert "2 findings" in finding.rule


def test_f6_needs_the_arm_redress_three_seeds_and_a_coarse_format():
    data = planted(1, 0.3, 0.7, 0.8)
    assert f6({"composed:2": data}, draws=100).verdict == "supported"
    assert "nothing to compare" in f6({"composed:2": replace(data, arms={})}).summary
    assert f6({"explicit": data}, draws=100).verdict == "inconclusive"
    assert f6({"composed:2": planted(1, 0.3, 0.7, 0.8, seeds=2)}, draws=100).verdict == "inconclusive"
    alone = f6({"composed:2": replace(data, arms={"redress": data.arms["redress"]})}, draws=100)
    assert alone.verdict == "supported"
    assert "fresh less redress" not in alone.rows[0]


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_f6_calls_no_effect_where_there_is_none(noise):
    """At 95%, 3 of 60 are expected; 9 would be too many (binomial, p < 0.003)."""
    called = 0
    for seed in range(60):
        data = {"composed:2": planted(seed, 0.4, 0.4, 0.8, noise=noise)}
        called += f6(data, draws=120).verdict != "inconclusive"
    assert called <= 8


def test_a_study_of_f6_alone_goes_to_its_report(tiny_base, tmp_path):
    small = {"epochs": [2], "arms": ["repeat", "redress"], "test_count": 3, "train_count": 2, "edited_count": 2}
    snapshot = run_here(Store.create(tmp_path, spec_of(tiny_base, **small), {})).read()
    data = report_data(snapshot, measure(snapshot))
    (finding,) = data.findings
    assert finding.id == "F6"
    assert "correction for the 1 findings" in finding.rule
    assert [(row["epochs"], row["repeat"], row["redress"]) for row in finding.rows] == [(2, 0, 0)]
    assert 'id="fig-repetition"' in build_report(data)
