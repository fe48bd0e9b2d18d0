"""Powers, factorials, signs after operators, and the sides of a chain: computed and checked, or refused."""

import pytest

from zipthought.solutions import gsm8k
from zipthought.solutions.equations import CheckedEquation, Equation, FalseEquation, UnreadEquals
from zipthought.solutions.powers import evaluate
from zipthought.solutions.prose import find_equations
from zipthought.solutions.solution import UnreadableError
from zipthought.solutions.tokens import tokenize


def read(text):
    """The result or the fault of each equation; `=` for one that is not read, `holds` for one that is no step."""
    kinds = {
        UnreadEquals: lambda e: "=",
        CheckedEquation: lambda e: "holds",
        FalseEquation: lambda e: e.fault,
        Equation: lambda e: e.result,
    }
    return [kinds[type(equation)](equation) for equation in find_equations(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5²", 25),
        ("2¹⁰", 1024),
        ("2^10", 1024),
        ("2 ^ 10 + 1", 1025),
        ("2**3", 8),
        ("2^{10}", 1024),
        ("2^{-1}", 0.5),
        ("2^(1 + 2)", 8),
        ("(1 + 2)² * 2", 18),
        ("-3^2", -9),
        ("(-3)^2", 9),
        ("4! / 2", 12),
        ("4 !* 2", 48),
        ("3 - -4", 7),
        ("3 - - 4", 7),
        ("3 x -4", -12),
        ("$3² + $1", 10),
        ("½²", 0.25),
        ("2^3^2", None),
        ("2^{1 + 2}", 8),
        ("2^{1 + 2}^2", None),
        ("3!^2", 36),
        ("3!!", None),
        ("2!3!", 12),
        ("√16", 4),
        ("√(4! + 1) * 2", 10),
        ("√15", None),
        ("√(9/4)", None),
        ("\\sqrt{16}^2 + \\sqrt 9", 19),
        ("2\\sqrt{16}", 8),
        ("\\sqrt{\\sqrt{16}}", 2),
        ("\\sqrt[4]{16}", None),
        ("\\binom{5}{2}", 10),
        ("3\\dbinom52", 30),
        ("\\binom{2}{5}", None),
        ("\\binom{999}{500}", None),
        ("±4", None),
        ("99999^64", None),
        ("2^1000", None),
        ("2^0.5", None),
        ("0^0", None),
        ("61!", None),
        ("5₂", None),
        ("2⁻¹", None),
        ("3 + / 4", None),
        ("3 - - - 4", None),
        ("3 / 0²", None),
    ],
)
def test_values(text, value):
    assert evaluate(text, tokenize(text)) == value


def test_a_power_before_words_belongs_to_no_equation():
    assert read("She counts 174³ miles, since 29/6 = 174.") == ["wrong_arithmetic"]
    assert read("She counts 174³ miles, since 29 * 6 = 174.") == [174]


@pytest.mark.parametrize(
    "text",
    [
        "5² = 25",
        "3² + 4² = 25 eggs",
        "2^10 = 1024.",
        "4! + 1 = 25",
        "3 - -4 = 7",
        "9 + 16 = 5^2",
        "3² = 9 (3 times 3)",
        "7! = 7 * 6 * 5!",
        "$\\frac{7!}{2!5!} = 21$",
        "\\sqrt{4! \\cdot 3!} = \\sqrt{144} = 12",
        "There are \\binom{4}{2} \\times 3! = 6 \\times 6 = 36 orders",
        "9*10^{3-1} = 9*100 = 900",
        "2√9 = 6",
        "47 ÷ 9 = 5 with a remainder of 2",
        "\\[47 \\div 9 = 5 \\text{ remainder } 2.\\]",
        "47 / 9 = 5 R2",
    ],
)
def test_what_holds_and_is_more_than_four_operations_is_checked(text):
    assert read(text) == ["holds"]


