"""Surface `terse`: one token a symbol, separated by single spaces (FORMATS.md 4). Made for small models.

    kites = 3 . drums = kites + 4 . oaks = 2 . lamps = drums * 2 . ? lamps
    kites = 3 . drums = kites + 4 = 3 + 4 = 7 . lamps = drums * 2 = 7 * 2 = 14 . answer 14 .

Numbers and names are whole tokens, so that a word-level tokenizer maps one symbol to one id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..core.arithmetic import BinOp
from ..core.problem import Problem
from ..core.trace import Step, Trace
from .expressions import read, write

NAME = "terse"

_WORD = re.compile(r"[^\W\d_]+")
_EXPLICIT = re.compile(
    r"([a-z]+) = ([a-z]+) ([-+*]) ([0-9]{1,18}) = ([0-9]{1,18}) ([-+*]) ([0-9]{1,18}) = ([0-9]{1,18})"
)
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
    definitions = {}
    for sentence in body.removesuffix(" . ").split(" . ") if body else []:
        name, equals, value = sentence.partition(" = ")
        expression = read(value.split(" "), str) if equals and _WORD.fullmatch(name) else None
        one_operation = isinstance(expression, BinOp) and not any(isinstance(x, BinOp) for x in expression[1:])
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
    text = text.strip()
    *body, last = text.removesuffix(" .").split(" . ") if text.endswith(" .") else [*text.split(" . "), ""]
    words = last.split(" ")
    fault = final = None
    claims = [s.split(" ", 1)[1] if " " in s else "" for s in body if s.split(" ", 1)[0] == _FINAL_WORD]
    if words[0] == _FINAL_WORD:
        final = " ".join(words[1:])
        if len(words) != 2 or not (final.isascii() and final.isdigit()):
            fault = "malformed"
    elif last:
        body.append(last)
    if final is None and claims:
        final, fault = claims[-1], "malformed"
    if any(claim != final for claim in claims):
        fault = "conflicting"
    return Trace(tuple(_parse_step(sentence) for sentence in body if sentence), final, fault)


def _parse_step(sentence: str) -> Step:
    if match := _EXPLICIT.fullmatch(sentence):
        name, ref, op, constant, value, op2, constant2, result = match.groups()
        symbols, values = BinOp(op, ref, int(constant)), BinOp(op2, int(value), int(constant2))
        return Step(name, (symbols, values, int(result)))
    name, *sides = sentence.split(" = ")
    if sides and _WORD.fullmatch(name):
        expressions = tuple(read(side.split(" "), str) for side in sides)
        if None not in expressions:
            return Step(name, expressions)
    return Step(sentence, (), "unparseable")
