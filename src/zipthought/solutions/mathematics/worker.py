"""The process that reads LaTeX and asks sympy: one question a line on standard input, one answer a line on standard
output. The system ends it if one answer takes `LIMIT` seconds of processor time, so the answers do not depend on what
else the machine does.

Questions: ``{"equal": [a, b]}`` and ``{"decide": [[side, ...], ...], "given": [[side, ...], ...]}``, of expressions
that `latex.prepare` wrote. Answers: whether two answers are equal, or null; for each equation `[verdict, value]`.
"""

from __future__ import annotations

import itertools
import json
import re
import resource
import sys
import time
from typing import Any

import sympy
from latex2sympy2_extended import latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig

LIMIT = 3
"""Seconds of processor time for one answer."""
TEXT_LIMIT = 4.0
"""Seconds of processor time after which further equations of one text are not decided."""
MAX_KNOWN = 12
"""Earlier equations from which a new one may follow."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_CONFIG = ConversionConfig(
    interpret_as_mixed_fractions=False,
    interpret_simple_eq_as_assignment=False,
    interpret_contains_as_eq=False,
    lowercase_symbols=False,
)


def read(text: str) -> Any:
    """What an expression, a set, an interval or a tuple stands for, with exact numbers; None if it cannot be read."""
    if text.startswith("(") and text.endswith(")") and len(parts := _parts(text[1:-1])) > 1:
        items = [read(part) for part in parts]  # (2, 3), which the reader takes for an interval.
        return None if None in items else sympy.Tuple(*items)
    try:
        value = latex2sympy(text, conversion_config=_CONFIG)
        if isinstance(value, sympy.Basic):
            value = value.replace(lambda e: isinstance(e, sympy.Float), lambda e: sympy.Rational(str(e)))
            value = value.subs(sympy.E, sympy.Symbol("e"))  # As a letter; e^x stays the exponential function.
    except Exception:  # noqa: BLE001  # The reader raises Exception itself.
        return None
    return value


def _parts(text: str) -> list[str]:
    """The parts of a text between its commas; none if these are in different brackets."""
    depth, parts = 0, [""]
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return []
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def is_zero(value: Any) -> bool | None:
    """Whether an expression is zero for all values of its letters; None if that is not decided."""
    letter = sympy.Symbol("i")  # Perhaps the imaginary unit.
    if letter in value.free_symbols and is_zero(value.subs(letter, sympy.I)):
        return True
    if value.free_symbols:
        points = itertools.islice(itertools.cycle((3, 7, 11, 5, 13)), len(value.free_symbols))
        letters = sorted(value.free_symbols, key=str)
        there = value.subs(dict(zip(letters, map(sympy.Rational, points), strict=True)))
        if there.is_number and there.is_finite and abs(sympy.N(there, 30)) > sympy.Rational(1, 10**20):
            return False
    elif value.is_number:
        near = sympy.N(value, 30)
        if near.is_finite and abs(near) > sympy.Rational(1, 10**20):
            return False
    if sympy.simplify(value) == 0:
        return True
    return None


def equal(left: Any, right: Any) -> bool | None:
    """Whether two answers are equal."""
    if left is None or right is None:
        return None
    if isinstance(left, sympy.Eq) and not isinstance(right, sympy.Eq):
        left = left.rhs if left.lhs.is_Symbol else left
    if isinstance(right, sympy.Eq) and not isinstance(left, sympy.Eq):
        right = right.rhs if right.lhs.is_Symbol else right
    if isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr):
        return is_zero(left - right)
    if isinstance(left, sympy.Tuple) and isinstance(right, sympy.Tuple):
        return _all_equal(left, right)
    if isinstance(left, sympy.FiniteSet) and isinstance(right, sympy.FiniteSet):
        if len(left) != len(right):
            return False
        if any(item.free_symbols for item in (*left, *right) if isinstance(item, sympy.Basic)):
            return True if left == right else None
        key = lambda item: sympy.N(item, 30)  # noqa: E731
        return _all_equal(sorted(left, key=key), sorted(right, key=key)) if _are_real(left, right) else left == right
    if isinstance(left, sympy.Set) and isinstance(right, sympy.Set):
        return bool(left == right)
    return True if left == right else None


def _are_real(*sets: Any) -> bool:
    return all(isinstance(item, sympy.Expr) and item.is_extended_real for one in sets for item in one)


def _all_equal(left: Any, right: Any) -> bool | None:
    if len(left) != len(right):
        return False
    verdicts = [equal(a, b) for a, b in zip(left, right, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


class Derivation:
    """The equations of a solution so far."""

    def __init__(self, given: list[list[str]]) -> None:
        self.known: list[Any] = []
        """Expressions that are zero."""
        self.letters: set[Any] = set()
        for sides in given:
            self.add([read(side) for side in sides])

    def add(self, sides: list[Any]) -> None:
        """Take an equation for granted from now on, unless it contradicts the known ones."""
        for left, right in itertools.pairwise(side for side in sides if isinstance(side, sympy.Expr)):
            difference = left - right
            self.letters |= difference.free_symbols
            if difference.free_symbols and not self._contradicts(difference):
                self.known.append(difference)

    def _contradicts(self, difference: Any) -> bool:
        """Whether an expression cannot be zero where the known ones are, as far as values of letters and sums of
        multiples show it. From a contradiction anything would follow."""
        together = [*self.known[-MAX_KNOWN:], difference]
        values = _values(together)
        there = [one.subs(values) for one in together]
        definitions = _definitions(there)
        there += [one.subs(definitions) for one in there]
        return any(one.is_number and is_zero(one) is not True for one in there) or _is_sum(sympy.Integer(1), there)

    def judge(self, texts: list[str]) -> tuple[str, str]:
        """The verdict on the next equation, and the value of its last side if that is a number.

        `identity`: holds for all values of its letters. `follows`: holds if the earlier equations do. `names`: says
        what a new letter stands for, which is no number. `false`: does not hold, and has no letters.
        `unknown`: none of these.
        """
        sides = [read(text) for text in texts]
        if len(sides) < 2 or not all(isinstance(side, sympy.Expr) for side in sides):
            return "unknown", ""
        verdicts = [self._judge(left, right) for left, right in itertools.pairwise(sides)]
        self.add(sides)
        number = sides[-1]
        value = str(number) if isinstance(number, sympy.Rational) else ""
        if len(set(texts)) == 1 or all(map(_NUMBER.fullmatch, texts)):
            return "unknown", value  # 7 = 7 works nothing out.
        if verdicts[0] == "names" and len(verdicts) > 1 and not all(map(_NUMBER.fullmatch, texts[1:])):
            verdicts = verdicts[1:]  # Area = 3 * 4 = 12 works out what it names.
        if value and "names" in verdicts and _NUMBER.fullmatch(texts[-1]):
            return "unknown", value  # Where the number comes from is not said.
        for verdict in ("unknown", "false", "names", "follows"):
            if verdict in verdicts:
                return verdict, value
        return "identity", value

    def _judge(self, left: Any, right: Any) -> str:
        difference = left - right
        verdict = is_zero(difference)
        if verdict:
            return "identity"
        if not difference.free_symbols:
            return "false" if verdict is False else "unknown"
        new = difference.free_symbols - self.letters
        if new and (left in new or right in new) and not (left.free_symbols & right.free_symbols):
            return "names"
        return "follows" if self._follows(difference) or self._is_case(difference) else "unknown"

    def _is_case(self, difference: Any) -> bool:
        """Whether an expression in one letter divides a known one, so that where it is zero the known one is: x - 5 and
        x^2 - 25. A solution may go on with one case."""
        if len(difference.free_symbols) != 1:
            return False
        (letter,) = difference.free_symbols
        known = self.known[-MAX_KNOWN:]
        values = {name: value for name, value in _values(known).items() if name != letter}
        for one in known:
            there = sympy.together(one.subs(values)).as_numer_denom()[0]
            if there.free_symbols == {letter} and _divides(difference, there, letter):
                return True
        return False

    def _follows(self, difference: Any) -> bool:
        """Whether an expression is zero where the known ones are: after their values of letters are put in, it is a
        sum of known expressions with constant factors, or zero once letters that they define are put in, too."""
        known = self.known[-MAX_KNOWN:]
        values = _values(known)
        there, known = difference.subs(values), [one.subs(values) for one in known]
        if is_zero(there) or _is_sum(there, known):
            return True
        return bool(is_zero(there.subs(_definitions(known))))


def _is_sum(expression: Any, known: list[Any]) -> bool:
    """Whether an expression is a sum of known ones with constant factors, all taken as polynomials: of a fraction the
    numerator. False if one of them is none, or where there are many monomials."""
    if not known:
        return False
    try:
        letters = sorted(set().union(*(one.free_symbols for one in (expression, *known))), key=str)
        if not letters:
            return False
        rows = [sympy.Poly(sympy.together(one).as_numer_denom()[0], *letters).as_dict() for one in known]
        target = sympy.Poly(sympy.together(expression).as_numer_denom()[0], *letters).as_dict()
    except (sympy.PolynomialError, ValueError):
        return False
    monomials = sorted(set(target).union(*rows))
    if len(monomials) > 40:
        return False
    matrix = sympy.Matrix([[row.get(m, 0) for m in monomials] for row in (*rows, target)])
    return bool(matrix[:-1, :].rank() == matrix.rank())


def _divides(one: Any, other: Any, letter: Any) -> bool:
    """Whether a polynomial divides another one."""
    try:
        first, second = sympy.Poly(one, letter), sympy.Poly(other, letter)
    except sympy.PolynomialError:
        return False
    if not 1 <= first.degree() <= second.degree() <= 12:
        return False
    if first.degree() == 1:
        return bool(is_zero(second.eval(-first.nth(0) / first.nth(1))))
    return bool(sympy.rem(second, first).is_zero)


def _values(known: list[Any]) -> dict[Any, Any]:
    """The values of letters that linear expressions in one letter have where they are zero, one after the other."""
    values: dict[Any, Any] = {}
    for one in known:
        there = one.subs(values)
        if len(there.free_symbols) == 1:
            (letter,) = there.free_symbols
            factor = sympy.expand(there).coeff(letter)
            rest = sympy.expand(there - factor * letter)
            if factor.is_number and factor != 0 and not rest.free_symbols:
                values[letter] = -rest / factor
    return values


def _definitions(known: list[Any]) -> dict[Any, Any]:
    """Letter -> what it is where known expressions like a - 40/b are zero, in terms of letters without an entry."""
    definitions: dict[Any, Any] = {}
    for one in known:
        there = one.subs(definitions)
        over = sympy.together(there).as_numer_denom()[0]
        terms = [
            (whole - term, term.as_coeff_Mul())
            for whole in map(sympy.expand, (there, over))
            for term in sympy.Add.make_args(whole)
        ]
        for rest, (factor, letter) in terms:
            if letter.is_Symbol and letter not in rest.free_symbols:
                new = {letter: -rest / factor}
                definitions = {name: value.subs(new) for name, value in definitions.items()} | new
                break
    return definitions


def _limit() -> None:
    """Let the system end this process after `LIMIT` more seconds of processor time."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + LIMIT + 1, hard))


def main() -> None:
    """Answer questions until standard input ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        _limit()
        if "equal" in question:
            left, right = (read(text) for text in question["equal"])
            try:
                verdict = equal(left, right)
            except Exception:  # noqa: BLE001  # Of sympy, on input that it was not made for.
                verdict = None
            print(json.dumps(verdict), flush=True)
            continue
        start = time.process_time()
        derivation = Derivation(question["given"])
        for sides in question["decide"]:
            _limit()
            try:
                is_late = time.process_time() - start > TEXT_LIMIT
                answer = ("unknown", "") if is_late else derivation.judge(sides)
            except Exception:  # noqa: BLE001
                answer = ("unknown", "")
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
