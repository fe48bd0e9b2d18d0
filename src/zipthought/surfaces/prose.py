"""Arithmetic in prose: numbers, operators and equations as people and models write them, exact over the rationals.

    She paid 3 x $4.50 = $<<3*4.5=13.5>>13.50 for 20% of the eggs.

Two things are read. An **annotation** ``<<expression=value>>`` is a calculator's, and must hold. An **equation** of the
prose is what stands round ``=``: before it the longest run of numbers with operators between them, past unit words (``3
hours + 2 hours``), after it a number, or more sides of that kind. Money, per cent, thousands separators, mixed numbers,
``x`` and ``×`` for times, ``of`` before a number, and the LaTeX of model outputs (``\\times``, ``\\frac{a}{b}``) are
read; a slash before a letter (``miles/day``) belongs to a unit.

Each token is looked at a bounded number of times, nothing is run, and no run of digits becomes a number that is longer
than `MAX_DIGITS`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from ..core.arithmetic import BinOp, Expr, evaluate, same

MAX_DIGITS = 30
"""Longer numbers are not read."""
MAX_OPERANDS = 256
"""Expressions of more are not read."""

Number = int | Fraction


class Token(NamedTuple):
    """A piece of text."""

    kind: str
    """`n` number, `w` words, `.` a sentence's end, `a` annotation, `$` currency, or the operator, bracket or `=`."""
    start: int
    end: int
    value: Number = 0
    percent: bool = False


class Equation(NamedTuple):
    """``expression = value``, true or not."""

    tree: Expr
    """The expression; a number in it stands as its place in `operands`: ``BinOp("+", "0", "1")``."""
    operands: tuple[Token, ...]
    """Numbers, without currency and per cent signs in their spans; with no share of 100 taken where `percent`."""
    value: Token
    """The result as it is written."""
    values: tuple[Number, ...]
    """What the operands count as in the equation: 20% is 1/5, or 20 where the equation holds with that only."""
    result: Number
    """What `value` counts as."""
    start: int
    """Where the first side begins in the prose, with its currency sign; -1 where the prose has none."""
    gap: int
    """Where the text after the prose's last ``=`` begins, blanks left out; -1 where the prose has none."""
    annotation: tuple[int, int] | None
    """From ``<<`` to after ``>>``."""
    mirror: tuple[Token, ...]
    """The operands in the prose, where its first side says what the annotation says; else empty."""
    fault: str | None
    """`wrong_arithmetic`, `rounded`, `division_by_zero`, `unreadable_annotation`; None for what holds exactly."""


_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?:[ \u00a0]\d{3})+(?![\d/,])|\d+)(?:\.\d+)?|\.\d+"
_BEFORE_NUMBER = r"(?=\s*(?:\\?[$€£])?\s*[\d.(\[\\])"
_TOKEN = re.compile(
    r"(?P<words>(?:(?!(?:of|plus|minus|times|equals|divided|multiplied|x|X)\b)[^\W\d_]+[ ,']*)+)"
    r"|(?P<a><<[^<>\n]*>>)"
    r"|(?P<skip>[ \t\u00a0]+|\\[,;! ]|\\[()\[\]])"
    rf"|(?P<mixed>(?:\d+ |(?<=[/÷] ))\d+/\d+(?![\d/.]))|(?P<n>{_DIGITS})"
    rf"|(?P<times>\\times|\\cdot|[×·*✕]|(?<![^\W\d_])[xX]{_BEFORE_NUMBER}|(?:times|multiplied by)\b{_BEFORE_NUMBER})"
    rf"|(?P<minus>[−–-]{_BEFORE_NUMBER}|minus\b{_BEFORE_NUMBER})"
    r"|(?P<of>(?<![^\W\d_])of\b(?=\s*(?:\\?[$€£])?\s*\d))"
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
_IN_TEXT = re.compile(rf"({_DIGITS})(\s*%)?", re.ASCII)
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
_LEVEL = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2}


def _number(text: str) -> Number | None:
    """The value of a number as it is written: ``1,200``, ``.5``, ``1 1/2``; None where it is too long to read."""
    if len(text) > MAX_DIGITS:
        return None
    if text.isdigit():
        return int(text)
    whole, _, fraction = text.rpartition(" ") if "/" in text else ("", "", text)
    if fraction.count("/"):
        over, under = fraction.split("/")
        return None if int(under) == 0 else int(whole or 0) + Fraction(int(over), int(under))
    value = Fraction(re.sub(r"[ ,\u00a0]", "", fraction))
    return value.numerator if value.denominator == 1 else value


