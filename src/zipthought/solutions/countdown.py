"""Family `countdown`: the numbers game, in the wording that RL recipes use (Pan et al. 2025, TinyZero).

    Using the numbers [19, 36, 55, 7], create an equation that equals 65.

    55 + 36 = 91
    91 - 19 = 72
    72 - 7 = 65
    #### 65

Beyond exact arithmetic, each step may use only available numbers: the given ones and earlier results, each as often as
it is available. Any other number is a wrong premise, and so is a result other than the target.
"""

from __future__ import annotations

import re
from collections import Counter

from ..core.verify import StepVerdict, Verdict
from . import gsm8k
from .family import SolvedExample
from .solution import Solution, UnreadableError
from .tokens import Number, parse_number

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
    result = gsm8k.read(question, solution, answer)
    available: Counter[Number | None] = Counter(parse_number(text) for text in re.findall("[0-9]+", match[1]))
    for step in result.steps:
        for value in step.equation.values:
            if not available[value]:
                raise UnreadableError("wrong_premise", f"{gsm8k.write_number(value)} is not available, or is used up")
            available[value] -= 1
        available[step.equation.result] += 1
    if result.answer != match[2]:
        raise UnreadableError("wrong_premise", f"the target is {match[2]}, the solution reaches {result.answer}")
    return result
