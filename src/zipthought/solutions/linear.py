"""Linear equations in plain text: which of them hold, and which follow from earlier ones.

    x + x + 30 = 110        is taken for granted
    2x = 80                 follows
    x = 80 / 2 = 40         follows

Exact, in a few microseconds, and without sympy. What could be read in two ways (``3/2x``) and what is not linear is
left undecided.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction

from .mathematics.algebra import Decided
from .measures import SCALES
from .tokens import as_number

MAX_EQUATIONS = 200
"""Equations of one text that are looked at."""

_MINUS = "-−–"
_CLASS = r"\-−–"  # The same within a class of a regular expression.
_NUMBER = r"(?:\$?(?:\d{1,3}(?:,\d{3})++|\d++)(?:\.\d++)?|\$?\.\d++)"
_LETTER = r"(?:(?<![A-Za-z'’])[A-Za-z](?![A-Za-z'’\d_(]))"
_OPERATOR = rf"[ \t]*[+*/×÷·{_CLASS}][ \t]*"
_ATOM = rf"(?>{_NUMBER}?{_LETTER}|{_NUMBER})"


def _sum_of(atom: str) -> str:
    return rf"(?>(?:[{_CLASS}][ \t]?)?{atom}(?:{_OPERATOR}{atom})*+)"


def _with_brackets(atom: str) -> str:
    return rf"(?>{_NUMBER}?[(\[][ \t]*{_sum_of(atom)}[ \t]*[)\]]{_LETTER}?|{_ATOM})"


_SIDE = _sum_of(_with_brackets(_with_brackets(_ATOM)))
_NOTE = r"(?:<<[^<>\n]{0,80}>>)?"
_EQUATION = re.compile(
    rf"(?<![\w.$)\]%'’^\\{{}}+*/×÷·=<>{_CLASS}])(?<![+*/×÷·=<>\d)\]{_CLASS}][ \t])"
    rf"{_SIDE}(?:[ \t]*=[ \t]*{_NOTE}{_SIDE})++(?![\w(^!%'’\\]|\.\d|[ \t]*[+*/×÷·^=<>{_CLASS}])"
)
_CHANGED_BEFORE = re.compile(r"\b(?:of|times|plus|minus|by|half|twice|double|triple|squared?|cubed?|root)[ \t]+$", re.I)
_CHANGED_AFTER = re.compile(
    rf"[ \t]+(?:times|more|less|fewer|plus|minus|of|x|X|per ?cent|percent|squared|cubed|divided|multiplied"
    rf"|(?:{'|'.join(SCALES)})s?)\b"
)
_TOKEN = re.compile(rf"\d[\d,]*(?:\.\d+)?|\.\d+|[A-Za-z]|[+*/×÷·()\[\]{_CLASS}]")
_PRODUCTS, _QUOTIENTS, _OPEN, _CLOSE = "*×·", "/÷", "([", ")]"

Form = dict[str, Fraction]
"""A linear form: letter -> coefficient; the constant is that of ""."""


def decide_linear(text: str, given: str = "") -> Iterator[Decided]:
    """The linear equations of a text that hold for all values of their letters, or wherever the earlier ones and those
    of the question `given` do, or that name something new. One that is not decided is taken for granted after it."""
    premises = _Premises()
    for _, sides in itertools.islice(_equations(given), MAX_EQUATIONS):
        for left, right in itertools.pairwise(sides):
            premises.judge(left, right)
    for (start, end), sides in itertools.islice(_equations(text), MAX_EQUATIONS):
        verdicts = [premises.judge(left, right) for left, right in itertools.pairwise(sides)]
        if None not in verdicts:
            last = sides[-1]
            value = None if last.keys() - {""} else last.get("", Fraction(0))
            yield Decided(start, end, None if value is None else as_number(value), "holds" in verdicts)


def _equations(text: str) -> Iterator[tuple[tuple[int, int], list[Form]]]:
    """(span, sides) of the linear equations with letters."""
    if "=" not in text:
        return
    for match in _EQUATION.finditer(text):
        if not any(map(str.isalpha, match[0])) or _CHANGED_AFTER.match(text, match.end()):
            continue
        if _CHANGED_BEFORE.search(text, max(0, match.start() - 12), match.start()):
            continue
        sides = [read_form(side) for side in re.sub(r"<<[^<>]*>>", "", match[0]).split("=")]
        known = [side for side in sides if side is not None]
        if len(known) == len(sides):
            yield match.span(), known


class _Premises:
    """Linear equations that are taken for granted, as rows of an echelon form that are zero."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, Form]] = []
        self._letters: set[str] = set()

    def judge(self, left: Form, right: Form) -> str | None:
        """`holds`, `names`, or None for an equation that is not decided. Then it is a premise from here on, unless it
        contradicts the others."""
        letters = (left.keys() | right.keys()) - {""}
        new = [side for side, other in ((left, right), (right, left)) if self._is_name(side, other)]
        difference = _add(left, right, Fraction(-1))
        self._letters |= letters
        row = self._reduce(difference)
        if not row:
            return "holds"
        pivot = next((letter for letter in row if letter), None)
        if pivot is not None:
            scale = 1 / row[pivot]
            self._rows.append((pivot, {letter: value * scale for letter, value in row.items()}))
        return "names" if new else None

    def _is_name(self, side: Form, other: Form) -> bool:
        """Whether a side is a letter that stands nowhere before."""
        (name, factor), *more = side.items() or [("", Fraction(0))]
        return not more and name != "" and factor == 1 and name not in self._letters and name not in other

    def _reduce(self, row: Form) -> Form:
        for pivot, premise in self._rows:
            if factor := row.get(pivot):
                row = _add(row, premise, -factor)
        return row


