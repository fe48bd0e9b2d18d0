"""Equations with letters: where a text writes them, and which of them hold.

\\[ 6x + 198 = 720 \\]     given, or taken for granted from here on
\\[ 6x = 522 \\]           follows
\\[ x = 87 \\]             follows
\\[ (x + 1)^2 = x^2 + 2x + 1 \\]     holds for every x
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from ..tokens import as_number
from .latex import DEGREES, MAX_LENGTH, TRIGONOMETRY, prepare
from .process import ask

MAX_TEXT = 50_000
"""Characters of a text. Of longer ones nothing is decided."""
MAX_EQUATIONS = 60
"""Equations of one text. Later ones are not decided."""

_MATH = re.compile(
    r"\$\$(?P<a>.{1,2000}?)\$\$|\\\[(?P<b>.{1,2000}?)\\\]|\\\((?P<c>.{1,2000}?)\\\)|(?<![\\$])\$(?P<d>[^$]{1,2000}?)(?<!\\)\$"
    r"|\\begin\{(?P<name>align|aligned|equation|gather|eqnarray)\*?\}(?P<e>.{1,2000}?)\\end\{(?P=name)\*?\}",
    re.DOTALL,
)
_OPENING = re.compile(
    r"(?P<a>\$\$)|(?P<b>\\\[)|(?P<c>\\\()|(?P<d>(?<!\\)\$)"
    r"|\\begin\{(?P<name>align|aligned|equation|gather|eqnarray)(?P<star>\*?)\}"
)
_CLOSING = {"a": "$$", "b": "\\]", "c": "\\)", "d": "$"}
_ROW = re.compile(
    r"\\\\(?:\s*\[[^\]]*\])?|\\(?:implies|Rightarrow|Longrightarrow|iff|Leftrightarrow|q?quad|therefore|because|newline)"
    r"(?![A-Za-z])|\\(?:text|intertext|mbox|label|tag)\s*\{(?!\s*or\s*\})[^{}]*\}(?!\s*&?\s*=)"
    r"|\\(?:begin|end)\s*\{(?:align|aligned|split|gather|equation|eqnarray)\*?\}|[;\n]\s*\n"
)
_RELATION = re.compile(
    r"[<>≈≤≥≠≡∈:]|\\(?:le|leq|ge|geq|lt|gt|ne|neq|approx|equiv|in|sim|cong|to|rightarrow|mapsto|mid|propto|pmod|d?dots"
    r"|ldots|cdots|vdots)(?![A-Za-z])|\.\.\.|\\(?:text|mbox)\s*\{\s*or\s*\}"
)
_NAME = re.compile(r"[\s&]*\\(?:text|textbf|textit|mbox|mathrm)\s*\{([^{}=]*[^\W\d_]{2}[^{}=]*)\}[\s&]*")
"""A side that is a name in words, such as ``\\text{Area}``."""
_ANGLE = re.compile(r"m?\\angle\s*\{?\s*([A-Z]{1,3})\b\s*\}?")
_OPEN, _CLOSE = "([{", ")]}"


class Decided(NamedTuple):
    """An equation that holds."""

    start: int
    """Offset in the text."""
    end: int
    value: int | Fraction | None
    """The number that its last side is; None if it is none."""
    is_step: bool
    """Whether it works something out; False if it only says what a new letter stands for."""


class _Written(NamedTuple):
    """An equation as a text writes it."""

    start: int
    end: int
    sides: tuple[str, ...]


def decide(text: str, given: str = "") -> Iterator[Decided]:
    """The equations of a text that hold for all values of their letters, or wherever the earlier ones and those of the
    question `given` do, or that name something new. An equation that is not decided is taken for granted after it.

    Without the extra `zipthought[math]` there are none.
    """
    if len(text) > MAX_TEXT or len(given) > MAX_TEXT:
        return
    written = list(_equations(text))[:MAX_EQUATIONS]
    if not written:
        return
    premises = [list(equation.sides) for equation in _equations(given)][:MAX_EQUATIONS]
    question = {"given": premises, "decide": [equation.sides for equation in written]}
    for equation, (verdict, value) in zip(written, ask(question, len(written)), strict=False):
        if verdict in ("identity", "follows", "names"):
            number = as_number(Fraction(value)) if value else None
            yield Decided(equation.start, equation.end, number, verdict != "names")


def _equations(text: str) -> Iterator[_Written]:
    """The equations between the delimiters of LaTeX of which every side can be prepared. The first side may be a name
    in words. This name, and that of an angle, is a letter of its own wherever the text has it."""
    names: dict[str, str] = {}
    text = _closed(text)
    for region in _MATH.finditer(text):
        begin, end = next(region.span(name) for name in "abcde" if region[name] is not None)
        previous = ""  # The last side of the row before, with which `= 7` goes on.
        for start, stop in _rows(text, begin, end):
            row = text[start:stop]
            parts = _split(row, "=")
            previous_side, previous = previous, parts[-1]
            if _RELATION.search(row):
                previous = ""
                continue
            if len(parts) > 1 and not parts[0].replace("&", "").strip():
                parts[0] = previous_side
            if len(parts) > 1 and len(row) <= MAX_LENGTH:
                is_angle = not TRIGONOMETRY.search(row)
                name = _NAME.fullmatch(parts[0])
                if name:
                    parts[0] = _letter(names, " ".join(name[1].lower().split()))
                parts = [_ANGLE.sub(lambda found: _letter(names, found[1]), part) for part in parts]
                prepared = [prepare(DEGREES.sub("", part) if is_angle else part) for part in parts]
                if None not in prepared:
                    yield _Written(start, stop, tuple(side for side in prepared if side))


def _letter(names: dict[str, str], name: str) -> str:
    """The letter that stands for a name."""
    return names.setdefault(name, f"\\Omega_{{{len(names)}}}")


def _closed(text: str) -> str:
    """The text, with the delimiter that closes its last formula if it ends in a box within that."""
    if not text.endswith("}") or "\\boxed" not in text[-MAX_LENGTH:]:
        return text
    end = max((region.end() for region in _MATH.finditer(text)), default=0)
    opening = _OPENING.search(text, end)
    if opening is None:
        return text
    if opening["name"]:
        return f"{text}\\end{{{opening['name']}{opening['star']}}}"
    return text + _CLOSING[str(opening.lastgroup)]


def _rows(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The spans of the formulas in ``text[begin:end]``: its rows, and the parts of a row between commas."""
    start = begin
    for match in [*_ROW.finditer(text, begin, end), None]:
        stop = match.start() if match else end
        offset = start
        for part in _split(text[start:stop], ","):
            yield offset, offset + len(part)
            offset += len(part) + 1
        if match:
            start = match.end()


def _split(text: str, mark: str) -> list[str]:
    """The parts of a text between the marks outside of brackets. A comma without a blank after it belongs to a number
    or a tuple."""
    parts, depth, last = [], 0, 0
    for index, character in enumerate(text):
        depth += (character in _OPEN) - (character in _CLOSE)
        is_mark = character == mark and depth <= 0
        if is_mark and not (mark == "," and text[index + 1 : index + 2].strip()):
            parts.append(text[last:index])
            last = index + 1
    return [*parts, text[last:]]
