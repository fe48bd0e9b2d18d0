"""Words and letters that change the number before them: scale words, unknowns, and the words of a unit.

``3 million + 4 = 7`` is not 3 + 4 = 7, and neither is ``3x + 4 = 7``. Words of the English language only are known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.arithmetic import BinOp, walk
from .equations import evaluate_side
from .expressions import Expression, as_share
from .tokens import Number, Token

SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "score": 20,
    "gross": 144,
    "mn": 10**6,
    "bn": 10**9,
}
"""Words that multiply the number before them."""
_PACKAGES = (12, 20, 144)  # `dozen` may be a unit with its own price: 2 dozen x $3 = $6.
UNIT_LETTERS = frozenset("mgshlL")
_MEASURE = re.compile(rf"[\d½-¾/][ /-]*(?:(?i:{'|'.join(SCALES)})|(?<=[\d½-¾/])[^\W\d_](?![^\W\d_]))")
_FIRST_WORD = re.compile(r"[ /-]*([^\W\d_]+)")


def may_be_measured(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` may have a scale word or an unknown. Few equations do, and this is a fast check."""
    return _MEASURE.search(text, start, end) is not None


def _factors(text: str, tokens: Sequence[Token], after: Token | None) -> dict[int, int]:
    """For each number of an equation with a scale word after it: the offset of its end, and the factor."""
    factors = {}
    for number, words in zip(tokens, [*tokens[1:], after], strict=True):
        if number.kind != "n" or not words or words.kind != "w" or words.start > number.end + 1:
            continue
        match = _FIRST_WORD.match(text, words.start, words.end)
        if match:
            scale = SCALES.get(match[1].lower().removesuffix("s"))
            if scale:
                factors[number.end] = scale
    return factors


def misses_scale(
    text: str, tokens: Sequence[Token], after: Token | None, sides: Sequence[Expression], stated: Token
) -> bool:
    """Whether an equation holds only because the scale words in it are ignored: ``3 million + 4 = 7``.

    `tokens` are those of the equation, `after` the token after its result. A factor of the same value converts the unit
    (``3 dozen * 12 = 36``), and a dozen may be a unit in a product (``2 dozen x $3 = $6``).
    """
    factors = _factors(text, tokens, after)
    if not factors:
        return False
    operands = [operand for side in sides for operand in side.operands]
    own = {factors[operand.end] for operand in operands if operand.end in factors}
    if not own or own == {factors.get(stated.end)}:
        return False  # 4 - 1.5 = 2.5 dozen
    if any(number.value in factors.values() for number in (*operands, stated)):
        return False
    is_sum = all(not isinstance(node, BinOp) or node.op in "+-" for side in sides for node in walk(side.tree))
    if not is_sum and all(factor in _PACKAGES for factor in factors.values()):
        return False

    def scaled(number: Token) -> Number:
        return as_share(number) * factors.get(number.end, 1)

    return any(evaluate_side(side, [scaled(o) for o in side.operands]) != scaled(stated) for side in sides)


def has_unknown(text: str, tokens: Sequence[Token], after: Token | None) -> bool:
    """Whether some of the numbers, but not all, stand directly before the same unknown: ``3x + 4 = 7``."""
    letters = set()
    for number, words in zip(tokens, [*tokens[1:], after], strict=True):
        if number.kind != "n":
            continue
        letter = ""
        if words and words.kind == "w" and words.start == number.end:
            match = _FIRST_WORD.match(text, words.start, words.end)
            letter = match[1] if match and len(match[1]) == 1 and match[1].lower() != match[1].upper() else ""
        letters.add(letter if letter not in UNIT_LETTERS else "")
    return len(letters) > 1
