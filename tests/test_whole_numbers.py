"""A number is read whole or not at all, long numbers are checked, and a step needs a result."""

import json
import unicodedata
from fractions import Fraction
from pathlib import Path

import pytest

from zipthought.solutions import countdown, gsm8k
from zipthought.solutions.equations import CheckedEquation, Equation, FalseEquation, UnreadEquals
from zipthought.solutions.methods import compress_solution
from zipthought.solutions.notation import fold
from zipthought.solutions.prose import find_equations
from zipthought.solutions.solution import UnreadableError
from zipthought.solutions.tokens import MAX_DIGITS, tokenize

CASES = Path(__file__).parents[2] / "shared" / "data" / "cases"
JOINING = [
    character
    for character in map(chr, range(0x80, 0x110000))
    if character.isnumeric() or unicodedata.category(character)[0] == "M" or unicodedata.category(character) == "Cf"
]
"""Every digit, number, combining mark and format character that Unicode has outside ASCII."""


def read(text):
    """The result or the fault of each equation; `=` for one that is not read, `holds` for one that is no step."""
    kinds = {
        UnreadEquals: lambda e: "=",
        CheckedEquation: lambda e: "holds",
        FalseEquation: lambda e: e.fault,
        Equation: lambda e: e.result,
    }
    return [kinds[type(equation)](equation) for equation in find_equations(text)]


def holds(text):
    return any(isinstance(equation, Equation) for equation in find_equations(text))


@pytest.mark.parametrize("text", ["3{} + 4 = 7", "3 + {}4 = 7", "3 + 4 = 7{}", "3 + 4 = {}7", "3 + 4{}1 = 7"])
def test_no_character_of_a_number_is_dropped_in_a_step(text):
    assert [c for c in JOINING if holds(text.format(c))] == []


@pytest.mark.parametrize("final", ["#### 7{}", "#### {}7", "\\boxed{{7{}}}", "The answer is 7{}.", "#### 7{}1"])
def test_no_character_of_a_number_is_dropped_in_a_final_answer(final):
    accepted = [c for c in JOINING if gsm8k.verify("", final.format(c), "7").answer == "correct"]
    assert accepted == []


@pytest.mark.parametrize("character", [chr(code) for code in (*range(1, 9), *range(0x0E, 0x20), 0x7F)])
def test_control_characters_belong_to_a_number(character):
    assert not holds(f"4{character}3 + 4 = 7")
    assert not holds(f"3 + 4 = {character}7")
    assert gsm8k.verify("", f"#### 7{character}", "7").answer == "malformed"


@pytest.mark.parametrize(
    "text",
    [
        "1,5 + 1 = 6",
        "1,23 + 4 = 27",
        "6'000 + 1 = 1",
        "6’000 + 1 = 1",
        "6_000 + 1 = 1",
        "6٬000 + 1 = 1",
        "5 + 3‰ = 8",
        "2:30 + 4 = 34",
        "1.2.3 + 4 = 7.3",
        "x1 + x2 = 3",
        "a1 + b2 = 3",
        "3x + 4 = 7",
        "3π + 4 = 7",
        "3\\pi + 4 = 7",
        "f(3) + 4 = 7",
        "√3 + 4 = 7",
        "\\sqrt{3} + 4 = 7",
        "3² + 4 = 7",
        "2^3 + 4 = 7",
        "3! + 4 = 7",
        "4 + 3! = 7",
        "3 + 4 = 7²",
        "3 + 4 = 7!×1",
        "±3 + 4 = 7",
        "3 million + 4 = 7",
        "3 hundred + 4 thousand = 7",
        "3 dozen + 4 = 7",
        "5 thousand * 2 = 10",
        "３ + ４ = ７",
        "$30 + 30% = $60",
    ],
)
def test_what_changes_a_number_is_not_ignored(text):
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("7½ + ½ = 8", 8),
        ("2 x ¾ = 1 1/2.", Fraction(3, 2)),
        ("1⁄2 + 1 = 1.5", Fraction(3, 2)),
        ("1\u2009000 + 1 = 1\u00a0001", 1001),
        ("48{,}000 / 4 = 12{,}000", 12000),
        ("8 ‐ 3 = 5", 5),
        ("2 ⋅ 3 = 6", 6),
        ("**3 + 4 = 7**", 7),
        ("3kg + 4kg = 7kg", 7),
        ("5m * 2 = 10m", 10),
        ("3 x 4 = 12", 12),
        ("3x4=12", 12),
        ("¥60 + ¥25 = ¥85", 85),
        ("$3 million + $4 million = $7 million", 7),
        ("4 - 1.5 = 2.5 dozen", Fraction(5, 2)),
        ("2 dozen x $3 = $6", 6),
        ("3 dozen * 12 = 36 eggs", 36),
        ("60% of (50 - 10) = 24", 24),
        ("3 个苹果 + 4 个苹果 = 7 个苹果", 7),
    ],
)
def test_what_the_grammar_knows_is_read(text, result):
    assert read(text) == [result]


