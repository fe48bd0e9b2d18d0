"""The verifier: what a trace claims, held against the problem. Reward, evaluation, exports and reports all ask it.

It follows the claims in order. A step must state a relation of the problem (its operations nested as the problem
nests them), put in the values that earlier steps gave, and compute exactly.
A wrong value is charged to the step that states it: later steps are judged by what stands in the text. Linear forms,
which the orders other than forward use, are judged by their coefficients modulo m.

The work is linear in the text for a given problem; nothing is evaluated but integers modulo m.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .arithmetic import SCALE, BinOp, Expr, apply, evaluate, linear, references, same, substitute
from .problem import Problem
from .trace import Step, Trace

ANSWERS = ("correct", "wrong", "missing", "conflicting", "malformed")
STEP_VERDICTS = (
    "valid",
    "wrong_arithmetic",
    "wrong_premise",
    "undefined_reference",
    "redefined",
    "unparseable",
)


class StepVerdict(NamedTuple):
    """What became of one step."""

    name: str
    """The quantity; the text of a step that could not be read."""
    verdict: str
    """One of `STEP_VERDICTS`."""
    granularity: int
    """Operations of the problem that the step covers and no earlier step did; 0 for a constant."""
    form: str
    """`given` (a constant), `explicit`, `composed`, `implicit`, or `unknown` for a step that is not valid."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verifier's word on one text."""

    answer: str
    """One of `ANSWERS`."""
    steps: tuple[StepVerdict, ...]
    complete: bool
    """Whether valid steps lead from the constants to the target. A text without steps omits all and counts as complete."""
    granularity: tuple[int, ...]
    """Operations of each valid step that covers any; the answer alone is one step of n_ops."""

    @property
    def faithful(self) -> bool:
        """A correct answer, every step valid, and the chain complete."""
        return self.answer == "correct" and self.complete and all(step[1] == "valid" for step in self.steps)

    @property
    def ops_per_step(self) -> float | None:
        """Mean of `granularity`; None where no valid step covers an operation."""
        return sum(self.granularity) / len(self.granularity) if self.granularity else None


def check(trace: Trace, problem: Problem) -> Verdict:
    """The verdict on a trace of `problem`. Raises nothing, whatever the trace says."""
    checker = _Checker(problem)
    judged = tuple(checker.step(step) for step in trace.steps)
    if trace.steps:
        complete = problem.target in checker.grounded
        granularity = tuple(s[2] for s in judged if s[2] and s[1] == "valid")
    else:
        complete, granularity = True, (problem.n_ops,)
    return Verdict(_judge_answer(trace, problem.answer), judged, complete, granularity)


def _judge_answer(trace: Trace, gold: int) -> str:
    if trace.fault:
        return trace.fault
    if trace.final is None:
        return "missing"
    if trace.final == str(gold):
        return "correct"
    digits = trace.final.isascii() and trace.final.isdigit() and (trace.final == "0" or trace.final[0] != "0")
    return "wrong" if digits else "malformed"


def relation(written: Expr, problem: Problem, name: str) -> list[str] | None:
    """The operations that `written` nests, where it is the definition of `name`, unfolded down to the references that
    it leaves standing; None where it is anything else."""
    operations: list[str] = []
    stack: list[tuple[Expr, Expr]] = [(written, name)]
    while stack:
        said, meant = stack.pop()
        if isinstance(said, BinOp):
            if isinstance(meant, str):
                operations.append(meant)
                meant = problem.definitions.get(meant, 0)
            if not isinstance(meant, BinOp) or said.op != meant.op:
                return None
            stack += [(said.left, meant.left), (said.right, meant.right)]
        elif type(said) is not type(meant) or said != meant:
            return None
    return operations or None


def _plain(expression: Expr) -> Expr:
    """The expression without the parentheses that a coefficient of 1 leaves around a value: ``(3) + 8`` as ``3 + 8``."""
    op, left, right = expression if isinstance(expression, BinOp) else ("", None, None)
    if op == SCALE and left == 1:
        return right
    if isinstance(left, BinOp) and left.op == SCALE and left.left == 1:
        return BinOp(op, left.right, right)
    return expression


