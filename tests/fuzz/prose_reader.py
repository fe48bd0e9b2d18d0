"""The second reader of real solutions: arithmetic in prose, read from the characters with exact fractions.

It is written from docs/real_data.md and shares no code with `zipthought.solutions`. It proves an equation false only
where it is sure what the equation says: numbers, operators and brackets on both sides with no words in between, or one
unit throughout. Where a text can be read in several ways, all readings have to be false.
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

from .fraction_reader import number, readings


class ProseAudit(NamedTuple):
    """What the second reader found in a real solution."""

    correct: bool
    """False where the final answer is provably not the gold answer, or not stated."""
    answer_faults: tuple[str, ...]
    provable_faults: tuple[str, ...]
    """Why the text does not verify, as ``kind: detail``; the faults of the answer are among them."""
    equations: int
    """Equations of numbers that were read for certain."""


_NOTE = re.compile(r"<<([^<>]*)>>")
_LATEX = (
    (re.compile(r"\\(?:d|t)?frac\{([0-9.]+)\}\{([0-9.]+)\}"), r"(\1/\2)"),
    (re.compile(r"\\boxed\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\times|\\cdot"), "*"),
    (re.compile(r"\\div"), "/"),
    (re.compile(r"\\[$%]"), "$"),
    (re.compile(r"\\[()\[\]]"), " "),
)
_CHARACTERS = "0123456789.,+-*/×÷−–·^()$€£% \t!x"
_RUN = re.compile(rf"\s*(?:[{re.escape(_CHARACTERS)}]|[^\x00-\x7f])*")
_WORD_BEFORE = re.compile(r"([^\W\d_]+)[\s,:]*$")
_PART_OF_IT = frozenset(
    re.findall(
        r"\w+",
        "of half twice double triple thrice times plus minus by quarter third squared cubed per over and dozen hundred "
        "thousand million billion than root sqrt less more percent point add subtract divided multiplied x y n sum "
        "choose mod",
    )
)
_UNITS = re.compile(
    r"(?<![\w.,:$+\-*/×÷=(%!)]\s)(?<![\w.,:$+\-*/×÷=(%!])([0-9][0-9,]*) ([a-z]{3,})"
    r"((?: [-+*] [0-9][0-9,]* [a-z]{3,})+) = ([0-9][0-9,]*) ([a-z]{3,})(?=[.!?]?(?:\s|$))"
)
WINDOW = 400
"""Characters on each side of an equals sign that are read."""


def _prose(text: str) -> str:
    """The text without annotations, and with LaTeX as plain characters."""
    text = _NOTE.sub("", text)
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    return re.sub(r"\bequals\b", "=", text).replace("**", "")


def _goes_on(words: str) -> bool:
    """Whether what stands before an expression can be a part of it: a word such as `twice`, or a mark."""
    word, mark = _WORD_BEFORE.search(words), words.rstrip()[-1:]
    if re.search(r"[-+*/×÷^][^\w\n]*\w*[^\w\n]*$|[0-9)](?:[^=]* )?[-+*/×÷^][^\d.]*$", words[-40:]):  # 120 + needs 1/10
        return True
    return bool(word and word[1].lower() in _PART_OF_IT) or not (mark.isalnum() or mark in ".,;:?!)'\"’”%")


def _sides(text: str, at: int) -> tuple[str, str] | None:
    """The expressions around an equals sign, where nothing else can belong to them."""
    line = text[max(0, at - WINDOW) : at].rsplit("\n", 1)[-1]
    rest = text[at + 1 : at + 1 + WINDOW].split("\n", 1)[0]
    earlier, _, line = line.rpartition("=")
    words = line.rstrip(_CHARACTERS + "".join({c for c in line if c.isnumeric()}))
    run = line[len(words) :]
    *sentences, left = re.split(r"[.,](?=\s)", run)
    left = left.strip(" ,$")
    right = _RUN.match(rest)[0]  # type: ignore[index]
    tail = rest[len(right) :]
    if not left or left[0] in "-+*/×÷x−–^!)" or max(len(left), len(right)) > WINDOW - 10:
        return None
    if re.search(r"[0-9][$€£]|\.[^0-9]", left + right) or re.match(r"\s*(?:\.|-\s)", right):
        return None
    if not sentences and ((words[-1:].isalnum() and not run[:1].isspace()) or words[-1:] == ":" or _goes_on(words)):
        return None
    if re.search(r"[0-9][.,]?['_:]$", words) or re.match(r"['_:][0-9]", tail):  # 12'5, 7:30
        return None
    if (tail[:1].isalpha() and right.strip() and not right[-1].isspace()) or tail[:1] in tuple("\\_<>≤≥≈'"):
        return None
    right = re.split(r"[.,](?=\s|$)|\s[-–]\s*$|\s\(\s*$", right)[0].strip(" ,")
    follows = not words.strip() and re.search(r"[0-9)]\s*$", earlier)  # A side of a chain.
    operated = re.search(r"[-+*/×÷−–·⋅∗∕^x!⁰¹²³⁴⁵⁶⁷⁸⁹]", left) or follows
    return (left, right) if right and operated else None


_REMAINDER = re.compile(r"[\s,]*(?:with )?(?:a )?(?:remainder|R)\b", re.I)
_AFTER = re.compile(r"\s*([A-Za-z]+)((?:\s+[A-Za-z]+){0,3}\s*[-+*/×÷]\s*[0-9(])?")


def _differ(sides: tuple[str, str]) -> bool | None:
    """Whether two expressions differ under all readings; None where one is not read, or shows the noise of floats."""
    one, other = (readings(re.sub(r"\s+(?=%)", "", side)) for side in sides)
    if all("%" in side for side in sides):  # A percentage as the result: the unit of all.
        plain = [readings(side.replace("%", "")) for side in sides]
        one, other = one and one | plain[0], other and other | plain[1]
    if sides[1].endswith("!"):  # A factorial, or the end of a sentence.
        other = other and other | readings(sides[1].rstrip("!"))
    if not one or not other:
        return None
    noise = re.search(r"\.[0-9]{12,18}(?![0-9])", "".join(sides)) and any(abs(a - b) < 1e-9 for a in one for b in other)
    return None if noise else not one & other


def false_equations(text: str) -> tuple[list[str], int]:
    """The equations of a text that are false under every reading, and how many were read."""
    faults, read = [], 0
    for note in _NOTE.finditer(text):
        left, equals, right = note[1].rpartition("=")
        differ = _differ((left, right)) if equals else None
        read += differ is not None
        if differ:
            faults.append(f"annotation: {note[1][:60]}")
    prose = _prose(text)
    for match in re.finditer(r"(?<![=<>!~:])=(?![=<>])", prose):
        sides = _sides(prose, match.start())
        differ = _differ(sides) if sides else None
        if sides is None or differ is None:
            continue
        end = prose.find(sides[1], match.end()) + len(sides[1])
        if _REMAINDER.match(prose, end):  # A division of whole numbers.
            continue
        read += 1
        following = _AFTER.match(prose, end)
        if differ and not (following and (following[2] or following[1].lower() in _PART_OF_IT | _SCALE)):
            foreign = any(not c.isascii() and c.isnumeric() for c in "".join(sides))
            kind = "foreign digits" if foreign else "power" if re.search(r"[\^!]", "".join(sides)) else "equation"
            faults.append(f"{kind}: {sides[0][-60:]} = {sides[1][:60]}")
    collapsed = re.sub(r"[ \t]+", " ", prose)
    for match in _UNITS.finditer(collapsed):
        if collapsed[: match.start()].rstrip(" ")[-1:] in tuple("^*/×÷"):
            continue
        units = {match[2], match[5], *re.findall(r"[a-z]{3,}", match[3])}
        if len(units) == 1 and not units & (_PART_OF_IT | _SCALE) and "*" not in match[3]:
            read += 1
            if _differ((re.sub(r" [a-z]{3,}", "", match[1] + match[3]), match[4])):
                faults.append(f"units: {match[0][:60]}")
    return faults, read


_SCALE = frozenset(
    re.findall(
        r"\w+",
        "k m bn million millions billion billions trillion thousand thousands hundred hundreds dozen dozens score "
        "gross half halves quarter squared cubed factorial",
    )
)
_DENIAL = frozenset({"not", "wrong", "incorrect", "false", "wait", "mistake", "never"})
_NUMBER_WORDS = frozenset({"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "half"})
_SYMBOLS = frozenset({"k", "i", "x", "y", "n", "e", "pi", "π"})
"""Letters directly after a number that make another number of it."""
_NOTATIONS = re.compile(
    r"####[ \t]*(?P<hash>[^\n]*)|\\boxed\{(?P<box>[^\n{}]*)\}"
    r"|\b(?:the )?(?:final )?answer(?: is\b|\s*:| is:)[ \t]*:?[ \t]*(?P<words>[^\n]*)",
    re.I,
)
_STATED = re.compile(r"[\s$€£*\\(]*(-?\s?[$€£]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?(?:\s?/\s?[0-9]+)?)")


def _claim_fault(stated: str, gold: Fraction) -> str | None:
    """Why what stands after a final answer's notation is provably not `gold`; None where it may be."""
    match = _STATED.match(stated)
    digits = re.sub(r"[\s$€£]", "", match[1]) if match else ""
    if not match or not any(c.isdigit() for c in digits):
        return f"answer: {stated[:40]!r} is no number" if stated.strip()[:1].isnumeric() else None
    value = readings(digits)
    if value and gold not in value:
        return f"answer: {stated[:40]!r} is not the gold answer"
    rest = stated[match.end() :]
    if rest[:1] in tuple("^!\\_/") and rest[1:2].strip():
        return f"answer: {stated[:40]!r} goes on after the number"
    if re.match(r"\s*[-+*/^×÷]\s*[0-9(]|(?:\.\.+|…)\s*[0-9]", rest):
        return f"answer: {stated[:40]!r} goes on with arithmetic"
    if any(c.isnumeric() and not c.isascii() for c in re.match(r"\s*[^\s.]*", rest)[0]):  # type: ignore[index]
        return f"answer: {stated[:40]!r} has other digits"
    words = re.match(r"([^\W\d_]*)[\s,(*]*([^\W\d_]*)[\s,]*([^\W\d_]*)", rest)
    glued, first, second = (word.lower() for word in words.groups())  # type: ignore[union-attr]
    if glued in _SYMBOLS or (glued or first) in _SCALE | _DENIAL:
        return f"answer: {stated[:40]!r} scales or denies the number"
    if first in ("is", "and") and second in _SCALE | _DENIAL | {"a"}:
        return f"answer: {stated[:40]!r} scales or denies the number"
    if first in ("minus", "plus", "times") and second in _NUMBER_WORDS:
        return f"answer: {stated[:40]!r} goes on with arithmetic"
    return f"answer: {stated[:40]!r} gives two" if first == "or" and re.search("or [$]?[0-9]", rest) else None


