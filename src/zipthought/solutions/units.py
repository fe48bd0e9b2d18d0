"""Equations with several units that do not hold for their bare numbers: true by a conversion, false, or undecided.

    2 weeks + 3 days = 17 days        holds: a week has 7 days
    5 cans * $7 per can = $36         is false: no unit makes it true
    2 boxes + 3 eggs = 15 eggs        is undecided: a box may have 6 eggs

Only exact conversions within one system of measures are known; months and pounds of weight are never converted into
days and kilograms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..core.arithmetic import BinOp, walk
from .equations import evaluate_side
from .expressions import Expression
from .tokens import Number, Token

_TABLE = {
    "time": "1 s sec second, 60 min minute, 3600 h hr hour, 86400 day, 604800 week, 1209600 fortnight",
    "months": "1 month, 3 trimester, 12 year, 120 decade, 1200 century centurie",
    "metres": (
        "1 mm millimeter millimetre, 10 cm centimeter centimetre, 1000 m meter metre, 1000000 km kilometer kilometre"
    ),
    "feet": "1 inch inche, 12 foot feet ft, 36 yard yd, 63360 mile mi",
    "grams": "1 mg milligram, 1000 g gram, 1000000 kg kilogram kilo, 1000000000 tonne",
    "pounds": "1 oz ounce, 16 lb pound",
    "litres": "1 ml milliliter millilitre, 1000 l liter litre",
    "gallons": "1 teaspoon tsp, 3 tablespoon tbsp, 48 cup, 96 pint, 192 quart, 768 gallon",
    "money": "1 cent ¢ penny pennie, 5 nickel, 10 dime, 100 $ dollar buck",
    "count": "2 pair couple, 12 dozen",
}
"""System of measures -> the size of each unit in the smallest one, and its names."""
_FACTORS = {
    name: (system, int(size))
    for system, units in _TABLE.items()
    for size, *names in map(str.split, units.split(","))
    for name in names
}
_APART = (("time", "months"), ("metres", "feet"), ("grams", "pounds"), ("litres", "gallons"), ("pounds", "gallons"))
"""Pairs of systems without an exact conversion, or with one word for both."""
_NAME = r"(?:(?:square|cubic|dozen) )?[a-z¢]+"
_UNIT = re.compile(
    rf"(?P<unit>(?!(?:per|each|every)\b){_NAME})?(?: ?(?:/|\b(?:per|each|every|a|an)\b) ?(?P<under>[a-z]+))?"
    r"(?: ?\b(?:each|total|in total|in all|left|in (?:a|an|one|each|every|the) [a-z]+))?"
)
_RESULT = re.compile(rf"[ ,.;:]*(?P<unit>{_NAME})(?: ?(?:/|per\b) ?(?P<under>[a-z]+))?")
_TWO_WORDS = re.compile(r"[a-z]+ (?P<unit>[a-z]+)(?P<under>)?")
_NO_UNITS = frozenset(
    re.findall(
        r"\w+",
        """of and or so then more less than times each other others half third quarter quarters twice double triple
        for with the a an is are was were it he she they we in on at to from by as about percent hundred
        thousand million""",
    )
)
"""Words that no unit begins with."""


class _Unit(NamedTuple):
    """The unit of a number."""

    name: str
    size: Fraction
    """Its size in the smallest unit of its system; 1 for a unit that is not in the table."""
    systems: frozenset[str]
    """The systems of measures that it is of."""


def judge_units(
    text: str, tokens: Sequence[Token], after: Token | None, side: Expression, stated: Token
) -> bool | None:
    """Whether an equation that does not hold for its bare numbers holds by conversion of its units. None if that is not
    known, and where a word is no unit.

    `tokens` are those of the equation, from its first sign or number to its result, and `after` is the token behind it.
    """
    if any(token.percent or token.kind not in "nw$+-*/()=" for token in tokens):
        return None
    is_sum = any(isinstance(node, BinOp) and node.op in "+-" for node in walk(side.tree))
    units: dict[int, _Unit] = {}
    for before, token, words in zip([None, *tokens[:-1]], tokens, [*tokens[1:], after], strict=True):
        if token.kind == "w" and (before is None or before.kind not in "n)"):
            return None
        if token.kind == "n":
            sign = text[before.start : before.end] if before and before.kind == "$" else ""
            behind = text[words.start : words.end].lower().strip(" ,;") if words and words.kind == "w" else ""
            unit = _read_unit(behind, sign.strip("\\"), words is after, is_sum)
            if unit is None:
                return None
            units[token.end] = unit
    if any(number.end not in units for number in (*side.operands, stated)):
        return None  # A fraction of LaTeX.
    own, result = [units[operand.end] for operand in side.operands], units[stated.end]
    systems = frozenset[str]().union(*(unit.systems for unit in (*own, result)))
    if any(systems.issuperset(pair) for pair in _APART):
        return None
    sizes = [operand.value * unit.size for operand, unit in zip(side.operands, own, strict=True)]
    if systems and evaluate_side(side, sizes) == stated.value * result.size:
        return True
    bare = evaluate_side(side, [operand.value for operand in side.operands])
    is_false = _sum_is_false(own, result) if is_sum else _product_is_false(own, result, bare, stated.value)
    return False if is_false else None


def converts(value: Number, behind: str, other: Number, asked: str) -> bool:
    """Whether a value whose unit stands first in the words behind it is `other` in another unit that a text names: 120
    (`minutes in all`) is 2 where the text asks for hours."""
    word = re.match(r"[^a-z¢=]{0,3}([a-z¢]+)", behind.lower())
    own = _entry(word[1]) if word else None
    if own is None:
        return False
    units = {entry for name in re.findall(r"[a-z¢$]+", asked.lower()) if (entry := _entry(name))}
    return any(system == own[0] and size != own[1] and value * own[1] == other * size for system, size in units)


def _entry(name: str) -> tuple[str, int] | None:
    """The system and the size of a unit in the table, or of its plural."""
    return _FACTORS.get(name) or _FACTORS.get(name.removesuffix("s"))


def _sum_is_false(own: Sequence[_Unit], result: _Unit) -> bool:
    """Whether a sum is false that holds neither for its bare numbers nor by conversion: all of it is measured in one
    system, or the result counts something that contains none of the rest (2 boxes + 3 eggs may be 15 eggs)."""
    systems = [unit.systems - {"count"} for unit in (*own, result)]
    if any(systems):
        return all(systems) and len(frozenset[str]().union(*systems)) == 1
    names = {unit.name for unit in own if unit.name}
    return bool(names) and bool(result.name) and result.name not in names


def _product_is_false(own: Sequence[_Unit], result: _Unit, bare: Number | None, stated: Number) -> bool:
    """Whether a product or quotient is false that holds neither for its bare numbers nor by conversion. One that
    leaves a conversion out is not: ``5 hours * 60 = 18000 seconds``."""
    if not any(unit.name for unit in own):
        return False
    systems = frozenset[str]().union(*(unit.systems for unit in (*own, result)))
    sizes = {system: [size for of, size in _FACTORS.values() if of == system] for system in systems}
    ratios = {Fraction(a, b) for known in sizes.values() for a in known for b in known}
    return not bare or not stated or Fraction(stated) / bare not in ratios


def _read_unit(words: str, sign: str, is_result: bool, is_sum: bool) -> _Unit | None:
    """The unit that the words behind a number are, after a sign of currency; None if they are none. Behind the result
    other words may follow."""
    match = _RESULT.match(words) if is_result else _UNIT.fullmatch(words)
    if not match and is_sum and not is_result:
        match = _TWO_WORDS.fullmatch(words)
    name = (match["unit"] or "") if match else ""
    if is_result and name.split(" ")[0] in _NO_UNITS:
        match, name = None, ""
    if (not match and not is_result) or (name and (name.split(" ")[0] in _NO_UNITS)):
        return None
    if (sign and name and not is_result) or (len(name) == 1 and name not in _FACTORS):
        return None  # $5 apples, or an unknown.
    return _look_up(sign or name, (match["under"] or "") if match else "")


def _look_up(over: str, under: str) -> _Unit:
    size, systems = Fraction(1), set()
    first, _, second = over.partition(" ")
    is_dozen = bool(second) and first == "dozen"
    for part, sign in ((first if is_dozen else over, 1), (under, -1)):
        entry = _entry(part)
        if entry:
            systems.add(entry[0])
            size *= Fraction(entry[1]) ** sign
    noun = second if is_dozen else over
    return _Unit(noun.removesuffix("s") if len(noun) > 2 else noun, size, frozenset(systems))
