"""Surface `gsm8k`: solutions in prose with calculator annotations, or without any, and ``#### answer`` (FORMATS.md 5).

    Natalia sold 48/2 = <<48/2=24>>24 clips in May.
    Natalia sold 48+24 = <<48+24=72>>72 clips altogether.
    #### 72

A solution verifies where every annotation and every equation of the prose that has no words between its numbers, or
one unit throughout, holds exactly, and the last step's result is the final answer (60% is 60 or 0.6). Model outputs may
end in ``\\boxed{72}`` or ``The answer is 72.`` instead; a record may carry the answer beside the solution.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ..core.arithmetic import BinOp, count_operations
from ..core.verify import StepVerdict, Verdict
from .prose import MAX_UNIT_WORDS, Equation, find_equations, read_expression
from .text import Solution, SolutionStep, UnreadableError, link, sentences
from .tokens import Number, numbers, parse_number, tokenize

NAME = "gsm8k"
SYSTEM = "Solve the problem step by step. End with a line '#### <answer>'."

_FINAL = re.compile(r"(?:^|\n)[ \t]*####[ \t]*(?P<final>[^\n]*)")
_EQUALS = re.compile(r"^\s*[A-Za-z]\s*=\s*")
_POWER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?[eE][+-]?\d{1,2}", re.ASCII)
_UNKNOWN = re.compile(r"\d[xyzn]\b", re.ASCII)
# Both from a sentence's start on, so that each sentence is looked at once.
_BOXED = re.compile(r"(?:^|(?<=[.\n]))[^.\n]*\\boxed\s*\{(?P<final>(?:[^{}\n]|\{[^{}\n]*\})*)\}[^\n]*")
_SAID = re.compile(r"(?i)(?:^|(?<=[.\n]))[^.\n]*\banswer(?: is|:)[ \t*]*(?P<final>\S[^\n]*)")

_NOTATIONS = (("####", _FINAL), ("\\boxed", _BOXED), ("answer", _SAID))
"""What each has in lower case, which is quicker to look for; the first that a text has states its answer."""


def looks_like(question: str) -> bool:
    """Whether a question is of this family: any text may be."""
    return True


def plain_number(text: str) -> Number | None:
    """The one number that a final answer is: ``$1,080``, ``60%`` (as 60), ``1/2``, ``x = 5``, ``1e3``, ``18 eggs``.

    None for anything else, such as a number with words before it, which may say that it is not the answer.
    """
    if text.isascii() and text.isdigit():
        return parse_number(text)
    text = _EQUALS.sub("", text)
    if _POWER.fullmatch(text):
        return Fraction(text)
    if _UNKNOWN.search(text):
        return None
    found = [token for token in tokenize(text) if token.kind not in ("$", ".")]
    if found and found[-1].kind == "w" and text[found[-1].start :].count(" ") <= MAX_UNIT_WORDS:
        found.pop()
    if any(token.kind == "w" for token in found):
        return None
    read = read_expression(found)
    fraction = read and isinstance(read.tree, BinOp) and read.tree.op == "/" and len(read.operands) == 2
    if not read or not (fraction or read.tree == "0"):
        return None
    return read.operands[0].value if read.tree == "0" else read.value


def unit(text: str) -> str:
    """The words after a final answer, without a plural's ending; empty where there are none."""
    # From the start of a run of words on, up to its last letter, so that each is looked at once.
    found = re.search(r"(?<![A-Za-z ])([A-Za-z ]*[A-Za-z])[.\s]*$", text)
    words = found[1] if found else ""
    return (words[:1] + words[1:].removesuffix("s")).strip().lower()


def final_answer(solution: str) -> tuple[int, str] | None:
    """Where the part begins that states the final answer, and the answer as it is written; None where none is stated.

    Raises `UnreadableError` where a text states two that differ, in one notation or in two of them; in another
    notation than the first, what is not one number states nothing.
    """
    stated: tuple[int, str] | None = None
    claims: list[str] = []
    first = 0  # How many of the claims are in the first notation.
    folded = solution.casefold()
    for sign, pattern in _NOTATIONS:
        found = list(pattern.finditer(solution)) if sign in folded else None
        if found:
            claims += [match["final"].strip() for match in found]
            if not stated:
                stated, first = (found[0].start(), claims[-1]), len(claims)
    if len(claims) > 1:
        told = [(plain_number(text), text) for text in (claim.rstrip(".") for claim in claims)]
        for same in (dict(told[:first]), {number: text for number, text in told if number is not None}):
            if len(same) > 1:
                named = " and ".join(sorted(same.values())[:2])
                raise UnreadableError("conflicting_finals", f"two final answers: {named}")
    return stated