@pytest.mark.parametrize(
    "text",
    [
        "10^6 = 1 million",
        "5² = 16 eggs + 9 eggs",
        "\\sqrt[3]{8} + 1 = 3",
        "±4 = 4",
        "5^2 = 3^2 + x^2",
        "5^2 = 9 - x^2",
        "13^2 = AB^2 + 5^2",
        "x_1 = 3",
        "101_2 + 1 = 6",
        "100_{2} = 2^2 + 1",
        "3 @ $5 = $15",
        "4 \\clubsuit 2 + 1 = 9",
        "(3 + 1) choose (3 - 1) = 4 choose 2 = 6",
        "\\binom{9}{9 - 5} = \\binom{9}{5}",
        "\\binom{9}{5} = \\frac{9}{5} \\binom{8}{4}",
        "\\binom{9}{4} + \\binom{9}{5} = \\binom{10}{k}",
        "x^2 + 5^2 = 100",
        "The area is 3 m² + 4 = 8",
        "27 - 9 = (6 * x) - (3 * x)",
        "5x - 3 = 2",
        "3 * 4 = 24/2 = so 12",
        "\\frac{}3=",
    ],
)
def test_what_has_letters_is_unread(text):
    assert read(text) == ["="]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("40² = 280", "wrong_arithmetic"),
        ("19⁰ * 3 = 57 ÷ 6 = 9.5", "wrong_arithmetic"),
        ("195 / 2⁰ = 97", "wrong_arithmetic"),
        ("167 + 249₂ = 416", "unreadable_number"),
        ("392 * 1 = 392²", "wrong_arithmetic"),
        ("8^ 1 = 33", "wrong_arithmetic"),
        ("266 ^ 11 = 2926", "wrong_arithmetic"),
        ("14 !* 2 = 28", "wrong_arithmetic"),
        ("2658 -  - 1853 = 805", "wrong_arithmetic"),
        ("200 / -  5 = 40", "wrong_arithmetic"),
        ("5 -+ 3 = 8", "unreadable_number"),
        ("3 + / 4 = 7", "unreadable_number"),
        ("√16 + 3 = 8", "wrong_arithmetic"),
        ("√15 + 3 = 8", "unreadable_number"),
        ("\\binom{4}{2} * 2 = 8", "wrong_arithmetic"),
        ("2^{3 + 1} = 17", "wrong_arithmetic"),
        ("7! = 7 * 6 * 4!", "wrong_arithmetic"),
        ("47 ÷ 9 = 5 remainder 3", "wrong_arithmetic"),
        ("- \\(2 \\div 40 = 20\\) with no remainder", "wrong_arithmetic"),
        ("  * 2 + 40 = 20", "wrong_arithmetic"),
        ("- 20 ÷ 7 = 2.8571", "rounded"),
        ("47 ÷ 9 = 4 remainder 11", "wrong_arithmetic"),
        ("47 ÷ 9 = 5 and the remainder", "rounded"),
        ("4 which equals 3 + 5! + 4 = 12", "wrong_arithmetic"),
        ("52 + 6 = 42 = 58", "wrong_arithmetic"),
        ("99+3485 = 444 books= 3552", "wrong_arithmetic"),
        ("490*70 = 490 loaves =", "wrong_arithmetic"),
        ("7 = 8 = 9", "wrong_arithmetic"),
        ("1e9 = 9 = 1062", "wrong_arithmetic"),
        ("2 eggs * 9 = 3 * 5 = 18", "wrong_arithmetic"),
        ("20% of 40 = 8 = \\frac{1}{2}", "wrong_arithmetic"),
        ("* So 43 + 475 = 90", "wrong_arithmetic"),
        ("1) 57 books + 355 books = 402 books", "wrong_arithmetic"),
        ("47 * 9² = <<47*9=423>>423", "wrong_arithmetic"),
        ("47 * 9₂ = <<47*9=423>>423", "unreadable_number"),
        ("2-1 = <<2-1=1>>$10", "wrong_arithmetic"),
        ("286*5 = <<286*5=1430>>,430", "wrong_arithmetic"),
        ("2 * 8 = <<2*8=16>>16 + 1", "wrong_arithmetic"),
        ("2 * 8 = <<2*8=16>>16 ^2", "wrong_arithmetic"),
        ("2 * 8 = <<2*8=16>> 15 eggs", "wrong_arithmetic"),
        ("2 * 8 = $<<2*8=16>> $15", "wrong_arithmetic"),
        ("2 * 8 = <<2*8=16>> \\frac{1}{2} eggs", "wrong_arithmetic"),
        ("864 / 10 = <<864/10=86.4>>86:4", "wrong_arithmetic"),
        ("90 - 4 = <<90-4=86>>8:61", "wrong_arithmetic"),
        ("153 ^2x 5 =<<153*5=765>>", "wrong_arithmetic"),
        ("294 ^ 5 = 1470 eggs/}", "wrong_arithmetic"),
        ("294 ^ 5 = 1470 eggs/s", "wrong_arithmetic"),
        ("23 * 8 = \\frac{1}{2} so/", "wrong_arithmetic"),
        ("23 * 8 = \\frac{1}{2} and \\frac{", "wrong_arithmetic"),
        ("23 * 8 = 1/2 = so 184 + 1 = 185", "wrong_arithmetic"),
        ("237 / 10! equals 23.7", "wrong_arithmetic"),
        ("3 * 2! plus 4 = 7", "wrong_arithmetic"),
        ("350 - 80 = <<350-80=270>>270/2 parts", "wrong_arithmetic"),
        ("8 pounds + 5 pounds = <<8+15=23>>23 pounds", "annotation_differs"),
        ("3 yards * 4 = 4 / 2 = <<3*4=12>>12", "annotation_differs"),
    ],
)
def test_no_sign_is_passed_over(text, fault):
    assert read(text)[0] == fault
    with pytest.raises(UnreadableError) as caught:
        gsm8k.read("", f"3 + 4 = 7\n{text}\n3 + 4 = 7\n#### 7")
    assert caught.value.reason == fault
    assert not gsm8k.verify("", f"3 + 4 = 7\n{text}\n3 + 4 = 7\n#### 7", "7").faithful


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("3 / 2 = <<3/2=1.5>>3/2 eggs", 1.5),
        ("3 * 5 = <<3*5=15>>$15", 15),
        ("3 * 5 = $<<3*5=15>> $15", 15),
        ("3 * 5 = <<3*5=15>> (3 times)", 15),
        ("He ate <<3*5=15>> 3 times", 15),
        ("5 - 3 = <<5-3=2>>2:00 pm", 2),
        ("So it is length * width or 1*1 = 1", 1),
        ("* Then 3 + 4 = 7", 7),
        ("5 + 3 = 4 * 2 = 8", 8),
        ("5 + 3 = 8 = 8", 8),
    ],
)
def test_what_is_right_is_read(text, result):
    assert read(text) == [result]


def test_an_equation_that_repeats_an_earlier_one_works_nothing_out():
    text = "3 + 4 = 7\n3+4 = <<3+4=7>>7\n4 + 3 = 7\n7 * 2 = 14\n3 + 4 = 7\n7 * 2 = 14\n#### 14"
    verdict = gsm8k.verify("", text, "14")
    assert [step.granularity for step in verdict.steps] == [1, 0, 1, 1, 0, 0]
    assert {step.verdict for step in verdict.steps} == {"valid"}
    assert (verdict.granularity, verdict.faithful) == ((1, 1, 1), True)
    longer = gsm8k.verify("", "1 + 2 * 3 = 7\n(1 + 2) * 3 = 9\n1 + 2 * 3 = 7\n#### 7", "7")
    assert longer.granularity == (2, 2)
