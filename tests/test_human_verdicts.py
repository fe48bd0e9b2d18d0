"""`benchmarks/human_verdicts.py`: the verifier's verdicts beside those of people, and beside an independent reader."""

import json
import sys
from pathlib import Path

import pytest

from zipthought.solutions.solution import UnreadableError

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import human_verdicts

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "solutions"
RECORDS = [
    # (first wrong step by a person, the model's steps)
    (2, ["Step 1: She has 3 * 4 = 12 pens.", "Step 2: She buys 5 more, so 12 + 5 = 18.", "Step 3: #### 18"]),
    (3, ["Step 1: A third of 10 is 10 / 3 = 3.33 cups.", "Step 2: 3 + 4 = 7.", "Step 3: So 7 * 2 = 14.", "#### 14"]),
    (1, ["Step 1: Both have 6 + 6 = 12 stamps, and not 6 - 2.", "Step 2: 12 + 1 = 14.", "Step 3: #### 14"]),
    (1, ["Step 1: He drinks 30 ml x 4 days = 100 ml.", "Step 2: #### 100"]),
    (2, ["Step 1: He has 9 - 5 = 4 kites.", "Step 2: He doubles them, so 4 + 2 = 6.", "Step 3: #### 6"]),
    (None, ["Step 1: 2 hours - 10 minutes = 110 minutes.", "Step 2: So 110 / 10 = 11 groups.", "Step 3: #### 11"]),
    (None, ["Step 1: 8 / 2 = 5 for each.", "Step 2: #### 5"]),
    (1, ["total = 4", "rest = total - 3 * 5", "print(rest)"]),
]


def record(marked, steps, **other):
    return {
        "question": "How many are there?",
        "ground_truth_answer": "7",
        "model_output_steps": steps,
        "model_output_solution_correctness": "wrong" if marked else "correct",
        "model_output_solution_first_error_step": marked or "N/A",
        "question_type": "original",
        **other,
    }


@pytest.fixture
def data(tmp_path):
    """An array of records, as the data set is published."""
    path = tmp_path / "data.json"
    bad = record(9, ["Step 1: 1 + 1 = 2."])
    path.write_text(json.dumps([*(record(*each) for each in RECORDS), bad, {"question": "?"}]))
    return path


def listed(faults):
    return [(fault.record, fault.step, fault.confirmed) for fault in faults]


def test_verdicts_are_compared_with_those_of_people(data):
    found = human_verdicts.compare(data)
    assert found.records == len(RECORDS)
    assert found.wrong == {"original": {"at": 2, "before": 1, "after": 1, "none": 2}}
    assert found.right == {"original": {"faults": 1, "none": 1}}
    assert found.unreadable == {"no_verdict": 1, "missing_field": 1}
    assert (found.marked_false, found.marked_found) == (1, 1)
    assert (found.unit_false, found.unit_found) == (2, 2)
    assert listed(found.alarms) == [(2, 1, True), (7, 1, True)]
    assert listed(found.missed) == [(6, 1, False)], "without its units the reader takes this true equation for false"
    assert found.found_alone == []


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("60 ml x 8 laps = 500 ml", "60 x 8 = 500 ml"),
        ("24 hours in a day - (10 hours + 8 hours) = 6", "24 - (10 + 8 ) = 6"),
        ("5 times 3 apples = 15", "5 times 3 = 15"),
        ("2 dozen + 1 = 25", "2 dozen + 1 = 25"),
        ("3 more than 4 + 2 = 9", "3 more than 4 + 2 = 9"),
    ],
)
def test_unit_words_are_left_out_and_others_are_not(text, plain):
    assert human_verdicts.without_units(text).split() == plain.split()


@pytest.mark.parametrize(
    ("fields", "marked"),
    [
        ({"model_output_solution_first_error_step": "Step 1"}, 1),
        ({"model_output_solution_first_error_step": "1", "question_type": "POT"}, 1),
        ({"model_output_solution_correctness": "Correct"}, None),
    ],
)
def test_both_ways_to_write_a_verdict_are_read(fields, marked):
    assert human_verdicts.read_record(1, record(1, ["1 + 1 = 3"], **fields)).marked == marked


def test_a_record_without_a_verdict_is_not_read():
    with pytest.raises(UnreadableError, match="the first wrong step 'n/a'"):
        human_verdicts.read_record(1, record(None, ["1 + 1 = 3"], model_output_solution_correctness="wrong"))


def test_accepted_records_are_read_a_second_time(tmp_path, monkeypatch):
    path = tmp_path / "data.jsonl"
    solutions = [
        "She has 3 + 4 = 7 pens.\n#### 7",
        "<think>\n2 * 5 = 11. No, wait.\nSo 2 * 5 = 10.\n</think>\nSo 2 * 5 = 10.\n#### 10",
        "She has 3 + 4 = 8 pens.\n#### 8",
    ]
    path.write_text("".join(json.dumps({"question": "How many?", "solution": each}) + "\n" for each in solutions))
    found = human_verdicts.audit(path)
    assert (found.records, found.accepted, found.equations, found.trace_equations) == (3, 2, 2, 2)
    assert found.false == []
    assert [number for number, _ in found.trace_false] == [2]

    monkeypatch.setattr("zipthought.solutions.gsm8k.read", lambda *_: None)
    assert [number for number, _ in human_verdicts.audit(path).false] == [3], "a verifier that accepts everything"


def test_the_command_prints_tables_and_json(data, tmp_path, capsys):
    human_verdicts.main(["--data", str(data)])
    assert "record 2, step 1: 10 / 3 = 3.33 is rounded" in capsys.readouterr().out
    accepted = tmp_path / "accepted.jsonl"
    accepted.write_text(json.dumps({"question": "How many?", "answer": "3 + 4 = 7\n#### 7"}))
    human_verdicts.main(["--data", str(data), "--accepted", str(accepted), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["data"]["alarms"][0]["text"].startswith("10 / 3 = 3.33")
    assert found["accepted"][str(accepted)]["equations"] == 1
    human_verdicts.main(["--accepted", str(accepted)])
    assert "1 of 1 records verify" in capsys.readouterr().out


def test_a_missing_file_is_named_with_its_source(tmp_path):
    with pytest.raises(SystemExit, match="dvlab-research/MR-GSM8K"):
        human_verdicts.main(["--data", str(tmp_path / "none.json")])


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples are not here")
def test_the_sample_with_human_verdicts():
    found = human_verdicts.compare(SAMPLES / "mr_gsm8k.jsonl")
    assert found.records == 87
    assert found.marked_false >= 17
    assert found.marked_found == found.marked_false, "every false equation at a marked step is found"
    assert sum(places["at"] for places in found.wrong.values()) >= 21
    assert len(found.alarms) <= 2


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples are not here")
@pytest.mark.parametrize(
    ("name", "records", "equations"),
    [
        pytest.param("math_model_outputs.jsonl", 60, 50, marks=pytest.mark.long),
        pytest.param("math_model_outputs.jsonl", None, 200, marks=pytest.mark.slow),
        ("llm_adapters_math.json", None, 350),
        ("countdown_sft.jsonl", None, 380),
    ],
)
def test_no_false_equation_in_accepted_samples(name, records, equations, tmp_path):
    path = SAMPLES / name
    if records:
        path = tmp_path / name
        path.write_text("".join((SAMPLES / name).read_text().splitlines(keepends=True)[:records]))
    found = human_verdicts.audit(path)
    assert found.equations >= equations
    assert found.false == []
