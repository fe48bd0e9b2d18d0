"""Arithmetic in prose: what is read, what is refused, and that no text raises an error."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipthought.core.arithmetic import evaluate
from zipthought.solutions.equations import CheckedEquation, Equation, FalseEquation, UnreadEquals
from zipthought.solutions.prose import find_equations, read_line
from zipthought.solutions.simple_lines import read_simple_line
from zipthought.solutions.tokens import numbers, tokenize

GSM8K = Path(__file__).parents[2] / "shared" / "data" / "gsm8k" / "test.jsonl"


def read(text):
    """The result or the fault of each equation; `=` for an equation that could not be read."""
    read = []
    for equation in find_equations(text):
        if isinstance(equation, UnreadEquals):
            assert text[equation.start :].startswith(("=", "equals"))
            read.append("=")
        elif isinstance(equation, FalseEquation):
            assert "=" in text[slice(*equation.span)] or equation.fault == "unreadable_annotation"
            read.append(equation.fault)
        else:
            if isinstance(equation, CheckedEquation):
                read.append(equation.result)
                continue
            value = evaluate(equation.tree, {str(i): v for i, v in enumerate(equation.values)}, None)
            assert value == equation.result
            read.append(equation.result)
    return read


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("He has 3 + 4 = 7 eggs.", [7]),
        ("He has 3+4=<<3+4=7>>7 eggs.", [7]),
        ("It costs 2 x $4.50 = $9.00", [9]),
        ("It costs 6 cars × $2/car = $<<6*2=12>>12.", [12]),
        ("That is 3 hours + 2 hours = 5 hours in all", [5]),
        ("He ran 1,200 / 4 = <<1200/4=300>>300 m", [300]),
        ("It paid $400 000 x 3/100 = $12 000", [12000]),
        ("This is 12/20 x 100% = 60% of them.", [Fraction(3, 5)]),
        ("He lost 45 + 21 + 28 = 94% of it", [94]),
        ("So 20% of 50 = 10 left", [10]),
        ("3 1/2 - 2 = 1 1/2 hours", [Fraction(3, 2)]),
        ("W = 1 1/2 / 1/2 = 3 episodes", [3]),
        ("(1/4)24 = 6 pints", [6]),
        ("1/2 (68) + 10 = 44 points", [44]),
        ("It fell 2 - 8 = -6 degrees", [-6]),
        ("Then -6 + 3 = -3 degrees", [-3]),
        ("-48 + 21 + (-3) = <<-48+21+(-3)=-30>>-30", [-30]),
        ("5 × \\frac{1}{2} = 2.5 and \\frac{3+1}{2} = 2", [Fraction(5, 2), 2]),
        ("4 \\times 5 \\div 2 = 10", [10]),
        ("200 minus 174 equals 26", [26]),
        ("8 divided by 2 equals 4", [4]),
        ("60g * 4/5 = 240g/5 = 48 grams", [48]),
        ("250(2/5)=100=x", [100]),
        ("so 250 of them. Then 5+2=7", [7]),
        ("A 3x4 board and 4 + 3 = <<4+3=7>>7", [7]),
    ],
)
def test_reads(text, results):
    assert read(text) == results


@pytest.mark.parametrize(
    ("text", "results", "why"),
    [
        ("He has 2 + 2 = 5", ["wrong_arithmetic"], "plain and false"),
        ("He has 2+2=<<2+2=5>>5", ["wrong_arithmetic"], "an annotation must hold"),
        ("He has 2+3=<<2+2=4>>4", ["annotation_differs"], "the prose has another sum"),
        ("He has 2+2=<<2+2=4>>5", ["wrong_arithmetic"], "the number shown is another one"),
        ("He has 2x4 + 3 = <<4+3=7>>7", ["annotation_differs"], "the prose has another sum, x between digits"),
        ("He has 3 apples + 4 apples = 8 apples.", ["wrong_arithmetic"], "one unit throughout"),
        ("Now 3 red hens + 1 red hen = 5 red hens in all", ["wrong_arithmetic"], "a unit of up to three words"),
        ("Now 7 - 2 feet = 6 feet", ["wrong_arithmetic"], "the unit follows some of the numbers only"),
        ("6 boxes of 3 eggs + 2 eggs = 20 eggs", ["="], "a number before it"),
        ("half of 6 eggs + 4 eggs = 7 eggs", ["="], "a share of a number"),
        ("12*1=12 inches=1 foot", ["="], "a chain across units"),
        ("3 bx + 4 b = 8 b", ["="], "a letter is an unknown"),
        ("10 miles / 3 miles = 3.33 miles", ["rounded"], "rounded, in units too"),
        ("10/3 = <<10/3=3.33>>3.33", ["rounded"], "exact, not rounded"),
        ("5/7 * 100 = 71.43%", ["rounded"], "a rounded percentage"),
        ("5/7 * 100 = 72.43%", ["wrong_arithmetic"], "not even rounded"),
        ("1/0 = <<1/0=0>>0", ["division_by_zero"], "no value"),
        ("<<two+2=4>>4", ["unreadable_annotation"], "words"),
        ("<<2+=4>>4", ["unreadable_annotation"], "no expression"),
        ("<<4>>4", ["unreadable_annotation"], "no equation"),
        ("Let x = 5", ["="], "no operation"),
        ("We get 2x + 14 = 20", ["="], "letters: it does not hold as numbers"),
        ("X*6 + 9 = 15", ["="], "the first operand is a letter, so only a part can be read"),
        ("10% of it in 3 days + 2 = 9", ["="], "words between, and false: another meaning"),
        ("33 / 100 = 33.333...%", ["="], "an ellipsis is no number"),
        ("6 * 3 = 18 and 2 * 8 = 16, so y = 3 + z", [18, 16, "="], "a conclusion is no side of the chain before it"),
        ("Now 3c = 13, so c = 4", ["=", "="], "two equations with letters"),
        ("Now $3c = 13$, therefore $c = 4$", ["=", "="], "the same in LaTeX"),
    ],
)
def test_refuses(text, results, why):
    assert read(text) == results, why


def test_numbers_of_a_question():
    assert numbers("5 eggs at $1,200.50 with 20% off, .5 each") == {
        5,
        Fraction("1200.5"),
        20,
        Fraction(1, 5),
        Fraction(1, 2),
    }


PIECES = st.sampled_from(
    [
        "3",
        "12",
        "1,200",
        "0.5",
        ".25",
        "+",
        "-",
        "*",
        "/",
        "x",
        "of",
        "=",
        "<<",
        ">>",
        "(",
        ")",
        "%",
        "$",
        " ",
        "\n",
        "eggs",
        ". ",
        "<<3+4=7>>",
        "\\frac{",
        "}",
        "{",
        "\\boxed{",
        "7",
        "plus",
        "equals",
        "–",
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
@settings(max_examples=400)
def test_no_text_raises(text):
    for equation in find_equations(text):
        if isinstance(equation, Equation):
            assert evaluate(equation.tree, {str(i): v for i, v in enumerate(equation.values)}, None) == equation.result
    for token in tokenize(text):
        assert 0 <= token.start <= token.end <= len(text)


NUMBER = st.integers(0, 999).map(str) | st.sampled_from(["1,200", "0.5", "2.50"])
UNIT = st.sampled_from(["", " eggs", " red boxes", "/day", " x", " of"])
LINE = st.tuples(
    st.sampled_from(["", "He has ", "In 5 days he ran ", "20% of 3 ", "(so) ", "plus ", "4 times more: ", "a-b "]),
    st.sampled_from(["", "$"]),
    st.lists(st.tuples(NUMBER, UNIT), min_size=2, max_size=4),
    st.sampled_from(["+", " - ", " x ", "*", " / "]),
    st.sampled_from(["", ".", " eggs.", " and 3 + 4 = 7.", "% of it", "/2", " equals that"]),
    st.integers(-1, 1),
)


@given(LINE)
@settings(max_examples=500)
def test_the_fast_reader_of_simple_lines_agrees_with_the_general_one(line):
    lead, money, numbers_, op, trail, error = line
    prose = op.join(f"{money}{number}{unit}" for number, unit in numbers_)
    noted = op.strip().replace("x", "*").join(number.replace(",", "") for number, _ in numbers_)
    try:
        value = evaluate_plain(noted) + error
    except ZeroDivisionError:
        return
    if value.denominator != 1:
        return
    text = f"{lead}{prose} = {money}<<{noted}={value}>>{value}{trail}"
    simple = read_simple_line(text, 0, len(text))
    if simple:
        assert list(read_line(text, tokenize(text))) == [simple]


def evaluate_plain(text):
    """The value of an expression with one kind of operator, computed independently."""
    op = next(c for c in "+-*/" if c in text)
    first, *rest = map(Fraction, text.split(op))
    for number in rest:
        first = {"+": first + number, "-": first - number, "*": first * number}.get(op) or (
            first / number if op == "/" else first * 0
        )
    return first


@pytest.mark.skipif(not GSM8K.exists(), reason="the real data set is not on this machine")
def test_the_fast_reader_agrees_on_real_lines():
    n_simple = 0
    for row in map(json.loads, GSM8K.open()):
        for line in row["answer"].split("\n"):
            simple = read_simple_line(line, 0, len(line))
            if simple:
                n_simple += 1
                assert list(read_line(line, tokenize(line))) == [simple]
    assert n_simple > 3000


def test_long_texts_are_read():
    """Texts of 1 MB, for which anything but linear time takes minutes."""
    times = 50_000
    assert list(find_equations("3 + ( 4 eggs - " * times + "= 5 x " * times)) == []
    assert [equation.result for equation in find_equations("3 + 4 = 7 eggs. " * times)] == [7] * times


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("2 weeks + 3 days = 17 days", [17]),
        ("2 weeks + 3 days = 18 days", ["wrong_arithmetic"]),
        ("2 dozen + 3 dozen = 60 eggs", [60]),
        ("2 hours - 10 minutes = 110 minutes", [110]),
        ("$3 + 7 cents = $3.07", [Fraction(307, 100)]),
        ("12 * 25 cents = $3", [3]),
        ("90 minutes * 20 miles/hour = 30 miles", [30]),
        ("8 apples + 5 pears = 14 fruits", ["wrong_arithmetic"]),
        ("5 cans * $7 per can = $36", ["wrong_arithmetic"]),
        ("60 ml x 8 laps = 500 ml", ["wrong_arithmetic"]),
        ("40 inches / 12 inches/foot = 5 feet", ["wrong_arithmetic"]),
        ("24 hours in a day - (10 hours + 8 hours) = 5 hours", ["wrong_arithmetic"]),
        ("2 boxes + 3 eggs = 15 eggs", ["="]),
        ("5 hours * 60 = 18000 seconds", ["="]),
        ("1 year - 2 weeks = 50 weeks", ["="]),
        ("7 people tot/7 = 21", ["="]),
        ("0.2*96 x = 48", ["="]),
        ("12 inches = 1 foot", [1]),
        ("48 quarts = 13 gallons", ["="]),
        ("So 5 = 6", ["="]),
        ("So $5 = $6", ["wrong_arithmetic"]),
        ("5 = 5 and 75% = 0.75", []),
    ],
)
def test_units(text, results):
    assert read(text) == results


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("*21 / 3 = 7* and *21 / 3 = 8*", [7, "wrong_arithmetic"]),
        ("It is *21 / 3 = 7*, or 5 * 4 = 20.", [7, 20]),
        ("(2) 15 - 3 = 12 and (3) 4 + 4 = 9", [12, "wrong_arithmetic"]),
        ("(1) 60 / 4 = 15\n(2) 15 - 3 = 12", [15, 12]),
        ("They are <<-6+-9+4=-11>>-11.", [-11]),
        ("They are <<-6+-9+4=-10>>-10.", ["wrong_arithmetic"]),
        ("They are <<3+*4=7>>7.", ["unreadable_annotation"]),
        ("100/70 x 42\n  = 60", [60]),
        ("12 * 5\n= 50 + 10\n= 61", ["wrong_arithmetic"]),
        ("3 + 4 = 7\n=> 5 + 5 = 10", [7, 10]),
        ("5 * 4 = 21, and x + 2 = 4", ["wrong_arithmetic", "="]),
        ("5 * 4 = 21 and f(2) 4 = 4", ["wrong_arithmetic", "="]),
        ("There are 16 + x now, so the rest is 51 - 40 = 12", ["wrong_arithmetic"]),
        ("14 - 22 = -x, so x = 8", ["=", "="]),
        ("15% of Rs 8 = Rs 1.2", [Fraction(6, 5)]),
    ],
)
def test_what_an_equation_reaches_to(text, results):
    assert read(text) == results
