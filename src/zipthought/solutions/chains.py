"""Chains of equations, ``3 + 4 = 7 = 14 / 2``: which of them hold, and what is wrong with the others."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from ..core.arithmetic import BinOp, count_operations
from .equations import AnyEquation, CheckedEquation, Equation, FalseEquation, Span, UnreadEquals, check
from .expressions import Expression, as_share, read_expression
from .measures import has_unknown, may_be_measured, misses_scale
from .powers import has_unread, is_plain, judge_unread, result_end, skip_sign
from .results import read_leading_number
from .tokens import Token
from .units import judge_units

_REMAINDER = re.compile(
    r"[\s,]*(?:\\,|\\;|\\quad)?\s*(?:\\text\s*\{\s*)?(?:with )?(?:a )?(?:[Rr]emainder|[Rr]\b\.?|R(?=\d))(?: of)?"
    r"\s*\}?\s*(\d{1,50})(?![\d/]|[.,]\d)",
    re.ASCII,
)
MAX_UNIT_WORDS = 3
"""Words that a unit in an equation may have."""


def finish_chain(text: str, tokens: list[Token], sides: list[Span], equals: int, stop: int) -> Iterator[AnyEquation]:
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
    if len(sides) > 1 and stated and (fault := find_false_end(text, tokens, sides, end, stated)):
        yield fault
        return
    operations = find_operations(sides, expressions)
    if not stated or not operations:
        if operations or not sides:
            yield UnreadEquals(tokens[equals].start)
        elif stated:
            yield from _compare_numbers(text, tokens, sides, equals, end, stop)
        return
    begin, first = operations[0]
    held = check([side for _, side in operations], stated)
    prose = prose_span(text, tokens, begin, equals)
    after = tokens[end] if end < stop else None
    is_measured = may_be_measured(text, tokens[begin].start, after.end if after else stated.end)
    if is_measured and has_unknown(text, tokens[begin:end], after):
        yield UnreadEquals(tokens[equals].start)
        return
    if held == "rounded" and (divided := _with_remainder(text, first, stated, prose[0])):
        yield divided
        return
    if not isinstance(held, str):
        if is_measured and misses_scale(text, tokens[begin:end], after, [side for _, side in operations], stated):
            yield FalseEquation("wrong_arithmetic", (prose[0], stated.end), stated.value)
        else:
            yield Equation(first.tree, first.operands, stated, *held, prose, None, first.operands)
        return
    may_be_false = held == "wrong_arithmetic" and len(sides) == 1
    if (may_be_false and has_one_unit(text, tokens, begin, min(end + 1, stop))) or is_plain(tokens[begin:end]):
        yield FalseEquation(held, (prose[0], stated.end), stated.value)
        return
    is_single = len(sides) == 1 and held != "division_by_zero"
    low = begin - 1 if begin and tokens[begin - 1].kind == "$" else begin
    by_units = judge_units(text, tokens[low:end], after, first, stated) if is_single else None
    yield _by_units(by_units, held, (prose[0], stated.end), first, stated) or UnreadEquals(tokens[equals].start)


def _with_remainder(text: str, side: Expression, stated: Token, start: int) -> CheckedEquation | FalseEquation | None:
    """A division with a remainder (``47 ÷ 9 = 5 remainder 2``), which must hold as one; None if it is none."""
    remainder = _REMAINDER.match(text, stated.end)
    if not remainder or side.tree != BinOp("/", "0", "1"):
        return None
    over, under = (operand.value for operand in side.operands)
    span = start, remainder.end()
    if over == under * stated.value + int(remainder[1]) and int(remainder[1]) < under:
        return CheckedEquation(span, stated, (over, under), 1)
    return FalseEquation("wrong_arithmetic", span, stated.value)


def _by_units(
    holds: bool | None, fault: str, span: Span, side: Expression, stated: Token
) -> CheckedEquation | FalseEquation | None:
    """What an equation is that holds by conversion of its units, or does not; None if that is not known."""
    if holds is None:
        return None
    values = tuple(operand.value for operand in side.operands)
    if holds:
        return CheckedEquation(span, stated, values, count_operations(side.tree))
    return FalseEquation(fault, span, stated.value)


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


def find_false_end(text: str, tokens: list[Token], sides: list[Span], end: int, stated: Token) -> FalseEquation | None:
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
    words = text[tokens[first].start : tokens[first].end].lstrip("-−– ")
    if not words:
        return True
    return len(words) > 1 and words[:2].isalpha() if words[0].isalpha() else "\\" not in words


def _compare_numbers(
    text: str, tokens: list[Token], sides: list[Span], equals: int, end: int, stop: int
) -> Iterator[CheckedEquation | FalseEquation | UnreadEquals]:
    """What two numbers are that are said to be equal, the second before ``tokens[end]``: a conversion (``48 quarts = 12
    gallons``), false (``$180 = $330``), or unread. Nothing if they are the same."""
    begin, side = sides[-1][0], read_expression(tokens[slice(*sides[-1])])
    stated, _ = read_leading_number(tokens, equals + 1, stop)
    if not side or not stated:
        return
    if as_share(side.operands[0]) == as_share(stated) or side.operands[0].value == stated.value:
        return
    span = (tokens[begin].start, stated.end)
    if judge_units(text, tokens[begin:end], tokens[end] if end < stop else None, side, stated):
        yield CheckedEquation(span, stated, (side.operands[0].value,), 1)
    elif begin and "".join(token.kind for token in tokens[begin - 1 : equals + 3]) == "$n=$n":
        yield FalseEquation("wrong_arithmetic", (tokens[begin - 1].start, stated.end), stated.value)
    else:
        yield UnreadEquals(tokens[equals].start)


def has_one_unit(text: str, tokens: list[Token], begin: int, end: int) -> bool:
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


def find_operations(sides: list[Span], expressions: list[Expression | None]) -> list[tuple[int, Expression]]:
    """Index of the first token, and expression, of each side that has an operator."""
    return [
        (begin, side)
        for (begin, _), side in zip(sides, expressions, strict=True)
        if side and isinstance(side.tree, BinOp)
    ]


def prose_span(text: str, tokens: list[Token], begin: int, equals: int) -> Span:
    """From the start of a chain, with its currency sign, to the text after its last `=`, with the blanks skipped."""
    start = tokens[begin - 1 if begin and tokens[begin - 1].kind == "$" else begin].start
    end = tokens[equals].end
    while text[end : end + 1] in (" ", "\u00a0"):
        end += 1
    return start, end
