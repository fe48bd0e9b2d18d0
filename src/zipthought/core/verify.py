"""The verifier: the claims of a trace, checked against the problem. Rewards, evaluation, exports and reports use it.

It follows the claims in order. A step must state a relation of the problem (its operations nested as the problem nests
them, sums and products in either order), substitute the values of earlier steps, and compute exactly. A wrong value is
charged to the step that states it: later steps are checked against the values in the text. Linear forms, which the
orders other than forward use, are checked by their coefficients modulo m.

An operation counts once, for the first step that works it out: that shows its result, or a linear form whose
coefficients had to be computed and that a later step brings to a value. A sentence that only restates the problem is
true, and counts for nothing.

The work is linear in the text for a given problem. Nothing is evaluated but integers modulo m.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .arithmetic import SCALE, BinOp, Expr, apply, evaluate, references, same, substitute
from .forms import Forms
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
    """Operations on the way to the target that the step works out and no earlier valid step did, also where only its
    arithmetic is wrong; 0 for a constant, for a restated relation, and for a step that states no relation."""
    form: str
    """`given` (a constant), `restated` (a relation of the problem, of which nothing is worked out), `derived` (a linear
    form that leads to a value), `explicit`, `composed` or `implicit`; `unknown` for a step that is not valid."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one text."""

    answer: str
    """One of `ANSWERS`."""
    steps: tuple[StepVerdict, ...]
    complete: bool
    """Whether valid steps lead from the constants to the target, and no needed relation is only restated. An answer
    alone omits all steps, and is complete."""
    granularity: tuple[int, ...]
    """Operations of each valid step that works out any. An answer alone counts as one step of n_ops."""
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
    judged = checker.judged
    for step in trace.steps:
        judged.append(checker.step(step))
    if trace.steps:
        complete = problem.target in checker.grounded
        if checker.forms:
            complete = complete and checker.forms.restated <= checker.shown.union(checker.values)
        granularity = tuple([step[2] for step in judged if step[2] and step[1] == "valid"])
        # Valid steps lead to the answer, so the problem need not be solved once more.
        gold = checker.values[problem.target] if complete else problem.answer
    else:
        complete = trace.final is not None
        granularity = (problem.n_ops,) if complete else ()
        gold = problem.answer
    return Verdict(_answer_verdict(trace, gold), tuple(judged), complete, granularity, text)


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
    own definitions, and the operands of sums and products in either order; None for any other expression."""
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
            left, right = expected.left, expected.right
            if stated.op in "+*" and _swapped(stated, expected, problem):
                left, right = right, left
            stack += [(stated.left, left), (stated.right, right)]
        elif type(stated) is not type(expected) or stated != expected:
            return None
    return operations or None


def _swapped(stated: BinOp, expected: BinOp, problem: Problem) -> bool:
    """Whether the operands of `stated` can only be those of `expected` in the other order."""
    for side, other in ((stated.left, expected.left), (stated.right, expected.right)):
        if not isinstance(side, BinOp):
            return type(side) is not type(other) or side != other
    needed = _needed(expected.left, problem)
    return not all(name in needed for name in references(stated.left))


def _needed(name: Expr, problem: Problem) -> set[Expr]:
    """The quantities that a quantity depends on, itself included."""
    needed, stack = {name}, [name]
    while stack:
        for ref in references(problem.definitions.get(stack.pop(), 0)):
            if ref not in needed:
                needed.add(ref)
                stack.append(ref)
    return needed


def _plain(expression: Expr) -> Expr:
    """The expression without the parentheses of a coefficient of 1 around a value: ``(3) + 8`` as ``3 + 8``."""
    op, left, right = expression if isinstance(expression, BinOp) else ("", None, None)
    if op == SCALE and left == 1:
        return right
    if isinstance(left, BinOp) and left.op == SCALE and left.left == 1:
        return BinOp(op, left.right, right)
    return expression


class _Checker:
    """The state of the check: the values that the text has stated and the operations that it has worked out so far."""

    __slots__ = (
        "_covered",
        "_definitions",
        "_modulus",
        "_problem",
        "forms",
        "grounded",
        "judged",
        "shown",
        "values",
    )

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._definitions = problem.definitions
        self._modulus = problem.modulus
        self.values: dict[str, int] = {}
        # What the target does not depend on counts for nothing, as if it had been worked out before.
        self._covered: set[str] = set(problem.definitions).difference(problem.order)
        self.judged: list[StepVerdict] = []
        """The verdicts so far. Those on linear forms are completed when a step brings the form to a value."""
        self.grounded: set[str] = set()
        """Quantities that valid steps derive from constants."""
        self.shown: set[str] = set()
        """Operations in nested steps with their result, and in linear forms that were brought to a value."""
        self.forms: Forms | None = None

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
        if not operations:
            verdict, operations = self._stated().check(name, forms)
            if verdict != "valid":
                return self._fail(step, verdict)
        if not numbers:
            self._stated().state(name, forms[-1], operations, len(self.judged))
            return _new(StepVerdict, (name, "valid", 0, "restated"))
        needed = used[shown - 1]
        if any(ref not in self.values for ref in needed):
            return self._fail(step, "undefined_reference")
        if not self._computes(forms[-1], numbers):
            return self._fail(step, "wrong_arithmetic", operations)
        self.shown.update(operations)
        form = "explicit" if len(operations) == 1 else "composed"
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

    def _stated(self) -> Forms:
        """The relations in symbols so far; made when a text has the first."""
        if self.forms is None:
            self.forms = Forms(self._problem)
        return self.forms

    def _fail(self, step: Step, verdict: str, operations: Sequence[str] = ()) -> StepVerdict:
        """The verdict on a step that is not valid. Later steps are checked against the number that it claims.
        `operations` are those that it states and computes wrongly."""
        name, claimed = step.name, step.sides[-1]
        if type(claimed) is int:
            self.values.setdefault(name, claimed)
        return StepVerdict(name, verdict, sum(each not in self._covered for each in operations), "unknown")

    def _settle(self, name: str, value: int, operations: Sequence[str], grounded: bool, form: str) -> StepVerdict:
        """The verdict on a valid step that gives the quantity a value."""
        if self.forms:
            resolved, steps = self.forms.resolve(name)
            self.shown |= resolved
            for index, quantity, derived in steps:
                if fresh := self._cover(derived):
                    self.judged[index] = StepVerdict(quantity, "valid", fresh, "derived")
        fresh = self._cover(operations)
        self.values[name] = value
        if grounded:
            self.grounded.add(name)
        return _new(StepVerdict, (name, "valid", fresh, form))

    def _cover(self, operations: Sequence[str]) -> int:
        """How many of the operations no earlier step worked out; from now on, all are."""
        before = len(self._covered)
        self._covered.update(operations)
        return len(self._covered) - before
