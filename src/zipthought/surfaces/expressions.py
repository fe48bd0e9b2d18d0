"""Expressions as tokens: the part that `english` and `terse` share.

Parentheses are minimal and left-associative. A coefficient stands directly before what it scales: ``2 x``, ``2 ( x + 4
)``; the coefficient 1 is not written, so that a parenthesised group which opens a side and is not multiplied reads as
scaled by 1 (FORMATS.md 3, "backward": ``(3) + 8``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.arithmetic import SCALE, BinOp, Expr

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, SCALE: 3}
_MAX_DIGITS = 18


def is_number(token: str) -> bool:
    """Whether a token is a whole number in ASCII digits, of a length that arithmetic here has a use for."""
    return token.isascii() and token.isdigit() and len(token) <= _MAX_DIGITS


def write(expression: Expr, reference: Callable[[str], str]) -> list[str]:
    """The tokens of an expression; `reference` gives the token of a name."""
    tokens: list[str] = []
    stack: list[tuple[bool, Expr]] = [(False, expression)]  # (is a finished token, what)
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
    """The expression that the tokens write, or None where they write none. Linear in the tokens; runs nothing."""
    operands: list[Expr] = []
    operators: list[str] = []
    depth = 0
    leading_open = False
    expect_operand = True

    def reduce() -> None:
        right = operands.pop()
        operands.append(BinOp(operators.pop(), operands.pop(), right))

    for i, token in enumerate(tokens):
        if not expect_operand:
            if token in ("+", "-", "*"):
                while operators and operators[-1] != "(" and _PRECEDENCE[operators[-1]] >= _PRECEDENCE[token]:
                    reduce()
                operators.append(token)
                expect_operand = True
                continue
            if token == ")":
                while operators and operators[-1] != "(":
                    reduce()
                if not operators:
                    return None
                operators.pop()
                depth -= 1
                if leading_open and depth == 0:
                    leading_open = False
                    if i + 1 == len(tokens) or tokens[i + 1] != "*":
                        operands.append(BinOp(SCALE, 1, operands.pop()))
                continue
            if not is_number(tokens[i - 1]) or is_number(token):
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
    if expect_operand or depth:
        return None
    while operators:
        reduce()
    return operands[0]