def numbers(text: str) -> set[Number]:
    """The numbers that a text holds in digits, per cent as shares too."""
    found: set[Number] = set()
    for match in _IN_TEXT.finditer(text):
        value = _number(match[1])
        if value is not None:
            found.add(value)
            if match[2]:
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
            value = _number(match[0])
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


def read_expression(tokens: Sequence[Token]) -> tuple[Expr, tuple[Token, ...]] | None:
    """The expression that the tokens write, with its operands; words and currency in it are passed over.

    A number directly before or after a bracket is a factor: ``(1/4)24``. None where the tokens write no expression.
    """
    trees: list[Expr] = []
    operators: list[str] = []
    operands: list[Token] = []
    expect_operand, sign, last = True, "", -1

    def reduce(level: int) -> None:
        while operators and _LEVEL[operators[-1]] >= level:
            right = trees.pop()
            trees.append(BinOp(operators.pop(), trees.pop(), right))

    for token in tokens:
        kind = token.kind
        if kind == "w" or kind == "$":
            continue
        if not expect_operand:
            if kind in "+-*/":
                reduce(_LEVEL[kind])
                operators.append(kind)
                expect_operand = True
                continue
            if kind == ")":
                reduce(1)
                if not operators:
                    return None
                operators.pop()
                last = token.end
                continue
            if token.start > last + 1:
                return None
            reduce(2)
            operators.append("*")
        if kind == "(":
            if sign:
                return None
            operators.append("(")
            expect_operand = True
        elif kind == "n":
            if len(operands) == MAX_OPERANDS:
                return None
            trees.append(str(len(operands)))
            operands.append(token._replace(value=-token.value, start=token.start - 1) if sign == "-" else token)
            expect_operand, sign = False, ""
            last = token.end
        elif kind in "+-" and not sign and (not operators or operators[-1] == "("):
            sign = kind
        else:
            return None
    if expect_operand or "(" in operators:
        return None
    reduce(1)
    return trees[0], tuple(operands)


def find_equations(text: str) -> Iterator[Equation | Token]:
    """The annotations of a text and the equations of its prose, in the order of the text.

    What looks like an equation and could not be read (words between its numbers, and it does not hold; letters) comes
    as the token of its ``=``.
    """
    line_start = 0
    while line_start < len(text):
        line_end = text.find("\n", line_start)
        line_end = len(text) if line_end < 0 else line_end
        if text.find("=", line_start, line_end) >= 0 or text.find("equals", line_start, line_end) >= 0:
            yield from _line_equations(text, tokenize(text, line_start, line_end))
        line_start = line_end + 1


def _line_equations(text: str, tokens: list[Token]) -> Iterator[Equation | Token]:
    low = 0
    sides: list[tuple[int, int]] = []  # Of the chain that is being read: from which token to which.
    equals = -1  # The last `=` of that chain.
    for place, token in enumerate(tokens):
        kind = token.kind
        if kind == "=":
            side, cut = _suffix(tokens, low, place)
            if cut:
                side = None
            whole = side is not None and all(t.kind == "$" for t in tokens[low:side])
            if equals >= 0 and not whole:
                # Not a chain: what the earlier `=` says ends at a number, or is not read.
                yield from _finish(text, tokens, sides, equals, place)
                sides = []
            if side is not None:
                sides.append((side, place))
            equals, low = place, place + 1
        elif kind == "a":
            if equals >= 0 and any(t.kind != "$" for t in tokens[equals + 1 : place]):
                yield from _finish(text, tokens, sides, equals, place)
                sides, equals = [], -1
            yield from _annotation(text, tokens, place, sides, equals)
            sides, equals, low = [], -1, place + 1
        elif kind == ".":
            if equals >= 0:
                yield from _finish(text, tokens, sides, equals, place)
            sides, equals, low = [], -1, place + 1
    if equals >= 0:
        yield from _finish(text, tokens, sides, equals, len(tokens))


