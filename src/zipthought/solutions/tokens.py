"""Tokens of arithmetic in prose: numbers, operators, brackets and the words between them.

The tokenizer reads money, percentages, thousands separators, mixed numbers, ``x`` and ``×`` for times, ``of`` between
numbers, operators in words, and the LaTeX of model outputs (``\\times``, ``\\frac{a}{b}``). A slash before a letter
(``miles/day``) belongs to a unit.

A number is read whole or not at all. A run of digits with anything else that belongs to it (``33٣``, ``1,5``,
``3.33...``, ``7:30``, ``x1``) is one token without a value. The same holds for mathematics that is not read: powers,
factorials, roots and the letters of LaTeX are ``^``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from .notation import BLANK, SIGN, fold, vulgar_fraction

MAX_DIGITS = 100
"""Numbers of more characters have no value."""

Number = int | Fraction
_new = tuple.__new__  # The constructor of a NamedTuple calls this; calling it directly takes half the time.


class Token(NamedTuple):
    """A token and its span in the text."""

    kind: str
    """`n` number, `w` words, `.` end of a sentence or another relation than `=`, `a` annotation, `$` currency; `!` a
    number that is too long or has characters of other scripts, `?` a number in a notation that is not read, `^` other
    mathematics that is not read; else the operator, bracket or `=`."""
    start: int
    end: int
    value: Number = 0
    """The value of a number; of `?` that of a root or binomial coefficient of numbers, if it is a whole number; 0 for
    every other kind."""
    percent: bool = False
    """Whether a per cent sign follows the number. The span does not include the sign."""


# \ue001 to \ue005 are the stand-ins of `notation`. Control characters belong to a number beside them.
_ATOM = r"[\d\x00-\x08\x0e-\x1f\x7f\ue001\ue002\ue005]"
_LINK = r"(?:[.,'_:]++|[\u00a0\ue003]|\{,\}|\\[,!])"
CURRENCY = r"[$£-¥₠-⃀]"
"""The signs of currencies, as a class of a regular expression."""
_THOUSANDS = r"\d{1,3}(?:(?:,|\{,\}|\\[,!])\d{3})+(?!\d)|\d{1,3}(?:[ \u00a0\ue003]\d{3})+(?![\d/,])"
_WHOLE = rf"(?!{_ATOM}|{_LINK}{_ATOM}|\.\.|…)"  # Nothing follows that belongs to the number.
_DIGITS = rf"(?:(?:{_THOUSANDS}|\d++)(?:\.\d++)?+|\.\d++){_WHOLE}"
_BEFORE_FRACTION = r"(?:\d++(?: and)?[ \u00a0\ue003]|(?<=[/÷] )|(?<=÷))"
_MIXED = rf"{_BEFORE_FRACTION}\d++/\d++(?!/){_WHOLE}|(?:\d++[ \u00a0\ue003]?)?+\ue002{_WHOLE}"
_ODD = rf"\.?{_ATOM}++(?:{_LINK}(?={_ATOM}){_ATOM}++)*+(?:\.\.++|…)?+"
_CODE = r"(?:Rs|INR|USD|EUR|GBP|CHF|CAD|AUD)\b\.?"
_BEFORE_NUMBER = rf"(?=\s*+(?:(?:\\?{CURRENCY}|{_CODE})\s*+)?[\d.(\[\\\ue001-\ue005])"
_BEFORE_SIGN = rf"(?:{_BEFORE_NUMBER}|(?=\s*+[-+−–*×·/÷]{_BEFORE_NUMBER}))"
_NO_UNITS = "of|plus|minus|times|equals|divided|multiplied|choose|mod|modulo|x|X"
_IN_WORDS = r"(?:equals|plus|minus|times|divided by|multiplied by)\b"
_FRACTION = r"\\[dt]?frac\s*(?:\{\s*\d{1,20}\s*\}\s*\{\s*\d{1,20}\s*\}|\d\s*\d(?![\d.,]))"
_ATOM_OF_LATEX = (
    r"\\[dt]?binom\s*(?:\{\s*\d{1,4}\s*\}\s*\{\s*\d{1,4}\s*\}|\d\s*\d(?![\d.,]))"
    r"|\\sqrt\s*(?:\[[^\[\]\n]*\]\s*(?:\{[^{}\n]*\})?|\{\s*\d{1,50}\s*\}|\d(?![\d.,]))|\ue004\s*\d{1,50}(?![\d.,])"
)
_MAX_BINOMIAL = 300  # Below, binomial coefficients have at most `MAX_DIGITS` digits.
_FUNCTIONS = (
    "star|ast|bullet|oplus|ominus|otimes|odot|clubsuit|spadesuit|heartsuit|diamondsuit|diamond|triangle|square|Box"
    "|bowtie|dagger|cup|cap|wedge|vee|nabla|choose"
    "|alpha|beta|gamma|delta|epsilon|theta|lambda|mu|pi|rho|sigma|tau|phi|varphi|omega|infty|pm|mp|sqrt|log|ln|exp|sin"
    "|cos|tan|binom|[bp]?mod|sum|prod|int|lim|[dt]?frac|overline|bar|hat|vec|lfloor|lceil|circ"
)
_CODES = rf"(?<![^\W\d_]){_CODE}(?=\s*[\d(])"
_EMPHASIS = (
    r"(?<![\w)*\]}%.])(?<![\d)%][ \t])\*(?=[^\s*][^*\n]*\*(?![\w*(]))"  # The first mark of *3 + 4 = 7*.
    r"|(?<=[^\s*])\*(?=\s*(?:[.,;:!?)](?![\d.])|$|\n)|\s+[A-Za-z]{2})"
)
_LABEL = r"(?<![\w)*/+×÷^=-])(?<![-+*/×÷=^\d)][ \t])\(\d{1,2}\)(?=[ \t]+[\d$(])"  # (2) 15 - 3 = 12
_TOKEN = re.compile(
    rf"(?P<code>{_CODES})"
    rf"|(?P<words>(?:(?!(?:{_NO_UNITS})(?![^\W\d_])|{_CODES})[^\W\d_]+[ ,']*)+)"
    r"|(?P<a><<[^<>\n]*>>)"
    r"|(?P<skip>[ \t\u00a0\ue003]+|\n(?=[ \t]*=(?![=>]))|,(?=\s*+(?:=|equals\b))|\\[,;! ]|\\[()\[\]])"
    rf"|(?P<mixed>{_MIXED})|(?P<n>{_DIGITS})|(?P<odd>{_ODD})"
    rf"|(?P<mark>\^\s*(?:\\circ\b|\{{\\circ\}})|(?<![\d)])\*\*|\*\*(?![\d(])|{_EMPHASIS}|{_LABEL})"
    rf"|(?P<times>\\times|\\cdot|[×·*✕]|(?<![^\W\d_])[xX](?:{_BEFORE_NUMBER}|(?<=\s[xX])(?=\s+[−-][\d(]))"
    rf"|(?:times|multiplied by)\b{_BEFORE_NUMBER})"
    rf"|(?P<minus>[−–-]{_BEFORE_SIGN}|minus\b{_BEFORE_NUMBER})"
    rf"|(?P<of>(?<![^\W\d_])of\b(?=\s*+(?:(?:\\?{CURRENCY}|{_CODE})\s*+)?[\d(\ue002\ue005]))"
    r"|(?P<unit>/\s*[^\W\d_])|(?P<relation>[!<>~]=|=++(?:[>~]|<(?!<)))|(?P<equals>==+|equals\b)|(?P<op>[+/=])"
    r"|(?P<div>\\div|÷|divided by\b)"
    rf"|(?P<plus>plus\b{_BEFORE_NUMBER})"
    r"|(?P<choose>(?<=[\d)]\s)(?:choose|mod|modulo)\b(?=\s*[\d(]))|(?P<word>[^\W\d_]+)"
    rf"|(?P<fraction>{_FRACTION})|(?P<root>{_ATOM_OF_LATEX})|(?P<group>(?:\^|\\sqrt|\\[dt]?binom)\s*\{{)"
    r"|(?P<base>_\s*(?:\{[^{}\n]*\}|[^\W_]))"
    r"|(?P<power>\^|@|\ue004|(?:(?<=[\d)])|(?<=[\d)]\s))!"
    rf"(?=\s*(?:[-+*/=)}}×÷^]|\\(?:times|cdot|div|right)\b|[xX]\s*\d|{_IN_WORDS})|\d++!)|\\(?:{_FUNCTIONS})(?![A-Za-z])(?!(?<=frac)\s*\{{))"
    r"|(?P<s>[.!?](?=\s+[^a-z\s]|\s*$|\n)|\n)"
    r"|(?P<frac>\\[dt]?frac\s*\{)|(?P<brace>(?:\\[A-Za-z]+\s*)?\{|\})"
    r"|(?P<open>\\left\s*[(\[]|[(\[])|(?P<close>\\right\s*[)\]]|[)\]])"
    rf"|(?P<percent>\\?%)|(?P<currency>\\?{CURRENCY})"
    r"|(?P<other>\\[A-Za-z]+|.)",
    re.ASCII | re.DOTALL,
)
_IN_TEXT = re.compile(r"<<[^<>\n]*>>|\d+(?:,\d{3})*(?:\.\d+)?%?|\.\d+%?", re.ASCII)
_POINTS = re.compile(r"(?<![\d.,:])\d*\.\d[\d.]*(?<!\.)|\d,\d{3}(?!\d)", re.ASCII)
_DOUBTFUL = re.compile(r"\d\.\d\d\d", re.ASCII)
_GROUPS = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+")
_SEPARATORS = re.compile(r"[ ,\u00a0\ue003{}\\!]")
_NUMERIC = re.compile(r"[\d\ue002\ue005]", re.ASCII)
_KIND = {
    "a": "a",
    "s": ".",
    "relation": ".",
    "currency": "$",
    "code": "$",
    "open": "(",
    "close": ")",
    "equals": "=",
    "plus": "+",
    "minus": "-",
    "times": "*",
    "of": "*",
    "div": "/",
    "power": "^",
    "choose": "^",
}


def parse_number(text: str) -> Number | None:
    """The value of a written number: ``1,200``, ``.5``, ``1 1/2``, ``1½``.

    None for a number of more than `MAX_DIGITS` characters and for a fraction with the denominator 0.
    """
    if len(text) > MAX_DIGITS:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    fraction = vulgar_fraction(text[-1])
    if fraction is not None:
        digits = plain_digits(fold(text[:-1]))
        return int(digits or 0) + fraction
    over, _, under = fold(text).replace(" and ", " ").replace("\u00a0", " ").replace(BLANK, " ").partition("/")
    if under:
        whole, _, over = over.rpartition(" ")
        return None if int(under) == 0 else int(whole or 0) + Fraction(int(over), int(under))
    value = Fraction(plain_digits(over))
    return as_number(value)


def as_number(value: Fraction) -> Number:
    """The value as an int, if it is whole."""
    return value.numerator if value.denominator == 1 else value


def plain_digits(text: str) -> str:
    """A written number without its thousands separators."""
    return _SEPARATORS.sub("", text)


def ambiguous_number(text: str) -> str | None:
    """A number of a text whose points may stand between thousands (``1.200``), where none of its numbers says what its
    points are; None if there is none."""
    if not _DOUBTFUL.search(text):
        return None
    points = _POINTS.findall(text)
    doubtful = [number for number in points if _GROUPS.fullmatch(number)]
    return doubtful[0] if len(doubtful) == len(points) and any(one.endswith("00") for one in doubtful) else None


def written_numbers(text: str) -> Iterator[tuple[Number, int]]:
    """(value, offset) of the numbers that a text writes in digits, outside annotations. A percentage counts twice: 20%
    as 20 and as 1/5."""
    for match in _IN_TEXT.finditer(text):
        written = match[0]
        if written.isdigit() and len(written) < MAX_DIGITS:
            yield int(written), match.start()
            continue
        if written[0] == "<":
            continue
        value = parse_number(written.rstrip("%"))
        if value is not None:
            yield value, match.start()
            if written[-1] == "%":
                yield Fraction(value) / 100, match.start()


def numbers(text: str) -> set[Number]:
    """The values of `written_numbers`."""
    return {value for value, _ in written_numbers(text)}


def tokenize(text: str, start: int = 0, end: int | None = None) -> list[Token]:
    """The tokens of ``text[start:end]``, without blanks. Each run of words is one token."""
    end = len(text) if end is None else end
    if text.isascii():
        return _tokenize(text, text, start, end)
    piece = text[start:end]
    tokens = _tokenize(fold(piece), piece, 0, len(piece))
    return [_new(Token, (kind, a + start, b + start, value, percent)) for kind, a, b, value, percent in tokens]


def _tokenize(text: str, written: str, start: int, end: int) -> list[Token]:
    """The tokens of a folded text; `written` is the text before folding."""
    tokens: list[Token] = []
    braces: list[str] = []  # The open braces: of a numerator, of a denominator, or of anything else ("").
    denominator: int | None = None  # Offset of the brace that opens a denominator and has its tokens already.
    for match in _TOKEN.finditer(text, start, end):
        kind = match.lastgroup
        begin, stop = match.span()
        if kind == "skip" or kind == "mark":  # A blank; or a degree, bold type or a label.
            continue
        if kind == "n" or kind == "mixed" or kind == "odd":
            piece = match[0]
            if stop - begin < 16 and piece.isdigit():
                value: Number = int(piece)
            else:
                kind, value = _read_number(kind, piece, written[begin:stop])
            if kind in "n?" and tokens and tokens[-1].kind == "w" and _ends_in_letter(text, tokens[-1], begin):
                kind, value = "?", 0
            if kind == "w" and tokens and tokens[-1].kind == "w":
                begin = tokens.pop().start
            tokens.append(_new(Token, (kind, begin, stop, value, False)))
        elif kind == "op":
            tokens.append(_new(Token, (match[0], begin, stop, 0, False)))
        elif kind == "percent" and tokens and tokens[-1].kind == "n":
            tokens[-1] = tokens[-1]._replace(percent=True)
        elif kind == "fraction":
            tokens += _read_fraction(text, tokens, begin, stop)
        elif kind == "base" and tokens and tokens[-1].end == begin and tokens[-1].kind in "n?!":
            tokens[-1] = _new(Token, ("?", tokens[-1].start, stop, 0, False))  # 101_2
        elif kind == "root":
            tokens += _read_root(match[0], written[begin:stop], begin)
        elif kind == "group":
            tokens += (Token("^", begin, stop - 1), Token("(", stop - 1, stop))
            braces.append("group")
        elif kind == "frac":
            tokens += (Token("(", begin, stop), Token("(", stop, stop))
            braces.append("numerator")
        elif kind == "brace":
            if match[0] != "}":
                braces += [""] * (begin != denominator)
            elif part := braces.pop() if braces else "":
                if part == "group":
                    tokens.append(Token(")", begin, stop))
                elif part == "numerator" and text.startswith("{", stop):
                    tokens += (Token(")", begin, stop), Token("/", stop, stop), Token("(", stop, stop))
                    braces.append("denominator")
                    denominator = stop
                else:
                    tokens += (Token(")", begin, stop), Token(")", stop, stop))
        elif kind in ("s", "other") and match[0] == "!" and _is_factorial(text, tokens, begin):
            tokens.append(_new(Token, ("^", begin, stop, 0, False)))
        elif kind in _KIND and not (kind == "of" and (not tokens or tokens[-1].kind not in "n?!)")):
            if kind == "open" and tokens and tokens[-1].kind == "w" and _ends_in_letter(text, tokens[-1], begin):
                tokens.append(_new(Token, ("^", begin, begin, 0, False)))  # A function: f(3).
            tokens.append(_new(Token, (_KIND[kind], begin, stop, 0, False)))
        elif tokens and tokens[-1].kind == "w":
            tokens[-1] = _new(Token, ("w", tokens[-1].start, stop, 0, False))
        else:
            tokens.append(_new(Token, ("w", begin, stop, 0, False)))
    return tokens


def _read_number(kind: str, folded: str, written: str) -> tuple[str, Number]:
    """The kind and the value of a token of digits and of what belongs to them."""
    if kind != "odd":
        value = parse_number(written)
        return ("!", 0) if value is None else ("n", value)
    if not _NUMERIC.search(folded):
        return "w", 0  # Marks without a number, such as an accent over a letter.
    return "?" if folded.isprintable() else "!", 0


def _read_root(folded: str, written: str, begin: int) -> list[Token]:
    """The tokens of ``\\sqrt{16}``, ``√16`` or ``\\binom{4}{2}`` at the offset `begin`: one with its value if that is a
    whole number and not a large one. Otherwise ``√15`` is a sign and a number."""
    value, end = 0, begin + len(written)
    if "[" not in written:
        over, *under = map(int, re.findall(r"\d+" if "{" in written or written[0] != "\\" else r"\d", written))
        root = math.isqrt(over)
        if under:
            value = math.comb(over, under[0]) if over <= _MAX_BINOMIAL else 0
        elif root * root == over and written[0] != "±":
            value = root
    if value or folded[0] != SIGN:
        return [Token("?", begin, end, value)]
    number = folded[1:].lstrip()
    return [Token("^", begin, begin + 1), Token("n", end - len(number), end, int(number))]


def _read_fraction(text: str, tokens: list[Token], begin: int, stop: int) -> list[Token]:
    """The tokens of ``\\frac{1}{2}`` or ``\\frac12``: a division in brackets, or after a whole number (``2\\frac12``) a
    mixed number. The whole number is then taken from `tokens`."""
    over, under = re.finditer(r"\d+" if "{" in text[begin:stop] else r"\d", text[begin:stop])
    above, below = int(over[0]), int(under[0])
    whole = tokens[-1] if tokens else None
    is_whole = whole and whole.kind == "n" and not whole.percent and text[whole.start : whole.end].isdigit()
    if whole and is_whole and 0 < above < below and not text[whole.end : begin].strip():
        tokens.pop()
        return [Token("n", whole.start, stop, whole.value + Fraction(above, below))]
    (a, b), (c, d) = over.span(), under.span()
    left, right = Token("n", begin + a, begin + b, above), Token("n", begin + c, begin + d, below)
    opened = (Token("(", begin, begin + a), Token("(", begin + a, begin + a), left, Token(")", begin + b, begin + b))
    mark, close = Token("/", begin + b, begin + b), Token("(", begin + b, begin + c)
    return [*opened, mark, close, right, Token(")", stop, stop), Token(")", stop, stop)]


def _is_factorial(text: str, tokens: list[Token], mark: int) -> bool:
    """Whether the ``!`` at the offset `mark` is a factorial, as an earlier one in the equation is: ``5! = 5 * 4!``."""
    if not tokens or tokens[-1].kind not in "n)" or tokens[-1].end != mark:
        return False
    for token in reversed(tokens):
        if token.kind in "w.a":
            return False
        if token.kind == "^" and text[token.start] == "!":
            return True
    return False


def _ends_in_letter(text: str, words: Token, end: int) -> bool:
    """Whether the words end in a letter directly at the offset `end`: ``x1``, ``f(3)``, ``x_1``."""
    return words.end == end and (text[end - 1].isalpha() or text[end - 1] == "_")
