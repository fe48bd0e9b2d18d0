"""Counts: a list that a text writes out, and how many elements it has.

    The factors of 34 are 1, 2, 17 and 34. There are 4 of them.

Such a count is exact, but whether the list is the right one cannot be checked. So a count is read only where the final
answer needs it, and no count makes a solution wrong.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from .equations import CheckedEquation, FalseEquation, HoldingEquation, span_of
from .powers import evaluate
from .tokens import Number, Token, tokenize

_DELIMITERS = re.compile(r"\\[()\[\]{} ,;!]|\*\*|(?<!\\)\$|\\left(?=[({\\])|\\right(?=[)}\\])")
_NUMBER = r"[-−]?+(?:\d++(?:,\d{3}(?!\d))*+(?:\.\d++)?+(?:/\d++|\^\{?+\d{1,2}\}?+)?+|\\[dt]?frac\{\d++\}\{\d++\})"
_TUPLE = r"\(\s*+(?:[-−]?+\w++\s*+,\s*+){1,5}+[-−]?+\w++\s*+\)"
_ELEMENT = rf"(?:{_NUMBER}|{_TUPLE})"
_BETWEEN = r"(?:\s*+[,;]\s*+(?:(?:and|or)\b\s*+)?+|\s++(?:and|or)\b\s*+)"
_LIST = re.compile(
    rf"(?<![\w.,^+*/=(×·-])(?<![-+*/×·(] )(?<![\d)}}][,;] )({_ELEMENT})((?:{_BETWEEN}{_ELEMENT}){{2,}}+)",
    re.ASCII,
)
_NEXT = re.compile(rf"{_BETWEEN}({_ELEMENT})")
_GOES_ON = re.compile(
    r"[,;\s]*+(?:and\s++)?+(?:\.\.|…|\\[cl]?dots|etc\b|so on\b|through\b|to\b|[-+*/×^=_(]|\\(?:cdot|times))"
)
_WORDS = re.findall(
    "[a-z]+",
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty""",
)
_CLAIM = re.compile(
    r"\b(?:there\s+(?:are|were|is)|gives?|leaves?|have|has|get|find|count|total|all|which\s+is"
    r"|number\s+of\b[^.\n=]{0,120}?\b(?:is|are))\b(?:\s+(?:us|a\s+total\s+of|of|exactly|only))*+[^.\n\w]{0,4}"
    rf"(\d{{1,4}}|{'|'.join(_WORDS)})\b(?![.,/^]\d|\s*[-+*/×^%=(\\])",
    re.IGNORECASE | re.ASCII,
)
_ASKED = re.compile(r"\b(?:how many|number of|count)\b", re.IGNORECASE)
_MAX_LEAD_IN = 200  # Characters before the final answer.


def find_count(
    equations: Sequence[HoldingEquation | FalseEquation], text: str, tail: str, final: Number
) -> CheckedEquation | None:
    """The count of the last list of a text, if that is the final answer. `tail` is what follows the text.

    The text after the list must say so, or state the final answer as a number of things. A list with one of the
    `equations` in it is none.
    """
    plain = _DELIMITERS.sub(lambda mark: " " * len(mark[0]), text)
    last = deque(_LIST.finditer(plain), maxlen=1)
    if not last or _count(plain, last[0]) != final or not _is_claimed(text[last[0].end() :], tail, final):
        return None
    low, high = last[0].span()
    if any(start < high and low < end for start, end in map(span_of, equations)):
        return None
    return CheckedEquation((low, high), Token("n", low, high, final), (), 1)


def _is_claimed(after: str, tail: str, final: Number) -> bool:
    """Whether the text after a list says that it has `final` elements, or that the answer is a number of things."""
    is_asked = _ASKED.search(after[-_MAX_LEAD_IN:] + tail) is not None
    return is_asked or any(final == _value(claim[1]) for claim in _CLAIM.finditer(after))


def _value(written: str) -> int:
    return int(written) if written.isdigit() else _WORDS.index(written.lower())


def _count(text: str, found: re.Match[str]) -> int | None:
    """The number of elements of a list; None if it goes on, repeats an element, or has one that cannot be read."""
    if _GOES_ON.match(text, found.end()):
        return None
    elements = [_element(one) for one in (found[1], *(one[1] for one in _NEXT.finditer(found[2])))]
    return len(elements) if None not in elements and len(set(elements)) == len(elements) else None


def _element(written: str) -> Number | str | None:
    """What an element is: the value of a number, or a tuple as it is written."""
    if written.startswith("("):
        return re.sub(r"\s", "", written)
    return evaluate(written, list(tokenize(written)))