def _suffix(tokens: list[Token], low: int, stop: int) -> tuple[int | None, bool]:
    """Where the longest expression that ends before `stop` begins, at `low` or later (None where none does), and
    whether an operator before it has no number to its left, so that this is not all that the text says."""
    best, depth, expect_operand, place = None, 0, True, stop
    while place > low:
        place -= 1
        kind = tokens[place].kind
        if kind == "w" or kind == "$":
            continue
        if not expect_operand and kind in "n)":
            after = tokens[place + 1]
            if after.start > tokens[place].end + 1 or (kind == "n" and after.kind != "("):
                break
            expect_operand = True
        if expect_operand and kind == "(" and tokens[place + 1].kind == "-":
            expect_operand = False  # (-3)
        if expect_operand:
            if kind == ")":
                depth += 1
            elif kind == "n":
                expect_operand = False
                if not depth:
                    best = place
            else:
                break
        elif kind == "(":
            if not depth:
                break
            depth -= 1
            if not depth:
                best = place
        elif kind in "+-*/":
            expect_operand = True
        else:
            break
    if best is None or not expect_operand:
        return best, False
    sign = tokens[best - 1]
    if sign.kind == "-" and tokens[best].kind == "n" and sign.end == tokens[best].start:
        return best - 1, False
    return best, True


def _finish(
    text: str, tokens: list[Token], sides: list[tuple[int, int]], equals: int, stop: int
) -> Iterator[Equation | Token]:
    """The equation of a chain of sides that ends after its last `=`, before the token `stop`."""
    value, end = _leading_value(tokens, equals + 1, stop)
    if not value and len(sides) > 1 and sides[-1][1] - sides[-1][0] == 1:  # 250(2/5) = 100 = x
        end = sides[-1][1]
        equals, value = sides[-2][1], tokens[sides[-1][0]]
        sides = sides[:-1]
    read = _operations(tokens, sides)
    if not value or not read:
        if read or not sides:
            yield tokens[equals]
        return
    begin, tree, operands = read[0]
    held = _holds([(tree, operands) for _, tree, operands in read], value)
    if isinstance(held, str) and not _plain(tokens[begin:end]):
        yield tokens[equals]
        return
    start, gap = _prose_span(text, tokens, begin, equals)
    if isinstance(held, str):
        yield _false(value, start, gap, None, held)
    else:
        yield Equation(tree, operands, value, *held, start, gap, None, operands, None)


def _annotation(
    text: str, tokens: list[Token], place: int, sides: list[tuple[int, int]], equals: int
) -> Iterator[Equation]:
    """The equation of the annotation at `place`, after the sides of prose that lead to it; none for ``<<5=5>>``."""
    note = tokens[place]
    inner = tokenize(text, note.start + 2, note.end - 2)
    cuts = [-1, *(i for i, t in enumerate(inner) if t.kind == "="), len(inner)]
    parts = [inner[a + 1 : b] for a, b in itertools.pairwise(cuts)]
    value, end = _leading_value(parts[-1], 0, len(parts[-1]))
    sums = [read_expression(part) for part in parts[:-1]]
    words = any(t.kind == "w" for t in inner)
    span = (note.start, note.end)
    if not value or end < len(parts[-1]) or words or not sums or None in sums:
        yield _false(note, -1, -1, span, "unreadable_annotation")
        return
    read = _operations(tokens, sides)
    begin = read[0][0] if read else -1
    start, gap = _prose_span(text, tokens, begin, equals)
    noted = [part for part in sums if part]
    held = _holds(noted, value)
    if isinstance(held, str):
        yield _false(value, start, gap, span, held)
        return
    told = [_holds([(tree, operands)], value) for _, tree, operands in read]
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    if (any(isinstance(t, str) for t in told) and _plain(tokens[begin:place])) or (
        after
        and after.kind == "n"
        and after.start == note.end
        and after.value != value.value
        and not (place + 2 < len(tokens) and tokens[place + 2].kind == "/")
    ):
        yield _false(value, start, gap, span, "wrong_arithmetic")
        return
    tree, operands = noted[0]
    mirror: tuple[Token, ...] = ()
    if read and not isinstance(told[0], str):
        if not isinstance(tree, BinOp):
            (_, tree, operands), held = read[0], told[0]
        if told[0] == held and same(tree, read[0][1]):
            mirror = read[0][2]
    if isinstance(tree, BinOp):
        yield Equation(tree, operands, value, *held, start, gap, span, mirror, None)


