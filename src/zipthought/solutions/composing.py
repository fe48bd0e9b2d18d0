"""``composed:k`` in prose: the sentence of a shown step takes in the expressions of the steps that are not shown.

Example: ``16 - 3 = 13`` and ``13 - 4 = 9`` become ``16 - 3 - 4 = 9``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..core.arithmetic import BinOp, Expr, walk
from .equations import CheckedEquation, Equation, Span
from .solution import Edit, Solution
from .tokens import CURRENCY, Token, plain_digits

_OPERATOR_CHARACTERS = tuple("+-−–*×·/÷xX")
_UNIT = re.compile(r" (?![xX] |times |plus |minus |divided |multiplied |of |equals )[^\W\d_]")
_SIGN = re.compile(rf"\\?{CURRENCY}")
_SIGN_BEFORE = re.compile(rf"\\?{CURRENCY} ?$")
_GLUED = re.compile(r"(?:°|(?![xX])[^\W\d_]{1,3})(?!\w)")
_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2}

Written = tuple[list[str], str]
"""The tokens of an expression, and the operator at its root; "" for a single number."""


class Nested(NamedTuple):
    """The expression of a step that is not shown."""

    noted: Written
    """For an annotation: numbers without units."""
    prose: Written
    """For prose: numbers with the currency signs and the units that touch them in the text."""


def compose(solution: Solution, shown: Iterable[int]) -> dict[int, list[Edit]]:
    """The edits of the shown steps' sentences that nest the expressions of all other steps in them."""
    edits: dict[int, list[Edit]] = {index: [] for index in shown}
    nested: dict[int | None, Nested] = {}
    for index, (equation, _, sources) in enumerate(solution.steps):
        inner = {slot: nested[source] for slot, source in enumerate(sources) if source in nested}
        if isinstance(equation, CheckedEquation) or (index in edits and not inner):
            continue
        slots = range(len(sources))
        noted = [inner[slot].noted if slot in inner else _leaf(solution, equation, slot) for slot in slots]
        if index not in edits:
            prose = [
                inner[slot].prose if slot in inner else _leaf(solution, equation, slot, in_prose=True) for slot in slots
            ]
            tree = equation.tree
            nested[index] = Nested(write_expression(tree, noted), write_expression(tree, prose))
            continue
        changes = edits[index]
        if equation.annotation:
            result = solution.text[equation.stated.start : equation.stated.end]
            expression = "".join(write_expression(equation.tree, noted)[0])
            changes.append((*equation.annotation, f"<<{expression}={result}>>"))
        if equation.prose_operands:
            changes += [
                _nest(solution.text, equation.tree, slot, equation.prose_operands[slot], written.prose)
                for slot, written in inner.items()
            ]
    return edits


def _nest(text: str, tree: Expr, slot: int, operand: Token, written: Written) -> Edit:
    """The edit that puts an expression in place of an operand of `tree`. Its numbers have their own signs and units, so
    those of the operand go."""
    tokens, op = written
    start, end = operand.start, operand.end
    low, high = _touching(text, operand)
    if any(_SIGN.match(token) for token in tokens):
        start = low
    if high > end and any(token.endswith(text[end:high]) for token in tokens):
        end = high
    new = _in_prose(text, start, end, tokens)
    brackets = _needs_brackets(tree, str(slot), op) or _meets_text(text, start, end)
    return start, end, f"({new})" if brackets else new


def _touching(text: str, number: Token) -> Span:
    """The span of a number with the currency sign and the unit that touch it. Among commands of LaTeX, ``$`` is a
    bracket."""
    start, end = number.start, number.end
    sign = _SIGN_BEFORE.search(text[max(0, start - 3) : start])
    if sign and not (sign[0][0] == "$" and "\\" in text):
        start -= len(sign[0])
    glued = _GLUED.match(text, end)
    return start, glued.end() if glued else end


def _in_prose(text: str, start: int, end: int, tokens: list[str]) -> str:
    """An expression in place of the operand ``text[start:end]``, spaced as the neighbouring operators are."""
    before, after = text[start - 1 : start], text[end : end + 1]
    is_tight = before in _OPERATOR_CHARACTERS or after in _OPERATOR_CHARACTERS
    return "".join(tokens) if is_tight else " ".join(tokens).replace("( ", "(").replace(" )", ")")


def _meets_text(text: str, start: int, end: int) -> bool:
    """Whether a bracket or a unit directly beside the operand ``text[start:end]`` would bind to a part only of an
    expression in its place."""
    return text[start - 1 : start] == ")" or text[end : end + 1] == "(" or bool(_UNIT.match(text, end))


def _leaf(solution: Solution, equation: Equation, slot: int, in_prose: bool = False) -> Written:
    """An operand as the text writes it, in a form that can stand in another expression."""
    operands = equation.operands
    if in_prose and equation.prose_operands:
        operands = equation.prose_operands
    operand = operands[slot]
    text = solution.text[operand.start : operand.end]
    if operand.percent:
        text += "%"
    text = f"({text})" if operand.value < 0 or " " in text or "/" in text else plain_digits(text)
    if in_prose and not operand.percent and (equation.prose_operands or not equation.annotation):
        low, high = _touching(solution.text, operand)
        text = f"{solution.text[low : operand.start].strip()}{text}{solution.text[operand.end : high]}"
    return [text], ""


def write_expression(tree: Expr, leaves: Sequence[Written]) -> Written:
    """The tokens of an expression. The leaf ``"0"`` is written as ``leaves[0]`` and so on; brackets by precedence."""
    done: list[Written] = []
    for node in reversed(walk(tree)):
        if not isinstance(node, BinOp):
            done.append(leaves[int(node)])
            continue
        op, level = node.op, _LEVEL[node.op]
        (left, left_op), (right, right_op) = done.pop(), done.pop()
        if left_op and _LEVEL[left_op] < level:
            left = ["(", *left, ")"]
        if right_op and _LEVEL[right_op] <= level:
            right = ["(", *right, ")"]
        done.append(([*left, op, *right], op))
    return done[0]


def _needs_brackets(tree: Expr, leaf: str, inner: str) -> bool:
    """Whether an expression with the root operator `inner` needs brackets in place of a leaf of `tree`."""
    for node in walk(tree):
        if isinstance(node, BinOp) and leaf in (node.left, node.right):
            return _LEVEL[inner] < _LEVEL[node.op] + (node.right == leaf)
    return False
