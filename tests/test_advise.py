"""Advice: calibration of its intervals with cells left out, what it recommends, and what it refuses to extrapolate."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_study import finished_study

from zipthought.advise import Question, advise
from zipthought.advise.curves import Run, fit
from zipthought.advise.reference import (
    BaseRun,
    Branches,
    FormatRuns,
    Reference,
    RepetitionRuns,
    from_plain,
    from_study,
    joined,
)
from zipthought.cli import main
from zipthought.study.spec import make_spec

CHANCE = 1 / 23
SIZES = (64, 256, 1024, 4096)


def curve(a, s, middle, n):
    return CHANCE + (a - CHANCE) / (1 + (middle / n) ** s)


def runs(rng, a, s, middle, sizes=SIZES, seeds=3, n=200, precision=60):
    made = []
    for size in sizes:
        p = curve(a, s, middle, size)
        for _ in range(seeds):
            made.append(Run(size, int(rng.binomial(n, rng.beta(p * precision, (1 - p) * precision))), n))
    return made


def coverage(of_runs, level):
    """Leave each data size between two others out: how many of its runs lie in the interval that the others predict."""
    inside = total = 0
    for made in of_runs:
        for size in sorted({run.examples for run in made})[1:-1]:
            kept = [run for run in made if run.examples != size]
            found = fit(kept).predict(size, level)
            for run in made:
                if run.examples == size:
                    inside += found.low - 0.5 / run.n <= run.solved / run.n <= found.high + 0.5 / run.n
                    total += 1
    return inside, total


@pytest.mark.parametrize(("level", "least", "most"), [(0.5, 0.35, 0.85), (0.8, 0.7, 1.0), (0.95, 0.88, 1.0)])
def test_intervals_cover_cells_left_out_about_as_often_as_they_claim(level, least, most):
    rng = np.random.default_rng(5)
    of_runs = [
        runs(rng, rng.uniform(0.3, 1.0), rng.uniform(0.5, 2.0), math.exp(rng.uniform(math.log(80), math.log(8000))))
        for _ in range(20)
    ]
    inside, total = coverage(of_runs, level)
    assert least <= inside / total <= most, f"{inside} of {total} at {level}"


def test_more_runs_make_a_narrower_interval():
    few = fit(runs(np.random.default_rng(0), 0.9, 1.2, 500, seeds=1, precision=400)).predict(700)
    many = fit(runs(np.random.default_rng(0), 0.9, 1.2, 500, seeds=8, precision=400)).predict(700)
    assert many.high - many.low < few.high - few.low
    assert many.low < curve(0.9, 1.2, 500, 700) < many.high
    with pytest.raises(ValueError, match="at least one run"):
        fit([])


def test_a_curve_says_nothing_outside_its_sizes_and_little_between_two_that_differ():
    steep = fit([Run(100, 20, 200), Run(100, 22, 200), Run(10_000, 196, 200), Run(10_000, 198, 200)])
    at = {n: steep.predict(n) for n in (100, 1000, 10_000)}
    assert at[100].high < 0.3 < 0.8 < at[10_000].low
    assert at[1000].high - at[1000].low > 0.5
    assert np.mean(steep.draws(1000, new_run=False) >= steep.draws(100, new_run=False)) > 0.95
    for outside in (99, 10_001):
        with pytest.raises(ValueError, match="outside the measured 100 to 10,000"):
            steep.predict(outside)


@pytest.fixture
def reference():
    rng = np.random.default_rng(1)
    truth = {"explicit": (1.0, 1.5, 100), "composed:2": (1.0, 1.5, 600), "implicit:2": (0.6, 1.2, 3000)}
    tokens = {"explicit": 55.0, "composed:2": 39.0, "implicit:2": 15.0}
    return Reference(
        name="planted",
        model="bundled",
        surface="terse",
        modulus=23,
        number_range=5,
        n_ops=(4,),
        formats=[
            FormatRuns(
                format=fmt,
                runs=runs(rng, *t, precision=300),
                response_tokens=tokens[fmt],
                epochs={n: 12800 / n for n in SIZES},
                training_accuracy=0.5 if fmt == "implicit:2" else 1.0,
            )
            for fmt, t in truth.items()
        ],
        repetition=[
            RepetitionRuns(
                format="composed:2",
                examples=1024,
                model="bundled",
                n_ops=(4,),
                accuracy={1: [0.1, 0.2], 4: [0.5, 0.6]},
                memorized={1: [0.0, 0.0], 4: [0.1, 0.3]},
                arms={"redress": [0.7, 0.7], "fresh": [0.8, 0.8]},
            )
        ],
        branches=[
            Branches(
                format="composed:2",
                sft_steps=15,
                model="bundled-mixed",
                n_ops=(3, 4),
                states={
                    state: {"accuracy": acc, "operations a step": ops, "response tokens": 40.0}
                    for state, acc, ops in (("sft", 0.2, 1.6), ("rlvr", 0.8, 1.0), ("sft-updates", 0.3, 1.5))
                },
            )
        ],
    )


def test_it_recommends_what_is_best_within_the_limit(reference):
    free = advise(Question(examples=1024, n_ops=4), reference)
    assert (free.recommended.format, free.runner_up.format) == ("explicit", "composed:2")
    assert free.recommended.accuracy.low < curve(1.0, 1.5, 100, 1024) < free.recommended.accuracy.high
    assert free.outside == []
    assert free.recommended.doubled.mean > free.recommended.accuracy.mean - 0.02
    short = advise(Question(examples=1024, n_ops=4, max_response_tokens=45), reference)
    assert short.recommended.format == "composed:2"
    assert [o.format for o in short.options if not o.fits] == ["explicit"]
    none = advise(Question(examples=1024, n_ops=4, max_response_tokens=3), reference)
    assert none.recommended is None
    assert sum(option.best for option in none.options) == 0


def test_a_tie_goes_to_the_shorter_response(reference):
    explicit, composed, _ = reference.formats
    value = replace(reference, formats=[explicit, replace(composed, runs=explicit.runs)])
    assert advise(Question(examples=1024, n_ops=4), value).recommended.format == "composed:2"


def base(solved, n=1000):
    return BaseRun(solved=solved, n=n, response_tokens=50.0)


def test_sft_is_never_advised_where_the_base_is_better(reference):
    question = Question(examples=1024, n_ops=4)
    untrained = {rate: replace(reference, base=base(10 * rate)) for rate in (5, 96, 99)}
    weak, close, strong = (advise(question, value) for value in untrained.values())
    assert (weak.recommended.format, weak.options[-1].format) == ("explicit", "no SFT")
    assert weak.recommended.best > 0.9
    assert (strong.recommended.format, strong.runner_up.format) == ("no SFT", "explicit")
    assert strong.recommended.best > 0.5
    for advice in (weak, close, strong):
        itself = next(option for option in advice.options if option.format == "no SFT")
        assert advice.recommended is itself or advice.recommended.accuracy.mean > itself.accuracy.mean
        assert itself.accuracy.low < itself.accuracy.mean < itself.accuracy.high
        assert not any("unknown" in note for note in advice.notes)
    short = advise(Question(examples=1024, n_ops=4, max_response_tokens=45), untrained[99])
    assert short.recommended.format == "composed:2", "the base's responses are too long"
    assert any("it is unknown whether SFT improves" in note for note in advise(question, reference).notes)


def test_a_shorter_format_that_ties_with_the_best_still_loses_to_the_base(reference):
    explicit, composed, _ = reference.formats
    lower = [run._replace(solved=run.solved - 3) for run in explicit.runs]
    value = replace(reference, formats=[explicit, replace(composed, runs=lower)])
    question = Question(examples=1024, n_ops=4)
    assert advise(question, value).recommended.format == "composed:2"
    high, low = sorted((o.accuracy.mean for o in advise(question, value).options), reverse=True)
    between = base(round(1e5 * (high + low) / 2), 100_000)
    assert [o.format for o in advise(question, replace(value, base=between)).options] == [
        "explicit",
        "no SFT",
        "composed:2",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"examples": 1_000_000}, "examples: 1,000,000 requested, 64 to 4,096 measured of explicit, composed:2"),
        ({"examples": 3}, "examples: 3 requested"),
        ({"n_ops": 9}, "n_ops: 9 requested, 4 measured"),
        ({"model": "Qwen/Qwen2.5-3B"}, "model: Qwen/Qwen2.5-3B requested, bundled measured"),
        ({"task": "tree"}, "task: tree requested, chain measured"),
        ({"epochs": 100}, "epochs: 100 requested, about 12.5 measured of explicit, composed:2, implicit:2"),
        ({"structures": 100}, "structures: 100 requested, about 1.02e+03 measured"),
    ],
)
def test_outside_what_was_measured_there_is_no_forecast(reference, change, line):
    value = replace(reference, base=base(900))
    answer = advise(Question(**{"examples": 1024, "n_ops": 4} | change), value)
    assert answer.outside[0].startswith(line)
    assert (answer.recommended, answer.runner_up, answer.options, answer.notes) == (None, None, [], [])
    nearest = {measured.format: measured for measured in answer.nearest}
    assert set(nearest) == {"explicit", "composed:2", "implicit:2"}
    found = nearest["explicit"]
    size = {1_000_000: 4096, 3: 64}.get(change.get("examples"), 1024)
    solved = [run.solved / run.n for run in value.formats[0].runs if run.examples == size]
    assert (found.examples, found.n_ops, found.model, found.runs) == (size, (4,), "bundled", 3)
    assert found.accuracy == pytest.approx(np.mean(solved))


def test_a_format_is_answered_within_its_own_range_only(reference):
    explicit, composed, implicit = reference.formats
    cut = replace(composed, runs=[run for run in composed.runs if run.examples <= 256])
    answer = advise(Question(examples=2048, n_ops=4), replace(reference, formats=[explicit, cut, implicit]))
    assert [option.format for option in answer.options] == ["explicit", "implicit:2"]
    assert answer.options[0].doubled is not None
    assert answer.outside == ["examples: 2,048 requested, 64 to 256 measured of composed:2"]
    assert [(m.format, m.examples) for m in answer.nearest] == [("composed:2", 256)]


def test_requested_passes_and_structures_are_compared_between_measured_sizes(reference):
    few = replace(reference, formats=[replace(f, structures={1024: 256, 4096: 256}) for f in reference.formats])
    assert advise(Question(examples=2048, n_ops=4, epochs=6, structures=256), few).outside == []
    assert (
        "structures: 2,048 requested, about 256 measured"
        in (advise(Question(examples=2048, n_ops=4, structures=2048), few).outside[0])
    )


def test_granularity_and_structures_are_part_of_the_answer(reference):
    few = replace(reference, formats=[replace(f, structures={4096: 1024}) for f in reference.formats])
    at = {n: {o.format: o for o in advise(Question(examples=n, n_ops=4), few).options} for n in (1024, 4096)}
    assert {fmt: o.granularity for fmt, o in at[1024].items()} == {"explicit": 1, "composed:2": 2, "implicit:2": 2}
    assert (at[1024]["explicit"].structures, at[4096]["explicit"].structures) == (None, 1024)
    note = next(n for n in advise(Question(examples=1024, n_ops=4, max_response_tokens=45), few).notes if "names" in n)
    assert "0.55 with the same prompts, 0.70 with the same structures under new names" in note
    assert "0.80 with new structures" in note


def test_notes_say_what_repetition_and_rlvr_did(reference):
    notes = " ".join(advise(Question(examples=1024, n_ops=4, epochs=12, rlvr=True), reference).notes)
    assert "from 1 to 4 epochs" in notes
    assert "0.15 to 0.55" in notes
    assert "accuracy 0.20 to 0.80" in notes
    assert "measured from bundled-mixed on 3 and 4 operations" in notes
    only = advise(Question(examples=1024, n_ops=4, max_response_tokens=20), reference)
    assert "cannot be checked" in " ".join(only.notes)
    assert "0.50 on its own training problems" in " ".join(only.notes)


def test_references_of_one_base_are_joined(reference):
    _, composed, implicit = reference.formats
    longer = [Run(16_384, 190, 200), Run(16_384, 191, 200)]
    more = replace(composed, runs=longer, response_tokens=40.0, epochs={16_384: 1.0}, structures={16_384: 4096})
    other = replace(reference, name="other", formats=[more, replace(implicit, format="implicit:4")], branches=[])
    both = joined(reference, other)
    assert both.name == "planted, other"
    assert [made.format for made in both.formats] == ["explicit", "composed:2", "implicit:2", "implicit:4"]
    assert both.branches == reference.branches
    made = both.formats[1]
    assert (made.examples, made.response_tokens, made.structures) == ((64, 16_384), 40.0, {16_384: 4096})
    assert made.runs == [*composed.runs, *longer]
    assert made.epochs == composed.epochs | {16_384: 1.0}
    with pytest.raises(ValueError, match="planted and other differ in model, n_ops"):
        joined(reference, replace(other, model="bundled-deep", n_ops=(5,)))


def test_runs_that_lack_updates_give_way_to_runs_of_the_same_size_that_fit(reference):
    runs = replace(reference.formats[1], runs=[Run(64, 9, 200), Run(256, 80, 200)], epochs={64: 9.0, 256: 2.0})
    short, fitted = replace(runs, training_accuracy=0.7), replace(runs, training_accuracy=0.95)
    fitted = replace(fitted, runs=[Run(256, 180, 200)], epochs={256: 8.0}, structures={256: 100})
    for first, second in ((short, fitted), (fitted, short)):
        made = joined(replace(reference, formats=[first]), replace(reference, formats=[second])).formats[0]
        assert sorted(made.runs) == [Run(64, 9, 200), Run(256, 180, 200)]
        assert made.epochs == {64: 9.0, 256: 8.0}
        assert (made.training_accuracy, made.distinct(256)) == (0.95, 100)
    both = joined(replace(reference, formats=[short]), replace(reference, formats=[short])).formats[0]
    assert len(both.runs) == 4, "neither fits, so both stay"


def test_a_reference_survives_its_file(reference):
    assert from_plain(json.loads(json.dumps(reference.plain()))) == reference


def test_bad_questions():
    with pytest.raises(ValueError, match="at least 1"):
        Question(examples=0, n_ops=3)
    with pytest.raises(ValueError, match="negative"):
        Question(examples=1, n_ops=3, epochs=-1)


def test_a_reference_of_an_earlier_version_is_read(reference):
    old = json.loads(json.dumps(reference.plain()))
    for name in ("task", "parameters", "base"):
        del old[name]
    for row in old["formats"]:
        del row["structures"]
    for row in old["repetition"]:
        del row["arms"]
    value = from_plain(old)
    assert (value.task, value.base, value.formats) == ("chain", None, reference.formats)


def test_a_study_with_structures_convergence_and_its_base(tmp_path):
    grid = {"formats": ["explicit", "composed:2"], "examples": [32, 128, 512], "structures": 128, "n_ops": [3]}
    grid |= {"steps": 40, "points": 3, "converge": True, "test_count": 30, "train_count": 10}
    repeats = {"formats": ["composed:2"], "examples": 32, "epochs": [1, 4], "n_ops": [3], "edited_count": 5}
    spec = make_spec({"name": "new", "model": "bundled", "seeds": [0, 1], "scaling": grid, "repetition": repeats})
    store = finished_study(tmp_path / "study", spec)
    value = from_study(store.read())
    assert value.formats[0].structures == {512: 128}
    assert value.parameters == 100_000
    assert value.base.n == 30
    assert set(value.repetition[0].arms) == {"redress", "fresh"}
    assert from_plain(json.loads(json.dumps(value.plain()))) == value
    option = next(o for o in advise(Question(examples=512, n_ops=3), value).options if o.format == "explicit")
    assert option.structures == 128


def test_the_command(tmp_path, capsys):
    assert main(["advise", "--examples", "2000", "--n-ops", "4", "--rlvr", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["recommended"]["format"] in {o["format"] for o in made["options"]}
    assert made["outside"] == []
    assert main(["advise", "--examples", "2000", "--n-ops", "4"]) == 0
    assert "no SFT" in capsys.readouterr().out
    assert main(["advise", "--examples", "50000", "--n-ops", "8", "--model", "some/model"]) == 1
    out = capsys.readouterr().out
    for line in ("model: some/model requested", "n_ops: 8 requested", "examples: 50,000 requested"):
        assert f"OUTSIDE WHAT WAS MEASURED: {line}" in out
    assert "no advice" in out
    assert main(["advise"]) == 2
    assert main(["advise", "--examples", "5", "--n-ops", "3", "--study", str(tmp_path)]) == 2
    assert "holds no study" in capsys.readouterr().err


def test_it_answers_for_a_file_of_ones_own(capsys):
    data = Path(__file__).parent.parent / "examples" / "solutions.jsonl"
    assert main(["advise", "--data", str(data), "--json"]) == 1
    made = json.loads(capsys.readouterr().out)
    assert made["profile"]["verified"] > 10
    assert made["question"]["examples"] == made["profile"]["verified"]
    tokens = made["profile"]["tokens"]
    assert tokens["explicit"] > tokens["composed:2"] > tokens["implicit:2"]
    assert [line.split(":")[0] for line in made["outside"]] == ["task", "n_ops", "examples", "examples"]
    assert (made["recommended"], made["options"]) == (None, [])


def test_the_shipped_reference_is_calibrated():
    """Leave each data size of each format out: the intervals of the others cover its runs about as often as claimed."""
    from zipthought.advise import load

    shipped = load(None)
    inside, total = coverage([made.runs for made in shipped.formats], 0.9)
    assert inside / total >= 0.75, f"{inside} of {total}"