def test_folding_keeps_the_length_and_ascii():
    text = "".join(map(chr, range(0x3000)))
    assert len(fold(text)) == len(text)
    assert fold(text)[:128] == text[:128]
    for token in tokenize("٣x½ + 7²"):
        assert 0 <= token.start <= token.end


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("1 * 29" + "3" * 40 + " = 29", "wrong_arithmetic"),
        ("7 * 0." + "3" * 60 + " = 5", "wrong_arithmetic"),
        ("2 + 2 = 4" + "0" * 31, "wrong_arithmetic"),
        ("2 + 2 = 4" + "0" * 5000, "wrong_arithmetic"),
        ("9" * 100_000 + " + 1 = 1", "wrong_arithmetic"),
        ("1 / 4" + "0" * 200 + " = 0", "wrong_arithmetic"),
        ("<<1*2" + "0" * 200 + "=2>>2", "unreadable_annotation"),
        ("1 + " * 300 + "1 = 2", "unreadable_number"),
        ("1 + 1 = 2, " + "8" * 200 + " + 1 = 2", "wrong_arithmetic"),
    ],
)
def test_long_numbers_are_checked(text, fault):
    assert fault in read(text)
    assert not gsm8k.verify("", f"{text}\n#### 5", "5").faithful


def test_a_long_number_is_exact_up_to_the_limit():
    number = "9" * (MAX_DIGITS - 1)
    assert read(f"{number} + 1 = 1{'0' * (MAX_DIGITS - 1)}") == [10 ** (MAX_DIGITS - 1)]
    assert read(f"{number} + 1 = 1{'0' * (MAX_DIGITS - 2)}1") == ["wrong_arithmetic"]
    assert gsm8k.verify("", "#### 5" + "0" * 5000, "5").answer == "malformed"