_RETRACTS = re.compile(
    r"\b(?:no,? wait|wait,? no|that is wrong|that's wrong|this is wrong|i made a mistake|not)\b", re.I
)


def final_faults(text: str, gold: Fraction) -> list[str]:
    """Why the text does not state `gold` as its final answer."""
    claims = list(_NOTATIONS.finditer(text))
    faults = []
    for claim in claims:
        nested = claim["words"] or claim["hash"] or ""
        if "\\boxed" in nested or (claim["words"] is not None and re.search(r"answer is|####", nested, re.I)):
            continue
        stated = next(part for part in claim.groups() if part is not None)
        sure = claim is claims[-1] or claim["words"] is None
        if (sure or re.match(r"\s*\$?-?[0-9]", stated)) and (fault := _claim_fault(stated, gold)):
            faults.append(fault)
    if not claims:
        return [] if re.search(r"answer|boxed|####", text, re.I) else ["answer: none is stated"]
    after = text[claims[-1].end() :]
    if claims[-1]["words"] is None and (match := _RETRACTS.search(after)) and re.search("[0-9]", after[match.end() :]):
        faults.append(f"answer: taken back by {after.strip()[:40]!r}")
    return faults


_QUESTION = re.compile(r"\[([0-9, ]+)\].*?([0-9]+)\.")


