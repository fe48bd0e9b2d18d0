"""What the second reader knows about a synthetic problem: values, segments of operations, and arithmetic modulo m.

It uses a `Problem` as data only, and shares no code with the verifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHIFTS = ((0, 0), (1, 0), (1, 2), (3, 5))
"""For each trial the shift of the quantities that a side refers to, ``base + slope * index``; first the truth."""
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "·": 3}


class Facts:
    """A problem's quantities: true values, and values when some quantities are moved."""

    def __init__(self, modulus: int, definitions: Mapping[str, Any], target: str) -> None:
        self.modulus, self.definitions, self.target = modulus, definitions, target
        self.order = self._sorted()
        self.true = self._values({})
        self.needed = self.segment(target, frozenset())
        self.is_chain = sum(len(self.operands(name)) for name in self.needed) == len(self.needed)
        self._moved: dict[frozenset[str], list[dict[str, int]]] = {}

    def parts(self, name: str) -> tuple[str, Any, Any] | None:
        """Operator and operands of a quantity; None for a constant."""
        definition = self.definitions[name]
        return None if isinstance(definition, int) else tuple(definition)

    def operands(self, name: str) -> list[str]:
        """The quantities that a quantity is defined by."""
        parts = self.parts(name)
        return [x for x in parts[1:] if isinstance(x, str)] if parts else []

    def _sorted(self) -> list[str]:
        """All names, each after its operands."""
        done: dict[str, None] = {}
        stack = list(self.definitions)[::-1]
        while stack:
            name = stack[-1]
            waiting = [] if name in done else [x for x in self.operands(name) if x not in done]
            if waiting:
                stack += waiting
            else:
                done[stack.pop()] = None
        return list(done)

    def _values(self, fixed: Mapping[str, int]) -> dict[str, int]:
        values: dict[str, int] = {}
        for name in self.order:
            parts = self.parts(name)
            if name in fixed:
                values[name] = fixed[name] % self.modulus
            elif parts is None:
                values[name] = self.definitions[name] % self.modulus
            else:
                left, right = (values[x] if isinstance(x, str) else x for x in parts[1:])
                values[name] = _apply(parts[0], left, right) % self.modulus
        return values

    def worlds(self, refs: frozenset[str]) -> list[dict[str, int]]:
        """The values of all quantities, when those in `refs` are moved away from the truth in several ways.

        A side in `refs` states the problem's relation only if it has the quantity's value in each of them.
        """
        if refs not in self._moved:
            names = sorted(refs)
            self._moved[refs] = [
                self._values({name: self.true[name] + base + slope * i for i, name in enumerate(names)})
                for base, slope in (SHIFTS if refs else SHIFTS[:1])
            ]
        return self._moved[refs]

    def segment(self, name: str, stops: frozenset[str] | set[str]) -> frozenset[str]:
        """The operations between a quantity and the quantities in `stops`."""
        found: set[str] = set()
        stack = [name]
        while stack:
            each = stack.pop()
            if each not in found and (each not in stops or each == name) and self.parts(each):
                found.add(each)
                stack += self.operands(each)
        return frozenset(found)


def _apply(op: str, left: int, right: int) -> int:
    return left + right if op == "+" else left - right if op == "-" else left * right


def residue(digits: str, modulus: int) -> int:
    """A number in digits, reduced; without `int` of the whole text, which has a limit."""
    value = 0
    for start in range(0, len(digits), 1000):
        chunk = digits[start : start + 1000]
        value = (value * pow(10, len(chunk), modulus) + int(chunk)) % modulus
    return value


def evaluate(tokens: list[str], values: Mapping[str, int], modulus: int) -> int | None:
    """The value of an expression modulo `modulus`; None where the tokens are no expression.

    A number directly before a name or a bracket is a coefficient. It uses two stacks and no recursion.
    """
    numbers: list[int] = []
    pending: list[str] = []
    before = ""  # `number` or `closed` after an operand.

    def reduce(floor: int) -> None:
        while pending and pending[-1] != "(" and PRECEDENCE[pending[-1]] >= floor:
            right, left = numbers.pop(), numbers.pop()
            numbers.append(_apply(pending.pop(), left, right) % modulus)

    for token in tokens:
        operand = token[0] in "0123456789" or token[0].isalpha()
        if operand or token == "(":
            if before == "number" and (token == "(" or token[0].isalpha()):
                reduce(3)
                pending.append("·")
            elif before:
                return None
            if token == "(":
                pending.append(token)
                before = ""
                continue
            is_number = token[0] in "0123456789"
            numbers.append(residue(token, modulus) if is_number else values[token])
            before = "number" if is_number else "closed"
        elif token == ")":
            if not before:
                return None
            reduce(0)
            if not pending:
                return None
            pending.pop()
            before = "closed"
        elif token in "+-*":
            if not before:
                if token != "-" or (pending and pending[-1] != "("):
                    return None
                numbers.append(0)
            reduce(PRECEDENCE[token])
            pending.append(token)
            before = ""
        else:
            return None
    if not before:
        return None
    reduce(0)
    return None if pending else numbers[0]
