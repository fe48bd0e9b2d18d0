"""The verifier: the claims of a trace, checked against the problem. Rewards, evaluation, exports and reports use it.

It follows the claims in order. A step must state a relation of the problem (its operations nested as the problem nests
them), substitute the values of earlier steps, and compute exactly. A wrong value is charged to the step that states
it: later steps are checked against the values in the text. Linear forms, which the orders other than forward use, are
checked by their coefficients modulo m.

The work is linear in the text for a given problem. Nothing is evaluated but integers modulo m.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .arithmetic import SCALE, BinOp, Expr, apply, evaluate, linear, references, same, substitute
from .pieces import count_pieces
from .problem import Problem
from .trace import Step, Trace, given

ANSWERS = ("correct", "wrong", "missing", "conflicting", "malformed")
STEP_VERDICTS = (
    "valid",
    "wrong_arithmetic",
    "wrong_premise",
    "undefined_reference",
    "redefined",
    "unparseable",
)


_new = tuple.__new__  # What a NamedTuple's own constructor calls, at half the time.


class StepVerdict(NamedTuple):
    """The verdict on one step."""

    name: str
    """The quantity; for a step that could not be read, its text."""
    verdict: str
    """One of `STEP_VERDICTS`."""
    granularity: int
    """Operations of the problem that the step covers and no earlier valid step covered, also where only its arithmetic
    is wrong; 0 for a constant, and for a step that states no relation of the problem."""
    form: str
    """`given` (a constant), `explicit`, `composed` or `implicit`; `unknown` for a step that is not valid."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one text."""

    answer: str
    """One of `ANSWERS`."""
    steps: tuple[StepVerdict, ...]
    complete: bool
    """Whether valid steps lead from the constants to the target. An answer alone omits all steps, and is complete."""
    granularity: tuple[int, ...]
    """Operations of each valid step that covers any. An answer alone counts as one step of n_ops."""
    text: str = field(default="", compare=False, repr=False)
    """The text; empty for a trace that was not read from text."""

    @property
    def n_steps(self) -> int:
        """The number of steps, valid or not."""
        return len(self.steps)

    @property
    def tokens(self) -> int:
        """Words and punctuation marks of the text (`core.pieces`); no tokenizer is used."""
        return count_pieces(self.text)

    @property
    def faithful(self) -> bool:
        """A correct answer, every step valid, and the chain complete."""
        return self.answer == "correct" and self.complete and all(step[1] == "valid" for step in self.steps)

    @property
    def shown(self) -> tuple[int, ...]:
        """`granularity`, but empty for a text without steps whose answer is wrong, which has compressed nothing."""
        return self.granularity if self.steps or self.answer == "correct" else ()

    @property
    def ops_per_step(self) -> float | None:
        """Mean of `granularity`; None where no valid step covers an operation."""
        return sum(self.granularity) / len(self.granularity) if self.granularity else None


def check(trace: Trace, problem: Problem, text: str = "") -> Verdict:
    """The verdict on a trace of `problem` that was read from `text`. Raises nothing, whatever the text says."""
    checker = _Checker(problem)
    judged = tuple([checker.step(step) for step in trace.steps])
    if trace.steps:
        complete = problem.target in checker.grounded
        granularity = tuple([step[2] for step in judged if step[2] and step[1] == "valid"])
        # Valid steps lead to the answer, so the problem need not be solved once more.
        gold = checker.values[problem.target] if complete else problem.answer
    else:
        complete = trace.final is not None
        granularity = (problem.n_ops,) if complete else ()
        gold = problem.answer
    return Verdict(_answer_verdict(trace, gold), judged, complete, granularity, text)


def _answer_verdict(trace: Trace, gold: int) -> str:
    if trace.fault:
        return trace.fault
    if trace.final is None:
        return "missing"
    if trace.final == str(gold):
        return "correct"
    digits = trace.final.isascii() and trace.final.isdigit() and (trace.final == "0" or trace.final[0] != "0")
    return "wrong" if digits else "malformed"


