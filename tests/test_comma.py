"""Solutions with a decimal comma and points between thousands, a declared family."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipthought.cli import main
from zipthought.solutions import comma, gsm8k
from zipthought.solutions.comma import notate
from zipthought.solutions.methods import compress_solution
from zipthought.solutions.solution import UnreadableError

BREAD = "Ein Brot kostet 3,20 Euro. Was kosten drei Brote und ein Kuchen zu 1.250 Cent?"
SOLVED = "Drei Brote kosten 3 * 3,20 = 9,60 Euro.\nMit dem Kuchen sind es 9,60 + 12,50 = 22,10 Euro.\n#### 22,10"


def test_numbers_are_read_and_written_with_a_decimal_comma():
    solution = comma.read(BREAD, SOLVED)
    assert solution.answer == "22,1"
    assert compress_solution(solution, "composed:2") == (
        "Mit dem Kuchen sind es 3 * 3,20 + 12,50 = 22,10 Euro.\n#### 22,10"
    )
    assert compress_solution(solution, "prose") == SOLVED
    verdict = comma.verify(BREAD, SOLVED, "22,10")
    assert verdict.faithful
    assert (verdict.text, [step.name for step in verdict.steps]) == (SOLVED, ["9,6", "22,1"])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Das sind 1.200 + 1.300 = 2.500 Liter.\n#### 2.500", "2500"),
        ("Fanno 12.000 / 4 = 3.000 lire.\n#### 3000", "3000"),
        ("Cela fait 0,5 * 3 = 1,5 litre.\n#### 1,5", "1,5"),
        ("Zusammen 2.000.000 + 500.000,5 = 2.500.000,5 Stück.\n#### 2.500.000,5", "2500000,5"),
        ("Er lief 2,500 + 1,250 = <<2.5+1.25=3.75>>3,750 km.\n#### 3,75", "3,75"),
        ("1. Schritt: 4,5 * 2 = 9\n2. Schritt: 9 + 1 = 10\n#### 10", "10"),
    ],
)
def test_points_stand_between_thousands(text, answer):
    assert comma.read("", text).answer == answer
    assert comma.verify("", text, answer).faithful
    assert comma.verify("", text, answer + "1").answer == "wrong"


def test_the_other_notation_is_refused_here_and_a_doubtful_one_elsewhere():
    with pytest.raises(UnreadableError, match=r"not one number: '3\.25'"):
        comma.read("", "It is 0.5 * 3 = 1.5 litres, 2.25 + 1 = 3.25 in all.\n#### 3.25")
    with pytest.raises(UnreadableError, match="use the family gsm8k-comma") as error:
        gsm8k.read("", "Das sind 1.200 + 1.300 = 2.500 Liter.\n#### 2500")
    assert error.value.reason == "ambiguous_number"
    with pytest.raises(UnreadableError, match="2,5 \\+ 1,5 = 5 does not hold"):
        comma.read("", "Das sind 2,5 + 1,5 = 5 Liter.\n#### 5")


@given(st.text(alphabet="0123456789,. <>=+a\n", max_size=40))
def test_the_notation_changes_both_ways(text):
    assert notate(notate(text)) == text
    assert len(notate(text)) == len(text)


def test_the_family_is_declared_for_compress_and_verify_and_records_keep_it(tmp_path, capsys):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps({"question": BREAD, "answer": SOLVED}) + "\n")
    command = ["compress", str(source), "--output", str(out), "--format", "composed:2", "implicit:2", "answer-only"]
    assert main(["verify", str(source), "--family", "gsm8k-comma"]) == 0
    assert main([*command, "--family", "gsm8k-comma"]) == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert {(record["surface"], record["answer"]) for record in records} == {("gsm8k-comma", "22,1")}
    assert records[2]["completion"].strip() == "#### 22,10"
    assert main(["verify", str(out)]) == 0  # Records name their family.
    assert main(["compress", str(source), "--explain-first", "1", "--family", "gsm8k-comma"]) == 0
    assert "9,60 + 12,50 = 22,10" in capsys.readouterr().out
    assert main(["verify", str(source), "--family", "nothing"]) == 2
    assert "unknown family 'nothing'" in capsys.readouterr().err
