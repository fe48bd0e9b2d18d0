"""How a solution works out a number: each result as an expression of the numbers that the solution starts from.

Two results have the same derivation if their expressions are equal by the laws of sums and products alone (order,
brackets, and a factor that is multiplied out), where every number is an unknown: ``(16 - 3 - 4) * 2`` and ``9 * 2``
after ``16 - 3 - 4 = 9`` are, ``3 + 4`` and ``16 - 9`` are not. Nothing is cancelled: ``20 / 10 * 10`` is not ``20``. So
neither equal values nor a coincidence can stand for a step.

Expressions are compared by their values at two random points modulo a prime, as polynomials are (Schwartz, 1980;
Zippel, 1979). A difference is ``a + MINUS * b`` and a quotient ``a * b ** OVER``, with constants for which nothing
cancels. Equal expressions always agree; others agree by chance once in about 2**120. The points are fixed by a hash, so
every run decides the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ..core.arithmetic import BinOp, Expr, walk
from ..solutions.equations import CheckedEquation, HoldingEquation
from ..solutions.solution import Solution
from ..solutions.tokens import Number

PRIME = 2**61 - 1
MINUS = 0x9E3779B97F4A7C1 % PRIME
OVER = 0x2545F4914F6CDD1D % PRIME

Derivation = tuple[int, int]
"""The values of an expression at the two points."""


def of_number(value: Number) -> Derivation:
    """That of a number which nothing derives."""
    return _hashed(f"number {value}")


def of_equation(text: str, equation: HoldingEquation, operands: Sequence[Derivation]) -> Derivation:
    """That of the result of an equation of `text`, from those of its operands. An equation that is no arithmetic of
    numbers (`CheckedEquation`) has the same one only where it is written the same."""
    if isinstance(equation, CheckedEquation):
        return _as_written(text, equation)
    first, second = ([pair[point] for pair in operands] for point in range(2))
    return _evaluate(equation.tree, first), _evaluate(equation.tree, second)


def of_steps(solution: Solution) -> list[Derivation]:
    """That of each step of a solution."""
    found: list[Derivation] = []
    for equation, _, sources in solution.steps:
        operands = [
            of_number(value) if source is None else found[source]
            for value, source in zip(equation.values, sources, strict=True)
        ]
        found.append(of_equation(solution.text, equation, operands))
    return found


def _as_written(text: str, equation: CheckedEquation) -> Derivation:
    return _hashed(f"text {''.join(text[slice(*equation.span)].split())}")


def _hashed(text: str) -> Derivation:
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8]) % PRIME, int.from_bytes(digest[8:16]) % PRIME


def _evaluate(tree: Expr, values: Sequence[int]) -> int:
    """The value of an expression modulo the prime."""
    done: list[int] = []
    for node in reversed(walk(tree)):
        if not isinstance(node, BinOp):
            done.append(values[int(node)])
            continue
        left, right = done.pop(), done.pop()
        if node.op in "+-":
            value = left + right * (1 if node.op == "+" else MINUS)
        else:
            value = left * (right if node.op == "*" else pow(right, OVER, PRIME))
        done.append(value % PRIME)
    return done[0]
