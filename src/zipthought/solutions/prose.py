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

from ..core.arithmetic import BinOp, Expr, apply, evaluate, same
from .tokens import MAX_DIGITS, Number, Token, parse_number, tokenize

MAX_UNIT_WORDS = 3
"""After a number; a longer text after a final answer may take it back."""
MAX_OPERANDS = 256
"""Expressions of more are not read."""

_LEVEL = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2}
_new = tuple.__new__  # What a NamedTuple's own constructor calls, at half the time.


class Expression(NamedTuple):
    """An expression as it stands in a text."""

    tree: Expr
    """A number in it stands as its place in `operands`: ``BinOp("+", "0", "1")``."""
    operands: tuple[Token, ...]
    value: Number | None
    """With per cent as shares of 100; None for a division by zero."""


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


def read_expression(tokens: Sequence[Token]) -> Expression | None:
    """The expression that the tokens write; words and currency in it are passed over.

    A number directly before or after a bracket is a factor: ``(1/4)24``. None where the tokens write no expression.
    """
    trees: list[Expr] = []
    values: list[Number | None] = []
    operators: list[str] = []
    operands: list[Token] = []
    expect_operand, sign, last = True, "", -1

    def reduce(level: int) -> None:
        while operators and _LEVEL[operators[-1]] >= level:
            op, right, second = operators.pop(), trees.pop(), values.pop()
            trees[-1] = _new(BinOp, (op, trees[-1], right))
            first = values[-1]
            known = first is not None and second is not None and (op != "/" or second != 0)
            values[-1] = apply(op, first, second, None) if known else None

    for token in tokens:
        kind, start, end, value, percent = token
        if kind == "w" or kind == "$":
            continue
        if not expect_operand:
            if kind in "+-*/":
                if operators:
                    reduce(_LEVEL[kind])
                operators.append(kind)
                expect_operand = True
                continue
            if kind == ")":
                reduce(1)
                if not operators:
                    return None
                operators.pop()
                last = end
                continue
            if start > last + 1:
                return None
            reduce(2)
            operators.append("*")
        if kind == "n":
            if len(operands) == MAX_OPERANDS:
                return None
            if sign == "-":
                token = Token("n", start - 1, end, -value, percent)
            trees.append(str(len(operands)))
            operands.append(token)
            values.append(_share(token))
            expect_operand, sign, last = False, "", end
        elif kind == "(":
            if sign:
                return None
            operators.append("(")
            expect_operand = True
        elif kind in "+-" and not sign and (not operators or operators[-1] == "("):
            sign = kind
        else:
            return None
    if expect_operand or "(" in operators:
        return None
    reduce(1)
    return _new(Expression, (trees[0], tuple(operands), values[0]))


def find_equations(text: str) -> Iterator[Equation | Token]:
    """The annotations of a text and the equations of its prose, in the order of the text.

    What looks like an equation and could not be read (words between its numbers that are not one unit, and it does not
    hold; letters) comes as the token of its ``=``.
    """
    line_start = 0
    while line_start < len(text):
        line_end = text.find("\n", line_start)
        line_end = len(text) if line_end < 0 else line_end
        equals = text.find("=", line_start, line_end) >= 0
        if equals or text.find("<<", line_start, line_end) >= 0 or text.find("equals", line_start, line_end) >= 0:
            simple = _simple_line(text, line_start, line_end) if equals else None
            if simple:
                yield simple
            else:
                yield from _line_equations(text, tokenize(text, line_start, line_end))
        line_start = line_end + 1


