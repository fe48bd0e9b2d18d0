"""Questions with options: ``A) 24  B) 36  C) 48``. Their final answer is a letter, or the value of an option."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .finals import Final, final_answer, plain_number
from .sentences import split_sentences
from .solution import UnreadableError
from .tokens import Number

Options = Mapping[str, str]
"""Letter -> what stands behind it."""

_LETTERS = "ABCDEFGHIJ"
_MARK = re.compile(rf"(?:^|(?<=[\s,;${{]))\(?([{_LETTERS}])(?:\)\}}?|\.(?=\s)|:)(?:\\ |\s)*", re.MULTILINE)
_SPACING = re.compile(r"(?:\\(?:q?quad|text(?:bf|rm)?\s*\{|\\|[ ,;])|[\s~,;$])+$")
_MIN_OPTIONS = 2
_LETTER = re.compile(rf"\(?([{_LETTERS}])(?:\)|\.|:|$)\s*(.*)", re.DOTALL)
_WRAPPER = re.compile(r"\\(?:text(?:bf|rm|it)?|mathrm|mathbf)\s*\{([^{}]*)\}")
_CLAIM = (
    r"\b(?:{words})\b[\s*_.:=–-]*(?:(?:is|would be|must be)\b[\s*_:]*)?(?:(?:option|choice)\s+)?"
    rf"[\s*_(\"'“]*(?-i:(?P<letter>[{_LETTERS}]))(?![\w'’]|\s+(?:is|are)\s+(?:wrong|incorrect|not|false))"
)
_CLAIMS = tuple(
    re.compile(_CLAIM.replace("{words}", words), re.IGNORECASE) for words in ("answer|ans", "option|choice")
)
_DENIED = re.compile(r"\b(?:not|never|isn't)\b[^.\n]{0,20}$", re.IGNORECASE)


def read_options(question: str) -> Options:
    """The options of a question: its last run of letters from A on. Empty if it has none."""
    marks = list(_MARK.finditer(question))
    starts = [index for index, mark in enumerate(marks) if mark[1] == "A"]
    if not starts:
        return {}
    run = marks[starts[-1] :]
    run = [mark for mark, letter in zip(run, _LETTERS, strict=False) if mark[1] == letter]
    if len(run) < _MIN_OPTIONS:
        return {}
    ends = [mark.start() for mark in run[1:]] + [len(question)]
    return {mark[1]: _SPACING.sub("", question[mark.end() : end]) for mark, end in zip(run, ends, strict=True)}


def option_of(written: str, options: Options) -> str | None:
    """The letter that an answer is: ``C``, ``(C)``, ``C) 48``, ``\\text{C}``; None if it is none of the options."""
    match = _LETTER.fullmatch(_WRAPPER.sub(r"\1", written).strip(" \t\n*_$\"'."))
    if not match or match[1] not in options:
        return None
    rest = match[2].strip()
    return match[1] if not rest or _same(rest, options[match[1]]) else None


def _same(a: str, b: str) -> bool:
    number = plain_number(a)
    return "".join(a.split()) == "".join(b.split()) or (number is not None and number == plain_number(b))


def value_of(written: str, options: Options) -> Number | None:
    """The number of an answer, which may be the letter of an option; None if it is not one number."""
    letter = option_of(written, options) if options else None
    return plain_number(options[letter] if letter else written)


def stated_final(text: str, options: Options) -> Final | None:
    """The final answer of a text, as `finals.final_answer` finds it, or as the letter of an option: ``Answer - C``,
    ``Ans. C``, ``the correct option is (C)``. Raises `UnreadableError` as `final_answer` does."""
    stated = final_answer(text)
    if not options or (stated and (stated.number is not None or option_of(stated.written, options))):
        return stated
    for pattern in _CLAIMS:
        claims = [
            match
            for match in pattern.finditer(text)
            if match["letter"] in options and not _DENIED.search(text, max(0, match.start() - 40), match.start())
        ]
        letters = sorted({match["letter"] for match in claims})
        if len(letters) > 1:
            raise UnreadableError("conflicting_finals", f"two final answers: {letters[0]} and {letters[1]}")
        if claims:
            last = claims[-1]
            cut = max(start for start, _ in split_sentences(text) if start <= last.start())
            cut = last.start() if "=" in text[cut : last.start()] else cut
            return Final(cut, last["letter"], None, last.end(), "words", text[cut : last.end()].strip())
    return stated