def test_countdown_checks_long_numbers_too():
    question = "Using the numbers [1, 17, 34], create an equation that equals 34."
    text = f"17{'1' * 30} * 1 = 17\n17 + 17 = 34\n#### 34"
    verdict = countdown.verify(question, text, "34")
    assert verdict.answer == "wrong"
    assert verdict.steps[0].verdict == "wrong_arithmetic"
    assert not countdown.looks_like(question.replace("34.", "34٣."))


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("12 + 5 = ", ["no_result"]),
        ("12 + 5 = ...", ["no_result"]),
        ("12 + 5 = …", ["no_result"]),
        ("12 + 5 = ?", ["no_result"]),
        ("12 + 5 = ____", ["no_result"]),
        ("So 12 + 5 =. Done", ["no_result"]),
        ("3 + 4 = so 5 + 2 = 7", ["no_result", 7]),
        ("3 + 4 = ... = then 5 + 2 = 7", ["no_result", "=", 7]),
        ("3 + 4 = seven", ["no_result"]),
        ("3 * 6 = 18 = 7 + 9", ["wrong_arithmetic"]),
        ("9 - 4 = 3 * 2", ["wrong_arithmetic"]),
        ("9 - 4 = (6)", ["wrong_arithmetic"]),
        ("1 - \\frac{2}{5} = \\frac{4}{5}", ["wrong_arithmetic"]),
        ("12 + 5 = x", ["="]),
        ("12 + y = ", ["="]),
        ("12 + 5 = 17 = the sum", [17]),
        ("30 / 2 = size 15", ["="]),
        ("30 / 2 = size <<30/2=15>>15", ["=", 15]),
        ("9 - 3 = 3 * 2", ["="]),
        ("4 cats + 5 dogs = <<4*5=20>>20", ["annotation_differs"]),
        ("5 / (1% - 1) = 3", ["wrong_arithmetic"]),
        ("3 eggs + 4 eggs = ", ["no_result"]),
        ("3 + 4 == 7", [7]),
        ("3 + 4 != 7", []),
        ("3 + 4 <= 7", []),
        ("3 + 4 = 7 => 7 * 2 = 14", [7, 14]),
    ],
)
def test_a_step_needs_a_result(text, results):
    assert read(text) == results
    verdict = gsm8k.verify("", f"{text}\n#### 5", "5")
    expected = [r for r in results if r != "="]
    false = "wrong_arithmetic"
    faults = {"no_result": "unparseable", false: false, "annotation_differs": false}
    assert [step.verdict for step in verdict.steps] == [faults.get(r, "valid") for r in expected]


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        ("So 20 + 13٢ = 33 and 33 + 2 = 35.\n#### 35", "unreadable_number"),
        ("So 20 + 13 = 33 eggs.\n13 + 5 = \n33 + 2 = 35.\n#### 35", "no_result"),
        ("20 + 15 = 35.\n\\boxed{35}\nCheck: 35 - 20 = 14.", "wrong_arithmetic"),
        ("20 + 15 = 35.\n#### 35\nNo, it is 36.", "conflicting_finals"),
    ],
)
def test_records_are_rejected_with_the_reason(solution, reason):
    with pytest.raises(UnreadableError) as error:
        gsm8k.read("", solution)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "A is 7½ + 2 = 9½.\nB is 9½ * 2 = 19.\n#### 19",
        "A is 1\u2009000 + 500 = 1\u2009500.\nB is 1\u2009500 * 2 = 3000.\n#### 3000",
        "A is 48{,}000 - 8{,}000 = 40{,}000.\nB is 40{,}000 / 4 = <<40000/4=10000>>10000.\n#### 10000",
        "A is 9 ‐ 2 = 7.\nB is 20 − 7 = 13.\n#### 13",
        "A is ½ + ¼ = ¾.\nB is 8 * ¾ = <<8*3/4=6>>6.\n#### 6",
        "A is 30 + 20 = 50.\nB is 60% of 50 = 30.\n#### 30",
    ],
)
def test_compressed_text_verifies_again(text):
    solution = gsm8k.read("", text)
    assert len(solution.steps) == 2
    written = compress_solution(solution, "composed:2")
    again = gsm8k.read("", written)
    assert again.answer == solution.answer
    assert len(again.steps) == len(solution.groups(2))
    assert gsm8k.verify("", written, solution.answer).faithful


@pytest.mark.skipif(not CASES.exists(), reason="the cases are not on this machine")
@pytest.mark.parametrize("name", ["A01", "A02", "A03", "A04", "A05", "A06", "A07", "A20", "A21", "A22", "C16"])
def test_recorded_cases(name):
    for line in next(CASES.glob(f"{name}_*.jsonl")).open():
        case = json.loads(line)
        given = case["input"]
        if case["how"] == "judge":
            verdict = gsm8k.verify("", given["text"], given["gold"])
            assert (verdict.answer == "correct") == case["expected"].startswith("correct"), case["id"]
            assert verdict.faithful == (case["expected"] == "correct"), case["id"]
        else:
            try:
                unread = len(gsm8k.read(given["question"], given["solution"]).unread)
                assert "unread" in case["expected"], case["id"]
                assert unread, case["id"]
            except UnreadableError:
                assert case["expected"].startswith("reject"), case["id"]
