"""Surface `countdown`: the numbers game, in the wording that RL recipes use (Pan et al. 2025, TinyZero).

    Using the numbers [19, 36, 55, 7], create an equation that equals 65.

    55 + 36 = 91
    91 - 19 = 72
    72 - 7 = 65
    #### 65

Beyond exact arithmetic, each step may use only what is on the table: a given number or an earlier result, each as often
as it is there. Anything else is a wrong premise, and so is a result other than the number asked for.
"""

from __future__ import annotations

import re
from collections import Counter

from ..core.verify import StepVerdict, Verdict
from . import gsm8k
from .text import Solution, UnreadableError
from .tokens import Number

NAME = "countdown"
SYSTEM = "Use each number at most once. Write one operation a line and end with a line '#### <result>'."

_QUESTION = re.compile(r"numbers?\s*\[([\d,\s]+)\][^\[\]]*?(?:equals?|make|reach|target(?: is| of)?)\s*(\d+)")


def looks_like(question: str) -> bool:
    """Whether a question is one of this game."""
    return _QUESTION.search(question) is not None


def judge(question: str, text: str, gold: str) -> Verdict:
    """The verdict on a solution. The answer is told in the question, so that it is correct only with steps that make
    it. Raises `ValueError` for a question that is not of this game."""
    if not looks_like(question):
        raise ValueError("the question gives no numbers in brackets and a number to make")
    verdict = gsm8k.judge(question, text, gold)
    try:
        read(question, text, None)
    except UnreadableError as error:
        steps = verdict.steps
        if error.reason == "wrong_premise":
            steps = (*steps, StepVerdict(str(error), "wrong_premise", 0, "unknown"))
        answer = "wrong" if verdict.answer == "correct" else verdict.answer
        return Verdict(answer, steps, False, verdict.granularity, text)
    return verdict


def read(question: str, solution: str, answer: str | None = None) -> Solution:
    """The steps of a solution. Raises `UnreadableError` as `gsm8k.read` does, and with wrong_premise."""
    asked = _QUESTION.search(question)
    if not asked:
        raise UnreadableError("unreadable_question", "the question gives no numbers in brackets and a number to make")
    found = gsm8k.read(question, solution, answer)
    table: Counter[Number] = Counter(int(text) for text in re.findall(r"\d+", asked[1]))
    for step in found.steps:
        for value in step.equation.values:
            if not table[value]:
                raise UnreadableError("wrong_premise", f"{gsm8k.shown(value)} is not on the table, or is used up")
            table[value] -= 1
        table[step.equation.result] += 1
    if found.answer != asked[2]:
        raise UnreadableError("wrong_premise", f"{asked[2]} is asked for, the solution makes {found.answer}")
    return found
