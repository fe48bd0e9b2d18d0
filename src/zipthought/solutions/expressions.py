"""Expressions in prose: trees of operators over number tokens, with their exact values."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..core.arithmetic import BinOp, Expr, apply
from .tokens import Number, Token

MAX_OPERANDS = 256
"""Expressions of more operands are not read."""

_LEVEL = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2}
_new = tuple.__new__  # The constructor of a NamedTuple calls this; calling it directly takes half the time.


class Expression(NamedTuple):
    """An expression as a text writes it."""

    tree: Expr
    """The operators. A leaf is the index of its number in `operands`, as text: ``BinOp("+", "0", "1")``."""
    operands: tuple[Token, ...]
    """The numbers from left to right. Their spans include a minus sign, but no currency and no per cent sign."""
    value: Number | None
    """The exact value, with percentages as shares of 100; None for a division by zero."""


def as_share(number: Token) -> Number:
    """The value of a number token, with a percentage as a share of 100."""
    return Fraction(number.value) / 100 if number.percent else number.value


def read_expression(tokens: Sequence[Token]) -> Expression | None:
    """The expression that the tokens write; None if they write none. Words and currency signs are ignored.

    A number directly before or after a bracket is a factor: ``(1/4)24``. Nothing with a number or sign that cannot be
    read is an expression.
    """
    trees: list[Expr] = []
    values: list[Number | None] = []
    operators: list[str] = []
    operands: list[Token] = []
    expect_operand, sign, last = True, "", -1  # `last` is where the last number or closing bracket ends.
    after_bracket = False
    for token in tokens:
        kind, start, end, value, percent = token
        if kind == "w" or kind == "$":
            continue
        if not expect_operand:
            if kind in "+-*/":
                if operators:
                    _reduce(_LEVEL[kind], operators, trees, values)
                operators.append(kind)
                expect_operand = True
                continue
            if kind == ")":
                _reduce(1, operators, trees, values)
                if not operators:
                    return None
                operators.pop()
                last, after_bracket = end, True
                continue
            if start > last + 1 or kind not in "n(" or not (kind == "(" or after_bracket):
                return None
            _reduce(2, operators, trees, values)
            operators.append("*")
        if kind == "n":
            if len(operands) == MAX_OPERANDS:
                return None
            if sign == "-":
                token = Token("n", start - 1, end, -value, percent)
            trees.append(str(len(operands)))
            operands.append(token)
            values.append(as_share(token))
            expect_operand, sign, last, after_bracket = False, "", end, False
        elif kind == "(":
            if sign:
                return None
            operators.append("(")
            expect_operand = True
        elif kind in "+-" and not sign and (not operators or operators[-1] == "("):
            sign = kind
        else:
            return None
    if expect_operand or "(" in operators:
        return None
    _reduce(1, operators, trees, values)
    return _new(Expression, (trees[0], tuple(operands), values[0]))


def _reduce(level: int, operators: list[str], trees: list[Expr], values: list[Number | None]) -> None:
    """Apply the operators on top of the stack that bind at least as tightly as `level`."""
    while operators and _LEVEL[operators[-1]] >= level:
        op, right_tree, right = operators.pop(), trees.pop(), values.pop()
        trees[-1] = _new(BinOp, (op, trees[-1], right_tree))
        left = values[-1]
        known = left is not None and right is not None and (op != "/" or right != 0)
        values[-1] = apply(op, left, right, None) if known else None
