"""Equations: what can be read of ``expression = value``, and the exact check that it holds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..core.arithmetic import BinOp, Expr, evaluate, walk
from .expressions import Expression, as_share
from .tokens import MAX_DIGITS, Number, Token

FLOAT_DECIMALS = 13
"""A result of at least so many decimals may be one of floating-point arithmetic (``7 * 0.1 = 0.7000000000000001``)."""
FLOAT_NOISE = Fraction(1, 10**12)
"""Its relative error, at most."""

Span = tuple[int, int]
"""Start and end in a text, as in ``text[start:end]``."""


class Equation(NamedTuple):
    """An equation that holds exactly."""

    tree: Expr
    """The expression. A leaf is the index of its number in `operands`, as text: ``BinOp("+", "0", "1")``."""
    operands: tuple[Token, ...]
    """The numbers of the expression; of an annotated equation, those in the annotation. `Token.value` of 20% is 20."""
    stated: Token
    """The result as the text writes it."""
    values: tuple[Number, ...]
    """The operands' values in the equation. 20% is 1/5, or 20 if the equation holds only with 20."""
    result: Number
    """The value of `stated` in the equation."""
    prose: Span | None
    """From the start of the prose's first side (currency sign included) to the text after its last ``=`` (blanks
    skipped). None if the prose has no expression before the ``=``."""
    annotation: Span | None
    """From ``<<`` to the end of ``>>``; None if the equation has no annotation."""
    prose_operands: tuple[Token, ...] | None
    """The operands in the prose, if its first side is the same expression; else None."""


class FalseEquation(NamedTuple):
    """An equation that does not hold, or that states no result or number that can be read."""

    fault: str
    """`wrong_arithmetic`, `rounded`, `division_by_zero`, `annotation_differs`, `unreadable_annotation`,
    `unreadable_number` or `no_result`."""
    span: Span
    """The text to quote in a message: the annotation, or else the prose from its first side to the result."""
    stated: Number | None
    """The result that the text states; None if it states no number that can be read."""


class CheckedEquation(NamedTuple):
    """An equation that holds and has more than the four operations: powers, roots, factorials, binomial coefficients,
    a remainder, or letters. No other equation takes it in, and it takes in none."""

    span: Span
    """The text from its first side to its result."""
    stated: Token
    """The result as the text writes it; of an expression (``9 + 16 = 5^2``) its span and value."""
    values: tuple[Number, ...]
    """The numbers of its first side; none if it has letters."""
    operations: int
    """How many operations its first side has; with letters 1."""

    @property
    def result(self) -> Number | None:
        """The value of its last side; None if that is no number."""
        return self.stated.value if self.stated.kind == "n" else None


HoldingEquation = Equation | CheckedEquation


class UnreadEquals(NamedTuple):
    """The ``=`` of something that looks like an equation but cannot be read as one."""

    start: int
    """Offset of the ``=`` in the text."""


AnyEquation = Equation | CheckedEquation | FalseEquation | UnreadEquals


def span_of(equation: HoldingEquation | FalseEquation) -> Span:
    """The text of an equation, from its first side to its result."""
    if not isinstance(equation, Equation):
        return equation.span
    spans = [(equation.stated.start, equation.stated.end), *filter(None, (equation.prose, equation.annotation))]
    return min(start for start, _ in spans), max(end for _, end in spans)


def offset_of(equation: AnyEquation) -> int:
    """An offset inside of an equation; those of different equations are in the order of the text."""
    if isinstance(equation, UnreadEquals):
        return equation.start
    return equation.stated.start if isinstance(equation, Equation) else equation.span[0]


class Values(NamedTuple):
    """The values of an equation that holds."""

    operands: tuple[Number, ...]
    """Of the operands of the first side."""
    result: Number


def check(sides: Sequence[Expression], stated: Token) -> Values | str:
    """The values with which all sides equal the stated result, or the fault if there are none.

    A percentage is a share of 100, or a unit like any other, whichever makes the equation true. It is no unit in a sum
    with other numbers and without a percentage as its result (``$30 + 30% = $60``).
    """
    result = as_share(stated)
    if all(side.value == result for side in sides):
        return Values(tuple([as_share(operand) for operand in sides[0].operands]), result)
    if any(side.value is None for side in sides):
        return "division_by_zero"
    if stated.percent or any(operand.percent for side in sides for operand in side.operands):
        as_units = [evaluate_side(side, [operand.value for operand in side.operands]) for side in sides]
        is_mixed = not stated.percent and any(_adds_percentage(side) for side in sides)
        if not is_mixed and all(number == stated.value for number in as_units):
            return Values(tuple([operand.value for operand in sides[0].operands]), stated.value)
        if not is_mixed and all(number is not None and rounds_to(number, stated.value) for number in as_units):
            return "rounded"  # 4/12 * 100 = 33.33%
    rounded = all(side.value == result or rounds_to(side.value or 0, result) for side in sides)
    return "rounded" if rounded else "wrong_arithmetic"


def evaluate_side(side: Expression, values: Sequence[Number]) -> Number | None:
    """The value of a side with other values of its operands; None for a division by zero."""
    try:
        value: Number = evaluate(side.tree, {str(index): value for index, value in enumerate(values)}, None)
    except ZeroDivisionError:
        return None
    return value


def _adds_percentage(side: Expression) -> bool:
    """Whether a side adds a percentage to something without one, or subtracts it."""
    has_percent: list[bool] = []
    for node in reversed(walk(side.tree)):
        if not isinstance(node, BinOp):
            has_percent.append(side.operands[int(node)].percent)
            continue
        left, right = has_percent.pop(), has_percent.pop()
        if node.op in "+-" and left != right:
            return True
        has_percent.append(left or right)
    return False


def rounds_to(exact: Number, stated: Number) -> bool:
    """Whether the stated number is the exact one, cut off or rounded to the stated number of decimals, or with an error
    of floating-point arithmetic."""
    decimals = 0
    value = Fraction(stated)
    while value.denominator != 1 and decimals < MAX_DIGITS:
        value *= 10
        decimals += 1
    difference = abs(Fraction(exact) - Fraction(stated))
    if decimals >= FLOAT_DECIMALS and difference <= FLOAT_NOISE * max(Fraction(1), abs(Fraction(exact))):
        return True
    return Fraction(exact).denominator != 1 and difference < Fraction(1, 10**decimals)
