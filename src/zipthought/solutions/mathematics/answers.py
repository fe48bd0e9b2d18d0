"""Final answers that are not one number: words and times of day are compared as text, formulas by sympy."""

from __future__ import annotations

import re

from .latex import DEGREES, MAX_LENGTH, TRIGONOMETRY, prepare
from .process import ask

_WRAPPED = re.compile(r"\\(?:text(?:bf|it|rm|sf)?|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_LAYOUT = re.compile(r"\\(?:left|right|displaystyle)(?![A-Za-z])|\\[,;:! ()\[\]]|[\s$]", re.ASCII)
_BASE = re.compile(r"[0-9A-F]+_\{?\d+\}?")
_BLANKS = " \t\r\n"  # Others belong to a number beside them.
_APART = re.compile(r"(?<=\d)\s+(?=\d)", re.ASCII)  # 7 2 is not 72.
_TEXT = re.compile(r"[A-Za-z][A-Za-z' .-]*")
_TIME = re.compile(r"(1[0-2]|0?[1-9]):([0-5]\d)\s*([ap])(?:\s*\.?\s*m)?\.*", re.ASCII | re.IGNORECASE)
_OPTION = re.compile(r"\(?([A-J])\)?")


def same_answer(stated: str, right: str) -> bool | None:
    """Whether two final answers in LaTeX are equal; None if that is not decided.

    Words (``\\text{even}``) and letters of options (``(C)``) are equal as text. Anything else needs sympy, unless it is
    the same text.
    """
    if max(len(stated), len(right)) > MAX_LENGTH:
        return None
    plain = [_plain(text) for text in (stated, right)]
    squeezed = [
        _LAYOUT.sub("", _APART.sub("_", text)).replace("dfrac", "frac").replace("tfrac", "frac") for text in plain
    ]
    if squeezed[0] == squeezed[1]:
        return True if squeezed[0] else None
    times = [_time(text) for text in squeezed]
    if None not in times:
        return times[0] == times[1]
    options = [_OPTION.fullmatch(text) for text in squeezed]
    if options[0] and options[1]:
        return options[0][1] == options[1][1]
    words = [_TEXT.fullmatch(text) is not None and len(text) > 1 for text in plain]
    if all(words):
        first, second = (" ".join(text.lower().split()) for text in plain)
        return first == second
    if any(words):
        return None
    if any(DEGREES.search(text) and TRIGONOMETRY.search(text) for text in plain):
        return None  # Without the sign, the number would be one of radians.
    prepared = [prepare(DEGREES.sub("", text)) for text in plain]
    if None in prepared:
        return None
    answer: bool | None
    (answer,) = ask({"equal": prepared}, 1) or [None]
    return answer


def is_answer(text: str) -> bool:
    """Whether a text can be the right answer that others are compared with: a formula, the letter of an option, a
    number in another base, a time of day, a matrix, or words that are marked as such (``\\text{even}``)."""
    plain = _plain(text)
    if plain.startswith("\\begin{"):
        return True  # Equal only as text.
    is_word = _WRAPPED.search(text) is not None and _TEXT.fullmatch(plain) is not None
    return (
        is_word
        or _OPTION.fullmatch(plain) is not None
        or _BASE.fullmatch(plain) is not None
        or _time(plain) is not None
        or prepare(plain) is not None
    )


def _time(text: str) -> tuple[int, str, str] | None:
    """Hour (0 to 11), minutes and half (a or p) of a time of day: ``4:30 p.m.``. None for anything else; without its
    half 3:20 may be a ratio."""
    match = _TIME.fullmatch(text)
    return (int(match[1]) % 12, match[2], match[3].lower()) if match else None


def _plain(text: str) -> str:
    """An answer without the commands that print it as words, and without the end of its sentence."""
    return _WRAPPED.sub(r" \1 ", text).strip(_BLANKS).strip("$").removesuffix(".").strip(_BLANKS)
