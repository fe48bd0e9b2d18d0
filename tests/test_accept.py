"""Answers that are one unwritten step away from the last step: their reasons, and the switch that accepts them."""

import json

import pytest

from zipthought.cli import main
from zipthought.records.reading import verdict_of
from zipthought.solutions import comma, gsm8k
from zipthought.solutions.layouts import Reading
from zipthought.solutions.solution import UnreadableError

NEAR = {
    "final_rounded": ("How many vans do 50 people need, with 8 seats each?", "50 / 8 = 6.25 vans.\n#### 7"),
    "final_as_percentage": ("What percentage is that?", "The share is 3 / 12 = 0.25.\n#### 25"),
    "final_converted": ("How many hours does it take?", "That is 4 * 45 = 180 minutes.\n#### 3"),
    "final_earlier": ("Which bill is higher, in dollars?", "Ana pays 3 * 7 = 21. Ben pays 4 * 5 = 20.\n#### 21"),
}
FAR = {
    "not next to it": ("How many vans?", "50 / 8 = 6.25 vans.\n#### 8", "final_not_derived"),
    "not that unit": ("How many days does it take?", "That is 4 * 45 = 180 minutes.\n#### 3", "final_not_derived"),
    "another factor": ("How many hours does it take?", "That is 4 * 45 = 180 minutes.\n#### 4", "final_not_derived"),
    "no unit": ("How many hours does it take?", "That is 4 * 45 = 180.\n#### 3", "final_not_derived"),
    "unread": ("How many?", "3 * 7 = 21. And 5 * 4 = 20. So y = 5 + z.\n#### 21", "final_after_unread"),
}


@pytest.mark.parametrize("reason", NEAR)
def test_a_near_answer_has_a_reason_of_its_own_and_what_was_read(reason):
    with pytest.raises(UnreadableError) as error:
        gsm8k.read(*NEAR[reason])
    assert error.value.reason == reason
    assert error.value.solution.accepted == reason
    assert not gsm8k.verify(*NEAR[reason], gold=NEAR[reason][1].split()[-1]).faithful


@pytest.mark.parametrize("case", FAR)
def test_other_answers_are_not_near(case):
    question, text, reason = FAR[case]
    with pytest.raises(UnreadableError) as error:
        gsm8k.read(question, text)
    assert (error.value.reason, error.value.solution) == (reason, None)


def test_near_answers_are_accepted_by_name_and_records_say_so(tmp_path, capsys):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    wrong = ("How many?", "3 * 7 = 22 and 22 + 1 = 23.\n#### 24")
    rows = [{"question": question, "answer": text} for question, text in (*NEAR.values(), wrong)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["compress", str(source), "--output", str(out), "--format", "composed:2", "prose", "--json"]
    assert main(command) == 1
    assert json.loads(capsys.readouterr().out)["verified"] == 0
    assert main([*command, "--accept", "final_rounded", "final_earlier", "--overwrite"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["verified"] == 2
    assert made["reasons"] == {"final_as_percentage": 1, "final_converted": 1, "wrong_arithmetic": 1}
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [record["accepted"] for record in records] == ["final_rounded", "final_earlier"] * 2
    assert main(["verify", str(out)]) == 0
    near = tmp_path / "near.jsonl"
    near.write_text("".join(f"{json.dumps(row)}\n" for row in rows[:1]))
    assert main(["verify", str(near)]) == 1
    assert main(["verify", str(near), "--accept", "final_rounded"]) == 0
    assert main(["verify", str(near), "--accept", "final_earlier"]) == 1
    first = records[0]
    assert verdict_of(first, first["completion"]).faithful
    assert not verdict_of(first, first["completion"].replace("6.25", "6.5")).faithful
    assert not verdict_of(first, first["completion"].replace("#### 7", "#### 6")).faithful
    assert not verdict_of(first, "#### 7").complete or verdict_of(first, "#### 7").steps == ()
    assert not verdict_of(first | {"accepted": None}, first["completion"]).faithful
    with pytest.raises(ValueError, match="accept has 'no_steps'; use final_rounded"):
        Reading(accept=("no_steps",))


def test_near_answers_with_a_decimal_comma():
    with pytest.raises(UnreadableError) as error:
        comma.read("Wie viele Kisten?", "Das sind 12,5 / 2 = 6,25 Kisten.\n#### 7")
    assert (error.value.reason, error.value.solution.notate("6.25")) == ("final_rounded", "6,25")
