"""A fast reader for the commonest kind of line: one annotation that repeats the expression before it.

    She eats 3 eggs, so 16 - 3 = <<16-3=13>>13 eggs are left.

Most lines of GSM8K are of this kind. One regular expression reads them several times as fast as `prose`, and the result
is the same. Any line in doubt is left to `prose`.
"""

from __future__ import annotations

import re

from ..core.arithmetic import BinOp, Expr, apply
from .equations import Equation
from .expressions import read_expression
from .tokens import Number, Token, parse_number

_N = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_UNIT = r"(?:[ /](?!(?:x|X|of|plus|minus|times|divided|multiplied|by|equals)\b)[A-Za-z]++)*+"
_LEAD = r"(?P<before>[^=<>+*/×÷·\-−–()\[\]{}\\%]*?(?<![\d.,$]) ?(?<![A-Za-z^_'!:\x00-\x08\x0e-\x1f\x7f\ue001-\ue005]))"
_TRAIL = (
    rf" *+\$?+(?P<after>{_N})?+(?![$\d/,%^_':!{{\\\x00-\x08\x0e-\x1f\x7f\ue001-\ue005]|\.[.\d]|…"
    r"| ?[-+*/×÷−–] ?[\d$(.]| ?\^)[^=<>]*"
)
_PLAIN = r"\d+(?:\.\d+)?"
_PAIR = re.compile(
    rf"{_LEAD}(?P<prose>\$?(?P<left>{_N}){_UNIT} ?(?P<op>[-+*/x×]) ?\$?(?P<right>{_N}){_UNIT}) ?(?P<equals>= ?)\$?"
    rf"<<(?P<first>{_PLAIN})(?P<sign>[-+*/])(?P<second>{_PLAIN})=(?P<value>{_PLAIN})>>{_TRAIL}",
    re.ASCII,
)
# The expression does not start after the `x` of a product. Otherwise each number of a long product would be a start,
# and the search would take quadratic time.
_SIMPLE = re.compile(
    rf"{_LEAD}(?<![^A-Za-z]x)(?<![^A-Za-z]x )"
    rf"(?P<prose>\$?{_N}{_UNIT}(?: ?[-+*/x×] ?\$?{_N}{_UNIT})+) ?(?P<equals>= ?)\$?"
    rf"<<(?P<noted>{_PLAIN}(?:[-+*/]{_PLAIN})+)=(?P<value>{_PLAIN})>>{_TRAIL}",
    re.ASCII,
)
_TREES = {op: BinOp(op, "0", "1") for op in "+-*/"}
_CONTINUES = re.compile(r"plus|minus|times|equals|divided|multiplied|\b[xX]\b|\d[xX]\b|\d\s*of\b|\d \d")
_PARTS = re.compile(r"[ /][A-Za-z]{2,}|[ /][A-WYZa-wyz]\b|(\d[\d,]*(?:\.\d+)?|[-+*/x×])", re.ASCII)
_new = tuple.__new__  # The constructor of a NamedTuple calls this; calling it directly takes half the time.


def read_simple_line(text: str, start: int, end: int) -> Equation | None:
    """The equation of the line ``text[start:end]`` if the line is simple and the equation holds; else None."""
    match = _PAIR.fullmatch(text, start, end)
    if match:
        return _read_pair(text, start, end, match)
    match = _SIMPLE.fullmatch(text, start, end)
    if not match or not _is_all(text, start, end, match):
        return None
    noted = match["noted"]
    parts = [part for part in _PARTS.finditer(text, *match.span("prose")) if part[1]]
    if "".join([part[1] for part in parts]).replace(",", "").replace("x", "*").replace("×", "*") != noted:
        return None
    offset = match.start("noted")
    tokens: list[Token] = []
    for part in parts:
        piece = part[1].replace(",", "")
        number = parse_number(piece) if piece[0] in "0123456789" else None
        kind, width = ("*" if piece in "x×" else piece) if number is None else "n", len(piece)
        tokens.append(Token(kind, offset, offset + width, number or 0))
        offset += width
    expression = read_expression(tokens)
    result = parse_number(match["value"])
    if not expression or result is None or expression.value != result:
        return None
    operands = expression.operands
    in_prose = [Token("n", *part.span(1), o.value) for part, o in zip(parts[::2], operands, strict=True)]
    return _equation(match, expression.tree, operands, result, tuple(in_prose))


def _is_all(text: str, start: int, end: int, match: re.Match[str]) -> bool:
    """Whether the match is the whole arithmetic of the line: the number after the annotation is the annotated result,
    no operator in words stands before the expression, and no second equation follows it."""
    value, after = match.group("value", "after")
    return not (
        (after and after != value and after.replace(",", "") != value)
        or _CONTINUES.search(text, start, match.end("before"))
        or text.find("equals", match.end("value"), end) >= 0
    )


def _read_pair(text: str, start: int, end: int, match: re.Match[str]) -> Equation | None:
    """`read_simple_line` for two operands, the commonest case."""
    left, op, right, first, sign, second, stated = match.group(
        "left", "op", "right", "first", "sign", "second", "value"
    )
    if op != sign and (sign != "*" or op not in "x×"):
        return None
    if (left != first and left.replace(",", "") != first) or (right != second and right.replace(",", "") != second):
        return None
    if not _is_all(text, start, end, match):
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
    in_prose = (
        _new(Token, ("n", *match.span("left"), one, False)),
        _new(Token, ("n", *match.span("right"), two, False)),
    )
    return _equation(match, _TREES[sign], operands, result, in_prose)


def _equation(
    match: re.Match[str], tree: Expr, operands: tuple[Token, ...], result: Number, in_prose: tuple[Token, ...]
) -> Equation:
    low, high = match.span("value")
    stated = _new(Token, ("n", low, high, result, False))
    values = tuple([operand[3] for operand in operands])
    prose = (match.start("prose"), match.end("equals"))
    annotation = (operands[0][1] - 2, high + 2)
    return _new(Equation, (tree, operands, stated, values, result, prose, annotation, in_prose))
