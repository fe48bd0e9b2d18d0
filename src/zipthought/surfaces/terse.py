"""Surface `terse`: one token a symbol, separated by single spaces (FORMATS.md 4). Made for small models.

    kites = 3 . drums = kites + 4 . oaks = 2 . lamps = drums * 2 . ? lamps
    kites = 3 . drums = kites + 4 = 3 + 4 = 7 . lamps = drums * 2 = 7 * 2 = 14 . answer 14 .

Numbers and names are whole tokens, so that a word-level tokenizer maps one symbol to one id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..core.arithmetic import OPERATORS, BinOp, Expr
from ..core.problem import Problem
from ..core.trace import Step, Trace
from .expressions import explicit_step, read, read_sides, write

NAME = "terse"

_WORD = re.compile(r"[^\W\d_]+")
_EXPLICIT = re.compile(r"([a-z]+) = ([a-z]+) ([-+*]) ([0-9]{1,3}) = ([0-9]{1,3}) \3 \4 = ([0-9]{1,3})")
_FINAL_WORD = "answer"


def looks_like(text: str) -> bool:
    """Whether a solution text is meant to be in this surface."""
    return bool(re.search(r"(?:^| )answer | \.(?: |$)", text))


def render_problem(problem: Problem) -> str:
    """The prompt text."""
    sentences = [f"{name} = {' '.join(write(d, str))} ." for name, d in problem.definitions.items()]
    return " ".join([*sentences, f"? {problem.target}"])


def parse_problem(text: str, modulus: int) -> Problem:
    """The problem that a prompt text states. Raises `ValueError` naming the sentence that cannot be read."""
    body, question, target = text.strip().rpartition("? ")
    if not question or not _WORD.fullmatch(target):
        raise ValueError(f"a terse prompt ends with '? <name>', got {text[-40:]!r}")
    definitions: dict[str, Expr] = {}
    for sentence in body.removesuffix(" . ").split(" . ") if body else []:
        name, equals, value = sentence.partition(" = ")
        expression = read(value.split(" "), str) if equals and _WORD.fullmatch(name) else None
        one_operation = (
            isinstance(expression, BinOp)
            and expression.op in OPERATORS
            and isinstance(expression.left, str)
            and not isinstance(expression.right, BinOp)
        )
        if not (isinstance(expression, int) or one_operation):
            raise ValueError(f"cannot read the sentence {sentence!r}")
        if name in definitions:
            raise ValueError(f"{name!r} is defined twice")
        definitions[name] = expression
    return Problem(modulus, definitions, target)


def render(trace: Trace, aliases: Mapping[str, str] | None = None) -> str:
    """The solution text. `aliases` belong to other surfaces and are not used."""
    parts = [
        " = ".join([step.name, *(" ".join(write(side, str)) for side in step.sides)]) + " ." for step in trace.steps
    ]
    return " ".join([*parts, f"{_FINAL_WORD} {trace.final} ."])


def parse(text: str) -> Trace:
    """What a solution text says; never raises. A sentence that cannot be read is a step with a fault."""
    sentences, final, fault = _split(text)
    return Trace(tuple([_parse_step(sentence) for sentence in sentences]), final, fault)


def sentences(text: str) -> list[str]:
    """The sentences of a solution text that `parse` reads as steps, in the order of the steps."""
    return _split(text)[0]


def _split(text: str) -> tuple[list[str], str | None, str | None]:
    """The sentences that are steps, the final answer and what is wrong with it."""
    text = text.strip()
    sentences = text.removesuffix(" .").split(" . ") if text else []
    claims = [sentence[len(_FINAL_WORD) + 1 :] for sentence in sentences if sentence.split(" ", 1)[0] == _FINAL_WORD]
    final = claims[-1] if claims else None
    fault = None
    if final is not None:
        ended = text.endswith(" .") and sentences[-1] == f"{_FINAL_WORD} {final}"
        if ended:
            sentences.pop()
        if not (ended and final.isascii() and final.isdigit()):
            fault = "malformed"
        if any(claim != final for claim in claims):
            fault = "conflicting"
    return sentences, final, fault


def _parse_step(sentence: str) -> Step:
    if match := _EXPLICIT.fullmatch(sentence):
        try:
            return explicit_step(*match.groups())
        except KeyError:
            pass  # A longer way to read it follows.
    name, _, shown = sentence.partition(" = ")
    if _WORD.fullmatch(name):
        sides = read_sides(shown.split(" "), str)
        if sides:
            return Step(name, sides)
    return Step(sentence, (), "unparseable")
