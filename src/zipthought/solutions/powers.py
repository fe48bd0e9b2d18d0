"""Arithmetic that is checked and is no step: powers, factorials, and signs after an operator.

    5² * 3 = 75        2^10 = 1024        4! + 1 = 25        3 - -4 = 7

Such an equation must hold like any other. It stays unread where it does, because no step of a problem is made of it.
Arithmetic of numbers and signs alone that has no value here (`√16`, ``5₂``, ``3 + / 4``) is a fault.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction

from ..core.arithmetic import apply
from .equations import CheckedEquation, FalseEquation, Span, UnreadEquals, rounds_to
from .expressions import MAX_OPERANDS, as_share, read_expression
from .measures import may_be_measured
from .notation import SIGN, fold
from .tokens import Number, Token

MAX_EXPONENT = 64
MAX_FACTORIAL = 60
_MAX_BITS = 332  # Of a number of `tokens.MAX_DIGITS` digits.
_SEPARATED = re.compile(r"[,'_:]\d")
_CLOCK_TIME = re.compile(r"\d{1,2}:[0-5]\d(?::[0-5]\d)?", re.ASCII)
_LAST_DIGIT_AND_WORD = re.compile(r".[ /-]*[^\W\d_]*", re.DOTALL)
_ALGEBRA = re.compile(r"\s*(?:[-−–]\s*)?(?:\\[A-Za-z]|[A-Z]{1,3}(?![^\W_])|[a-z](?![^\W_]))")
_THIN_SPACE = re.compile(r"\s*\\[,;! ]\s*")
_LEVEL = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, "~": 3, "^": 4, "√": 5}  # ~ is the sign of a number.
_ROOTS = ("√", "\\sqrt")
_UNREAD = frozenset("?!^")
_SIGNS = frozenset("+-*/^")


def is_plain(tokens: Sequence[Token]) -> bool:
    """Whether the tokens are arithmetic only: no words, and no blank where a product would be meant."""
    return all(t.kind != "w" for t in tokens) and not any(
        a.kind in "n)" and b.kind in "n(" and a.kind + b.kind != "nn" and a.end < b.start
        for a, b in itertools.pairwise(tokens)
    )


def skip_sign(tokens: list[Token], index: int, stop: int) -> int:
    """The index of the first token that is no currency and no minus sign."""
    while index < stop and tokens[index].kind in "$-":
        index += 1
    return index


def skip_currency(tokens: list[Token], index: int) -> int:
    """The index of the first token from `index` on that is no currency."""
    while tokens[index].kind == "$":
        index += 1
    return index


def is_root(text: str, token: Token) -> bool:
    """Whether a token is a sign of mathematics that stands before a number, such as √ or ±."""
    return token.kind == "^" and fold(text[token.start : token.end]) == SIGN


def has_unread(tokens: Sequence[Token]) -> bool:
    """Whether some token is a number or sign of mathematics that is not read."""
    return not _UNREAD.isdisjoint([token[0] for token in tokens])


def result_end(text: str, tokens: list[Token], low: int, stop: int) -> int:
    """The index after the run of numbers and signs that starts after an ``=``, at the token `low`."""
    index = skip_sign(tokens, low, stop)
    while index < stop and tokens[index].kind in "n?!^+-*/()$":
        before, kind = tokens[index - 1], tokens[index].kind
        if (
            before.kind in "n?!)^"
            and kind in "n?!($"
            and before.end < tokens[index].start
            and text[before.start] != "^"
        ):
            break  # Two numbers side by side, or a remark in brackets.
        index += 1
    while index > low and tokens[index - 1].kind in "+-*/($":
        index -= 1
    return index


def judge_unread(
    text: str, tokens: list[Token], sides: list[Span], equals: int, stop: int
) -> CheckedEquation | FalseEquation | UnreadEquals:
    """What a chain is of which a side or the result is no expression of the four operations.

    A number that is too long or has characters of other scripts makes it false. A chain with words or letters, or with
    a number in another notation, is unread.
    """
    end = result_end(text, tokens, equals + 1, stop)
    if end == equals + 1 and len(sides) > 1:  # 3^2 = 6 miles = so: the last side is the result.
        *sides, (low, stop) = sides
        equals, end = sides[-1][1], result_end(text, tokens, low, stop)
    first = len(sides) - 1
    while first:
        earlier = tokens[sides[first - 1][0] : sides[first][0]]
        if not is_plain(earlier) or any(_is_unknown(token) for token in earlier):
            break
        first -= 1
    is_equation = first > 0  # 1e9 = 9 = 10
    sides = sides[first:]
    begin = sides[0][0]
    part = tokens[begin:end]
    unread = UnreadEquals(tokens[equals].start)
    span = (tokens[begin].start, tokens[max(end - 1, equals)].end)
    faulty = [token for token in part if token.kind == "!"]
    if faulty and any(token.kind in "+-*/" for token in tokens[begin + 1 : equals]):
        is_long = all(text[token.start : token.end].isascii() for token in faulty)
        return FalseEquation("wrong_arithmetic" if is_long else "unreadable_number", span, None)
    has_root = _is_root_sign(text, part[0]) or any(t.kind == "?" and t.value for t in part)
    is_equation = is_equation or has_root or any(token.kind in _SIGNS for token in part[1:])
    if not is_equation or _goes_on(text, tokens, end, stop) or not _is_sure(text, tokens, begin, end, stop):
        return unread
    values = [evaluate(text, tokens[a:b]) for a, b in (*sides, (equals + 1, end))]
    last = values[-1]
    known = [value for value in values if value is not None]
    if last is None or len(known) < len(values):
        return FalseEquation("unreadable_number", span, None)
    if len(set(values)) > 1:
        is_rounded = all(value == last or rounds_to(value, last) for value in known)
        return FalseEquation("rounded" if is_rounded else "wrong_arithmetic", span, last)
    side = tokens[slice(*sides[0])]
    stated = Token("n", tokens[equals + 1].start, span[1], last)
    operations = sum(token.kind in _SIGNS or token.kind == "?" for token in side)
    return CheckedEquation(span, stated, tuple(as_share(t) for t in side if t.kind == "n"), max(1, operations))


def judge_prose(text: str, tokens: list[Token], sides: list[Span], index: int, stated: Token) -> str | None:
    """The fault of the prose before the annotation ``tokens[index]`` with the result `stated`; None if it has none that
    is sure. Only for sides that are no expression of the four operations."""
    for begin, end in sides:
        if any(token.kind == "!" for token in tokens[begin:end]):
            return "unreadable_number"
        if read_expression(tokens[begin:end]) or not _is_sure(text, tokens, begin, end, index):
            continue
        value = evaluate(text, tokens[begin:end])
        if value != as_share(stated):
            return "unreadable_number" if value is None else "wrong_arithmetic"
    return None


def shows_another(text: str, tokens: list[Token], index: int, stated: Token) -> bool:
    """Whether the number directly after the annotation ``tokens[index]`` differs from the annotated result: another
    number, or more arithmetic than a chain goes on with. Blanks may come first where an ``=`` leads to the annotation.
    """
    end = tokens[index].end
    if _SEPARATED.match(text, end):
        return True
    first = index + 1
    is_result = index > 0 and tokens[index - 1].kind in "=$"
    while first < len(tokens) and tokens[first].kind == "$" and (is_result or tokens[first].start == end):
        end = tokens[first].end
        first += 1
    if first == len(tokens) or not (is_result or tokens[first].start == end):
        return False
    is_latex = tokens[first].kind == "(" and text[tokens[first].start] == "\\"  # \frac{1}{2}
    if not (is_latex or tokens[first].kind in "n!?"):
        return False
    if tokens[first].kind == "?":  # 86:4, but a time of day or an ellipsis is no other result.
        written = text[tokens[first].start : tokens[first].end]
        return bool(_SEPARATED.search(written)) and not _CLOCK_TIME.fullmatch(written)
    run = result_end(text, tokens, first, len(tokens))
    goes_on = run < len(tokens) and tokens[run].kind in "=a?^"
    shown = tokens[first]
    if run == first + 1 or goes_on:
        return (shown.kind != "n" or shown.value != stated.value) and not (
            run > first + 1 and tokens[first + 1].kind == "/"
        )
    part = tokens[first:run]
    if not is_plain(part) or any(_is_unknown(token) for token in part):
        return shown.value != stated.value
    return evaluate(text, part) not in (stated.value, as_share(stated))


def _is_sure(text: str, tokens: list[Token], begin: int, end: int, stop: int) -> bool:
    """Whether ``tokens[begin:end]`` have numbers and signs only, and nothing after them belongs to them."""
    part = tokens[begin:end]
    if not is_plain(part) or any(_is_unknown(t) or (t.kind == "^" and _is_letter(text, t)) for t in part):
        return False
    if sum((t.kind == "(") - (t.kind == ")") for t in part):
        return False  # 27 - 9 = (6 * x)
    last = part[-1].end
    following = end
    while following < stop and tokens[following].kind in "w$":
        following += 1
    operand = skip_sign(tokens, following + 1, stop)
    if following > end and operand < stop and tokens[following].kind in "+-*/" and tokens[operand].kind in "n?!(^":
        return False  # 5² = 16 eggs + 9 eggs
    after = tokens[end] if end < min(stop, len(tokens)) else None
    if after and (after.kind in "?^" or (after.kind == "w" and after.start == last and text[last].isalpha())):
        return False
    quoted = fold(_LAST_DIGIT_AND_WORD.match(text, last - 1)[0])  # type: ignore[index]
    return not may_be_measured(quoted, 0, len(quoted))


def _is_root_sign(text: str, token: Token) -> bool:
    """Whether a token is the sign of a square root."""
    return token.kind == "^" and text[token.start : token.end].rstrip() in _ROOTS


def _is_unknown(token: Token) -> bool:
    """Whether a token is a number in a notation that is not read."""
    return token.kind == "?" and not token.value


def _is_letter(text: str, token: Token) -> bool:
    """Whether a sign of mathematics is a command of LaTeX, a word (``choose``), ``@`` or the bracket of a function, so
    the text has letters."""
    return token.start == token.end or text[token.start] in "\\@" or text[token.start].isalpha()


def _goes_on(text: str, tokens: Sequence[Token], end: int, stop: int) -> bool:
    """Whether the result before ``tokens[end]`` goes on with a letter: ``5^2 = 3^2 + x^2``, ``13^2 = AB^2``."""
    if end < stop and tokens[end].kind in "+*/":
        return end + 1 < stop and tokens[end + 1].kind in "w?^"
    return end < stop and tokens[end].kind == "w" and _ALGEBRA.match(text, tokens[end].start) is not None


def evaluate(text: str, tokens: Sequence[Token]) -> Number | None:
    """The exact value of an expression with powers, factorials and signs; None where it has none that is small.

    A sign may follow an operator, powers bind tighter than signs, and a power of a power needs brackets.
    """
    if sum(token.kind == "n" for token in tokens) > MAX_OPERANDS:
        return None
    values: list[Number] = []
    operators: list[str] = []
    expect_operand, last = True, Token("", -1, -1)
    for token in _join_signs(text, tokens):
        kind = token.kind
        if kind == "$":
            continue
        is_factor = kind in "(?" or (kind == "n" and (last.kind == ")" or text[last.start] == "!"))
        is_beside = token.start <= last.end + 1 or _THIN_SPACE.fullmatch(text, last.end, token.start)
        if not expect_operand and is_factor and is_beside:
            if not _reduce(2, operators, values):
                return None
            operators.append("*")
            expect_operand = True
        if expect_operand:
            if kind == "n" or (kind == "?" and token.value):
                values.append(as_share(token))
                expect_operand = False
            elif kind == "(" or (kind == "-" and operators[-1:] != ["~"]):
                operators.append("(" if kind == "(" else "~")
            elif _is_root_sign(text, token):
                operators.append("√")
            else:
                return None
        elif kind == ")":
            if not _reduce(1, operators, values) or not operators:
                return None
            operators.pop()
        elif kind == "^" and (sign := text[token.start : token.end].rstrip()) not in ("^", "**"):
            power = _raise(sign, values.pop())
            if power is None or operators[-1:] == ["^"]:
                return None
            values.append(power)
        elif (
            kind in _SIGNS
            and not (kind == "^" and operators[-1:] == ["^"])
            and _reduce(_LEVEL[kind], operators, values)
        ):
            operators.append(kind)
            expect_operand = True
        else:
            return None
        last = token
    done = not expect_operand and "(" not in operators and _reduce(1, operators, values)
    return values[0] if done else None


def _reduce(level: int, operators: list[str], values: list[Number]) -> bool:
    """Apply the operators on top of the stack that bind at least as tightly as `level`; False if one cannot be."""
    while operators and _LEVEL[operators[-1]] >= level:
        op, right = operators.pop(), values.pop()
        if op == "~":
            value: Number | None = -right
        elif op == "√":
            value = _root(right)
        elif op == "^":
            value = _power(values.pop(), right)
        else:
            value = None if op == "/" and not right else apply(op, values.pop(), right, None)
        if value is None:
            return False
        values.append(value)
    return True


def _join_signs(text: str, tokens: Sequence[Token]) -> list[Token]:
    """The tokens with ``**``, ``!!`` and each run of superscripts as one sign."""
    joined: list[Token] = []
    for token in tokens:
        last = joined[-1] if joined else None
        is_run = last and last.end == token.start and last.kind == token.kind and token.kind in "*^"
        if last and is_run and (text[last.start] == text[token.start] or not text[token.start].isascii()):
            joined[-1] = Token("^", last.start, token.end)
        else:
            joined.append(token)
    return joined


def _raise(sign: str, value: Number) -> Number | None:
    """The value of a number with a sign of mathematics after it: superscripts, or ``!``."""
    if sign == "!":
        is_small = value.denominator == 1 and 0 <= value <= MAX_FACTORIAL
        return math.factorial(int(value)) if is_small else None
    if len(sign) > 3:
        return None
    digits = unicodedata.normalize("NFKC", sign)
    is_exponent = all(unicodedata.decomposition(character).startswith("<super>") for character in sign)
    return _power(value, int(digits)) if is_exponent and digits.isdecimal() else None


def _root(value: Number) -> Number | None:
    """The square root of a whole number that is a square."""
    root = math.isqrt(int(value)) if value.denominator == 1 and value >= 0 else 0
    return root if root * root == value else None


def _power(base: Number, exponent: Number) -> Number | None:
    """A whole power of at most `tokens.MAX_DIGITS` digits."""
    if exponent.denominator != 1 or abs(int(exponent)) > MAX_EXPONENT or (not base and exponent <= 0):
        return None
    value, times = Fraction(base), int(exponent)
    size = max(abs(value.numerator), value.denominator).bit_length()
    return value**times if size * abs(times) <= _MAX_BITS else None