_N = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_UNIT = r"(?:[ /](?!(?:x|X|of|plus|minus|times|divided|multiplied|by|equals)\b)[A-Za-z]++)*+"
_LEAD = r"(?P<before>[^=<>+*/×÷·\-−–()\[\]{}\\%]*?(?<![\d.,$]) ?)"
_TRAIL = rf"(?P<shown>{_N})?(?![\d/,%])[^=<>]*"
_PLAIN = r"\d+(?:\.\d+)?"
_PAIR = re.compile(
    rf"{_LEAD}(?P<said>\$?(?P<left>{_N}){_UNIT} ?(?P<op>[-+*/x×]) ?\$?(?P<right>{_N}){_UNIT}) ?(?P<equals>= ?)\$?"
    rf"<<(?P<first>{_PLAIN})(?P<sign>[-+*/])(?P<second>{_PLAIN})=(?P<value>{_PLAIN})>>{_TRAIL}",
    re.ASCII,
)
_SIMPLE = re.compile(  # Not from the x of a product on: each of its numbers would be a start, and the work quadratic.
    rf"{_LEAD}(?<![^A-Za-z]x)(?<![^A-Za-z]x )"
    rf"(?P<said>\$?{_N}{_UNIT}(?: ?[-+*/x×] ?\$?{_N}{_UNIT})+) ?(?P<equals>= ?)\$?"
    rf"<<(?P<noted>{_PLAIN}(?:[-+*/]{_PLAIN})+)=(?P<value>{_PLAIN})>>{_TRAIL}",
    re.ASCII,
)
_TREES = {op: BinOp(op, "0", "1") for op in "+-*/"}
_CONTINUES = re.compile(r"plus|minus|times|equals|divided|multiplied|\b[xX]\b|\d[xX]\b|\d\s*of\b|\d \d")
_PARTS = re.compile(r"[ /][A-Za-z]{2,}|[ /][A-WYZa-wyz]\b|(\d[\d,]*(?:\.\d+)?|[-+*/x×])", re.ASCII)


def _simple_line(text: str, start: int, end: int) -> Equation | None:
    """The equation of a line that has one annotation, which says again what stands before it; None for other lines.

    Most lines are such, and this reads them several times as fast as the rest of this module, which says the same.
    """
    match = _PAIR.fullmatch(text, start, end)
    if match:
        return _simple_pair(text, start, end, match)
    match = _SIMPLE.fullmatch(text, start, end)
    if not match or not _simple_rest(text, start, end, match):
        return None
    noted = match["noted"]
    parts = [part for part in _PARTS.finditer(text, *match.span("said")) if part[1]]
    if "".join([part[1] for part in parts]).replace(",", "").replace("x", "*").replace("×", "*") != noted:
        return None
    note = match.start("noted")
    tokens: list[Token] = []
    for part in parts:
        piece = part[1].replace(",", "")
        number = parse_number(piece) if piece[0] in "0123456789" else None
        kind, width = ("*" if piece in "x×" else piece) if number is None else "n", len(piece)
        tokens.append(Token(kind, note, note + width, number or 0))
        note += width
    expression = read_expression(tokens)
    result = parse_number(match["value"])
    if not expression or result is None or expression.value != result:
        return None
    operands = expression.operands
    mirror = [Token("n", *part.span(1), o.value) for part, o in zip(parts[::2], operands, strict=True)]
    return _simple_equation(match, expression.tree, operands, result, match.start("noted"), tuple(mirror))


def _simple_rest(text: str, start: int, end: int, match: re.Match[str]) -> bool:
    """Whether the rest of a simple line changes nothing: the number shown is the one annotated, no operator in words
    stands before the expression and no second equation after it."""
    value, shown = match.group("value", "shown")
    return not (
        (shown and shown != value and shown.replace(",", "") != value)
        or _CONTINUES.search(text, start, match.end("before"))
        or text.find("equals", match.end("value"), end) >= 0
    )