def _premise_faults(question: str, text: str) -> list[str]:
    """Numbers of a countdown solution that are neither on the table nor an earlier result."""
    match = _QUESTION.search(question)
    if not match:
        return []
    table = Counter(number(each) for each in re.findall("[0-9]+", match[1]))
    faults = []
    lines, final, rest = text.partition("\n####")
    again = set(lines.split("\n"))  # What is repeated after the final answer uses nothing again.
    for line in [*lines.split("\n"), *(line for line in (final + rest).split("\n") if line not in again)]:
        equation = re.fullmatch(r"\s*([0-9]+) ([-+*/]) ([0-9]+) = ([0-9]+)\s*", line)
        if not equation:
            if "=" in line or not line.strip().startswith("####"):
                return faults  # What follows may use numbers that this line settles.
            continue
        for each in (number(equation[1]), number(equation[3])):
            if not table[each]:
                faults.append(f"premise: a number of {line[:40]!r} is not on the table, or used up")
            table[each] -= 1
        table[number(equation[4])] += 1
    return faults


def audit_prose(text: str, question: str, gold: str, family: str) -> ProseAudit:
    """What is provably wrong in a real solution of `family`, `gsm8k` or `countdown`. Raises nothing because of `text`.

    `gold` is the right answer as a plain number. The time is linear in the text.
    """
    value = readings(gold)
    text = text.translate({0x2024: ".", 0xFF0E: "."})
    answer_faults = final_faults(text, next(iter(value))) if value else []
    faults, read = false_equations(text)
    if family == "countdown":
        faults += _premise_faults(question, text)
    return ProseAudit(not answer_faults, tuple(answer_faults), (*answer_faults, *faults), read)
