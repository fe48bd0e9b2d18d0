"""The result that an equation states: a number, a fraction of two numbers, or a fraction of LaTeX."""

from __future__ import annotations

from fractions import Fraction

from .tokens import Token, as_number

_LATEX_FRACTION_TOKENS = 9


def _read_latex_fraction(tokens: list[Token], index: int, stop: int) -> Token | None:
    """The number of the ``\\frac{1}{2}`` that ``tokens[index:stop]`` begin with; None if they begin with none."""
    part = tokens[index : min(stop, index + _LATEX_FRACTION_TOKENS)]
    is_fraction = "".join(token.kind for token in part) == "((n)/(n))"
    over, under = (part[2], part[6]) if is_fraction else (None, None)
    if (
        over is None
        or under is None
        or not under.value
        or part[1].start != part[1].end
        or over.percent
        or under.percent
    ):
        return None
    value = Fraction(over.value) / under.value
    return Token("n", part[0].start, part[-1].end, as_number(value))


def read_leading_number(tokens: list[Token], index: int, stop: int) -> tuple[Token | None, int]:
    """The number, or fraction of two numbers, at the start of ``tokens[index:stop]``, and the index of the token after
    it. None in place of the number if there is none or if an operator directly follows it."""
    while index < stop and tokens[index].kind == "$":
        index += 1
    is_negative = index < stop and tokens[index].kind == "-"
    index += is_negative
    if index < stop and tokens[index].kind == "$":
        index += 1
    if fraction := _read_latex_fraction(tokens, index, stop):
        number = fraction
        index += _LATEX_FRACTION_TOKENS - 1
    elif index >= stop or tokens[index].kind != "n":
        return None, index
    else:
        number = tokens[index]
    if (
        not fraction
        and index + 2 < stop
        and tokens[index + 1].kind == "/"
        and tokens[index + 2].kind == "n"
        and tokens[index + 2].value
    ):
        under = tokens[index + 2]
        number = Token("n", number.start, under.end, Fraction(number.value) / under.value, under.percent)
        index += 2
    index += 1
    following = index
    while following < stop and tokens[following].kind in "w$":
        following += 1
    if following + 1 < stop and tokens[following].kind in ("+", "-", "*", "/", "(") and following == index:
        return None, index
    return (number._replace(value=-number.value, start=number.start - 1) if is_negative else number), index
