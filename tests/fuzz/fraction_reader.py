"""Exact values of arithmetic expressions as prose writes them, for the second reader of real solutions.

`readings` gives every value that an expression can have: per cent, mixed numbers and fractions after a division sign
have several. Digits of other scripts, superscripts and fraction signs are read for what they say.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

MAX_DIGITS, MAX_POWER = 20_000, 64
Readings = frozenset[Fraction]
UNSURE: Readings = frozenset()


def _integer(digits: str) -> int:
    """A number in ASCII digits; in pieces, because `int` refuses long texts."""
    value = 0
    for start in range(0, len(digits), 4000):
        piece = digits[start : start + 4000]
        value = value * 10 ** len(piece) + int(piece)
    return value


def number(text: str) -> Fraction | None:
    """An unsigned decimal number in ASCII digits, with or without commas between thousands."""
    match = re.fullmatch(r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.([0-9]+))?", text)
    if not match or not (match[1] or match[2]) or len(text) > MAX_DIGITS:
        return None
    whole, part = match[1].replace(",", ""), match[2] or ""
    return Fraction(_integer(whole + part or "0"), 10 ** len(part))


_SUPERSCRIPT = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))


def _plain(text: str) -> str | None:
    """An expression in ASCII: digits of other scripts, powers and fractions written out. None for what is left over."""
    out: list[str] = []
    before = ""
    for char in text:
        if char in _SUPERSCRIPT:
            out.append(("" if before in _SUPERSCRIPT else "^") + _SUPERSCRIPT[char])
        elif char.isdecimal():
            out.append(str(unicodedata.decimal(char)))
        elif char in "×·⋅∗":
            out.append("*")
        elif char in "÷∕":
            out.append("/")
        elif char in "−–":
            out.append("-")
        elif unicodedata.category(char) == "No":
            value = Fraction(unicodedata.numeric(char)).limit_denominator(1000)
            out.append(f"{'+' if before.isdecimal() else ''}{value.numerator}/{value.denominator}")
            if before.isdecimal():  # A mixed number binds tightest.
                start = len(out) - 1
                while start and (out[start - 1].isdigit() or out[start - 1] in ",."):
                    start -= 1
                out.insert(start, "(")
                out.append(")")
        else:
            out.append(char)
        before = char
    plain = "".join(out)
    return plain if plain.isascii() else None


_TOKEN = re.compile(r"\s*([0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+|\*\*|x(?=\s*[$0-9(.])|[-+*/^()!])")
_BINDS = {"+": 1, "-": 1, "*": 2, "x": 2, "/": 2, "^": 4, "**": 4, "~": 3}


def _tokens(text: str) -> list[str] | None:
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            return None
        tokens.append(match[1])
        position = match.end()
    return tokens


def _combine(op: str, left: Fraction, right: Fraction) -> Fraction | None:
    if op == "+":
        return left + right
    if op == "-":
        return left - right
    if op in "*x":
        return left * right
    if op == "/":
        return left / right if right else None
    if right.denominator != 1 or abs(right) > MAX_POWER or (not left and right < 0) or left.numerator.bit_length() > 64:
        return None
    return left ** int(right)


def _value(tokens: list[str]) -> Fraction | None:
    """The value of an expression by the usual precedence, on two stacks; None where it is none."""
    values: list[Fraction] = []
    pending: list[str] = []

    def reduce(floor: int) -> bool:
        while pending and pending[-1] != "(" and _BINDS[pending[-1]] >= floor:
            op, right = pending.pop(), values.pop()
            result = -right if op == "~" else _combine(op, values.pop(), right)
            if result is None:
                return False
            values.append(result)
        return True

    after_operand = False
    for token in tokens:
        if token[0] in "0123456789.":
            value = number(token)
            if after_operand or value is None:
                return None
            values.append(value)
            after_operand = True
        elif token == "(":
            if after_operand:
                return None
            pending.append(token)
        elif token == ")":
            if not after_operand or not reduce(0) or not pending:
                return None
            pending.pop()
        elif token == "!":
            if not after_operand or values[-1].denominator != 1 or not 0 <= values[-1] <= 20:
                return None
            product = Fraction(1)
            for factor in range(2, int(values[-1]) + 1):
                product *= factor
            values[-1] = product
        elif not after_operand:
            if token != "-":
                return None
            pending.append("~")
        else:
            right_to_left = token in ("^", "**")
            if not reduce(_BINDS[token] + right_to_left):
                return None
            pending.append(token)
            after_operand = False
    return values[0] if after_operand and reduce(0) and not pending else None


_PERCENT = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?)\s*%")
_ADDED_PERCENT = re.compile(r"\s*([0-9.,]+)\s*([-+])\s*([0-9.,]+)\s*%\s*")
_TIGHT = re.compile(r"/\s*([0-9]+/[0-9]+)(?![0-9/])")
_MIXED = re.compile(r"([0-9]+) ([0-9]{1,9})/([0-9]{1,9})(?![0-9/])")


def readings(text: str) -> Readings:
    """All values that an expression can have; none where it cannot be read."""
    plain = _plain(text)
    if plain is None or len(plain) > MAX_DIGITS:
        return UNSURE
    plain = re.sub(r"[$€£]\s*", "", plain)
    variants = {plain}
    if "%" in plain:
        variants = {_PERCENT.sub(r"(\1/100)", plain)}
        if not re.search(r"%\)*\s*[-+]|[-+][\s(]*[0-9.,]+\s*%", plain) or plain.count("%") > 1:
            variants.add(plain.replace("%", ""))
        if added := _ADDED_PERCENT.fullmatch(plain):
            variants.add(f"{added[1]}*(1{added[2]}{added[3]}/100)")
    if _TIGHT.search(plain):
        variants |= {_TIGHT.sub(r"/(\1)", each) for each in variants}
    if any(int(m[2]) >= int(m[3]) for m in _MIXED.finditer(plain)):
        return UNSURE  # Two numbers side by side.
    if _MIXED.search(plain):
        variants = {_MIXED.sub(r"(\1+\2/\3)", each) for each in variants}
    found = set()
    for each in variants:
        tokens = _tokens(each)
        value = _value(tokens) if tokens else None
        if value is None:
            return UNSURE
        found.add(value)
    return frozenset(found)