def _false(value: Token, start: int, gap: int, span: tuple[int, int] | None, fault: str) -> Equation:
    return Equation("0", (), value, (), 0, start, gap, span, (), fault)


def _plain(tokens: list[Token]) -> bool:
    """Whether nothing but arithmetic stands in the tokens: no words, and no blank where a product would be meant."""
    return all(t.kind != "w" for t in tokens) and not any(
        a.kind in "n)" and b.kind in "n(" and a.kind + b.kind != "nn" and a.end < b.start
        for a, b in itertools.pairwise(tokens)
    )


def _operations(tokens: list[Token], sides: list[tuple[int, int]]) -> list[tuple[int, Expr, tuple[Token, ...]]]:
    """(first token, expression, operands) of the sides that have an operator."""
    read = [(begin, read_expression(tokens[begin:end])) for begin, end in sides]
    return [(begin, *part) for begin, part in read if part and isinstance(part[0], BinOp)]


def _prose_span(text: str, tokens: list[Token], begin: int, equals: int) -> tuple[int, int]:
    """Where a chain begins, with its currency sign, and where the text after its last `=` does; -1 for what is not
    there."""
    start = gap = -1
    if begin >= 0:
        start = tokens[begin - 1 if begin and tokens[begin - 1].kind == "$" else begin].start
    if equals >= 0:
        gap = tokens[equals].end
        while text[gap : gap + 1] in (" ", "\u00a0"):
            gap += 1
    return start, gap


def _leading_value(tokens: list[Token], place: int, stop: int) -> tuple[Token | None, int]:
    """The number, or the fraction of two, that opens ``tokens[place:stop]`` with no operator after it, and the token
    after it; None where there is none."""
    while place < stop and tokens[place].kind == "$":
        place += 1
    negative = place < stop and tokens[place].kind == "-"
    place += negative
    if place < stop and tokens[place].kind == "$":
        place += 1
    if place >= stop or tokens[place].kind != "n":
        return None, place
    value = tokens[place]
    if place + 2 < stop and tokens[place + 1].kind == "/" and tokens[place + 2].kind == "n" and tokens[place + 2].value:
        under = tokens[place + 2]
        value = Token("n", value.start, under.end, Fraction(value.value) / under.value, under.percent)
        place += 2
    place += 1
    following = place
    while following < stop and tokens[following].kind in "w$":
        following += 1
    if following + 1 < stop and tokens[following].kind in ("+", "-", "*", "/", "(") and following == place:
        return None, place
    return (value._replace(value=-value.value, start=value.start - 1) if negative else value), place


def _holds(sides: Sequence[tuple[Expr, Sequence[Token]]], value: Token) -> tuple[tuple[Number, ...], Number] | str:
    """What the operands of the first side and the value count as where all sides equal it; else the fault.

    Per cent is a share of 100, or a unit like any other, whichever makes the equation true.
    """
    percents = value.percent or any(o.percent for _, operands in sides for o in operands)
    fault = ""
    for shares in (True, False) if percents else (True,):
        result = _share(value, shares)
        ok = True
        for tree, operands in sides:
            try:
                got = evaluate(tree, {str(i): _share(o, shares) for i, o in enumerate(operands)}, None)
            except ZeroDivisionError:
                return "division_by_zero"
            if got != result:
                ok = False
                fault = fault or ("rounded" if _rounds_to(got, result, value) else "wrong_arithmetic")
        if ok:
            return tuple([_share(o, shares) for o in sides[0][1]]), result
    return fault


def _share(operand: Token, shares: bool) -> Number:
    return Fraction(operand.value) / 100 if operand.percent and shares else operand.value


def _rounds_to(exact: Number, stated: Number, written: Token) -> bool:
    """Whether a stated number is the exact one to as many places as are written, to the nearest or cut off."""
    places = 0
    value = Fraction(stated)
    while value.denominator != 1 and places < MAX_DIGITS:
        value *= 10
        places += 1
    return Fraction(exact).denominator != 1 and abs(Fraction(exact) - Fraction(stated)) < Fraction(1, 10**places)