def _add(a: Form, b: Form, factor: Fraction) -> Form:
    total = {letter: a.get(letter, Fraction(0)) + factor * b.get(letter, Fraction(0)) for letter in a.keys() | b.keys()}
    return {letter: value for letter, value in total.items() if value}


def read_form(text: str) -> Form | None:
    """The linear form that an expression writes; None if it is none, or could be read in two ways."""
    tokens = _TOKEN.findall(text.replace("$", ""))
    form, rest = _read_sum(tokens, 0)
    return form if rest == len(tokens) else None


def _read_sum(tokens: list[str], index: int) -> tuple[Form | None, int]:
    total, sign = Form(), Fraction(1)
    if index < len(tokens) and tokens[index] in _MINUS:
        sign, index = Fraction(-1), index + 1
    while True:
        term, index = _read_product(tokens, index)
        if term is None:
            return None, index
        total = _add(total, term, sign)
        if index == len(tokens) or tokens[index] not in f"+{_MINUS}":
            return total, index
        sign, index = Fraction(1 if tokens[index] == "+" else -1), index + 1


def _read_product(tokens: list[str], index: int) -> tuple[Form | None, int]:
    product, index = _read_factor(tokens, index)
    divided = False
    while product is not None and index < len(tokens) and tokens[index] not in f"+{_CLOSE}{_MINUS}":
        operator = tokens[index] if tokens[index] in _PRODUCTS + _QUOTIENTS else ""
        if divided and not operator and tokens[index - 1] not in _CLOSE:
            return None, index  # 3/2x
        factor, index = _read_factor(tokens, index + bool(operator))
        product = _combine(product, factor, operator and operator in _QUOTIENTS)
        divided = bool(operator) and operator in _QUOTIENTS
    return product, index


def _combine(a: Form, b: Form | None, is_quotient: object) -> Form | None:
    """The product or quotient of two forms; None if it is not linear."""
    if b is None:
        return None
    if is_quotient:
        return _add({}, a, 1 / b[""]) if b.keys() == {""} else None
    for one, other in ((a, b), (b, a)):
        if not one.keys() - {""}:
            return _add({}, other, one.get("", Fraction(0)))
    return None


def _read_factor(tokens: list[str], index: int) -> tuple[Form | None, int]:
    if index == len(tokens):
        return None, index
    token = tokens[index]
    if token in _OPEN:
        inner, index = _read_sum(tokens, index + 1)
        return (inner, index + 1) if index < len(tokens) and tokens[index] in _CLOSE else (None, index)
    if token.isalpha():
        return {token: Fraction(1)}, index + 1
    if token[0].isdigit() or token[0] == ".":
        value = Fraction(token.replace(",", ""))
        return ({"": value} if value else {}), index + 1
    return None, index