class _Checker:
    """The state of one reading: which values the text has given and which operations it has covered so far."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._definitions = problem.definitions
        self._modulus = problem.modulus
        self._values: dict[str, int] = {}
        self._covered: set[str] = set()
        self.grounded: set[str] = set()
        """Quantities that valid steps settle, back to constants."""

    def step(self, step: Step) -> StepVerdict:
        name, sides, fault = step
        if fault:
            return StepVerdict(name, fault, 0, "unknown")
        definition = self._definitions.get(name)
        if definition is None:
            return StepVerdict(name, "undefined_reference", 0, "unknown")
        last = sides[-1]
        settles = not isinstance(last, BinOp) and type(last) is not str
        if settles and name in self._values:
            return StepVerdict(name, "redefined", 0, "unknown")
        if len(sides) == 3 and sides[0] == definition and type(definition[2]) is int:
            # One stated operation on one quantity: the common case, told apart from the rest for speed alone.
            op, left, constant = definition
            known = self._values.get(left)
            if known is not None and sides[1] == (op, known, constant):
                if last == apply(op, known, constant, self._modulus) and type(last) is int:
                    return self._settle(name, last, (name,), left in self.grounded, "explicit")
                return self._fail(name, last, "wrong_arithmetic")
        if not any(references(side) for side in sides):
            return self._value(name, sides, definition)
        operations = relation(sides[0], self._problem, name)
        if operations and len(sides) == 3 and settles:
            known_all = all(ref in self._values for ref in references(sides[0]))
            if known_all and same(sides[1], substitute(sides[0], self._values)):
                if last != evaluate(sides[1], {}, self._modulus):
                    return self._fail(name, last, "wrong_arithmetic")
                grounded = all(ref in self.grounded for ref in references(sides[0]))
                form = "explicit" if len(operations) == 1 else "composed"
                return self._settle(name, last, operations, grounded, form)
        if self._problem.is_chain:
            return self._linear(name, sides)
        if not operations:
            return self._fail(name, last, "wrong_premise")
        unsettled = any(ref not in self._values for ref in references(sides[0]))
        return self._fail(name, last, "undefined_reference" if unsettled else "wrong_arithmetic")

    def _value(self, name: str, sides: tuple[Expr, ...], definition: Expr) -> StepVerdict:
        """A step that shows no reference: a constant of the problem, or a result alone."""
        claimed = sides[-1]
        if not isinstance(definition, BinOp):
            residue = definition % self._modulus
            if sides in ((residue,), (definition, residue)):
                return self._settle(name, residue, (), True, "given")
            return self._fail(name, claimed, "wrong_premise")
        if len(sides) > 1 or isinstance(claimed, BinOp):
            return self._fail(name, claimed, "wrong_premise")
        values = dict(self._values)
        operations: list[str] = []
        grounded = True
        stack, seen = [name], {name}
        while stack:
            needed = stack.pop()
            for ref in references(self._definitions[needed]):
                if ref in self._values:
                    grounded = grounded and ref in self.grounded
                elif ref not in seen:
                    seen.add(ref)
                    stack.append(ref)
        place = self._problem.position
        if name not in place:  # A quantity that the target does not need: nothing to derive it from was read.
            return self._fail(name, claimed, "wrong_premise")
        for needed in sorted(seen, key=place.__getitem__):
            inner = self._definitions[needed]
            values[needed] = evaluate(inner, values, self._modulus)
            if isinstance(inner, BinOp):
                operations.append(needed)
            else:
                grounded = False
        if claimed != values[name]:
            return self._fail(name, claimed, "wrong_arithmetic")
        return self._settle(name, claimed, operations, grounded, "implicit")

    def _linear(self, name: str, sides: tuple[Expr, ...]) -> StepVerdict:
        """A step of a chain that shows linear forms: each side is held against the true form in its reference."""
        m, place = self._modulus, self._problem.position
        last = sides[-1]
        base: str | None = None
        value: int | None = None
        shown: Expr = 0
        for side in sides:
            names = references(side)
            if names:
                if names[0] not in self._definitions:
                    return self._fail(name, last, "undefined_reference")
                if len(names) > 1 or name not in place or place.get(names[0], place[name]) >= place[name]:
                    return self._fail(name, last, "wrong_premise")
                form = linear(side, m)
                if form is None or value is not None or (form.a, form.b) != self._true_form(name, names[0]):
                    again = form is not None and names[0] == base
                    return self._fail(name, last, "wrong_arithmetic" if again else "wrong_premise")
                base, shown = names[0], side
                continue
            if value is None:
                if base is None:
                    return self._fail(name, last, "wrong_premise")
                if base not in self._values:
                    return self._fail(name, last, "undefined_reference")
                put_in = _plain(substitute(shown, self._values))
                value = evaluate(put_in, {}, m)
                if isinstance(side, BinOp) and not same(_plain(side), put_in):
                    return self._fail(name, last, "wrong_arithmetic")
            if evaluate(side, {}, m) != value:
                return self._fail(name, last, "wrong_arithmetic")
        path = self._problem.order[place[base] + 1 : place[name] + 1]
        fresh = sum(operation not in self._covered for operation in path)
        form_shown = "explicit" if fresh <= 1 else "implicit" if len(sides) == 1 else "composed"
        if value is None:
            self._covered.update(path)
            return StepVerdict(name, "valid", fresh, form_shown)
        if isinstance(last, BinOp) or last != value:
            return self._fail(name, last, "wrong_arithmetic")
        return self._settle(name, value, path, base in self.grounded, form_shown)

    def _true_form(self, name: str, base: str) -> tuple[int, int]:
        """(a, b) of ``name = a * base + b``, by the problem's own definitions."""
        place = self._problem.position
        a, b = 1 % self._modulus, 0
        for operation in self._problem.order[place[base] + 1 : place[name] + 1]:
            op, _, constant = self._definitions[operation]
            if op == "*":
                a, b = a * constant, b * constant
            else:
                b = b + constant if op == "+" else b - constant
        return a % self._modulus, b % self._modulus

    def _fail(self, name: str, claimed: Expr, verdict: str) -> StepVerdict:
        """A step that is not valid; the residue that it claims is what later steps are judged by."""
        if type(claimed) is int and name not in self._values and 0 <= claimed < self._modulus:
            self._values[name] = claimed
        return StepVerdict(name, verdict, 0, "unknown")

    def _settle(self, name: str, value: int, operations: Iterable[str], grounded: bool, form: str) -> StepVerdict:
        fresh = 0
        for operation in operations:
            if operation not in self._covered:
                self._covered.add(operation)
                fresh += 1
        self._values[name] = value
        if grounded:
            self.grounded.add(name)
        return StepVerdict(name, "valid", fresh, form)
