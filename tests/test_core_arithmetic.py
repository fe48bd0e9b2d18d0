"""Expressions: exact values, substitution, linear forms, and no recursion at any depth."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipthought.core.arithmetic import (
    SCALE,
    BinOp,
    Linear,
    apply,
    count_operations,
    evaluate,
    linear,
    linear_expression,
    references,
    same,
    substitute,
)

X = BinOp("+", BinOp("*", "kites", 2), BinOp("-", "drums", 5))

expressions = st.recursive(
    st.integers(0, 200) | st.sampled_from(["kites", "drums"]),
    lambda inner: st.builds(BinOp, st.sampled_from("+-*"), inner, inner),
    max_leaves=12,
)


def plain(expression) -> str:
    """The same expression as Python writes it, for an independent value."""
    return (
        f"({plain(expression[1])} {expression[0]} {plain(expression[2])})"
        if isinstance(expression, BinOp)
        else str(expression)
    )


@pytest.mark.parametrize(
    ("op", "left", "right", "modulus", "value"),
    [
        ("+", 22, 4, 23, 3),
        ("-", 3, 4, 23, 22),
        ("*", 7, 10, 23, 1),
        (SCALE, 7, 10, 23, 1),
        ("-", 3, 4, None, -1),
        ("/", 1, 3, None, Fraction(1, 3)),
    ],
)
def test_apply(op, left, right, modulus, value):
    assert apply(op, left, right, modulus) == value


def test_apply_refuses_what_the_arithmetic_does_not_have():
    with pytest.raises(ValueError, match="'/'"):
        apply("/", 4, 2, 23)
    with pytest.raises(ValueError, match="'%'"):
        apply("%", 4, 2, 23)
    with pytest.raises(ZeroDivisionError):
        apply("/", 4, 0, None)


def test_references_stand_once_and_in_order():
    assert references(BinOp("+", X, "kites")) == ["kites", "drums"]
    assert references(7) == []
    assert references("kites") == ["kites"]
    assert count_operations(X) == 3


@given(expressions, st.integers(0, 99), st.integers(0, 99), st.sampled_from([2, 7, 23, 100]))
def test_evaluate_agrees_with_python(expression, kites, drums, modulus):
    # Python's own arithmetic on the written expression; the text is ours, so eval is safe here.
    wanted = eval(plain(expression), {"kites": kites, "drums": drums}) % modulus
    assert evaluate(expression, {"kites": kites, "drums": drums}, modulus) == wanted


@given(expressions, st.integers(0, 22), st.integers(0, 22))
def test_substitute_keeps_the_value(expression, kites, drums):
    values = {"kites": kites, "drums": drums}
    put_in = substitute(expression, values)
    assert references(put_in) == []
    assert evaluate(put_in, {}, 23) == evaluate(expression, values, 23)


def test_evaluate_names_the_reference_without_a_value():
    with pytest.raises(KeyError, match="drums"):
        evaluate(X, {"kites": 1}, 23)


@given(expressions, st.sampled_from([2, 7, 23, 100]))
def test_a_linear_form_has_the_value_of_its_expression(expression, modulus):
    form = linear(expression, modulus)
    if form is None:
        names = references(expression)
        assert len(names) == 2 or str(plain(expression)).count(names[0]) > 1
        return
    for kites in range(5):
        values = {"kites": kites, "drums": kites + 7}
        inner = values.get(form.reference, 0)
        assert (form.a * inner + form.b) % modulus == evaluate(expression, values, modulus)
        if form.reference:
            assert evaluate(linear_expression(form, modulus), values, modulus) == evaluate(expression, values, modulus)


@pytest.mark.parametrize(
    ("a", "b", "expression"),
    [
        (1, 0, "x"),
        (1, 20, BinOp("-", "x", 3)),  # the representative of 20 nearest zero is -3
        (2, 11, BinOp("+", BinOp(SCALE, 2, "x"), 11)),  # 11 = (23-1)/2 is the last positive one
        (2, 12, BinOp("-", BinOp(SCALE, 2, "x"), 11)),
        (0, 5, BinOp("+", BinOp(SCALE, 0, "x"), 5)),
    ],
)
def test_linear_expression_is_reduced(a, b, expression):
    assert linear_expression(Linear("x", a, b), 23) == expression


def test_two_references_and_squares_are_not_linear():
    assert linear(BinOp("+", "a", "b"), 23) is None
    assert linear(BinOp("*", "a", "a"), 23) is None
    assert linear(BinOp("-", "a", "a"), 23) == Linear("a", 0, 0)


def deep(depth: int = 100_000):
    expression: object = "kites"
    for _ in range(depth):
        expression = BinOp("+", expression, 1)
    return expression


def test_nothing_recurses():
    a, b = deep(), deep()
    assert a == b
    assert (a != b) is False
    assert a != BinOp("+", a, 1)
    assert hash(a) == hash(b)
    assert len(repr(a)) > 1_000_000
    assert same(a, b)
    assert count_operations(a) == 100_000
    assert evaluate(a, {"kites": 3}, 23) == 100_003 % 23
    assert linear(a, 23) == Linear("kites", 1, 100_000 % 23)
    assert substitute(a, {"kites": 3}) != a


def test_comparison_is_that_of_trees():
    assert BinOp("+", 1, 2) == BinOp("+", 1, 2)
    assert BinOp("+", 1, 2) != BinOp("+", 2, 1)
    assert BinOp("+", 1, 2) != BinOp("-", 1, 2)
    assert BinOp("+", 1, "x") != 3
    assert BinOp("+", 1, 2) == ("+", 1, 2)
    assert repr(X) == (
        "BinOp(op='+', left=BinOp(op='*', left='kites', right=2), right=BinOp(op='-', left='drums', right=5))"
    )
    assert len({X, BinOp(*X)}) == 1
