"""Family `gsm8k`: solutions in prose, with or without calculator annotations, that end in ``#### answer``.

    Natalia sold 48/2 = <<48/2=24>>24 clips in May.
    Natalia sold 48+24 = <<48+24=72>>72 clips altogether.
    #### 72

A solution verifies if the result of the last step is the final answer (60% is 60 or 0.6) and if two things hold
exactly: every annotation, and every equation of the prose that has no words between its numbers or one unit throughout.
Model outputs may end in ``\\boxed{72}`` or ``The answer is 72.`` instead. A record may have its answer in another
field.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ..core.arithmetic import BinOp, count_operations
from ..core.verify import StepVerdict, Verdict
from .equations import Equation, FalseEquation, UnreadEquals
from .expressions import read_expression
from .family import SolvedExample
from .prose import MAX_UNIT_WORDS, find_equations
from .solution import Solution, SolutionStep, UnreadableError, link, split_sentences
from .tokens import Number, numbers, parse_number, tokenize

NAME = "gsm8k"
SYSTEM = "Solve the problem step by step. End with a line '#### <answer>'."
EXAMPLE = SolvedExample(
    "Natalia sold clips to 48 of her friends in April, and half as many clips in May. How many did she sell in all?",
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nShe sold 48+24 = <<48+24=72>>72 clips altogether.\n#### 72",
    "72",
)

_FINAL = re.compile(r"(?:^|\n)[ \t]*####[ \t]*(?P<final>[^\n]*)")
_EQUALS = re.compile(r"^\s*[A-Za-z]\s*=\s*")
_POWER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?[eE][+-]?\d{1,2}", re.ASCII)
_UNKNOWN = re.compile(r"\d[xyzn]\b", re.ASCII)
# Both patterns match from the start of a sentence only, so each sentence is searched once.
_BOXED = re.compile(r"(?:^|(?<=[.\n]))[^.\n]*\\boxed\s*\{(?P<final>(?:[^{}\n]|\{[^{}\n]*\})*)\}[^\n]*")
_ANSWER_IS = re.compile(r"(?i)(?:^|(?<=[.\n]))[^.\n]*\banswer(?: is|:)[ \t*]*(?P<final>\S[^\n]*)")

_NOTATIONS = (("####", _FINAL), ("\\boxed", _BOXED), ("answer", _ANSWER_IS))
"""The notations of a final answer, each with a text in lower case that it contains: searching for it first is faster.
The first notation that a text has states its answer."""


def looks_like(question: str) -> bool:
    """True: any question may belong to this family."""
    return True


def plain_number(text: str) -> Number | None:
    """The number of a final answer: ``$1,080``, ``60%`` (60), ``1/2``, ``x = 5``, ``1e3``, ``18 eggs``.

    None for anything else, such as words before the number, which may deny that it is the answer.
    """
    if text.isascii() and text.isdigit():
        return parse_number(text)
    text = _EQUALS.sub("", text)
    if _POWER.fullmatch(text):
        return Fraction(text)
    if _UNKNOWN.search(text):
        return None
    tokens = [token for token in tokenize(text) if token.kind not in ("$", ".")]
    if tokens and tokens[-1].kind == "w" and text[tokens[-1].start :].count(" ") <= MAX_UNIT_WORDS:
        tokens.pop()
    if any(token.kind == "w" for token in tokens):
        return None
    read = read_expression(tokens)
    is_fraction = read and isinstance(read.tree, BinOp) and read.tree.op == "/" and len(read.operands) == 2
    if not read or not (is_fraction or read.tree == "0"):
        return None
    return read.operands[0].value if read.tree == "0" else read.value


def unit(text: str) -> str:
    """The words after a final answer, in lower case and without a plural's ending; empty if there are none."""
    # The match starts where a run of words starts and ends at its last letter, so each run is searched once.
    match = re.search(r"(?<![A-Za-z ])([A-Za-z ]*[A-Za-z])[.\s]*$", text)
    words = match[1] if match else ""
    return (words[:1] + words[1:].removesuffix("s")).strip().lower()


def final_answer(solution: str) -> tuple[int, str] | None:
    """Offset of the part that states the final answer, and the answer as written; None if the text states none.

    Raises `UnreadableError` for a text with two different answers, in one notation or in two. In every notation but
    the first of the text, something that is not one number is not an answer.
    """
    stated: tuple[int, str] | None = None
    claims: list[str] = []
    n_first = 0  # How many of the claims are in the first notation.
    folded = solution.casefold()
    for sign, pattern in _NOTATIONS:
        matches = list(pattern.finditer(solution)) if sign in folded else None
        if matches:
            claims += [match["final"].strip() for match in matches]
            if not stated:
                stated, n_first = (matches[0].start(), claims[-1]), len(claims)
    if len(claims) > 1:
        parsed = [(plain_number(text), text) for text in (claim.rstrip(".") for claim in claims)]
        for distinct in (dict(parsed[:n_first]), {number: text for number, text in parsed if number is not None}):
            if len(distinct) > 1:
                named = " and ".join(sorted(distinct.values())[:2])
                raise UnreadableError("conflicting_finals", f"two final answers: {named}")
    return stated