def relation(written: Expr, problem: Problem, name: str) -> list[str] | None:
    """The operations that `written` nests, where it is the definition of `name` with some references replaced by their
    own definitions; None for any other expression."""
    operations: list[str] = []
    stack: list[tuple[Expr, Expr]] = [(written, name)]
    while stack:
        stated, expected = stack.pop()
        if isinstance(stated, BinOp):
            if isinstance(expected, str):
                operations.append(expected)
                expected = problem.definitions.get(expected, 0)
            if not isinstance(expected, BinOp) or stated.op != expected.op:
                return None
            stack += [(stated.left, expected.left), (stated.right, expected.right)]
        elif type(stated) is not type(expected) or stated != expected:
            return None
    return operations or None


def _plain(expression: Expr) -> Expr:
    """The expression without the parentheses of a coefficient of 1 around a value: ``(3) + 8`` as ``3 + 8``."""
    op, left, right = expression if isinstance(expression, BinOp) else ("", None, None)
    if op == SCALE and left == 1:
        return right
    if isinstance(left, BinOp) and left.op == SCALE and left.left == 1:
        return BinOp(op, left.right, right)
    return expression


class _Checker:
    """The state of the check: the values that the text has stated and the operations that it has covered so far."""

    __slots__ = ("_covered", "_definitions", "_forms", "_modulus", "_problem", "grounded", "values")

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._definitions = problem.definitions
        self._modulus = problem.modulus
        self.values: dict[str, int] = {}
        self._covered: set[str] = set()
        self._forms: dict[tuple[str, str], tuple[int, int]] = {}
        self.grounded: set[str] = set()
        """Quantities that valid steps derive from constants."""

    def step(self, step: Step) -> StepVerdict:
        """The verdict on the next step."""
        name, sides, fault = step
        if fault:
            return StepVerdict(name, fault, 0, "unknown")
        definition = self._definitions.get(name)
        if definition is None:
            return StepVerdict(name, "undefined_reference", 0, "unknown")
        if name in self.values and type(sides[-1]) is int:
            return StepVerdict(name, "redefined", 0, "unknown")
        if len(sides) == 3 and type(definition) is BinOp:
            # An operation with a constant: stated, filled in, computed. The general code below gives the same verdict.
            # Nearly all steps are of this kind, so a shorter path for them makes the verifier faster.
            op, ref, constant = definition
            symbols, numbers, result = sides
            value = self.values.get(ref)
            if (
                type(symbols) is type(numbers) is BinOp
                and symbols[1] == ref
                and symbols[2] == numbers[2] == constant
                and symbols[0] == numbers[0] == op
                and numbers[1] == value
                and type(constant) is type(value) is int
                and result == apply(op, value, constant, self._modulus)
            ):
                fresh = 0 if name in self._covered else 1
                self._covered.add(name)
                self.values[name] = result
                if ref in self.grounded:
                    self.grounded.add(name)
                return _new(StepVerdict, (name, "valid", fresh, "explicit"))

        used = [references(side) for side in sides]
        shown = used.index([]) if [] in used else len(sides)
        forms, numbers = sides[:shown], sides[shown:]
        if any(used[shown:]):
            return self._fail(step, "wrong_premise")
        if not forms:
            return self._result(step)
        if any(ref not in self._definitions for refs in used for ref in refs):
            return self._fail(step, "undefined_reference")

        operations: Sequence[str] | None = relation(forms[0], self._problem, name) if len(forms) == 1 else None
        if operations:
            form = "explicit" if len(operations) == 1 else "composed"
        else:
            verdict, operations = self._linear(name, forms)
            if verdict != "valid":
                return self._fail(step, verdict)
            fresh = sum(operation not in self._covered for operation in operations)
            form = "explicit" if fresh <= 1 else "implicit" if len(sides) == 1 else "composed"
        if not numbers:
            return self._settle(name, None, operations, False, form)
        needed = used[shown - 1]
        if any(ref not in self.values for ref in needed):
            return self._fail(step, "undefined_reference")
        if not self._computes(forms[-1], numbers):
            return self._fail(step, "wrong_arithmetic", operations)
        return self._settle(name, numbers[-1], operations, all(ref in self.grounded for ref in needed), form)

    def _result(self, step: Step) -> StepVerdict:
        """The verdict on a step without references: a constant of the problem, or a result alone."""
        name, sides, _ = step
        claimed, definition = sides[-1], self._definitions[name]
        if not isinstance(definition, BinOp):
            residue = definition % self._modulus
            if sides in ((residue,), given(definition, residue)):
                return self._settle(name, residue, (), True, "given")
            return self._fail(step, "wrong_premise")
        position = self._problem.position
        if len(sides) > 1 or isinstance(claimed, BinOp) or name not in position:
            return self._fail(step, "wrong_premise")
        grounded = True
        omitted, stack = {name}, [name]
        while stack:
            for ref in references(self._definitions[stack.pop()]):
                if ref in self.values:
                    grounded = grounded and ref in self.grounded
                elif ref not in omitted:
                    omitted.add(ref)
                    stack.append(ref)
        operations = []
        values: dict[str, int] = {}
        known = ChainMap(values, self.values)
        for each in sorted(omitted, key=position.__getitem__):
            values[each] = evaluate(self._definitions[each], known, self._modulus)
            if isinstance(self._definitions[each], BinOp):
                operations.append(each)
            else:
                grounded = False
        if claimed != values[name]:
            return self._fail(step, "wrong_arithmetic", operations)
        return self._settle(name, claimed, operations, grounded, "implicit")

    def _computes(self, symbols: Expr, numbers: Sequence[Expr]) -> bool:
        """Whether `numbers` follow from `symbols`: the first is the same expression with values for its references, all
        have the same value, and the last is that value as a residue."""
        filled = _plain(substitute(symbols, self.values))
        if isinstance(numbers[0], BinOp) and not same(_plain(numbers[0]), filled):
            return False
        value = evaluate(filled, {}, self._modulus)
        return numbers[-1] == value and all(evaluate(side, {}, self._modulus) == value for side in numbers)

    def _linear(self, name: str, forms: Sequence[Expr]) -> tuple[str, Sequence[str]]:
        """The verdict on linear forms of a quantity of a chain, each compared with the true form in its reference, and
        the operations from the last reference to the quantity."""
        position = self._problem.position
        if not self._problem.is_chain or name not in position:
            return "wrong_premise", ()
        base = ""
        for side in forms:
            names = references(side)
            if len(names) > 1 or position.get(names[0], position[name]) >= position[name]:
                return "wrong_premise", ()
            form = linear(side, self._modulus)
            if form is None or form[1:] != self._true_form(name, names[0]):
                return "wrong_arithmetic" if form and names[0] == base else "wrong_premise", ()
            base = names[0]
        return "valid", self._problem.order[position[base] + 1 : position[name] + 1]

    def _true_form(self, name: str, base: str) -> tuple[int, int]:
        """(a, b) of ``name = a * base + b``, by the problem's own definitions."""
        if (name, base) in self._forms:
            return self._forms[name, base]
        position = self._problem.position
        a, b = 1, 0
        for operation in self._problem.order[position[base] + 1 : position[name] + 1]:
            op, _, constant = self._definitions[operation]
            if op == "*":
                a, b = a * constant % self._modulus, b * constant % self._modulus
            else:
                b = b + constant if op == "+" else b - constant
        self._forms[name, base] = a % self._modulus, b % self._modulus
        return self._forms[name, base]

    def _fail(self, step: Step, verdict: str, operations: Sequence[str] = ()) -> StepVerdict:
        """The verdict on a step that is not valid. Later steps are checked against the number that it claims.
        `operations` are those that it states and computes wrongly."""
        name, claimed = step.name, step.sides[-1]
        if type(claimed) is int:
            self.values.setdefault(name, claimed)
        return StepVerdict(name, verdict, sum(each not in self._covered for each in operations), "unknown")

    def _settle(
        self, name: str, value: int | None, operations: Sequence[str], grounded: bool, form: str
    ) -> StepVerdict:
        """The verdict on a valid step, which gives the quantity a value unless it shows symbols only."""
        before = len(self._covered)
        self._covered.update(operations)
        fresh = len(self._covered) - before
        if value is not None:
            self.values[name] = value
        if grounded:
            self.grounded.add(name)
        return _new(StepVerdict, (name, "valid", fresh, form))
