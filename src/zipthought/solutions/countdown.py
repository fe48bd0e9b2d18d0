"""Family `countdown`: the numbers game, in the wording that RL recipes use (Pan et al. 2025, TinyZero).

    Using the numbers [19, 36, 55, 7], create an equation that equals 65.

    55 + 36 = 91
    91 - 19 = 72
    72 - 7 = 65
    #### 65

Beyond exact arithmetic, each step may use only available numbers: the given ones and earlier results, each as often as
it is available. Any other number is a wrong premise, and so is a result other than the target.

The answer may also be one expression, ``<answer>(55 + 36) - 19 - 7</answer>``. It may use each given number once (it
must, if the question says "exactly once"), and steps before it are trials.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from ..core.arithmetic import BinOp, count_operations
from ..core.verify import StepVerdict, Verdict
from . import gsm8k
from .expressions import Expression, read_expression
from .family import SolvedExample
from .powers import is_plain
from .solution import Solution, UnreadableError
from .tokens import Number, parse_number, tokenize

NAME = "countdown"
SYSTEM = "Use each number at most once. Write one operation a line and end with a line '#### <result>'."
EXAMPLE = SolvedExample(
    "Using the numbers [19, 36, 55, 7], create an equation that equals 65.",
    "55 + 36 = 91\n91 - 19 = 72\n72 - 7 = 65\n#### 65",
    "65",
)

_QUESTION = re.compile(
    r"numbers?\s*\[([\d,\s]+)\][^\[\]]*?(?:equals?|make|reach|target(?: is| of)?)\s*(\d++)(?u:(?!\w))(?![.,]\d)",
    re.ASCII,
)
_ANSWER = re.compile(r"<answer>([^<>]{1,300})</answer>", re.IGNORECASE)
_UNREADABLE = "the question gives no numbers in brackets and no target"


def looks_like(question: str) -> bool:
    """Whether a question gives numbers in brackets and a target."""
    return _QUESTION.search(question) is not None


def verify(question: str, text: str, gold: str) -> Verdict:
    """The verdict on a solution. The question states the answer, so the answer is correct only if the steps reach it.

    Raises `ValueError` for a question of another kind.
    """
    if not looks_like(question):
        raise ValueError(_UNREADABLE)
    verdict = gsm8k.verify(question, text, gold)
    if expression := _final_expression(text):
        fault = _fault_of(question, expression[1])
        operations = count_operations(expression[1].tree)
        form = "explicit" if operations == 1 else "composed"
        last = (
            StepVerdict(fault, "wrong_premise", 0, "unknown") if fault else StepVerdict(gold, "valid", operations, form)
        )
        steps = (*verdict.steps, last)
        granularity = tuple(step.granularity for step in steps if step.granularity)
        return Verdict("wrong" if fault else "correct", steps, not fault, granularity, text)
    try:
        read(question, text)
    except UnreadableError as error:
        steps = verdict.steps
        if error.reason == "wrong_premise":
            steps = (*steps, StepVerdict(str(error), "wrong_premise", 0, "unknown"))
        answer = "wrong" if verdict.answer == "correct" else verdict.answer
        return Verdict(answer, steps, False, verdict.granularity, text)
    return verdict


def read(question: str, solution: str, answer: str | None = None) -> Solution:
    """The steps of a solution. Raises `UnreadableError` as `gsm8k.read` does, and with the reason wrong_premise."""
    match = _QUESTION.search(question)
    if not match:
        raise UnreadableError("unreadable_question", _UNREADABLE)
    if expression := _final_expression(solution):
        if fault := _fault_of(question, expression[1]):
            raise UnreadableError("wrong_premise", fault)
        cut = expression[0].start()
        built = gsm8k.build(question, solution[:cut], solution[cut:])
        return replace(built, answer=match[2], final=parse_number(match[2]), statement=expression[0][0], notation="tag")
    result = gsm8k.read(question, solution, answer)
    if misuse := _find_misuse(match, result):
        raise UnreadableError("wrong_premise", misuse[1])
    return result


def step_offsets(question: str, text: str) -> list[int]:
    """The offset in `text` of each step of its verdict. Raises `ValueError` for a question of another kind."""
    match = _QUESTION.search(question)
    if not match:
        raise ValueError(_UNREADABLE)
    offsets = gsm8k.step_offsets(question, text)
    if expression := _final_expression(text):
        return [*offsets, expression[0].start()]
    try:
        misuse = _find_misuse(match, gsm8k.read(question, text))
    except UnreadableError:
        return offsets
    return [*offsets, misuse[0]] if misuse else offsets


def _find_misuse(question: re.Match[str], solution: Solution) -> tuple[int, str] | None:
    """The offset and the fault of the first step that uses a number which is not available, or else of an answer that
    is not the target; None for neither."""
    available: Counter[Number | None] = Counter(parse_number(text) for text in re.findall("[0-9]+", question[1]))
    for step in solution.steps:
        for value in step.equation.values:
            if not available[value]:
                return step.equation.stated.start, f"{gsm8k.write_number(value)} is not available, or is used up"
            available[value] -= 1
        available[step.equation.result] += 1
    if solution.answer != question[2]:
        stated = (solution.text + solution.tail).rfind(solution.statement)
        return stated, f"the target is {question[2]}, the solution reaches {solution.answer}"
    return None


def _final_expression(text: str) -> tuple[re.Match[str], Expression] | None:
    """Where a text has its last ``<answer>``, and the expression in it; None if that is no expression."""
    found = list(_ANSWER.finditer(text))
    if not found:
        return None
    match = found[-1]
    tokens = tokenize(match[1].strip())
    read = read_expression(tokens) if is_plain(tokens) else None
    return (match, read) if read and isinstance(read.tree, BinOp) else None


def _fault_of(question: str, expression: Expression) -> str:
    """What is wrong with an expression as the answer of a question; empty if nothing is."""
    match = _QUESTION.search(question)
    assert match is not None
    given = Counter(parse_number(text) for text in re.findall("[0-9]+", match[1]))
    used = Counter(operand.value for operand in expression.operands)
    if others := [gsm8k.write_number(value) for value, count in used.items() if count > given[value]]:
        return f"{others[0]} is not given, or is used too often"
    if "exactly once" in question and used.total() < given.total():
        return "a given number is not used"
    value = expression.value
    if value is None or value != parse_number(match[2]):
        reached = "nothing" if value is None else gsm8k.write_number(value)
        return f"the target is {match[2]}, the expression gives {reached}"
    return ""
