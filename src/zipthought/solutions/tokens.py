"""Tokens of arithmetic in prose: numbers, operators, brackets and the words between them.

The tokenizer reads money, percentages, thousands separators, mixed numbers, ``x`` and ``×`` for times, ``of`` between
numbers, operators in words, and the LaTeX of model outputs (``\\times``, ``\\frac{a}{b}``). A slash before a letter
(``miles/day``) belongs to a unit.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

MAX_DIGITS = 30
"""Numbers of more characters are not read."""

Number = int | Fraction
_new = tuple.__new__  # The constructor of a NamedTuple calls this; calling it directly takes half the time.


class Token(NamedTuple):
    """A token and its span in the text."""

    kind: str
    """`n` number, `w` words, `.` end of a sentence, `a` annotation, `$` currency; else the operator, bracket or `=`."""
    start: int
    end: int
    value: Number = 0
    """The value of a number; 0 for every other kind."""
    percent: bool = False
    """Whether a per cent sign follows the number. The span does not include the sign."""


_DIGITS = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?:[ \u00a0]\d{3})+(?![\d/,])|\d++)(?:\.\d++)?+|\.\d++)(?!\.\.|…)"
_BEFORE_NUMBER = r"(?=\s*+(?:\\?[$€£]\s*+)?[\d.(\[\\])"
_TOKEN = re.compile(
    r"(?P<words>(?:(?!(?:of|plus|minus|times|equals|divided|multiplied|x|X)(?![^\W\d_]))[^\W\d_]+[ ,']*)+)"
    r"|(?P<a><<[^<>\n]*>>)"
    r"|(?P<skip>[ \t\u00a0]+|\\[,;! ]|\\[()\[\]])"
    rf"|(?P<mixed>(?:\d+ |(?<=[/÷] ))\d+/\d+(?![\d/.]))|(?P<n>{_DIGITS})"
    rf"|(?P<times>\\times|\\cdot|[×·*✕]|(?<![^\W\d_])[xX]{_BEFORE_NUMBER}|(?:times|multiplied by)\b{_BEFORE_NUMBER})"
    rf"|(?P<minus>[−–-]{_BEFORE_NUMBER}|minus\b{_BEFORE_NUMBER})"
    r"|(?P<of>(?<![^\W\d_])of\b(?=\s*+(?:\\?[$€£]\s*+)?\d))"
    r"|(?P<unit>/\s*[^\W\d_])|(?P<op>[+/=])|(?P<div>\\div|÷|divided by\b)"
    rf"|(?P<plus>plus\b{_BEFORE_NUMBER})|(?P<equals>equals\b)"
    r"|(?P<word>[^\W\d_]+)"
    r"|(?P<s>[.!?](?=\s+[^a-z\s]|\s*$|\n)|\n)"
    r"|(?P<frac>\\[dt]?frac\s*\{)|(?P<brace>(?:\\[A-Za-z]+\s*)?\{|\})"
    r"|(?P<open>\\left\s*[(\[]|[(\[])|(?P<close>\\right\s*[)\]]|[)\]])"
    r"|(?P<percent>\\?%)|(?P<currency>\\?[$€£])"
    r"|(?P<other>\\[A-Za-z]+|.)",
    re.ASCII | re.DOTALL,
)
_IN_TEXT = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?%?|\.\d+%?", re.ASCII)
_KIND = {
    "a": "a",
    "s": ".",
    "currency": "$",
    "open": "(",
    "close": ")",
    "equals": "=",
    "plus": "+",
    "minus": "-",
    "times": "*",
    "of": "*",
    "div": "/",
}


def parse_number(text: str) -> Number | None:
    """The value of a written number: ``1,200``, ``.5``, ``1 1/2``.

    None for a number of more than `MAX_DIGITS` characters and for a fraction with the denominator 0.
    """
    if len(text) > MAX_DIGITS:
        return None
    if text.isdigit():
        return int(text)
    if text.count(",") and text.replace(",", "").isdigit():
        return int(text.replace(",", ""))
    whole, _, fraction = text.rpartition(" ") if "/" in text else ("", "", text)
    if fraction.count("/"):
        over, under = fraction.split("/")
        return None if int(under) == 0 else int(whole or 0) + Fraction(int(over), int(under))
    value = Fraction(re.sub(r"[ ,\u00a0]", "", fraction))
    return value.numerator if value.denominator == 1 else value


def numbers(text: str) -> set[Number]:
    """The values of the numbers that a text writes in digits. A percentage counts twice: 20% as 20 and as 1/5."""
    values: set[Number] = set()
    for written in _IN_TEXT.findall(text):
        if written.isdigit() and len(written) < MAX_DIGITS:
            values.add(int(written))
            continue
        value = parse_number(written.rstrip("%"))
        if value is not None:
            values.add(value)
            if written[-1] == "%":
                values.add(Fraction(value) / 100)
    return values


def tokenize(text: str, start: int = 0, end: int | None = None) -> list[Token]:
    """The tokens of ``text[start:end]``, without blanks. Each run of words is one token."""
    tokens: list[Token] = []
    braces: list[str] = []  # The open braces: of a numerator, of a denominator, or of anything else ("").
    denominator: int | None = None  # Offset of the brace that opens a denominator and has its tokens already.
    for match in _TOKEN.finditer(text, start, len(text) if end is None else end):
        kind = match.lastgroup
        begin, stop = match.span()
        if kind == "skip":
            continue
        if kind == "n" or kind == "mixed":
            value = parse_number(match[0])
            fields = ("w", begin, stop, 0, False) if value is None else ("n", begin, stop, value, False)
            tokens.append(_new(Token, fields))
        elif kind == "op":
            tokens.append(_new(Token, (match[0], begin, stop, 0, False)))
        elif kind == "percent" and tokens and tokens[-1].kind == "n":
            tokens[-1] = tokens[-1]._replace(percent=True)
        elif kind == "frac":
            tokens += (Token("(", begin, stop), Token("(", stop, stop))
            braces.append("numerator")
        elif kind == "brace":
            if begin == denominator:
                continue
            if match[0] != "}":
                braces.append("")
            elif part := braces.pop() if braces else "":
                if part == "numerator" and text.startswith("{", stop):
                    tokens += (Token(")", begin, stop), Token("/", stop, stop), Token("(", stop, stop))
                    braces.append("denominator")
                    denominator = stop
                else:
                    tokens += (Token(")", begin, stop), Token(")", stop, stop))
        elif kind in _KIND and not (kind == "of" and (not tokens or tokens[-1].kind not in "n)")):
            tokens.append(_new(Token, (_KIND[kind], begin, stop, 0, False)))
        elif tokens and tokens[-1].kind == "w":
            tokens[-1] = _new(Token, ("w", tokens[-1].start, stop, 0, False))
        else:
            tokens.append(_new(Token, ("w", begin, stop, 0, False)))
    return tokens