def read(question: str, solution: str, answer: str | None = None) -> Solution:
    """The steps of a solution. `answer` is the final answer of a record whose solution does not state it.

    Raises `UnreadableError` with one of the reasons no_final_answer, conflicting_finals, unreadable_final, no_steps,
    wrong_arithmetic, rounded, division_by_zero, unreadable_annotation, and final_not_derived (the result of the last
    step is another number).
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
    return _build(solution[:cut], tail, final, numbers(question))


def verify(question: str, text: str, gold: str) -> Verdict:
    """The verdict on a text whose correct answer is `gold`. Raises `ValueError` if `gold` is not one number.

    Every equation that can be read must hold. A text without any is an answer alone.
    """
    correct = plain_number(gold)
    if correct is None:
        raise ValueError(f"the right answer is not one number: {gold[:80]!r}")
    stated: tuple[int, str] | None = None
    try:
        stated = final_answer(text)
        answer = _grade(stated[1], correct, gold) if stated else "missing"
    except UnreadableError:
        answer = "conflicting"
    steps = []
    last: Equation | FalseEquation | None = None
    for equation in find_equations(text[: stated[0]] if stated else text):
        if isinstance(equation, UnreadEquals):
            continue
        last = equation
        if isinstance(equation, FalseEquation):
            verdict = "unparseable" if equation.fault == "unreadable_annotation" else "wrong_arithmetic"
            steps.append(StepVerdict(_explain(text, equation), verdict, 0, "unknown"))
        else:
            operations = count_operations(equation.tree)
            form = "explicit" if operations == 1 else "composed"
            steps.append(StepVerdict(write_number(equation.result), "valid", operations, form))
    complete = answer != "missing" and (last is None or correct in _results(last))
    granularity = tuple(step.granularity for step in steps if step.granularity)
    return Verdict(answer, tuple(steps), complete, granularity, text)


def _grade(stated: str, correct: Number, gold: str) -> str:
    """The verdict on a stated final answer."""
    final = plain_number(stated)
    if final is None:
        return "malformed"
    if final != correct or (unit(gold) and unit(stated) not in ("", unit(gold))):  # 5 feet are not 5 metres.
        return "wrong"
    return "correct"


def _results(equation: Equation | FalseEquation) -> tuple[Number | None, ...]:
    """The numbers that an equation states as its result. A percentage is two of them: 60% is 3/5 and 60."""
    if isinstance(equation, FalseEquation):
        return (equation.stated,)
    return equation.result, equation.stated.value


def _build(text: str, tail: str, final: Number, given: set[Number]) -> Solution:
    """The solution of a text whose equations hold and end in `final`. Raises `UnreadableError` if they do not."""
    equations: list[Equation] = []
    unread: list[int] = []
    for equation in find_equations(text):
        if isinstance(equation, Equation):
            equations.append(equation)
        elif isinstance(equation, FalseEquation):
            raise UnreadableError(equation.fault, _explain(text, equation))
        else:
            unread.append(equation.start)
    if not equations:
        raise UnreadableError("no_steps", "no equation of numbers could be read")
    if final not in _results(equations[-1]):
        last = write_number(equations[-1].result)
        raise UnreadableError("final_not_derived", f"the last step gives {last}, the answer is {write_number(final)}")
    links = link(equations, given)
    sentences = split_sentences(text)
    steps = []
    sentence = 0
    for equation, sources in zip(equations, links.sources, strict=True):
        while sentences[sentence][1] <= equation.stated.start:
            sentence += 1
        steps.append(SolutionStep(equation, sentence, sources))
    return Solution(
        text=text,
        tail=tail,
        answer=write_number(final),
        sentences=sentences,
        steps=tuple(steps),
        unread=tuple(unread),
        ambiguous=links.ambiguous,
        guessed=links.guessed,
    )


def write_number(value: Number) -> str:
    """A number in plain digits: ``18``, ``0.5``, ``1/3``."""
    if value.denominator == 1:
        return str(value.numerator)
    for decimals in range(1, 12):
        scaled = value * 10**decimals
        if scaled.denominator == 1:
            digits = str(abs(scaled.numerator)).rjust(decimals + 1, "0")
            return f"{'-' * (value < 0)}{digits[:-decimals]}.{digits[-decimals:]}"
    return f"{value.numerator}/{value.denominator}"


_FAULTS = {
    "rounded": "is rounded, not exact",
    "wrong_arithmetic": "does not hold",
    "division_by_zero": "divides by zero",
    "unreadable_annotation": "is not an equation of numbers",
}


def _explain(text: str, equation: FalseEquation) -> str:
    """The equation as the text has it, and its fault."""
    start, end = equation.span
    quote = " ".join(text[start:end].split())
    quote = quote if len(quote) <= 80 else f"{quote[:77]}..."
    return f"{quote} {_FAULTS[equation.fault]}"