def _simple_pair(text: str, start: int, end: int, match: re.Match[str]) -> Equation | None:
    """`_simple_line` of two numbers, the commonest of all."""
    left, op, right, first, sign, second, stated = match.group(
        "left", "op", "right", "first", "sign", "second", "value"
    )
    if op != sign and (sign != "*" or op not in "x×"):
        return None
    if (left != first and left.replace(",", "") != first) or (right != second and right.replace(",", "") != second):
        return None
    if not _simple_rest(text, start, end, match):
        return None
    one, two, result = parse_number(first), parse_number(second), parse_number(stated)
    if one is None or two is None or result is None or (sign == "/" and not two):
        return None
    if apply(sign, one, two, None) != result:
        return None
    operands = (
        _new(Token, ("n", *match.span("first"), one, False)),
        _new(Token, ("n", *match.span("second"), two, False)),
    )
    mirror = (
        _new(Token, ("n", *match.span("left"), one, False)),
        _new(Token, ("n", *match.span("right"), two, False)),
    )
    return _simple_equation(match, _TREES[sign], operands, result, operands[0].start, mirror)


def _simple_equation(
    match: re.Match[str], tree: Expr, operands: tuple[Token, ...], result: Number, note: int, mirror: tuple[Token, ...]
) -> Equation:
    low, high = match.span("value")
    stated = _new(Token, ("n", low, high, result, False))
    values = tuple([operand[3] for operand in operands])
    span, start, gap = (note - 2, high + 2), match.start("said"), match.end("equals")
    return _new(Equation, (tree, operands, stated, values, result, start, gap, span, mirror, None))


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
            if after.start > tokens[place].end + 1 or after.kind not in ("(" if kind == "n" else "(n"):
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
    begin, first = read[0]
    held = _holds([side for _, side in read], value)
    false = held == "wrong_arithmetic" and len(sides) == 1 and _one_unit(text, tokens, begin, min(end + 1, stop))
    if isinstance(held, str) and not false and not _plain(tokens[begin:end]):
        yield tokens[equals]
        return
    start, gap = _prose_span(text, tokens, begin, equals)
    if isinstance(held, str):
        yield _false(value, start, gap, None, held)
    else:
        yield Equation(first.tree, first.operands, value, *held, start, gap, None, first.operands, None)


def _annotation(
    text: str, tokens: list[Token], place: int, sides: list[tuple[int, int]], equals: int
) -> Iterator[Equation]:
    """The equation of the annotation at `place`, after the sides of prose that lead to it; none for ``<<5=5>>``."""
    note = tokens[place]
    span = (note.start, note.end)
    inner = tokenize(text, note.start + 2, note.end - 2)
    cuts = [i for i, token in enumerate(inner) if token.kind == "="]
    value, end = _leading_value(inner, cuts[-1] + 1, len(inner)) if cuts else (None, 0)
    noted = [read_expression(inner[a:b]) for a, b in zip([0, *(i + 1 for i in cuts)], cuts, strict=False)]
    first = noted[0] if noted else None
    if not value or end < len(inner) or not first or None in noted or any(t.kind == "w" for t in inner):
        yield _false(note, -1, -1, span, "unreadable_annotation")
        return
    prose = _operations(tokens, sides)
    begin = prose[0][0] if prose else -1
    start, gap = _prose_span(text, tokens, begin, equals)
    held = _holds([side for side in noted if side], value)
    if isinstance(held, str):
        yield _false(value, start, gap, span, held)
        return
    told = [_holds([side], value) for _, side in prose]
    false = any(isinstance(t, str) for t in told) and _plain(tokens[begin:place])
    if false or _shows_another(tokens, place, value):
        yield _false(value, start, gap, span, "wrong_arithmetic")
        return
    mirror: tuple[Token, ...] = ()
    if prose and not isinstance(told[0], str):
        said = prose[0][1]
        if not isinstance(first.tree, BinOp):  # 12 inches / 12 inches = <<1=1>>1
            first, held = said, told[0]
        if told[0] == held and same(first.tree, said.tree):
            mirror = said.operands
    if isinstance(first.tree, BinOp):
        yield Equation(first.tree, first.operands, value, *held, start, gap, span, mirror, None)


