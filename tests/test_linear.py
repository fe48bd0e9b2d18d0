"""Linear equations in plain text: what holds, follows, names, and what is left undecided."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipthought.solutions import gsm8k
from zipthought.solutions.linear import decide_linear, read_form


def decided(text, question=""):
    """(text, value, whether it is a step) of each decided equation."""
    return [(text[one.start : one.end], one.value, one.is_step) for one in decide_linear(text, question)]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Say x + x + 30 = 110, so 2x = 80 and x = 40.", ["2x = 80", "x = 40"]),
        ("x+2x+3x=180\n6x=180\nx=<<30=30>>30", ["6x=180", "x=<<30=30>>30"]),
        ("(x+7)*5=(x+25)*3\n5*x+35=3*x+75\n2*x=40", ["5*x+35=3*x+75", "2*x=40"]),
        ("15(3y/2) = $1125\ny = $1125*(2/45)", ["y = $1125*(2/45)"]),
        ("a + b = 10, a - b = 4, 2a = 14, b = 3", ["2a = 14", "b = 3"]),
        ("2(x + 1) = 2x + 2", ["2(x + 1) = 2x + 2"]),
        ("x + 1 = 5, so x = 5 - 1 = 4", ["x = 5 - 1 = 4"]),
        ("3 + 0.1x = 9, so x = 70", []),
        ("x + 1 = 5, so x = 5", []),
        ("2/3 of x = 12. x = 18", []),
        ("T + 1 = 5 times S", []),
        ("3/2x = 12 and x = 8", []),
        ("x * y = 12, x = 3", []),
        ("f(x) = 3 and f(x) + 1 = 4", []),
        ("Jerry's age/2 = 10", []),
        ("The ratio is 4x:5y=16:15", []),
    ],
)
def test_what_follows(text, steps):
    assert [written for written, _, is_step in decided(text) if is_step] == steps


def test_a_new_letter_is_named_and_is_no_step():
    assert decided("s = 4t, t = 3, s = 12") == [("s = 4t", None, False), ("s = 12", 12, True)]


def test_the_question_is_a_premise():
    assert decided("x = 4", "Given x + 1 = 5, find x.") == [("x = 4", 4, True)]
    assert decided("x = 5", "Given x + 1 = 5, find x.") == []


@given(st.integers(-9, 9), st.integers(0, 9), st.integers(0, 9), st.integers(1, 9))
def test_forms_are_exact(a, b, c, d):
    form = read_form(f"({a}x + {b})/{d} - {c}*(x - 1)")
    x = Fraction(7, 3)
    assert sum(value * (x if name else 1) for name, value in form.items()) == (a * x + b) / d - c * (x - 1)


@pytest.mark.parametrize("text", ["x*y", "1/x", "x/0", "3/2x", "(x", "x +", "", "2/3(x)y"])
def test_what_is_not_linear_has_no_form(text):
    assert read_form(text) is None


def test_an_answer_by_algebra_verifies_in_compress_and_in_verify():
    text = "Let x be the hens. x + 3x = 48, so 4x = 48.\nThus x = 12.\n#### 12"
    solution = gsm8k.read("How many?", text)
    assert [step.equation.result for step in solution.steps] == [48, 12]
    assert len(solution.unread) == 1
    assert gsm8k.verify("How many?", text, "12").faithful
    assert not gsm8k.verify("How many?", text.replace("12", "13"), "13").faithful


def test_what_follows_is_true_where_the_premises_are():
    rng = random.Random(0)
    followed = 0
    for _ in range(600):
        values = {letter: rng.randint(-5, 12) for letter in rng.sample("abkxyz", rng.randint(1, 2))}
        written, text, true = [], "", True
        for _ in range(5):
            terms = [(rng.randint(1, 5), letter) for letter in rng.choices(list(values), k=rng.randint(1, 3))]
            total = sum(factor * values[letter] for factor, letter in terms) + (rng.random() < 0.2)
            left = " + ".join(f"{factor}{letter}" for factor, letter in terms)
            written.append((len(text), total == sum(factor * values[letter] for factor, letter in terms)))
            text += f"{left} = {total}. " if total >= 0 else f"{left} + {-total} = 0. "
        decided_at = {one.start for one in decide_linear(text) if one.is_step}
        for start, holds in written:
            if true and start in decided_at:
                assert holds, text[start:]
                followed += 1
            true &= holds
    assert followed > 500
