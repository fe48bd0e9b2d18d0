"""``composed:k`` in prose: the sentence of a shown step takes in the expressions of the steps that are not shown.

Example: ``16 - 3 = 13`` and ``13 - 4 = 9`` become ``16 - 3 - 4 = 9``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..core.arithmetic import BinOp, Expr, walk
from .equations import Equation
from .solution import Edit, Solution
from .tokens import plain_digits

_OPERATOR_CHARACTERS = tuple("+-−–*×·/÷xX")
_UNIT = re.compile(r" (?![xX] |times |plus |minus |divided |multiplied |of |equals )[^\W\d_]")
_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2}

Written = tuple[list[str], str]
"""The tokens of an expression, and the operator at its root; "" for a single number."""


def compose(solution: Solution, shown: Iterable[int]) -> dict[int, list[Edit]]:
    """The edits of the shown steps' sentences that nest the expressions of all other steps in them."""
    edits: dict[int, list[Edit]] = {index: [] for index in shown}
    nested: dict[int | None, Written] = {}  # The expression of each step that is not shown.
    for index, (equation, _, sources) in enumerate(solution.steps):
        inner = {slot: nested[source] for slot, source in enumerate(sources) if source in nested}
        if index in edits and not inner:
            continue
        leaves = [inner.get(slot) or ([_leaf(solution, equation, slot)], "") for slot in range(len(sources))]
        written = write_expression(equation.tree, leaves)
        if index not in edits:
            nested[index] = written
            continue
        changes = edits[index]
        if equation.annotation:
            result = solution.text[equation.stated.start : equation.stated.end]
            changes.append((*equation.annotation, f"<<{''.join(written[0])}={result}>>"))
        if equation.prose_operands:
            for slot, (tokens, op) in inner.items():
                operand = equation.prose_operands[slot]
                text = _in_prose(solution.text, operand.start, operand.end, tokens)
                brackets = _needs_brackets(equation.tree, str(slot), op) or _meets_text(
                    solution.text, operand.start, operand.end
                )
                changes.append((operand.start, operand.end, f"({text})" if brackets else text))
    return edits


def _in_prose(text: str, start: int, end: int, tokens: list[str]) -> str:
    """An expression in place of the operand ``text[start:end]``, spaced as the neighbouring operators are."""
    before, after = text[start - 1 : start], text[end : end + 1]
    is_tight = before in _OPERATOR_CHARACTERS or after in _OPERATOR_CHARACTERS
    return "".join(tokens) if is_tight else " ".join(tokens).replace("( ", "(").replace(" )", ")")


def _meets_text(text: str, start: int, end: int) -> bool:
    """Whether a bracket or a unit directly beside the operand ``text[start:end]`` would bind to a part only of an
    expression in its place."""
    return text[start - 1 : start] == ")" or text[end : end + 1] == "(" or bool(_UNIT.match(text, end))


def _leaf(solution: Solution, equation: Equation, slot: int) -> str:
    """An operand as the text writes it, in a form that can stand in another expression."""
    operand = equation.operands[slot]
    text = solution.text[operand.start : operand.end]
    if operand.percent:
        text += "%"
    return f"({text})" if operand.value < 0 or " " in text or "/" in text else plain_digits(text)


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
