"""Family `gsm8k-comma`: solutions as in `gsm8k` whose numbers have a decimal comma, and points between thousands.

    Sie kauft 3 * 2,50 = <<3*2.50=7.50>>7,50 Euro.

A text alone does not tell: 1.200 is 1200 in one notation and 1.2 in the other. So this family is declared
(``--family``) and never found by a question. Commas and points between two digits change places, `gsm8k` reads the
text, and what is written has them as before. Annotations are for a calculator and keep their notation.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..core.verify import Verdict
from . import gsm8k
from .family import SolvedExample
from .solution import Solution, UnreadableError

NAME = "gsm8k-comma"
SYSTEM = gsm8k.SYSTEM
SYSTEMS = gsm8k.SYSTEMS
EXAMPLE = SolvedExample(
    "Ein Heft kostet 2,50 Euro. Anna kauft 600 Hefte und bezahlt mit 1.700 Euro. Wie viel bekommt sie zurück?",
    "Die Hefte kosten 600 * 2,50 = <<600*2.50=1500>>1.500 Euro.\nAnna bekommt 1.700 - 1.500 = 200 Euro.\n#### 200",
    "200",
)
_MARKS = re.compile(r"<<[^<>\n]*>>|(?<=\d)[.,](?=\d)")
_OTHER = {",": ".", ".": ","}


def notate(text: str) -> str:
    """The text with commas and points between digits in each other's place, outside annotations. Twice is the text."""
    return _MARKS.sub(lambda match: _OTHER.get(match[0], match[0]), text)


def looks_like(question: str) -> bool:
    """False: the family is declared."""
    return False


def read(question: str, solution: str, answer: str | None = None) -> Solution:
    """As `gsm8k.read`; no number is ambiguous."""
    texts = notate(question), notate(solution), None if answer is None else notate(answer)
    try:
        made = gsm8k.read_declared(*texts)
    except UnreadableError as error:
        near = _own(error.solution) if error.solution else None
        raise UnreadableError(error.reason, notate(str(error)), near) from None
    return _own(made)


def _own(solution: Solution) -> Solution:
    return replace(solution, answer=notate(solution.answer), notate=notate)


def verify(question: str, text: str, gold: str) -> Verdict:
    """As `gsm8k.verify`."""
    made = gsm8k.verify(notate(question), notate(text), notate(gold))
    return replace(made, text=text, steps=tuple(step._replace(name=notate(step.name)) for step in made.steps))


def step_offsets(question: str, text: str) -> list[int]:
    """As `gsm8k.step_offsets`."""
    return gsm8k.step_offsets(notate(question), notate(text))
