"""Equations in prose as people and models write them, exact over the rationals.

    She paid 3 x $4.50 = $<<3*4.5=13.5>>13.50 for 20% of the eggs.

Two notations are read. An **annotation** ``<<expression=value>>`` is the record of a calculator and must hold. An
**equation** of the prose stands around ``=``. Before the ``=`` is the longest run of numbers with operators between
them, where unit words are ignored (``3 hours + 2 hours``). After it is a number, or more sides of a chain.

Each token is read a bounded number of times, no code is executed, and no number of more than `tokens.MAX_DIGITS`
characters is converted. An equation with such a number does not hold, and neither does one with a number that cannot be
read whole or with nothing after its ``=``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from ..core.arithmetic import BinOp, same
from .equations import AnyEquation, CheckedEquation, Equation, FalseEquation, Span, UnreadEquals, check
from .expressions import Expression, read_expression
from .measures import has_unknown, may_be_measured, misses_scale
from .notation import fold
from .powers import (
    has_unread,
    is_plain,
    is_root,
    judge_prose,
    judge_unread,
    result_end,
    shows_another,
    skip_currency,
    skip_sign,
)
from .results import read_leading_number
from .simple_lines import read_simple_line
from .tokens import Token, tokenize

_MAX_INDENT = 20
_REMAINDER = re.compile(
    r"[\s,]*(?:\\,|\\;|\\quad)?\s*(?:\\text\s*\{\s*)?(?:with )?(?:a )?(?:[Rr]emainder|[Rr]\b\.?|R(?=\d))(?: of)?"
    r"\s*\}?\s*(\d{1,50})(?![\d/]|[.,]\d)",
    re.ASCII,
)
MAX_UNIT_WORDS = 3
"""Words that a unit in an equation may have."""


def find_equations(text: str) -> Iterator[AnyEquation]:
    """The annotations of a text and the equations of its prose, in the order of the text.

    `UnreadEquals` stands for what looks like an equation and cannot be read: it has letters, or it has words between
    its numbers that are not one unit and does not hold.
    """
    folded = fold(text)
    line_start = 0
    while line_start < len(text):
        line_end = text.find("\n", line_start)
        line_end = len(text) if line_end < 0 else line_end
        noted = text.find("<<", line_start, line_end) >= 0
        if noted or text.find("=", line_start, line_end) >= 0 or text.find("equals", line_start, line_end) >= 0:
            simple = read_simple_line(folded, line_start, line_end) if noted else None
            if simple:
                yield simple
            else:
                yield from read_line(text, tokenize(text, line_start, line_end))
        line_start = line_end + 1


def read_line(text: str, tokens: list[Token]) -> Iterator[AnyEquation]:
    """The equations of one line of the text, of which `tokens` are the tokens."""
    low = 0
    sides: list[Span] = []  # The sides of the current chain, each as a range of tokens.
    equals: int | None = None  # The index of the last `=` of the current chain.
    for index, token in enumerate(tokens):
        kind = token.kind
        if kind == "=":
            side, is_cut = _find_suffix(text, tokens, low, index)
            if is_cut:
                side = None
            is_whole = side is not None and all(t.kind == "$" for t in tokens[low:side])
            if equals is not None and not is_whole:
                # Not a chain: the equation of the earlier `=` ends at a number, or cannot be read.
                yield from _finish_chain(text, tokens, sides, equals, index)
                sides = []
            if side is not None:
                sides.append((side, index))
            equals, low = index, index + 1
        elif kind == "a":
            if equals is not None and any(t.kind != "$" for t in tokens[equals + 1 : index]):
                yield from _finish_chain(text, tokens, sides, equals, index)
                sides, equals = [], None
            yield from _read_annotation(text, tokens, index, sides)
            sides, equals, low = [], None, index + 1
        elif kind == ".":
            if equals is not None:
                yield from _finish_chain(text, tokens, sides, equals, index)
            sides, equals, low = [], None, index + 1
    if equals is not None:
        yield from _finish_chain(text, tokens, sides, equals, len(tokens))


def _find_suffix(text: str, tokens: list[Token], low: int, stop: int) -> tuple[int | None, bool]:
    """The first token of the longest expression in ``tokens[low:stop]`` that ends before `stop`, or None; and whether
    it is cut: the operator before it has no number to its left, so the text means more than this expression."""
    best, depth, expect_operand, index, operator = None, 0, True, stop, stop
    while index > low:
        index -= 1
        kind = tokens[index].kind
        if kind == "w" or kind == "$":
            continue
        if not expect_operand and kind in "n?!)":
            after = tokens[index + 1]
            is_factor = after.kind in ("(n" if kind == ")" else "(") or (after.kind == "?" and after.value)
            if after.start > tokens[index].end + 1 or not is_factor:
                break
            expect_operand = True
        if expect_operand and kind == "(" and tokens[index + 1].kind == "-":
            expect_operand = False  # (-3)
        if expect_operand:
            if kind == ")":
                depth += 1
            elif kind in "n?!":
                expect_operand = False
                if not depth:
                    best = index
            elif kind == "^" or (kind in "+-*/" and skip_currency(tokens, index + 1) == operator < stop):
                operator = index
            else:
                break
        elif kind == "(":
            if not depth:
                break
            depth -= 1
            if not depth:
                best = index
        elif kind in "+-*/" or (kind == "^" and tokens[index + 1].kind != "w"):  # 5³ miles, since 29/6 = 4
            expect_operand, operator = True, index
        else:
            break
    if best is None or not expect_operand:
        return best, False
    sign = tokens[best - 1]
    if (sign.kind == "-" and tokens[best].kind == "n" and sign.end == tokens[best].start) or is_root(text, sign):
        return best - 1, False
    if operator == stop:
        return best, True  # A factor that cannot be read: ()3
    words = tokens[operator + 1]
    written = text[words.start : words.end].strip()
    is_bullet = words.kind == "w" and (len(written) > 1 or not written.isalpha())  # * So 4 + 3 = 7
    return best, not is_bullet and not _is_list_mark(text, tokens[operator])


def _is_list_mark(text: str, token: Token) -> bool:
    """Whether an operator is the mark of an item of a list: it begins its line, and a blank follows."""
    _, line, indent = text[max(0, token.start - _MAX_INDENT) : token.start].rpartition("\n")
    is_first = not indent.strip() and (bool(line) or token.start <= _MAX_INDENT)
    return is_first and text[token.end : token.end + 1].isspace()


def _finish_chain(text: str, tokens: list[Token], sides: list[Span], equals: int, stop: int) -> Iterator[AnyEquation]:
    """The equation of a chain of sides. Its result is read after the last `=`, before the token `stop`."""
    expressions = [read_expression(tokens[begin:end]) for begin, end in sides]
    if len(sides) > 1 and None not in expressions and (fault := _find_false_start(text, tokens, sides, expressions)):
        yield fault
        return
    if sides and (None in expressions or has_unread(tokens[equals + 1 : result_end(text, tokens, equals + 1, stop)])):
        yield judge_unread(text, tokens, sides, equals, stop)
        return
    stated, end = read_leading_number(tokens, equals + 1, stop)
    if sides and not stated and (fault := _find_fault(text, tokens, sides, equals, stop)):
        yield fault
        return
    if not stated and len(sides) > 1 and sides[-1][1] - sides[-1][0] == 1:  # 250(2/5) = 100 = x
        end = sides[-1][1]
        equals, stated = sides[-2][1], tokens[sides[-1][0]]
        sides = sides[:-1]
        expressions.pop()
    if len(sides) > 1 and stated and (fault := _find_false_end(text, tokens, sides, end, stated)):
        yield fault
        return
    operations = _find_operations(sides, expressions)
    if not stated or not operations:
        if operations or not sides:
            yield UnreadEquals(tokens[equals].start)
        return
    begin, first = operations[0]
    held = check([side for _, side in operations], stated)
    prose = _prose_span(text, tokens, begin, equals)
    after = tokens[end] if end < stop else None
    is_measured = may_be_measured(text, tokens[begin].start, after.end if after else stated.end)
    if is_measured and has_unknown(text, tokens[begin:end], after):
        yield UnreadEquals(tokens[equals].start)
        return
    remainder = _REMAINDER.match(text, stated.end) if held == "rounded" else None
    if remainder and first.tree == BinOp("/", "0", "1"):
        over, under = first.operands
        holds = over.value == under.value * stated.value + int(remainder[1]) and int(remainder[1]) < under.value
        span = prose[0], remainder.end()
        yield (
            CheckedEquation(span, stated, (over.value, under.value), 1)
            if holds
            else FalseEquation("wrong_arithmetic", span, stated.value)
        )
        return
    if not isinstance(held, str):
        if is_measured and misses_scale(text, tokens[begin:end], after, [side for _, side in operations], stated):
            yield FalseEquation("wrong_arithmetic", (prose[0], stated.end), stated.value)
        else:
            yield Equation(first.tree, first.operands, stated, *held, prose, None, first.operands)
        return
    may_be_false = held == "wrong_arithmetic" and len(sides) == 1
    if (may_be_false and _has_one_unit(text, tokens, begin, min(end + 1, stop))) or is_plain(tokens[begin:end]):
        yield FalseEquation(held, (prose[0], stated.end), stated.value)
    else:
        yield UnreadEquals(tokens[equals].start)


def _find_false_start(
    text: str, tokens: list[Token], sides: list[Span], expressions: list[Expression | None]
) -> FalseEquation | None:
    """What is wrong with a chain up to its first side that is one number: ``52 + 6 = 42 = 58``."""
    for index, side in enumerate(expressions):
        if index and side and not isinstance(side.tree, BinOp):
            break
    else:
        return None
    begin, end = sides[0][0], skip_sign(tokens, *sides[index]) + 1
    unit = tokens[end]
    earlier = [side for side in expressions[:index] if side]
    is_sure = is_plain(tokens[begin:end]) and not (unit.end - unit.start == 1 and text[unit.start].isalpha())
    if not is_sure or not isinstance(earlier[0].tree, BinOp):
        return None
    start, stated = tokens[begin].start, side.operands[0]
    held = check(earlier, stated)
    if not isinstance(held, str) or may_be_measured(text, start, unit.end):
        return None
    return FalseEquation(held, (start, stated.end), stated.value)


def _find_false_end(text: str, tokens: list[Token], sides: list[Span], end: int, stated: Token) -> FalseEquation | None:
    """What is wrong with the end of a chain, its last side and the result before ``tokens[end]``: ``7 = 8 = 9``."""
    begin, side = sides[-1][0], read_expression(tokens[slice(*sides[-1])])
    if not side or not is_plain(tokens[begin:end]):
        return None
    is_share = not isinstance(side.tree, BinOp) and (side.operands[0].percent or stated.percent)  # 300 = 100%
    start, held = tokens[begin].start, check([side], stated)
    if not isinstance(held, str) or is_share or may_be_measured(text, start, tokens[end - 1].end + 2):
        return None
    return FalseEquation(held, (start, stated.end), stated.value)


def _find_fault(text: str, tokens: list[Token], sides: list[Span], equals: int, stop: int) -> FalseEquation | None:
    """What is wrong with a chain of plain arithmetic that does not end in a number: it has no result after its last
    ``=``, or an expression with another value."""
    begin, low, first = sides[0][0], equals + 1, skip_sign(tokens, equals + 1, stop)
    start = tokens[begin].start
    has_only_numbers = is_plain(tokens[begin:equals])
    is_open = first >= stop and (stop == len(tokens) or tokens[stop].kind == ".")
    if not any(token.kind in "+-*/" for token in tokens[begin + 1 : equals]) or not (has_only_numbers or is_open):
        return None
    values = [side.value for side in (read_expression(tokens[a:b]) for a, b in sides) if side]
    has_value = len(sides) > 1 and sides[-1][1] - sides[-1][0] == 1  # 5 + 3 = 8 = the sum
    if not has_value and _has_no_result(text, tokens, first, stop):
        if any(token.kind == "n" and token.value in values for token in tokens[first:stop]):
            is_false = has_only_numbers and len(set(values)) > 1 and not any(t.percent for t in tokens[begin:equals])
            # 30 / 2 = size 15 may hold, 30 / 2 = 1/2 = size 15 does not.
            return FalseEquation("wrong_arithmetic", (start, tokens[equals].end), None) if is_false else None
        return FalseEquation("no_result", (start, tokens[equals].end), None)
    end = result_end(text, tokens, low, stop)
    percent = max((index for index in range(begin, end) if tokens[index].percent), default=-1)
    judged_sides = [side for side in sides if side[0] > percent]
    if end == low or percent >= low or not judged_sides:
        return None
    judged = judge_unread(text, tokens, judged_sides, equals, stop)
    return judged if isinstance(judged, FalseEquation) else None


def _has_no_result(text: str, tokens: list[Token], first: int, stop: int) -> bool:
    """Whether nothing that could be a value stands at ``tokens[first]``: the end, dots, or words. A single letter is an
    unknown, a command of LaTeX may write anything, and an annotation behind the words has its own result."""
    if first >= stop:
        return True
    if tokens[first].kind != "w" or (stop < len(tokens) and tokens[stop].kind == "a"):
        return False
    words = text[tokens[first].start : tokens[first].end]
    return len(words) > 1 and words[:2].isalpha() if words[0].isalpha() else "\\" not in words


def _read_annotation(
    text: str, tokens: list[Token], index: int, sides: list[Span]
) -> Iterator[Equation | FalseEquation]:
    """The equation of the annotation ``tokens[index]``, after the sides of prose that lead to it.

    An annotation without an operation (``<<5=5>>``) gives nothing, unless the prose has the operation.
    """
    note = tokens[index]
    span = (note.start, note.end)
    inner = tokenize(text, note.start + 2, note.end - 2)
    cuts = [i for i, token in enumerate(inner) if token.kind == "="]
    stated, end = read_leading_number(inner, cuts[-1] + 1, len(inner)) if cuts else (None, 0)
    noted = [read_expression(inner[a:b]) for a, b in zip([0, *(i + 1 for i in cuts)], cuts, strict=False)]
    first = noted[0] if noted else None
    if not stated or end < len(inner) or not first or None in noted or any(t.kind == "w" for t in inner):
        yield FalseEquation("unreadable_annotation", span, None)
        return
    held = check([side for side in noted if side], stated)
    if isinstance(held, str):
        yield FalseEquation(held, span, stated.value)
        return
    expressions = [read_expression(tokens[a:b]) for a, b in sides]
    if None in expressions and (fault := judge_prose(text, tokens, sides, index, stated)):
        yield FalseEquation(fault, span, stated.value)
        return
    operations = _find_operations(sides, expressions)
    in_prose = [check([side], stated) for _, side in operations]
    is_false = any(isinstance(one, str) for one in in_prose) and (
        any(
            isinstance(one, str) and is_plain(tokens[a:index]) for one, (a, _) in zip(in_prose, operations, strict=True)
        )
        or _contradicts(operations[0][1], first)
        or _has_one_unit(text, tokens, operations[0][0], min(index + 3, len(tokens)))
    )
    is_false = is_false or (len(sides) > 1 and _find_false_end(text, tokens, sides, index, stated) is not None)
    if is_false:
        start = tokens[operations[0][0]].start if operations else note.start
        yield FalseEquation("annotation_differs", (start, note.end), stated.value)
        return
    if shows_another(text, tokens, index, stated):
        yield FalseEquation("wrong_arithmetic", span, stated.value)
        return
    prose = _prose_span(text, tokens, operations[0][0], sides[-1][1]) if operations else None
    prose_operands = None
    if operations and not isinstance(in_prose[0], str):
        expression = operations[0][1]
        if not isinstance(first.tree, BinOp):  # 12 inches / 12 inches = <<1=1>>1
            first, held = expression, in_prose[0]
        if in_prose[0] == held and same(first.tree, expression.tree):
            prose_operands = expression.operands
    if isinstance(first.tree, BinOp):
        yield Equation(first.tree, first.operands, stated, *held, prose, span, prose_operands)


def _contradicts(written: Expression, noted: Expression) -> bool:
    """Whether prose and annotation have the same numbers and other operators: ``4 cats + 5 dogs = <<4*5=20>>``."""
    has_same_numbers = [o.value for o in written.operands] == [o.value for o in noted.operands]
    return has_same_numbers and not same(written.tree, noted.tree)


def _has_one_unit(text: str, tokens: list[Token], begin: int, end: int) -> bool:
    """Whether all words in ``tokens[begin:end]`` are one unit after numbers; the last token is the result's unit.

    ``3 eggs + 4 eggs = 8 eggs`` has one. With several units a number may count something else (``2 weeks + 3 days = 17
    days``), and so may a number after another number or after ``of`` (``6 boxes of 3 eggs + 2 eggs = 20 eggs``).
    """
    equation = tokens[begin:end]
    units = [
        [word.strip(",'").lower().removesuffix("s") for word in text[token.start : token.end].split()]
        for token in equation
        if token.kind == "w"
    ]
    if len(units) < 2 or equation[-1].kind != "w":
        return False
    unit, after = units[0], units.pop()
    return (
        len(unit) <= MAX_UNIT_WORDS
        and all(word.isalpha() and len(word) > 1 for word in unit)  # A single letter is an unknown.
        and all(other == unit for other in units)
        and after[: len(unit)] == unit
        and all(a.kind == "n" for a, b in itertools.pairwise(equation) if b.kind == "w")
        and (
            all(token.kind in "wa." for token in tokens[max(begin - 2, 0) : begin])
            or "".join(token.kind for token in tokens[max(begin - 3, 0) : begin]) in (")", "n)")  # 1) 3 eggs + 4 eggs
        )
        and not text.endswith(("of ", "of"), 0, equation[0].start)
    )


def _find_operations(sides: list[Span], expressions: list[Expression | None]) -> list[tuple[int, Expression]]:
    """Index of the first token, and expression, of each side that has an operator."""
    return [
        (begin, side)
        for (begin, _), side in zip(sides, expressions, strict=True)
        if side and isinstance(side.tree, BinOp)
    ]


def _prose_span(text: str, tokens: list[Token], begin: int, equals: int) -> Span:
    """From the start of a chain, with its currency sign, to the text after its last `=`, with the blanks skipped."""
    start = tokens[begin - 1 if begin and tokens[begin - 1].kind == "$" else begin].start
    end = tokens[equals].end
    while text[end : end + 1] in (" ", "\u00a0"):
        end += 1
    return start, end
