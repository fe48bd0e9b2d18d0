"""Exact expressions: integers modulo m, or rationals when there is no modulus.

An expression (`Expr`) is one of three things:

- an `int` (or a `Fraction` in rational arithmetic): a constant,
- a `str`: a reference to a quantity by its name,
- a `BinOp`: an operator applied to two expressions.

The operators are ``+ - * /`` and ``·``. The last is a coefficient directly before the term that it scales, as in
``2(x + 4)``. Its value is that of ``*``; its text differs, and linear forms need it.

Everything here is iterative, because a text under verification may nest to any depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

OPERATORS = ("+", "-", "*")
SCALE = "·"
_new = tuple.__new__  # A NamedTuple's own constructor calls this, and takes twice the time.


class BinOp(NamedTuple):
    """``left op right``. Comparing, hashing and printing do not recurse, so any depth is safe."""

    op: str
    left: Expr
    right: Expr

    def __eq__(self, other: object) -> bool:
        return same(self, other) if isinstance(other, BinOp) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return not same(self, other) if isinstance(other, BinOp) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(node.op if isinstance(node, BinOp) else node for node in walk(self)))

    def __repr__(self) -> str:
        parts: list[str] = []
        stack: list[tuple[bool, Expr]] = [(False, self)]  # (whether it is finished text, the node or text)
        while stack:
            finished, node = stack.pop()
            if finished:
                parts.append(node)
            elif isinstance(node, BinOp):
                parts.append(f"BinOp(op={node.op!r}, left=")
                stack += [(True, ")"), (False, node.right), (True, ", right="), (False, node.left)]
            else:
                parts.append(repr(node))
        return "".join(parts)


Expr = Any
"""``int | Fraction | str | BinOp``. Type checkers cannot follow that union through loops over a stack."""


def apply(op: str, left: Any, right: Any, modulus: int | None) -> Any:
    """The value of ``left op right``, reduced to ``0..modulus-1`` unless `modulus` is None.

    Raises `ZeroDivisionError` on a division by zero, and `ValueError` on an operator that the arithmetic does not have
    (``/`` is not defined modulo m).
    """
    if op == "+":
        value = left + right
    elif op == "-":
        value = left - right
    elif op in ("*", SCALE):
        value = left * right
    elif op == "/" and modulus is None:
        if type(left) is type(right) is int and right and not left % right:
            return left // right
        return Fraction(left) / Fraction(right)
    else:
        raise ValueError(f"operator {op!r} does not exist in arithmetic modulo {modulus}")
    return value if modulus is None else value % modulus


def walk(expr: Expr) -> list[Expr]:
    """All nodes of `expr`, parents before children, left before right."""
    nodes, stack = [], [expr]
    while stack:
        node = stack.pop()
        nodes.append(node)
        if isinstance(node, BinOp):
            stack += (node[2], node[1])
    return nodes


def references(expr: Expr) -> list[str]:
    """The names in `expr`, left to right, each once."""
    if not isinstance(expr, BinOp):
        return [expr] if isinstance(expr, str) else []
    return list(dict.fromkeys(node for node in walk(expr) if isinstance(node, str)))


def count_operations(expr: Expr) -> int:
    """The number of operators in `expr`."""
    return sum(isinstance(node, BinOp) for node in walk(expr))


def evaluate(expr: Expr, values: Mapping[str, Any], modulus: int | None) -> Any:
    """The exact value of `expr`, with `values` for its references.

    Raises `KeyError` (the name) for a reference without a value, `ZeroDivisionError` and `ValueError` as `apply` does.
    """
    done: list[int | Fraction] = []
    for node in reversed(walk(expr)):
        if isinstance(node, BinOp):
            left, right = done.pop(), done.pop()
            done.append(apply(node.op, left, right, modulus))
        else:
            value = values[node] if isinstance(node, str) else node
            done.append(value if modulus is None else value % modulus)
    return done[0]


def substitute(expr: Expr, replacements: Mapping[str, Expr]) -> Expr:
    """`expr` with its references replaced where `replacements` has them."""
    done: list[Expr] = []
    for node in reversed(walk(expr)):
        if isinstance(node, BinOp):
            left, right = done.pop(), done.pop()
            done.append(_new(BinOp, (node.op, left, right)))
        elif isinstance(node, str):
            done.append(replacements.get(node, node))
        else:
            done.append(node)
    return done[0]


def same(a: Expr, b: Expr) -> bool:
    """Whether two expressions are the same tree, with leaves of the same types."""
    stack = [(a, b)]
    while stack:
        x, y = stack.pop()
        if isinstance(x, BinOp) and isinstance(y, BinOp):
            if x.op != y.op:
                return False
            stack.append((x.left, y.left))
            stack.append((x.right, y.right))
        elif type(x) is not type(y) or x != y:
            return False
    return True


class Linear(NamedTuple):
    """The linear form ``a * reference + b`` modulo m; `reference` is None for a constant (then a is 0)."""

    reference: str | None
    a: int
    b: int


def linear(expr: Expr, modulus: int) -> Linear | None:
    """`expr` as a linear form in its one reference, or None where it has two references or a product of them."""
    done: list[Linear] = []
    for node in reversed(walk(expr)):
        if isinstance(node, BinOp):
            left, right = done.pop(), done.pop()
            if left.reference and right.reference and left.reference != right.reference:
                return None
            reference = left.reference or right.reference
            if node.op == "+":
                a, b = left.a + right.a, left.b + right.b
            elif node.op == "-":
                a, b = left.a - right.a, left.b - right.b
            elif node.op in ("*", SCALE):
                if left.reference and right.reference:
                    return None
                a, b = left.a * right.b + right.a * left.b, left.b * right.b
            else:
                return None
            done.append(Linear(reference, a % modulus, b % modulus))
        elif isinstance(node, str):
            done.append(Linear(node, 1 % modulus, 0))
        elif isinstance(node, int):
            done.append(Linear(None, 0, node % modulus))
        else:
            return None
    return done[0]


def linear_expression(form: Linear, modulus: int, inner: Expr | None = None) -> Expr:
    """The reduced expression of a linear form: ``2x + 8``, ``x - 3``, ``0x + 5``.

    A coefficient of 1 and an offset of 0 are not written. The offset is the representative nearest zero; a negative one
    is subtracted. `inner` replaces the reference, in parentheses: ``2(x + 4) + 8``, ``(3) - 1``.
    """
    if inner is not None:
        scaled: Expr = BinOp(SCALE, form.a, inner)
    elif form.a == 1:
        scaled = form.reference
    else:
        scaled = BinOp(SCALE, form.a, form.reference)
    offset = form.b if form.b <= modulus // 2 else form.b - modulus
    if offset == 0:
        return scaled
    return BinOp("+", scaled, offset) if offset > 0 else BinOp("-", scaled, -offset)
