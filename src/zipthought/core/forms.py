"""Linear forms in a trace of a chain: what is true of them, and what they lead to.

The orders other than `forward` reason with forms such as ``lamps = 2 kites + 8``. Such a step of symbols counts when a
later step brings its quantity to a value, and if a coefficient had to be computed: a form of one operation, or of a
product and then a sum, takes its coefficients from the problem as they are. Any other step of symbols restates the
problem.
"""

from __future__ import annotations

from collections.abc import Sequence

from .arithmetic import Expr, Linear, linear, linear_expression, references, same
from .problem import Problem


class Forms:
    """The relations in symbols that a text has stated so far."""

    __slots__ = ("_definitions", "_pending", "_problem", "_reduced", "_true", "restated")

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._definitions = problem.definitions
        self._true: dict[tuple[str, str], Linear] = {}
        self._reduced: dict[str, set[str]] = {}  # Quantity -> operations in the reduced forms that are stated for it.
        self._pending: dict[tuple[str, str], tuple[int, Sequence[str]]] = {}  # Form -> index of its step, operations.
        self.restated: set[str] = set()
        """Operations on the way to the target that stand in steps of symbols."""

    def check(self, name: str, sides: Sequence[Expr]) -> tuple[str, Sequence[str]]:
        """The verdict on linear forms of a quantity, each compared with the true form in its reference, and the
        operations from the last reference to the quantity."""
        position = self._problem.position
        if not self._problem.is_chain or name not in position:
            return "wrong_premise", ()
        base = ""
        for side in sides:
            names = references(side)
            if len(names) > 1 or position.get(names[0], position[name]) >= position[name]:
                return "wrong_premise", ()
            form = linear(side, self._problem.modulus)
            if form is None or form != self._of(name, names[0]):
                return "wrong_arithmetic" if form and names[0] == base else "wrong_premise", ()
            base = names[0]
        return "valid", self._problem.order[position[base] + 1 : position[name] + 1]

    def _of(self, name: str, base: str) -> Linear:
        """The form of a quantity in an earlier one, by the problem's own definitions."""
        if (name, base) in self._true:
            return self._true[name, base]
        position, modulus = self._problem.position, self._problem.modulus
        a, b = 1, 0
        for operation in self._problem.order[position[base] + 1 : position[name] + 1]:
            op, _, constant = self._definitions[operation]
            if op == "*":
                a, b = a * constant % modulus, b * constant % modulus
            else:
                b = b + constant if op == "+" else b - constant
        form = self._true[name, base] = Linear(base, a % modulus, b % modulus)
        return form

    def state(self, name: str, shown: Expr, operations: Sequence[str], index: int) -> None:
        """Note a step of symbols: it has this index, relates these operations and ends in `shown`."""
        self.restated.update(self._problem.position.keys() & operations)
        if not self._problem.is_chain or len(operations) < 2:
            return
        (base,) = references(shown)
        if not same(shown, linear_expression(self._of(name, base), self._problem.modulus)):
            return
        self._reduced.setdefault(name, set()).update(operations)
        inner, *outer = (self._definitions[operation].op for operation in operations)
        if inner != "*" or len(outer) > 1 or outer[0] == "*":  # Else a product, then a sum: 2x + 4, as it is.
            self._pending.setdefault((name, base), (index, operations))

    def resolve(self, name: str) -> tuple[set[str], list[tuple[int, str, Sequence[str]]]]:
        """What the value of a quantity brings its forms to: their operations; and the index, quantity and operations of
        each step of symbols that counts by it."""
        resolved = self._reduced.pop(name, set())
        counted = [form for form, (_, operations) in self._pending.items() if resolved.issuperset(operations)]
        steps = []
        for form in counted:
            index, operations = self._pending.pop(form)
            steps.append((index, form[0], operations))
        return resolved, steps


__all__ = ["Forms"]
