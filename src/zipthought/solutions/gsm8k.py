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

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter

from ..core.arithmetic import BinOp, count_operations
from ..core.verify import StepVerdict, Verdict
from .counting import find_count
from .decided import find_all_equations
from .equations import CheckedEquation, FalseEquation, HoldingEquation, UnreadEquals, offset_of, span_of
from .family import SolvedExample
from .finals import Final, has_bare_letter, plain_number, unit
from .mathematics import is_answer, same_answer
from .options import Options, option_of, read_options, stated_final, value_of
from .prose import find_equations
from .sentences import joined, split_sentences, trace_end
from .solution import NEAR, Solution, SolutionStep, UnreadableError, link
from .tokens import Number, ambiguous_number, numbers
from .traces import pardoned
from .units import converts

NAME = "gsm8k"
SYSTEM = "Solve the problem step by step. End with a line '#### <answer>'."
SYSTEMS = {
    "boxed": "Solve the problem step by step. Put the final answer in \\boxed{}.",
    "tag": "Solve the problem step by step. Put the final answer in <answer></answer>.",
    "bare": "Think step by step. Then give the final answer alone, as a number.",
    "words": "Solve the problem step by step. End with 'The answer is <answer>.'",
}
"""Notation of the final answer (`finals.Final`) -> the system message that asks for it."""
EXAMPLE = SolvedExample(
    "Natalia sold clips to 48 of her friends in April, and half as many clips in May. How many did she sell in all?",
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nShe sold 48+24 = <<48+24=72>>72 clips altogether.\n#### 72",
    "72",
)


def looks_like(question: str) -> bool:
    """True: any question may belong to this family."""
    return True


def read(question: str, solution: str, answer: str | None = None) -> Solution:
    """The steps of a solution. `answer` is the final answer of a record whose solution does not state it.

    Raises `UnreadableError` with one of the reasons ambiguous_number, no_final_answer, conflicting_finals,
    unreadable_final, no_steps, wrong_arithmetic, rounded, division_by_zero, annotation_differs, unreadable_annotation,
    unreadable_number, no_result, and where the result of the last step is another number: final_rounded (the next whole
    number), final_as_percentage, final_converted (to another unit), final_earlier (an earlier step gives it),
    final_after_unread (equations follow that could not be read), or final_not_derived.
    """
    if number := ambiguous_number(solution):
        raise UnreadableError(
            "ambiguous_number",
            f"{number} may be a whole number with a point between its thousands; if it is, use the family gsm8k-comma",
        )
    return read_declared(question, solution, answer)


def read_declared(question: str, solution: str, answer: str | None = None) -> Solution:
    """As `read`, for a solution in whose numbers a point is known to be a decimal point."""
    options = read_options(question)
    stated = stated_final(solution, options)
    if stated is None and answer is None:
        raise UnreadableError("no_final_answer", "the solution states no final answer")
    cut, written = (stated.cut, stated.written) if stated else (len(solution.rstrip()), str(answer))
    tail = solution[cut:] if stated else f"\n#### {answer}"
    final = _value(stated, options) if stated else value_of(written, options)
    letter = option_of(written, options)
    confirms = answer and plain_number(written) is None and same_answer(written, answer)
    if final is None and not (stated and (confirms or (letter and answer is None))):
        raise UnreadableError("unreadable_final", f"the final answer is not one number: {written[:80]!r}")
    value = final if answer is None or final is None else _number_of(answer, options)
    if stated and value is None and final is not None:
        raise UnreadableError("unreadable_final", f"the record's answer is not one number: {str(answer)[:80]!r}")
    right = None if answer is None else option_of(answer, options)
    if stated and (value != final or (letter and right and letter != right)):
        raise UnreadableError(
            "conflicting_finals", f"the solution ends in {written[:40]}, the record says {str(answer)[:40]}"
        )
    for equation in find_equations(tail) if "=" in tail or "equals" in tail else ():
        if isinstance(equation, FalseEquation):
            raise UnreadableError(equation.fault, _explain(tail, equation))
    statement, notation = (stated.statement, stated.notation) if stated else (tail.strip(), "")
    text = solution[:cut]
    equations, unread = _holding(question, text)
    is_derived = final is None or _is_derived(question, text, equations, final, tail)
    if final is not None and not (equations and is_derived) and (count := find_count(equations, text, tail, final)):
        equations = sorted([*equations, count], key=offset_of)
        is_derived = _is_derived(question, text, equations, final, tail)
    if not equations:
        raise UnreadableError("no_steps", "no equation of numbers could be read")
    made = replace(
        _link(question, text, tail, equations, unread),
        final=final,
        answer=right or letter or _record_answer(written, final, answer),
        statement=statement,
        notation=notation,
    )
    if final is not None and not is_derived:
        reason, detail = _reason_not_derived(made, equations, final, f"{question} {written}")
        raise UnreadableError(reason, detail, replace(made, accepted=reason) if reason in NEAR else None)
    return made


def _number_of(answer: str, options: Options) -> Number | None:
    """The number of the answer that a record has in a field of its own: one number, or a text that states it."""
    value = value_of(answer, options)
    stated = stated_final(answer, options) if value is None else None
    return _value(stated, options) if stated else value


