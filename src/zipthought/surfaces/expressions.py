"""Expressions as tokens: the part that `english` and `terse` share.

Parentheses are minimal and left-associative. A coefficient stands directly before the term that it scales: ``2 x``,
``2 ( x + 4 )``. The coefficient 1 is not written. A group in parentheses that opens a side and is not multiplied is
therefore read as scaled by 1, as backward traces write it: ``(3) + 8``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.arithmetic import SCALE, BinOp, Expr
from ..core.trace import Step

NUMBERS = {str(number): number for number in range(1000)}
"""Small numbers, which nearly all texts consist of, by their text."""

_PRECEDENCE = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, SCALE: 3}
_MAX_DIGITS = 18
_new = tuple.__new__  # A NamedTuple's own constructor calls this, and takes twice the time.


def is_number(token: str) -> bool:
    """Whether a token is a whole number in ASCII digits, without leading zeros, of at most `_MAX_DIGITS` digits."""
    if token in NUMBERS:
        return True
    return token.isascii() and token.isdigit() and len(token) <= _MAX_DIGITS and token[0] != "0"


def write(expression: Expr, reference: Callable[[str], str]) -> list[str]:
    """The tokens of an expression; `reference` gives the token of a name."""
    tokens: list[str] = []
    stack: list[tuple[bool, Expr]] = [(False, expression)]  # (whether it is a finished token, the node or token)
    while stack:
        finished, node = stack.pop()
        if finished:
            tokens.append(node)
        elif isinstance(node, BinOp):
            op, left, right = node
            if op == SCALE:
                opened = not isinstance(right, str)
                parts = [] if left == 1 and opened else [(False, left)]
                parts += [(True, "("), (False, right), (True, ")")] if opened else [(False, right)]
            else:
                low_left = isinstance(left, BinOp) and _PRECEDENCE[left.op] < _PRECEDENCE[op]
                low_right = isinstance(right, BinOp) and _PRECEDENCE[right.op] <= _PRECEDENCE[op]
                parts = [(True, "("), (False, left), (True, ")")] if low_left else [(False, left)]
                parts.append((True, op))
                parts += [(True, "("), (False, right), (True, ")")] if low_right else [(False, right)]
            stack.extend(reversed(parts))
        else:
            tokens.append(reference(node) if isinstance(node, str) else str(node))
    return tokens


def read(tokens: Sequence[str], reference: Callable[[str], str]) -> Expr | None:
    """The expression that the tokens write, or None where they write none. Linear in the tokens; nothing is run."""
    operands: list[Expr] = []
    operators: list[str] = []
    depth = 0
    leading_open = False
    expect_operand = True
    before = ""
    for i, token in enumerate(tokens):
        if not expect_operand:
            if token in ("+", "-", "*"):
                _reduce(operands, operators, _PRECEDENCE[token])
                operators.append(token)
                expect_operand = True
                continue
            if token == ")":
                _reduce(operands, operators, 1)
                if not operators:
                    return None
                operators.pop()
                depth -= 1
                if leading_open and depth == 0:
                    leading_open = False
                    if i + 1 == len(tokens) or tokens[i + 1] != "*":
                        operands.append(BinOp(SCALE, 1, operands.pop()))
                before = token
                continue
            if not is_number(before) or is_number(token):
                return None
            operators.append(SCALE)
        if token == "(":
            leading_open = leading_open or i == 0
            operators.append("(")
            depth += 1
            expect_operand = True
        elif is_number(token):
            operands.append(int(token))
            expect_operand = False
        elif token.isalpha():
            operands.append(reference(token))
            expect_operand = False
        else:
            return None
        before = token
    if expect_operand or depth:
        return None
    _reduce(operands, operators, 1)
    return operands[0]


def _reduce(operands: list[Expr], operators: list[str], precedence: int) -> None:
    """Apply the operators of at least this precedence, back to the last open parenthesis."""
    while operators and _PRECEDENCE[operators[-1]] >= precedence:
        right = operands.pop()
        operands.append(BinOp(operators.pop(), operands.pop(), right))


def read_sides(tokens: Sequence[str], reference: Callable[[str], str]) -> tuple[Expr, ...] | None:
    """The expressions between the ``=`` tokens, or None where one of them cannot be read."""
    sides = []
    start = 0
    for stop, token in enumerate([*tokens, "="]):
        if token == "=":
            side = read(tokens[start:stop], reference)
            if side is None:
                return None
            sides.append(side)
            start = stop + 1
    return tuple(sides)


def explicit_step(name: str, ref: str, op: str, constant: str, value: str, result: str) -> Step:
    """The step ``name = ref op constant = value op constant = result``, by far the most frequent one.

    Raises `KeyError` for a number that is not in `NUMBERS`; `read_sides` reads any number, more slowly.
    """
    number = NUMBERS[constant]
    symbols, numbers = _new(BinOp, (op, ref, number)), _new(BinOp, (op, NUMBERS[value], number))
    return _new(Step, (name, (symbols, numbers, NUMBERS[result]), None))
