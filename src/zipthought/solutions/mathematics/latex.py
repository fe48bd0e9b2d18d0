"""LaTeX for sympy: what is known is written in one way, and anything else is refused.

The reader of LaTeX (`latex2sympy2_extended`) takes ``5(3)`` and ``3 4`` for mixed numbers, and ignores the prime of
``f'(x)``. Products are therefore written out, and what could be read in two ways is None.
"""

from __future__ import annotations

import re

MAX_LENGTH = 300
"""Characters of an expression. Longer ones are not read."""

DEGREES = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))")
"""The sign of degrees."""
TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")
"""The functions that take an angle."""
_FUNCTIONS = ("sin", "cos", "tan", "cot", "sec", "csc", "ln")
_LETTERS = ("pi", "infty", "alpha", "beta", "gamma", "theta", "phi", "lambda", "mu", "omega", "Omega")
_COMMANDS = frozenset((*_FUNCTIONS, *_LETTERS, "frac", "sqrt", "binom", "times", "cdot", "div", "cup", "pm"))
_WRITTEN_OUT = (
    (
        re.compile(r"\\(?:left|right|displaystyle|limits|[Bb]ig[lr]?)(?![A-Za-z])|\\[()\[\]]|\\?\$|&|\\boxed(?=\s*\{)"),
        "",
    ),
    (re.compile(r"(?<=\d)(?:\{,\}|,\\!|\\,|\\!,)(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<![\d,.])(\d{1,3}),(?=\d{3}(?:,\d{3})*(?![\d,]))"), r"\1"),
    (re.compile(r"(?<!\\)\\[,;:! ]|\\q?quad(?![A-Za-z])"), " "),
    (re.compile(r"\\([dt])(?=(?:frac|binom))"), r"\\"),
    (re.compile(r"\\(frac|binom)\s*(\w)\s*(\w)"), r"\\\1{\2}{\3}"),
    (re.compile(r"\\(frac|binom)\s*(\w)\s*\{"), r"\\\1{\2}{"),
    (re.compile(r"\\(frac|binom)\s*(\{[^{}]*\})\s*(\w)"), r"\\\1\2{\3}"),
    (re.compile(r"\\sqrt\s*(\d)(?!\d)"), r"\\sqrt{\1}"),
    (re.compile(r"\\(?:mathrm|operatorname)\s*\{(sin|cos|tan|cot|sec|csc|ln)\}"), r"\\\1 "),
    (re.compile(r"−|–"), "-"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"[×·]|\*|\\ast(?![A-Za-z])"), r"\\cdot "),
    (re.compile(r"÷"), r"\\div "),
    (re.compile(r"π"), r"\\pi "),
    (re.compile(r"√\s*(\d+|[A-Za-z])"), r"\\sqrt{\1}"),
    (re.compile(r"²"), "^2"),
    (re.compile(r"³"), "^3"),
)
_CHARACTERS = re.compile(r"[A-Za-z0-9+\-/^=(){}\[\],.!|_\s\\]*", re.ASCII)
_COMMAND = re.compile(r"\\([A-Za-z]+|.)")
_WORD = re.compile(r"[A-Za-z]{2,}")
_NO_PRODUCTS = ("and", "or", "is", "if", "of", "to", "in", "so", "mod", "at", "be", "as", "we", "by", "the", "for")
_UNCLEAR = re.compile(
    r"\d\s+[\d.]|\d\s*\\frac|\d_|\d\s*\|\s*\d|\.\.|(?<![A-Za-z])[fghpqFGHPQTNSEV]\s*\(|\^\s*\{?-?\d{4}|!!|(?<![\d.])0\d|\d{40}|\^\s*\w\s*\^"
)
_PIECE = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\s+|.")
_GREEK = frozenset(f"\\{name}" for name in _LETTERS)
_FACTORS = _GREEK | {f"\\{name}" for name in (*_FUNCTIONS, "frac", "sqrt", "binom")}
_OF_FUNCTION = re.compile(rf"\\(?:{'|'.join(_FUNCTIONS)})\s*(?:\^\s*(?:\{{[^{{}}]*\}}|\w))?\s*$")


def prepare(text: str) -> str | None:
    """An expression, tuple, set or interval in LaTeX as `worker` reads it; None for anything that is not surely read
    as it is meant."""
    if len(text) > MAX_LENGTH or not all(character.isprintable() or character in "\t\r\n" for character in text):
        return None
    for pattern, new in _WRITTEN_OUT:
        text = pattern.sub(new, text)
    text = _without_braces(re.sub(r"(?<!\.)[.,;]$", "", text.strip()).strip())
    commands = _COMMAND.findall(text)
    if not text or not _CHARACTERS.fullmatch(text) or any(c not in _COMMANDS and c not in "{}\\" for c in commands):
        return None
    letters = _COMMAND.sub(" ", text)
    if any(len(word) > 3 or word.lower() in _NO_PRODUCTS for word in _WORD.findall(letters)):
        return None
    if _UNCLEAR.search(text):
        return None
    return _with_products(text)


def _without_braces(text: str) -> str:
    """The text without a pair of braces around all of it, such as those of a box."""
    while text.startswith("{") and text.endswith("}"):
        depth = 0
        for index, character in enumerate(text):
            depth += (character == "{") - (character == "}")
            if not depth and index + 1 < len(text):
                return text
        text = text[1:-1].strip()
    return text


def _with_products(text: str) -> str:
    """The text with a sign for each product with a bracket: ``2(x + 1)(x - 1)3``."""
    written = last = ""
    for match in _PIECE.finditer(text):
        piece = match[0]
        is_atom = piece[0].isalnum() or piece in _FACTORS
        ends = last[:1].isalnum() or last in _GREEK or last in (")", "}", "!")
        if (piece == "(" and ends and not _OF_FUNCTION.search(written)) or (is_atom and last in (")", "!")):
            written += "\\cdot "
        written += piece
        last = last if piece.isspace() else piece
    return written
