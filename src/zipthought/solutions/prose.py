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

import re
from collections.abc import Iterator

from ..core.arithmetic import BinOp, same
from .chains import find_false_end, find_operations, finish_chain, has_one_unit, prose_span
from .equations import AnyEquation, CheckedEquation, Equation, FalseEquation, Span, check
from .expressions import Expression, read_expression
from .notation import fold
from .powers import (
    evaluate,
    is_plain,
    is_root,
    judge_prose,
    shows_another,
    skip_currency,
)
from .results import read_leading_number
from .simple_lines import read_simple_line
from .tokens import Token, tokenize

_MAX_INDENT = 20
_CLAUSE = re.compile(
    r"[,;:][ \t]*[^\W\d_]|\b(?:and|but|or|so|then|thus|hence|therefore|because|since|if|when|where|which|that|is|are"
    r"|was|were|be|gives?|means?|makes?|we|he|she|they|it)\b",
    re.IGNORECASE,
)
"""Words before a number that begin a clause: an operator before them has another operand (``16 + x, so 51 - 40``)."""
_OPERAND = re.compile(r"[,;:][ \t]*[^\W\d_]|[^\W\d_] +[b-fi-kn-rt-z][ \t]*$")
"""Words before an operator that are its operand, or end in it: ``= 21, and x + 2 = 4``."""
_CONCLUDES = re.compile(r"\b(?:so|then|thus|hence|therefore)\b|[,;][ \t]*(?:or|and)\b", re.IGNORECASE)
"""Words between a number and an ``=`` that end what is before them: ``20, so x = 9 + y``."""
_GOES_ON = re.compile(r"\n[ \t]*=(?![=>])")


def find_equations(text: str) -> Iterator[AnyEquation]:
    """The annotations of a text and the equations of its prose, in the order of the text.

    `UnreadEquals` stands for what looks like an equation and cannot be read: it has letters, or it has words between
    its numbers that are not one unit and does not hold.
    """
    folded = fold(text)
    line_start = 0
    while line_start < len(text):
        line_end = _line_end(text, line_start)
        noted = text.find("<<", line_start, line_end) >= 0
        if noted or text.find("=", line_start, line_end) >= 0 or text.find("equals", line_start, line_end) >= 0:
            simple = read_simple_line(folded, line_start, line_end) if noted else None
            if simple:
                yield simple
            else:
                yield from read_line(text, tokenize(text, line_start, line_end))
        line_start = line_end + 1


def _line_end(text: str, start: int) -> int:
    """The end of the line from `start` on. A line that begins with ``=`` goes on with the one before."""
    end = start - 1
    while True:
        end = text.find("\n", end + 1)
        if end < 0:
            return len(text)
        if not _GOES_ON.match(text, end):
            return end


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
                yield from finish_chain(text, tokens, sides, equals, index)
                sides = []
            if side is not None:
                sides.append((side, index))
            equals, low = index, index + 1
        elif kind == "a":
            if equals is not None and any(t.kind != "$" for t in tokens[equals + 1 : index]):
                yield from finish_chain(text, tokens, sides, equals, index)
                sides, equals = [], None
            yield from _read_annotation(text, tokens, index, sides)
            sides, equals, low = [], None, index + 1
        elif kind == ".":
            if equals is not None:
                yield from finish_chain(text, tokens, sides, equals, index)
            sides, equals, low = [], None, index + 1
    if equals is not None:
        yield from finish_chain(text, tokens, sides, equals, len(tokens))


def _find_suffix(text: str, tokens: list[Token], low: int, stop: int) -> tuple[int | None, bool]:
    """The first token of the longest expression in ``tokens[low:stop]`` that ends before `stop`, or None; and whether
    it is cut: the operator before it has no number to its left, so the text means more than this expression."""
    best, depth, expect_operand, index, operator = None, 0, True, stop, stop
    while index > low:
        index -= 1
        kind = tokens[index].kind
        clause = _OPERAND if expect_operand else _CLAUSE
        if kind == "w" and best is not None and clause.search(text, tokens[index].start, tokens[index].end):
            break
        if kind == "w" and best is None and _CONCLUDES.search(text, tokens[index].start, tokens[index].end):
            break
        if kind == "w" or kind == "$":
            continue
        if kind == "^" and tokens[index].start == tokens[index].end:
            return best, True  # f(3)
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


def _read_annotation(
    text: str, tokens: list[Token], index: int, sides: list[Span]
) -> Iterator[Equation | CheckedEquation | FalseEquation]:
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
        is_whole = stated is not None and end == len(inner)
        yield (_judge_signs(text, inner, cuts, stated, span) if is_whole and stated else None) or FalseEquation(
            "unreadable_annotation", span, None
        )
        return
    held = check([side for side in noted if side], stated)
    if isinstance(held, str):
        yield FalseEquation(held, span, stated.value)
        return
    expressions = [read_expression(tokens[a:b]) for a, b in sides]
    if None in expressions and (fault := judge_prose(text, tokens, sides, index, stated)):
        yield FalseEquation(fault, span, stated.value)
        return
    operations = find_operations(sides, expressions)
    in_prose = [check([side], stated) for _, side in operations]
    is_false = any(isinstance(one, str) for one in in_prose) and (
        any(
            isinstance(one, str) and is_plain(tokens[a:index]) for one, (a, _) in zip(in_prose, operations, strict=True)
        )
        or _contradicts(operations[0][1], first)
        or has_one_unit(text, tokens, operations[0][0], min(index + 3, len(tokens)))
    )
    is_false = is_false or (len(sides) > 1 and find_false_end(text, tokens, sides, index, stated) is not None)
    if is_false:
        start = tokens[operations[0][0]].start if operations else note.start
        yield FalseEquation("annotation_differs", (start, note.end), stated.value)
        return
    if shows_another(text, tokens, index, stated):
        yield FalseEquation("wrong_arithmetic", span, stated.value)
        return
    prose = prose_span(text, tokens, operations[0][0], sides[-1][1]) if operations else None
    prose_operands = None
    if operations and not isinstance(in_prose[0], str):
        expression = operations[0][1]
        if not isinstance(first.tree, BinOp):  # 12 inches / 12 inches = <<1=1>>1
            first, held = expression, in_prose[0]
        if in_prose[0] == held and same(first.tree, expression.tree):
            prose_operands = expression.operands
    if isinstance(first.tree, BinOp):
        yield Equation(first.tree, first.operands, stated, *held, prose, span, prose_operands)


def _judge_signs(
    text: str, inner: list[Token], cuts: list[int], stated: Token, span: Span
) -> CheckedEquation | FalseEquation | None:
    """What an annotation with a sign after an operator is (``<<-6+-9=-15>>``); None if it is no arithmetic."""
    if any(token.kind not in "n+-*/()=" for token in inner):
        return None
    sides = [inner[a:b] for a, b in zip([0, *(i + 1 for i in cuts)], cuts, strict=False)]
    values = [evaluate(text, side) for side in sides]
    if None in values:
        return None
    if any(value != stated.value for value in values):
        return FalseEquation("wrong_arithmetic", span, stated.value)
    numbers = tuple(token.value for token in sides[0] if token.kind == "n")
    return CheckedEquation(span, stated, numbers, max(1, len(numbers) - 1))


def _contradicts(written: Expression, noted: Expression) -> bool:
    """Whether prose and annotation have the same numbers and other operators: ``4 cats + 5 dogs = <<4*5=20>>``."""
    has_same_numbers = [o.value for o in written.operands] == [o.value for o in noted.operands]
    return has_same_numbers and not same(written.tree, noted.tree)
