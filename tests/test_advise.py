"""Advice: calibration of its intervals with cells left out, what it recommends, and what it refuses to extrapolate."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from zipthought.advise import Question, advise
from zipthought.advise.curves import Run, fit
from zipthought.advise.reference import Branches, FormatRuns, Reference, RepetitionRuns, from_plain
from zipthought.cli import main

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
    """Leave each data size out in turn: how many of its runs lie in the interval that the others predict."""
    inside = total = 0
    for made in of_runs:
        for size in sorted({run.examples for run in made}):
            kept = [run for run in made if run.examples != size]
            if not kept:
                continue
            found = fit(kept, CHANCE).predict(size, level)
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
    few = fit(runs(np.random.default_rng(0), 0.9, 1.2, 500, seeds=1, precision=400), CHANCE).predict(700)
    many = fit(runs(np.random.default_rng(0), 0.9, 1.2, 500, seeds=8, precision=400), CHANCE).predict(700)
    assert many.high - many.low < few.high - few.low
    assert many.low < curve(0.9, 1.2, 500, 700) < many.high
    with pytest.raises(ValueError, match="at least one run"):
        fit([], CHANCE)


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
    same = [FormatRuns(**{f: getattr(made, f) for f in made.__slots__}) for made in reference.formats[:2]]
    tied = FormatRuns(**{f: getattr(same[1], f) for f in same[1].__slots__} | {"runs": same[0].runs})
    value = Reference(**{f: getattr(reference, f) for f in reference.__slots__} | {"formats": [same[0], tied]})
    assert advise(Question(examples=1024, n_ops=4), value).recommended.format == "composed:2"


def test_nothing_is_extrapolated_in_silence(reference):
    largest = advise(Question(examples=4096, n_ops=4), reference)
    beyond = advise(Question(examples=1_000_000, n_ops=9, epochs=100), reference)
    assert [line.split(":")[0] for line in beyond.outside] == ["examples", "n_ops", "epochs"]
    assert beyond.recommended.accuracy == largest.recommended.accuracy
    assert beyond.recommended.doubled is None
    longer = {o.format: o.response_tokens for o in beyond.options}
    assert longer["explicit"] > 55 * 1.8, "lengths of responses are known for any n_ops"
    assert "examples" in advise(Question(examples=3, n_ops=4), reference).outside[0]


def test_no_format_is_extrapolated_by_what_another_was_measured_to(reference):
    explicit, composed, implicit = reference.formats
    short = [run for run in composed.runs if run.examples <= 256]
    cut = FormatRuns(**{f: getattr(composed, f) for f in composed.__slots__} | {"runs": short})
    value = Reference(
        **{f: getattr(reference, f) for f in reference.__slots__} | {"formats": [explicit, cut, implicit]}
    )
    at_end, beyond = ({o.format: o for o in advise(Question(examples=n, n_ops=4), value).options} for n in (256, 2048))
    assert beyond["composed:2"].accuracy == at_end["composed:2"].accuracy
    assert beyond["composed:2"].doubled is None
    assert beyond["explicit"].doubled is not None
    assert advise(Question(examples=2048, n_ops=4), value).outside == [
        "examples: 2,048 requested, 64 to 256 measured of composed:2; accuracies are those at 256"
    ]


def test_notes_say_what_repetition_and_rlvr_did(reference):
    notes = " ".join(advise(Question(examples=1024, n_ops=4, epochs=4, rlvr=True), reference).notes)
    assert "from 1 to 4 epochs" in notes
    assert "0.15 to 0.55" in notes
    assert "accuracy 0.20 to 0.80" in notes
    assert "measured from bundled-mixed on 3 and 4 operations" in notes
    only = advise(Question(examples=1024, n_ops=4, max_response_tokens=20), reference)
    assert "cannot be checked" in " ".join(only.notes)
    assert "0.50 on its own training problems" in " ".join(only.notes)


def test_a_reference_survives_its_file(reference):
    assert from_plain(json.loads(json.dumps(reference.plain()))) == reference


def test_bad_questions():
    with pytest.raises(ValueError, match="at least 1"):
        Question(examples=0, n_ops=3)
    with pytest.raises(ValueError, match="negative"):
        Question(examples=1, n_ops=3, epochs=-1)


def test_the_command(tmp_path, capsys):
    assert main(["advise", "--examples", "1000", "--n-ops", "3", "--rlvr", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["recommended"]["format"] in {o["format"] for o in made["options"]}
    assert made["outside"] == []
    assert main(["advise", "--examples", "5000", "--n-ops", "8", "--max-response-tokens", "120", "--epochs", "3"]) == 0
    assert "OUTSIDE WHAT WAS MEASURED: n_ops: 8 requested" in capsys.readouterr().out
    assert main(["advise"]) == 2
    assert main(["advise", "--examples", "5", "--n-ops", "3", "--study", str(tmp_path)]) == 2
    assert "holds no study" in capsys.readouterr().err


def test_it_answers_for_a_file_of_ones_own(capsys):
    data = Path(__file__).parent.parent / "examples" / "solutions.jsonl"
    assert main(["advise", "--data", str(data), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["profile"]["verified"] > 10
    assert made["question"]["examples"] == made["profile"]["verified"]
    tokens = {option["format"]: option["response_tokens"] for option in made["options"]}
    assert tokens["explicit"] > tokens["composed:2"] > tokens["implicit:2"]
    assert any(line.startswith("examples") for line in made["outside"])


def test_the_shipped_reference_is_calibrated():
    """Leave each data size of each format out: the intervals of the others cover its runs about as often as claimed."""
    from zipthought.advise import load

    shipped = load(None)
    inside, total = coverage([made.runs for made in shipped.formats], 0.9)
    assert inside / total >= 0.75, f"{inside} of {total}"