def _shows_another(tokens: list[Token], place: int, value: Token) -> bool:
    """Whether the number that directly follows the annotation at `place` is not the one that it states."""
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    if not after or after.kind != "n" or after.start != tokens[place].end or after.value == value.value:
        return False
    return place + 2 == len(tokens) or tokens[place + 2].kind != "/"


def _false(value: Token, start: int, gap: int, span: tuple[int, int] | None, fault: str) -> Equation:
    return Equation("0", (), value, (), 0, start, gap, span, (), fault)


def _plain(tokens: list[Token]) -> bool:
    """Whether nothing but arithmetic stands in the tokens: no words, and no blank where a product would be meant."""
    return all(t.kind != "w" for t in tokens) and not any(
        a.kind in "n)" and b.kind in "n(" and a.kind + b.kind != "nn" and a.end < b.start
        for a, b in itertools.pairwise(tokens)
    )


def _one_unit(text: str, tokens: list[Token], begin: int, end: int) -> bool:
    """Whether all words in ``tokens[begin:end]`` are one unit after numbers, the result's too, which the last token
    follows: ``3 eggs + 4 eggs = 8 eggs``. With several, a number may count something else (``2 weeks + 3 days = 17
    days``), and so it may after another number or an ``of`` (``6 boxes of 3 eggs + 2 eggs = 20 eggs``)."""
    said = tokens[begin:end]
    units = [
        [word.strip(",'").lower().removesuffix("s") for word in text[token.start : token.end].split()]
        for token in said
        if token.kind == "w"
    ]
    if len(units) < 2 or said[-1].kind != "w":
        return False
    unit, after = units[0], units.pop()
    return (
        len(unit) <= MAX_UNIT_WORDS
        and all(word.isalpha() and len(word) > 1 for word in unit)  # A single letter is an unknown.
        and all(other == unit for other in units)
        and after[: len(unit)] == unit
        and all(a.kind == "n" for a, b in itertools.pairwise(said) if b.kind == "w")
        and all(token.kind in "wa." for token in tokens[max(begin - 2, 0) : begin])
        and not text.endswith(("of ", "of"), 0, said[0].start)
    )


def _operations(tokens: list[Token], sides: list[tuple[int, int]]) -> list[tuple[int, Expression]]:
    """(first token, expression) of the sides that have an operator."""
    read = [(begin, read_expression(tokens[begin:end])) for begin, end in sides]
    return [(begin, side) for begin, side in read if side and isinstance(side.tree, BinOp)]


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


def _holds(sides: Sequence[Expression], value: Token) -> tuple[tuple[Number, ...], Number] | str:
    """What the operands of the first side and the value count as where all sides equal it; else the fault.

    Per cent is a share of 100, or a unit like any other, whichever makes the equation true.
    """
    result = _share(value)
    if all(side.value == result for side in sides):
        return tuple([_share(o) for o in sides[0].operands]), result
    if any(side.value is None for side in sides):
        return "division_by_zero"
    if value.percent or any(o.percent for side in sides for o in side.operands):
        found = [evaluate(s.tree, {str(i): o.value for i, o in enumerate(s.operands)}, None) for s in sides]
        if all(number == value.value for number in found):
            return tuple([o.value for o in sides[0].operands]), value.value
    rounded = all(side.value == result or _rounds_to(side.value or 0, result) for side in sides)
    return "rounded" if rounded else "wrong_arithmetic"


def _share(operand: Token) -> Number:
    return Fraction(operand.value) / 100 if operand.percent else operand.value


def _rounds_to(exact: Number, stated: Number) -> bool:
    """Whether a stated number is an exact one cut off or rounded to as many places as the stated one has."""
    places = 0
    value = Fraction(stated)
    while value.denominator != 1 and places < MAX_DIGITS:
        value *= 10
        places += 1
    return Fraction(exact).denominator != 1 and abs(Fraction(exact) - Fraction(stated)) < Fraction(1, 10**places)
