"""Questions with options: ``A) 24  B) 36  C) 48``. Their final answer is a letter, or the value of an option."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

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
_LETTER = re.compile(rf"\(?([{_LETTERS}])(?:\)|\.|:|$)\s*(.*)", re.DOTALL | re.IGNORECASE)
_LABELLED = re.compile(rf"\(?([{_LETTERS}]) ?[).:]\s*(.*)", re.DOTALL | re.IGNORECASE)
_LOWER = re.compile(rf"(?:^|[\s,;]+)\(?([{_LETTERS.lower()}]) ?\)\s*")
_LABELS = ("label", "letter", "key", "id")
_TEXTS = ("text", "value", "content")
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
    if "A" not in question or "B" not in question:
        return {}
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


def write_options(value: object) -> str:
    """The options that a field has, as lines ``A) 12``; empty if it has none. They may be text (``A) 12 B) 15``, which
    stays as it is, or ``a ) 12 , b ) 15``), a list in its order, with letters or without, an object by its letters, or
    objects of a label and a text.

    Raises `UnreadableError` for anything else.
    """
    if not value:
        return ""
    if isinstance(value, str):
        value = value.strip()
        start, *parts = _LOWER.split(value)
        return value if read_options(value) or start or not parts else _lines(zip(parts[::2], parts[1::2], strict=True))
    if isinstance(value, dict) and isinstance(labels := value.get("label"), list):
        texts = value.get("text")
        return _lines(zip(labels, texts, strict=True) if isinstance(texts, list) and len(texts) == len(labels) else ())
    if isinstance(value, dict):
        return _lines(sorted((key, text) for key, text in value.items() if text is not None))
    if not isinstance(value, list):
        return _lines(())
    if all(isinstance(item, dict) for item in value):
        return _lines((_first(item, _LABELS), _first(item, _TEXTS)) for item in value)
    labelled = [_LABELLED.fullmatch(item) if isinstance(item, str) else None for item in value]
    if all(labelled):
        whole = "\n".join(value)
        is_read = len(read_options(whole)) == len(value)
        return whole if is_read else _lines((match[1], match[2]) for match in labelled if match)
    return _lines(zip(_LETTERS, value, strict=False)) if len(value) <= len(_LETTERS) else _lines(())


def _first(item: Mapping[str, object], names: Iterable[str]) -> object:
    return next((item[name] for name in names if item.get(name) is not None), None)


def _lines(pairs: Iterable[tuple[object, object]]) -> str:
    """Options by their letters. Raises `UnreadableError` unless they are texts or numbers of the letters from A on."""
    known = [(str(label).strip(" ().:").upper(), text) for label, text in pairs]
    are_texts = all(isinstance(text, str | int | float) and not isinstance(text, bool) for _, text in known)
    letters = "".join(label for label, _ in known)
    if not are_texts or len(known) < _MIN_OPTIONS or letters != _LETTERS[: len(known)]:
        raise UnreadableError(
            "unreadable_options", f"options must be {_MIN_OPTIONS} to {len(_LETTERS)} texts, with letters from A on"
        )
    return "\n".join(f"{label}) {text}".rstrip() for label, text in known)


def option_of(written: str, options: Options) -> str | None:
    """The letter that an answer is: ``C``, ``(C)``, ``C) 48``, ``\\text{C}``; None if it is none of the options."""
    match = _LETTER.fullmatch(_WRAPPER.sub(r"\1", written).strip(" \t\n*_$\"'."))
    letter = match[1].upper() if match else ""
    if not match or letter not in options:
        return None
    rest = match[2].strip()
    return letter if not rest or _same(rest, options[letter]) else None


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