def read(question: str, solution: str, answer: str | None = None) -> Solution:
    """The steps of a solution. `answer` is the final answer of a record whose solution does not state it.

    Raises `UnreadableError`: no_final_answer, conflicting_finals, unreadable_final, no_steps, wrong_arithmetic,
    rounded, division_by_zero, unreadable_annotation, or final_not_derived (the last step's result is another number).
    """
    stated = final_answer(solution)
    if stated is None and answer is None:
        raise UnreadableError("no_final_answer", "the solution states no final answer")
    cut, written = stated or (len(solution.rstrip()), str(answer))
    tail = solution[cut:] if stated else f"\n#### {answer}"
    final = plain_number(written)
    if final is None:
        raise UnreadableError("unreadable_final", f"the final answer is not one number: {written[:80]!r}")
    if stated and answer is not None and plain_number(answer) not in (None, final):
        raise UnreadableError(
            "conflicting_finals", f"the solution ends in {written[:40]}, the record says {answer[:40]}"
        )
    text = solution[:cut]
    return build(text, tail, final, numbers(question))


def judge(question: str, text: str, gold: str) -> Verdict:
    """The verdict on a solution whose right answer is `gold`. Raises `ValueError` where that is not one number.

    A text that states no annotation and no equation says its answer alone; every equation that can be read must hold.
    """
    right = plain_number(gold)
    if right is None:
        raise ValueError(f"the right answer is not one number: {gold[:80]!r}")
    stated: tuple[int, str] | None = None
    try:
        stated = final_answer(text)
        final = plain_number(stated[1]) if stated else None
        answer = "missing" if not stated else "malformed" if final is None else "correct" if final == right else "wrong"
        if stated and answer == "correct" and unit(gold) and unit(stated[1]) not in ("", unit(gold)):
            answer = "wrong"  # 5 feet are not 5 metres.
    except UnreadableError:
        answer = "conflicting"
    steps = []
    last: Equation | None = None
    for found in find_equations(text[: stated[0]] if stated else text):
        if isinstance(found, Equation):
            last = found
            operations = count_operations(found.tree)
            verdict = "unparseable" if found.fault == "unreadable_annotation" else "wrong_arithmetic"
            form = "explicit" if operations == 1 else "composed"
            if not found.fault:
                steps.append(StepVerdict(shown(found.result), "valid", operations, form))
            else:
                steps.append(StepVerdict(_explain(text, found), verdict, 0, "unknown"))
    complete = answer != "missing" and (last is None or right in (last.result, last.value.value))
    granularity = tuple(step.granularity for step in steps if step.granularity)
    return Verdict(answer, tuple(steps), complete, granularity, text)


def build(text: str, tail: str, final: Number, given: set[Number]) -> Solution:
    """The solution of a text whose equations hold and end in `final`. Raises `UnreadableError`."""
    equations: list[Equation] = []
    unread: list[int] = []
    for found in find_equations(text):
        if not isinstance(found, Equation):
            unread.append(found.start)
        elif found.fault:
            raise UnreadableError(found.fault, _explain(text, found))
        else:
            equations.append(found)
    if not equations:
        raise UnreadableError("no_steps", "no equation of numbers could be read")
    last = equations[-1]
    if final not in (last.result, last.value.value):
        raise UnreadableError(
            "final_not_derived", f"the last step gives {shown(last.result)}, the answer is {shown(final)}"
        )
    links, ambiguous, guessed = link(equations, given)
    pieces = sentences(text)
    steps = []
    piece = 0
    for equation, sources in zip(equations, links, strict=True):
        while pieces[piece][1] <= equation.value.start:
            piece += 1
        steps.append(SolutionStep(equation, piece, sources))
    return Solution(text, tail, shown(final), pieces, tuple(steps), tuple(unread), ambiguous, guessed)


def shown(value: Number) -> str:
    """A number in plain digits: ``18``, ``0.5``, ``1/3``."""
    if value.denominator == 1:
        return str(value.numerator)
    for places in range(1, 12):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            return f"{'-' * (value < 0)}{digits[:-places]}.{digits[-places:]}"
    return f"{value.numerator}/{value.denominator}"


def _explain(text: str, equation: Equation) -> str:
    """What is wrong with an equation, in its own words."""
    start, end = equation.annotation or (max(equation.start, 0), equation.value.end)
    said = " ".join(text[start:end].split())
    said = said if len(said) <= 80 else f"{said[:77]}..."
    reasons = {
        "rounded": "is rounded, not exact",
        "wrong_arithmetic": "does not hold",
        "division_by_zero": "divides by zero",
        "unreadable_annotation": "is not an equation of numbers",
    }
    return f"{said} {reasons[equation.fault or '']}"