def _record_answer(written: str, final: Number | None, answer: str | None) -> str:
    """The answer as a record has it. A letter after the number stays, because it may be a unit or an unknown (5m)."""
    if final is None:
        return str(answer)
    return written if has_bare_letter(written) else write_number(final)


def verify(question: str, text: str, gold: str) -> Verdict:
    """The verdict on a text whose correct answer is `gold`: a number, or with the extra `zipthought[math]` a formula.
    Raises `ValueError` if `gold` is neither.

    Every equation that can be read must hold. One that repeats an earlier one works nothing out, so its granularity is
    0. A text without any is an answer alone.
    """
    options = read_options(question)
    correct = value_of(gold, options)
    if correct is None and not is_answer(gold):
        raise ValueError(f"the right answer is neither a number nor a formula: {gold[:80]!r}")
    stated: Final | None = None
    try:
        stated = stated_final(text, options)
        answer = _grade(stated, correct, gold, options) if stated else "missing"
    except UnreadableError:
        answer = "conflicting"
    steps = []
    seen: set[tuple[object, ...]] = set()
    before: list[HoldingEquation | FalseEquation] = []  # Those before the end of the final answer.
    for start, equation in _judged(question, text):
        if not stated or start < stated.end:
            before.append(equation)
        if isinstance(equation, FalseEquation):
            verdict = "unparseable" if equation.fault in _UNPARSEABLE else "wrong_arithmetic"
            steps.append(StepVerdict(_explain(text, equation), verdict, 0, "unknown"))
        elif (same := _identity(text, equation)) in seen:
            steps.append(StepVerdict(_name(text, equation), "valid", 0, "restated"))
        else:
            seen.add(same)
            if isinstance(equation, CheckedEquation):
                operations = equation.operations
            else:
                operations = count_operations(equation.tree)
            form = "explicit" if operations == 1 else "composed"
            steps.append(StepVerdict(_name(text, equation), "valid", operations, form))
    written = stated.written if stated else ""
    is_derived = not before or correct is None or _is_derived(question, text, before, correct, written)
    if (
        not is_derived
        and answer == "correct"
        and all(step.verdict == "valid" for step in steps)
        and correct is not None
    ):
        read = [equation for _, equation in _judged(question, text, ask_sympy=True)]
        if stated and (count := find_count(read, text[: stated.cut], text[stated.cut :], correct)):
            read = sorted([*read, count], key=offset_of)
        is_derived = _is_derived(question, text, read, correct, written)
    complete = answer != "missing" and is_derived
    granularity = tuple(step.granularity for step in steps if step.granularity)
    return Verdict(answer, tuple(steps), complete, granularity, text)


def step_offsets(question: str, text: str) -> list[int]:
    """The offset in `text` of each step of its verdict."""
    return [start for start, _ in _judged(question, text)]


def _judged(
    question: str, text: str, *, ask_sympy: bool = False
) -> Iterator[tuple[int, HoldingEquation | FalseEquation]]:
    """The equations that are steps of a verdict, each after its offset."""
    for equation in pardoned(text, find_all_equations(text, question, ask_sympy=ask_sympy)):
        if not isinstance(equation, UnreadEquals):
            yield equation.span[0] if isinstance(equation, FalseEquation) else equation.stated.start, equation


def _name(text: str, equation: HoldingEquation) -> str:
    """The result of an equation; the equation itself if that is no number."""
    return text[slice(*equation.span)] if equation.result is None else write_number(equation.result)


def _identity(text: str, equation: HoldingEquation) -> tuple[object, ...]:
    """What two equations share of which one repeats the other: the operators, the values and the result."""
    if isinstance(equation, CheckedEquation):
        return (text[slice(*equation.span)],)
    tree, values = equation.tree, equation.values
    shape = tree.op if len(values) == 2 and isinstance(tree, BinOp) else tree  # Fast for the commonest shape.
    return shape, values, equation.result


def _value(stated: Final, options: Options) -> Number | None:
    """The number of a stated final answer, which may be the letter of an option."""
    return value_of(stated.written, options) if stated.number is None and options else stated.number


def _grade(stated: Final, correct: Number | None, gold: str, options: Options) -> str:
    """The verdict on a stated final answer."""
    letter, right_letter = option_of(stated.written, options), option_of(gold, options)
    if letter and right_letter:
        return "correct" if letter == right_letter else "wrong"
    if letter or right_letter:
        value = _value(stated, options)
        return "malformed" if None in (value, correct) else "correct" if value == correct else "wrong"
    if (correct is None or stated.number is None) and plain_number(stated.written) in (None, stated.number):
        same = same_answer(stated.written, gold)
        return "malformed" if same is None else "correct" if same else "wrong"
    right = unit(gold)
    if stated.number is None or (not right and has_bare_letter(stated.written)):
        return "malformed"
    if stated.number != correct or (right and unit(stated.written) not in ("", right)):  # 5 feet are not 5 metres.
        return "wrong"
    return "correct"


