"""Tokens of arithmetic in prose: numbers, operators, brackets and what stands between them.

Money, per cent, thousands separators, mixed numbers, ``x`` and ``×`` for times, ``of`` between numbers, operators in
words, and the LaTeX of model outputs (``\\times``, ``\\frac{a}{b}``) are read; a slash before a letter (``miles/day``)
belongs to a unit.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

MAX_DIGITS = 30
"""Longer numbers are not read."""

Number = int | Fraction


class Token(NamedTuple):
    """A piece of text."""

    kind: str
    """`n` number, `w` words, `.` a sentence's end, `a` annotation, `$` currency, or the operator, bracket or `=`."""
    start: int
    end: int
    value: Number = 0
    percent: bool = False


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
    """The value of a number as it is written: ``1,200``, ``.5``, ``1 1/2``; None where it is too long to read."""
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
    """The numbers that a text holds in digits, per cent as shares too."""
    found: set[Number] = set()
    for written in _IN_TEXT.findall(text):
        if written.isdigit() and len(written) < MAX_DIGITS:
            found.add(int(written))
            continue
        value = parse_number(written.rstrip("%"))
        if value is not None:
            found.add(value)
            if written[-1] == "%":
                found.add(Fraction(value) / 100)
    return found


def tokenize(text: str, start: int = 0, end: int | None = None) -> list[Token]:
    """The tokens of ``text[start:end]``, blanks left out, each run of words as one."""
    found: list[Token] = []
    braces: list[str] = []  # What is open: a numerator, a denominator, or anything else ("").
    opened = -1
    for match in _TOKEN.finditer(text, start, len(text) if end is None else end):
        kind = match.lastgroup
        at, stop = match.span()
        if kind == "skip":
            continue
        if kind == "n" or kind == "mixed":
            value = parse_number(match[0])
            found.append(Token("w", at, stop) if value is None else Token("n", at, stop, value))
        elif kind == "op":
            found.append(Token(match[0], at, stop))
        elif kind == "percent" and found and found[-1].kind == "n":
            found[-1] = found[-1]._replace(percent=True)
        elif kind == "frac":
            found += (Token("(", at, stop), Token("(", stop, stop))
            braces.append("numerator")
        elif kind == "brace":
            if at == opened:
                continue
            if match[0] != "}":
                braces.append("")
            elif part := braces.pop() if braces else "":
                if part == "numerator" and text.startswith("{", stop):
                    found += (Token(")", at, stop), Token("/", stop, stop), Token("(", stop, stop))
                    braces.append("denominator")
                    opened = stop
                else:
                    found += (Token(")", at, stop), Token(")", stop, stop))
        elif kind in _KIND and not (kind == "of" and (not found or found[-1].kind not in "n)")):
            found.append(Token(_KIND[kind], at, stop))
        elif found and found[-1].kind == "w":
            found[-1] = Token("w", found[-1].start, stop)
        else:
            found.append(Token("w", at, stop))
    return found
