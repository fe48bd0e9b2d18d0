"""The final answer of a solution: where a text states it, what number it is, and whether the text takes it back.

    #### 72        \\boxed{72}        The answer is **72**.        <answer>72</answer>

A final answer is one number with at most a unit. A unit is up to `MAX_UNIT_WORDS` words that leave the number as it is:
none is a number word, a scale (``5 million``), an operator (``72 squared``), a comparison, a negation or a verb (``72
is wrong``). Text after the final answer may explain it. It may not retract it or name another number, except in an
equation that has the final answer in it. Only words of the English language are known.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from ..core.arithmetic import BinOp
from .expressions import as_share, read_expression
from .measures import SCALES, UNIT_LETTERS
from .notation import fold
from .powers import evaluate, is_plain
from .sentences import split_sentences, trace_end
from .solution import UnreadableError
from .tokens import Number, Token, as_number, parse_number, tokenize

MAX_UNIT_WORDS = 4
_MARKUP = " \t\n*_`\"'“”"
_MAX_LETTERS = 20  # Of a word of a unit.
_MAX_DEPTH = 4  # Of braces in a final answer.
_MAX_CLAIM = 300  # Characters of a final answer. No number of `tokens.MAX_DIGITS` with a unit is longer.

_HASH = re.compile(r"(?P<hash>####(?<![\w#]####)(?!#))")
_HEADING = re.compile(r"####[ \t]*(?:\*\*)?(?:\d{1,2}[.):]\s*\*{0,2})?(?P<words>[A-Z][^\n]{0,80})\n\s*\S")
_MARKS = re.compile(
    rf"{_HASH.pattern}"
    r"|(?P<boxed>\\boxed\s*\{)|(?P<tag><answer>)"
    r"|(?P<words>\banswer\b[*_]*\s*(?::|=|is\b)[ \t:*_]*)",
    re.IGNORECASE,
)
_NOTATIONS = ("hash", "boxed", "tag", "words", "bare")
"""The notations of a final answer. The first that a text has states its answer."""
_END = re.compile(r"\n|</answer>|(?<!\.)\.(?=[\s*_\"')$]|$)|,(?=\s+[A-Za-z])", re.IGNORECASE)
_END_OF_WORDS = re.compile(rf"{_END.pattern}|!++(?=[*_\"')]*(?:\s*(?:\n|$)|\s+[A-Z]))", re.IGNORECASE)
_NO_TRACE = "<think>\n\n</think>\n\n"
"""Before a number that stands alone, since a number is a final answer by itself only after a trace."""
_BRACES = re.compile(r"[{}\n]")
_SENTENCE_START = re.compile(r"\.(?!\d)")
_LEAD_IN = re.compile(r"(?:\b(?:(?:the|our|final|correct)\s+)+|\$|\\\(|\\\[)\s*$", re.IGNORECASE)
_MAX_LEAD_IN = 40
_DENIED = re.compile(
    r"(?:\b(?:not|never|wrong|incorrect|false)|n't)\b[^\w.,;\n!?]*(?:\w+[^\w.,;\n!?]+){0,2}$"
    r"|(?:[-−^√]|\\(?:sqrt|log|ln|exp)\s*)\{?$",
    re.IGNORECASE,
)
_EQUALS = re.compile(r"^\s*[A-Za-z]\s*=\s*")
_LATEX_FRACTION = re.compile(
    r"(?P<sign>[-−]?)\s*(?P<whole>\d{0,20}+)\s*\\[dt]?frac\s*"
    r"(?:\{\s*(?P<over>\d{1,20})\s*\}\s*\{\s*(?P<under>\d{1,20})\s*\}|(?P<tight>\d\s*\d))",
    re.ASCII,
)
_RESULT = re.compile(r"=\s*(?:\\[,;! ]\s*)*(?:\\\$\s*)?$")
_POWER_OF_TEN = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?[eE][+-]?\d{1,2}", re.ASCII)
_WRAPPED = re.compile(r"\\(?:text(?:bf|it|rm)?|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_UNIT_END = re.compile(r"(?<=[A-Za-z])(?<!percent)(?:²|³|\^[23]|\^\{[23]\}|!)+$")
_UNIT = re.compile(r"[A-Za-z°/ .-]+")
_UNIT_IN_BRACKETS = re.compile(r"(?<=\d) ?\(([A-Za-z]{2}[A-Za-z ]*)\)$")
_WORD = re.compile(r"[A-Za-z]+")
_CHANGES_BOX = re.compile(
    r"[\s$)\]*_]*+(?:[\^\ue001\ue002\ue005\d]|[-+*/×÷]\s*[\d\\(\ue002\ue005]|\\(?:pi|sqrt|times|cdot)|([A-Za-z]+))"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NUMBER_WORDS = frozenset(SCALES) | _words(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety half halve quarter third fourth fifth sixth
    seventh eighth ninth tenth hundredth thousandth millionth double twice triple doubled tripled halved milliard lakh
    crore th st nd rd"""
)
_OPERATORS = _words(
    """plus minus times multiplied divided modulo mod base power squared cubed factorial root sqrt pi mille negative
    inverse"""
)
_NEGATIONS = _words(
    """not no nope nor never neither except wrong incorrect false untrue mistake mistaken error wait hmm oops sorry
    actually correction instead rather should unless maybe perhaps possibly"""
)
_OTHER_CLAIMS = _words(
    """is are was were be equals equal if and or but however would could might probably more less fewer greater smaller
    bigger than least most about approximately around roughly nearly almost to up through until between none without"""
)
_CHANGING = _OPERATORS - {"times"} | _NEGATIONS | _OTHER_CLAIMS
"""Words that no unit has. ``5 times`` is a count, and ``times`` before a number is read as an operator."""
_RETRACTING = _NEGATIONS | _words(
    """incorrectly mistakes erroneous scratch retract ignore disregard alternatively cannot forgot forgets recheck
    reconsider"""
)
_COUNTING = _NUMBER_WORDS - _words("one half double twice third quarter")


