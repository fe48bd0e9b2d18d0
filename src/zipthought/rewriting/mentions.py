"""The numbers that a text writes outside of its equations, each with the words beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ..solutions.tokens import Number, written_numbers

_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundreds? thousands? millions? billions? "
    "dozens? couples? pairs? half halves halved? thirds? fourths? quarters? fifths? sixths? sevenths? eighths? ninths? "
    "tenths? once twice thrice doubled? doubles doubling tripled? triples tripling quadrupled? quadruples"
)
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS.split())})\b", re.IGNORECASE)
_DIGITS = re.compile(r"[\d.,/:]*\d%?|%")
_BESIDE = re.compile(r"[^\W\d_]+|\d[\d.,]*|[=+*/<>×÷^()−–-]|[.;!?\n]")
_REACH = 60
"""Characters in which words beside a number are looked for."""
_BEFORE, _AFTER = 5, 3
"""Words on each side that are a context."""


class Context(NamedTuple):
    """A number and the words beside it in its clause, in lower case. Another number or a sign of mathematics ends
    them; it is the last one."""

    number: Number | str
    """A word (``three``, ``half``) is a number of its own."""
    before: tuple[str, ...]
    """From the nearest on."""
    after: tuple[str, ...]


def mentions(text: str) -> Iterator[tuple[int, Context]]:
    """(offset, context) of the numbers of a text, those of its equations included and those of annotations not."""
    for value, start in written_numbers(text):
        match = _DIGITS.match(text, start)
        yield start, between(text, start, match.end() if match else start + 1, value)
    for match in _NUMBER_WORD.finditer(text):
        yield match.start(), between(text, *match.span(), match[0].lower())


def between(text: str, start: int, end: int, number: Number | str) -> Context:
    """A number that stands for ``text[start:end]``."""
    before = reversed(_BESIDE.findall(text[max(0, start - _REACH) : start]))
    after = _BESIDE.findall(text[end : end + _REACH])
    # A number that follows may begin an equation, which a rewrite may write differently.
    ahead = ("#" if word[0].isdigit() or word == "(" else word for word in after)
    return Context(number, tuple(_clause(before, _BEFORE)), tuple(_clause(ahead, _AFTER)))


def _clause(beside: Iterable[str], most: int) -> Iterator[str]:
    """The words up to the end of the clause, or to mathematics, and at most so many."""
    for word in islice(beside, most):
        if word in ".;!?\n":
            return
        yield word.lower().rstrip(".,")
        if not word.isalpha():
            return
