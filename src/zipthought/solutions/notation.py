"""Characters beside a number: which of them belong to it.

A number is read whole or not at all, so the tokenizer must know what each character of a text means next to a digit:
``33٣`` is not 33, and neither is ``33²``. `fold` replaces each character by one that the patterns of `tokens` know. It
keeps the length of the text, so offsets stay the same. Its stand-ins are characters for private use, and such a
character in a text becomes a mark like any other.
"""

from __future__ import annotations

import unicodedata
from fractions import Fraction

JOINED = "\ue001"
"""A mark that belongs to a number beside it: a combining mark, a character without width, a foreign decimal sign."""
FRACTION = "\ue002"
"""A fraction in one character, such as ½. `vulgar_fraction` has its value."""
BLANK = "\ue003"
"""A blank other than a space. Between two digits it separates thousands."""
SIGN = "\ue004"
"""A sign of mathematics that is not read, such as √ or ±."""
NUMERAL = "\ue005"
"""A digit or number of another script, such as ٣, Ⅻ or 万."""

_KEPT = "×·✕÷−–…"
_READ_AS = (
    dict.fromkeys("\u2010\u2011\u2012\u2014\u2015\u2796\ufe58\ufe63", "-")
    | dict.fromkeys("⋅∙∗✖", "×")
    | dict.fromkeys("∕⁄", "/")
    | dict.fromkeys("‘’ʼ´′＇", "'")
)
_RELATIONS = "≤≥≠≈≡≅∼∝←↑→↓↔⇐⇒⇔⟹⟶∴∵∈"
_FOREIGN_SIGNS = "٪٫٬‰‱"
_MAX_KNOWN = 5000
"""Characters whose replacement is remembered. Few texts have more different ones."""


def vulgar_fraction(character: str) -> Fraction | None:
    """The value of a fraction in one character; None for any other character."""
    over, slash, under = unicodedata.normalize("NFKC", character).partition("⁄")
    is_fraction = slash and over.isdecimal() and under.isdecimal() and over != "0"
    return Fraction(int(over), int(under)) if is_fraction else None


def _fold_character(character: str) -> str:
    if character.isascii() or character in _KEPT or character == "\u00a0":
        return character
    if character in _READ_AS:
        return _READ_AS[character]
    if unicodedata.decomposition(character).startswith(("<super>", "<sub>")):
        return "^"
    if character.isnumeric():
        return FRACTION if vulgar_fraction(character) is not None else NUMERAL
    category = unicodedata.category(character)
    if category[0] == "Z":
        return BLANK
    plain = unicodedata.normalize("NFKC", character)
    if len(plain) == 1 and plain.isascii() and plain != " ":  # Signs and letters of full width, mathematical letters.
        return plain
    if category[0] in "MC" or category in ("Lm", "Sk") or character in _FOREIGN_SIGNS:
        return JOINED
    return SIGN if category == "Sm" and character not in _RELATIONS else character


class _Folded(dict[int, str]):
    """The replacement of each character, computed on first use."""

    def __missing__(self, code: int) -> str:
        folded = _fold_character(chr(code))
        if len(self) < _MAX_KNOWN:
            self[code] = folded
        return folded


_FOLDED = _Folded()


def fold(text: str) -> str:
    """The text with each character replaced by one that the tokenizer knows. The length stays."""
    return text if text.isascii() else text.translate(_FOLDED)