class Final(NamedTuple):
    """The final answer that a text states."""

    cut: int
    """Offset of the sentence or line that states it first, or of its last part if the sentence has an equation before
    it. Of a box that is the result of an equation, its end."""
    written: str
    """The answer as the text writes it."""
    number: Number | None
    """Its value; None if it is not one number."""
    end: int
    """Offset of the text after the last statement of it."""
    notation: str
    """`hash`, `boxed`, `tag` or `words`; `bare` for a number alone after a thinking trace."""
    statement: str
    """The text that states it, alone: its line, its sentence, or its box."""


class _Claim(NamedTuple):
    """One statement of a final answer."""

    notation: str
    start: int
    end: int
    written: str
    number: Number | None


def plain_number(text: str) -> Number | None:
    """The number of a final answer: ``$1,080``, ``60%`` (60), ``1/2``, ``x = 5``, ``1e3``, ``18 eggs``,
    ``2\\frac{1}{2}``.

    None for anything else, such as words that change the number, or that deny it.
    """
    if text.isascii() and text.isdigit():
        return parse_number(text)
    if len(text) > _MAX_CLAIM or text.count("%") > 1:
        return None
    text = _UNIT_END.sub("", _WRAPPED.sub(r"\1", _EQUALS.sub("", text)).strip(_MARKUP).removesuffix(".").rstrip(" "))
    text = _UNIT_IN_BRACKETS.sub(r" \1", text)
    if _POWER_OF_TEN.fullmatch(text):
        return Fraction(text)
    if fraction := _LATEX_FRACTION.fullmatch(text.strip("$ ")):
        return _mixed_number(fraction)
    tokens = [token for token in tokenize(text) if token.kind != "$"]
    if len(tokens) > 1 and tokens[-1].kind == "w":
        number, words = tokens[-2], tokens.pop()
        if not _is_unit(text[words.start :], words.start == number.end):
            return None
    if any(token.kind == "w" for token in tokens):
        return None
    read = read_expression(tokens)
    is_fraction = read and isinstance(read.tree, BinOp) and read.tree.op == "/" and len(read.operands) == 2
    if not read or not (is_fraction or read.tree == "0"):
        return None
    return read.operands[0].value if read.tree == "0" else read.value


def _mixed_number(match: re.Match[str]) -> Number | None:
    """The value of ``-2\\frac{1}{2}`` or of ``\\frac12``; None for a denominator of 0, and for a whole number before a
    fraction that is not below 1, which may be a product."""
    tight = match["tight"]
    over, under = map(int, (tight[0], tight[-1]) if tight else (match["over"], match["under"]))
    if not under or (match["whole"] and over >= under):
        return None
    value = int(match["whole"] or 0) + Fraction(over, under)
    value = -value if match["sign"] else value
    return as_number(value)


def _is_unit(text: str, is_glued: bool) -> bool:
    """Whether the text after a number is a unit, which leaves the number as it is."""
    words = _WORD.findall(text.lower())
    if not _UNIT.fullmatch(text) or len(words) > MAX_UNIT_WORDS or any(len(word) > _MAX_LETTERS for word in words):
        return False
    if is_glued and words and len(words[0]) == 1 and words[0] not in UNIT_LETTERS:
        return False  # An unknown or a scale: 4i, 3k.
    return not any(word in _CHANGING or _is_number_word(word, _NUMBER_WORDS) for word in words)


def _is_number_word(word: str, known: frozenset[str]) -> bool:
    return word in known or word.removesuffix("s") in known