def _results(equation: HoldingEquation | FalseEquation) -> tuple[Number, ...]:
    """The numbers that an equation states as its result. A percentage is two of them: 60% is 3/5 and 60."""
    if isinstance(equation, FalseEquation):
        return () if equation.stated is None else (equation.stated,)
    return () if equation.result is None else (equation.result, equation.stated.value)


def build(question: str, text: str, tail: str) -> Solution:
    """The solution of a text whose equations hold; it may have none. Raises `UnreadableError` if one does not."""
    return _link(question, text, tail, *_holding(question, text))


def _holding(question: str, text: str) -> tuple[list[HoldingEquation], list[int]]:
    """The equations of a text, and the offsets of those that could not be read. Raises `UnreadableError` if one does
    not hold."""
    equations: list[HoldingEquation] = []
    unread: list[int] = []
    for equation in pardoned(text, find_all_equations(text, question)):
        if isinstance(equation, FalseEquation):
            raise UnreadableError(equation.fault, _explain(text, equation))
        if isinstance(equation, UnreadEquals):
            unread.append(equation.start)
        else:
            equations.append(equation)
    return equations, unread


def _link(question: str, text: str, tail: str, equations: Sequence[HoldingEquation], unread: Sequence[int]) -> Solution:
    """The solution whose steps are some equations."""
    given = numbers(question)
    links = link(equations, given)
    sentences = joined(split_sentences(text), sorted(map(span_of, equations), key=itemgetter(1)))
    steps = []
    sentence = 0
    for equation, sources in zip(equations, links.sources, strict=True):
        while sentences[sentence][1] <= equation.stated.start:
            sentence += 1
        steps.append(SolutionStep(equation, sentence, sources))
    return Solution(
        text=text,
        tail=tail,
        answer="",
        sentences=sentences,
        steps=tuple(steps),
        unread=tuple(unread),
        ambiguous=links.ambiguous,
        guessed=links.guessed,
        given=given,
    )


def _is_derived(
    question: str, text: str, equations: Sequence[HoldingEquation | FalseEquation], final: Number, written: str
) -> bool:
    """Whether the final answer is the result of the last step that has a number as its result; with a thinking trace,
    of any step, because a trace may check its answer. An answer written as a fraction may be a step itself: 11/36,
    where 11 is a result and 36 a result or a number of the question; or 12 3/5 after 63 / 5 = 12 remainder 3."""
    last = [e for e in equations if isinstance(e, FalseEquation) or e.result is not None][-1:]
    if any(final in _results(equation) for equation in (equations if trace_end(text) else last)):
        return True
    parts = {final.numerator, final.denominator}
    if len(parts) < 2 or not ("/" in written or "frac" in written):
        return False
    if any(_divides_to(equation, final) for equation in last):
        return True
    known = {number for equation in equations for number in _results(equation)}
    return not known.isdisjoint(parts) and parts <= known | numbers(question)


def _divides_to(equation: HoldingEquation | FalseEquation, quotient: Number) -> bool:
    """Whether an equation is a division with a remainder of which this is the exact quotient."""
    if not isinstance(equation, CheckedEquation) or len(equation.values) != 2:
        return False
    over, under = equation.values
    return bool(under) and equation.result == over // under and quotient * under == over


def _reason_not_derived(
    solution: Solution, equations: Sequence[HoldingEquation], final: Number, asked: str
) -> tuple[str, str]:
    """Why the final answer is not the result of the last step that could be read: an identifier, and an explanation.
    `asked` is the text that may name the unit of the answer."""
    text = solution.text
    last = next((equation for equation in reversed(equations) if equation.result is not None), None)
    if last is None or last.result is None:
        return "final_after_unread", "no step gives a number"
    result = last.result
    reason = "final_after_unread" if "=" in text[last.stated.end :] else "final_not_derived"
    if final.denominator == 1 and result.denominator != 1 and result - 1 < final < result + 1:
        reason = "final_rounded"
    elif final == 100 * result or 100 * final == result:
        reason = "final_as_percentage"
    elif converts(result, text[last.stated.end : last.stated.end + 40], final, asked):
        reason = "final_converted"
    elif reason == "final_not_derived" and any(final in _results(equation) for equation in equations):
        reason = "final_earlier"
    return reason, f"the last step gives {write_number(result)}, the answer is {write_number(final)}"


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


_UNPARSEABLE = ("unreadable_annotation", "unreadable_number", "no_result")
_FAULTS = {
    "rounded": "is rounded, not exact",
    "wrong_arithmetic": "does not hold",
    "annotation_differs": "says something else than its annotation",
    "division_by_zero": "divides by zero",
    "unreadable_annotation": "is not an equation of numbers",
    "unreadable_number": "has a number that cannot be read, or too many numbers",
    "no_result": "states no result",
}


def _explain(text: str, equation: FalseEquation) -> str:
    """The equation as the text has it, and its fault."""
    start, end = equation.span
    quote = " ".join(text[start:end].split())
    quote = quote if len(quote) <= 80 else f"{quote[:77]}..."
    return f"{quote} {_FAULTS[equation.fault]}"
