"""Surface `terse`: one token per symbol, separated by single spaces. Made for small models.

    kites = 3 . drums = kites + 4 . oaks = 2 . lamps = drums * 2 . ? lamps
    kites = 3 . drums = kites + 4 = 3 + 4 = 7 . lamps = drums * 2 = 7 * 2 = 14 . answer 14 .

Numbers and names are whole tokens, so a word-level tokenizer maps each symbol to one id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..core.arithmetic import OPERATORS, BinOp, Expr
from ..core.problem import Problem
from ..core.trace import Step, Trace
from .expressions import explicit_step, read, read_sides, write
from .finals import claims, may_claim

NAME = "terse"
SYMBOLS = ("mod", "=", ".", "?", "+", "-", "*", "(", ")", "answer")
"""The words of the surface besides names and numbers, which a word-level tokenizer must have."""
VOCABULARY_SAMPLE = "mod 23 . kites = 3 + 4 * 2 - 1 . ? kites answer 1 ."

_WORD = re.compile(r"[^\W\d_]+")
_EXPLICIT = re.compile(r"([a-z]+) = ([a-z]+) ([-+*]) ([0-9]{1,3}) = ([0-9]{1,3}) \3 \4 = ([0-9]{1,3})")
_FINAL_WORD = "answer"


def system_message(modulus: int) -> str:
    """The modulus."""
    return f"mod {modulus} ."


def looks_like(text: str) -> bool:
    """Whether a solution text has an answer or a full stop as this surface writes them."""
    return bool(re.search(r"(?:^| )answer | \.(?: |$)", text))


def render_problem(problem: Problem) -> str:
    """The sentences, then the question."""
    sentences = [f"{name} = {' '.join(write(d, str))} ." for name, d in problem.definitions.items()]
    return " ".join([*sentences, f"? {problem.target}"])


def parse_problem(text: str, modulus: int) -> Problem:
    """The problem that a prompt states. Raises `ValueError` naming the sentence that cannot be read."""
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
    """The solution text. `aliases` are not used: this surface writes names."""
    parts = [
        " = ".join([step.name, *(" ".join(write(side, str)) for side in step.sides)]) + " ." for step in trace.steps
    ]
    return " ".join([*parts, f"{_FINAL_WORD} {trace.final} ."])


def parse(text: str) -> Trace:
    """What a solution text claims. Raises nothing: a sentence that cannot be read is a step with a fault."""
    sentences, final, fault = _split(text)
    return Trace(tuple([_parse_step(sentence) for sentence in sentences]), final, fault)


def sentences(text: str) -> list[str]:
    """The sentences of a solution text that `parse` reads as steps, in the order of the steps."""
    return _split(text)[0]


def _split(text: str) -> tuple[list[str], str | None, str | None]:
    """The sentences that are steps, the final answer, and its fault as a piece of text."""
    text = text.strip()
    sentences = text.removesuffix(" .").split(" . ") if text else []
    stated = [sentence[len(_FINAL_WORD) + 1 :] for sentence in sentences if sentence.split(" ", 1)[0] == _FINAL_WORD]
    final = stated[-1] if stated else None
    fault = None
    if final is not None:
        ended = text.endswith(" .") and sentences[-1] == f"{_FINAL_WORD} {final}"
        if ended:
            sentences.pop()
        if not (ended and final.isascii() and final.isdigit()):
            fault = "malformed"
        body = text.removesuffix(" .").removesuffix(f"{_FINAL_WORD} {final}")
        if any(claim != final for claim in stated) or (may_claim(body) and claims(body) - {final}):
            fault = "conflicting"
    return sentences, final, fault


def _parse_step(sentence: str) -> Step:
    if match := _EXPLICIT.fullmatch(sentence):
        try:
            return explicit_step(*match.groups())
        except KeyError:
            pass  # Read below, number by number.
    name, _, shown = sentence.partition(" = ")
    if _WORD.fullmatch(name):
        sides = read_sides(shown.split(" "), str)
        if sides:
            return Step(name, sides)
    return Step(sentence, (), "unparseable")