def has_bare_letter(text: str) -> bool:
    """Whether a single letter follows the number of a final answer: ``5m`` may be metres, millions or five times m."""
    return not text.isdigit() and re.search(r"\d\s?[A-Za-z][\s.]*$", text) is not None


def unit(text: str) -> str:
    """The words after a final answer, in lower case and without a plural's ending; empty if there are none."""
    # The match starts where a run of words starts and ends at its last letter, so each run is searched once.
    match = re.search(r"(?<![A-Za-z ])([A-Za-z ]*[A-Za-z])[.\s]*$", text)
    words = match[1] if match else ""
    return (words[:1] + words[1:].removesuffix("s")).strip().lower()


def final_answer(text: str) -> Final | None:
    """The final answer of a solution; None if the text states none.

    Raises `UnreadableError` for a text with two different answers, in one notation or in two, and for one that takes
    its answer back. In every notation but the first of the text, words are not an answer. A thinking trace may state
    others before it ends.
    """
    claims = list(_find_claims(text))
    if end := trace_end(text):
        claims = [claim for claim in claims if claim.start > end] or _bare_claim(text, end) or claims
    if not claims:
        return None
    if len(claims) == 1:
        return _make_final(text, claims, claims)
    first = min(claims, key=lambda claim: _NOTATIONS.index(claim.notation)).notation
    own = [claim for claim in claims if claim.notation == first]
    own = [claim for claim in own if _names_number(claim.written)] or own
    numbered = [claim for claim in claims if claim.number is not None]
    for group in (own, numbered):
        distinct = {claim.number: claim.written for claim in group}
        if len(distinct) > 1:
            named = " and ".join(sorted(distinct.values())[:2])
            raise UnreadableError("conflicting_finals", f"two final answers: {named}")
    if first != "words" and len({re.sub(r"\s", "", claim.written) for claim in own if claim.number is None}) > 1:
        raise UnreadableError("conflicting_finals", f"two final answers: {own[0].written} and {own[-1].written}")
    for claim in claims:
        if claim.notation != first and claim.number is None and _disputes(claim, own[-1].number):
            raise UnreadableError("conflicting_finals", f"two final answers: {own[-1].written} and {claim.written}")
    return _make_final(text, own, numbered)


def _disputes(claim: _Claim, number: Number | None) -> bool:
    """Whether a statement that is not one number states another answer than `number`: arithmetic with another value,
    several numbers, or a number in a notation that is not read. Words may explain an answer, but not in a box."""
    if not _names_number(claim.written):
        return False
    tokens = tokenize(claim.written)
    if claim.notation != "boxed" and _WORD.search(fold(claim.written)) and any(t.kind == "w" for t in tokens):
        words = next(i for i, token in enumerate(tokens) if token.kind == "w")
        # 8 times 2 has 3 + 4 = 7; but the words may be a unit within arithmetic, as in 2 + 3 eggs + 4 eggs = 9 eggs.
        goes_on = words + 1 < len(tokens) and tokens[words + 1].kind in "+-*/=^"
        side = None if goes_on else read_expression(tokens[:words])
        is_other = side is not None and (side.value != number or _is_changed(claim.written[tokens[words].start :]))
        return tokens[0].kind in "?!" or is_other
    cuts = [-1, *(i for i, token in enumerate(tokens) if token.kind == "="), len(tokens)]
    sides = [tokens[a + 1 : b] for a, b in itertools.pairwise(cuts)]
    if len(sides) > 1 and not sides[-1]:
        sides.pop()  # 3! * 5! = \\boxed{720}
    return any(_value(claim.written, side) != number for side in sides)


def _value(text: str, tokens: list[Token]) -> Number | None:
    """The value of arithmetic without words; None if it has none."""
    if not is_plain(tokens):
        return None
    read = read_expression(tokens)
    return read.value if read else evaluate(text, tokens)


def _make_final(text: str, own: list[_Claim], others: list[_Claim]) -> Final:
    """The final answer that the claims `own` state and `others` repeat. Raises as `final_answer` does."""
    number = own[-1].number
    end = max(claim.end for claim in (*own, *others))
    if number is not None and _takes_back(text[end:], number):
        raise UnreadableError("conflicting_finals", f"the text after the final answer {own[-1].written} disputes it")
    first, cut = own[0], _cut(text, own[0])
    if first.notation == "boxed":
        is_result = _RESULT.search(text[max(0, first.start - 20) : first.start])
        cut, statement = first.end if is_result else cut, text[first.start : first.end]
    elif first.notation == "bare":
        statement = f"{_NO_TRACE}{first.written}"
    else:
        statement = text[cut : first.end].strip()
    return Final(cut, own[-1].written, number, end, first.notation, statement)


def _find_claims(text: str) -> Iterator[_Claim]:
    """The statements of a final answer, in the order of the text."""
    folded = text.casefold()
    has_words = "answer" in folded or "boxed" in folded
    marks = list((_MARKS if has_words else _HASH).finditer(text))
    if len(marks) > 1:
        marks = [mark for mark in marks if not _is_heading(text, mark.start())] or marks
    for index, mark in enumerate(marks):
        low = mark.end()
        limit = marks[index + 1].start() if index + 1 < len(marks) else len(text)
        if mark.lastgroup == "boxed":
            end, close = _find_brace(text, low)
        else:
            pattern = _END_OF_WORDS if mark.lastgroup == "words" else _END
            match = pattern.search(text, low, min(limit, low + _MAX_CLAIM))
            end = match.start() if match else limit
            close = match.end() if match else limit
        written = text[low:end].strip(_MARKUP) if end - low <= _MAX_CLAIM else f"{text[low : low + 80]}..."
        if not written:
            continue
        number = plain_number(written) if end - low <= _MAX_CLAIM else None
        if number is not None:
            may_go_on = mark.lastgroup == "boxed" or text[end:close] == ","
            before = text[max(0, mark.start() - 40) : mark.start()]
            if (before[-1:] != "\n" and _DENIED.search(before)) or (
                may_go_on and _is_changed(text[close : close + 40])
            ):
                number = None
        yield _Claim(str(mark.lastgroup), mark.start(), close, written, number)


def _bare_claim(text: str, end: int) -> list[_Claim]:
    """A number that is all that stands after a thinking trace, whose last tag begins at `end`."""
    start = text.find(">", end) + 1
    written = text[start:].strip()
    number = plain_number(written) if start and written else None
    return [] if number is None else [_Claim("bare", text.index(written, start), len(text), written, number)]


def _is_heading(text: str, start: int) -> bool:
    """Whether ``####`` begins a heading of Markdown: a line of words without a number word, which text follows."""
    match = _HEADING.match(text, start)
    return match is not None and not any(
        _is_number_word(word, _NUMBER_WORDS) for word in _WORD.findall(match["words"].lower())
    )


def _find_brace(text: str, start: int) -> tuple[int, int]:
    """Start and end of the brace that closes a box; a point far behind it if none does."""
    depth = 1
    for match in _BRACES.finditer(text, start, start + _MAX_CLAIM):
        depth += 1 if match[0] == "{" else -1
        if not depth:
            return match.span()
        if match[0] == "\n" or depth > _MAX_DEPTH:
            break
    return start + _MAX_CLAIM + 1, start


def _is_changed(rest: str) -> bool:
    """Whether the text after a box changes the number in it: a power, an operator, a scale word."""
    match = _CHANGES_BOX.match(fold(rest))
    if not match or match[1] is None:
        return bool(match)
    word = match[1].lower()
    return word in _OPERATORS or word == "or" or _is_number_word(word, _NUMBER_WORDS)


def _names_number(text: str) -> bool:
    """Whether a text has a number in digits or words."""
    if any(map(str.isnumeric, text)):
        return True
    return any(_is_number_word(word, _NUMBER_WORDS) for word in _WORD.findall(text.lower()))


def _cut(text: str, claim: _Claim) -> int:
    """Offset of the part of the text that states the answer: its line, or the sentence that leads to it."""
    line = text.rfind("\n", 0, claim.start)
    if claim.notation == "hash":
        return max(line, 0) if not text[line + 1 : claim.start].strip() else claim.start
    starts = [match.end() for match in _SENTENCE_START.finditer(text, line + 1, claim.start)]
    start = starts[-1] if starts else line + 1
    if "=" in text[start : claim.start]:  # A step in the same sentence: 3 + 4 = 7, so the answer is 7.
        match = _LEAD_IN.search(text, max(start, claim.start - _MAX_LEAD_IN), claim.start)
        return match.start() if match else claim.start
    return start


def _takes_back(rest: str, number: Number) -> bool:
    """Whether the text after a final answer retracts it or names another number.

    A sentence may name other numbers only in an equation that has the final answer in it.
    """
    for start, end in split_sentences(rest) if rest.strip() else ():
        sentence = rest[start:end]
        words = _WORD.findall(sentence.lower())
        if "n't" in fold(sentence).lower() or any(
            word in _RETRACTING or _is_number_word(word, _COUNTING) for word in words
        ):
            return True
        tokens = tokenize(sentence)
        numbers = [token for token in tokens if token.kind in "n?!"]
        same = [token.kind == "n" and number in (token.value, as_share(token)) for token in numbers]
        if not all(same) and not (any(same) and any(token.kind in "=a" for token in tokens)):
            return True
    return False
