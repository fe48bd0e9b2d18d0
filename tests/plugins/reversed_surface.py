"""A third surface, as a stranger would add it: `terse` with each name after its value."""

from __future__ import annotations

import re
from collections.abc import Mapping

from zipthought.core.arithmetic import Expr
from zipthought.core.problem import Problem
from zipthought.core.trace import Step, Trace
from zipthought.surfaces import SURFACES
from zipthought.surfaces.expressions import read, read_sides, write

NAME = "reversed"
VOCABULARY_SAMPLE = "mod 23 . 3 + 4 = kites . ? kites answer 1 ."
_WORD = re.compile(r"[^\W\d_]+")


def system_message(modulus: int) -> str:
    return f"mod {modulus} ."


def looks_like(text: str) -> bool:
    return re.search(r"(?:^| )= [a-z]+ \.", text) is not None


def _written(expression: Expr) -> str:
    return " ".join(write(expression, str))


def render_problem(problem: Problem) -> str:
    sentences = [f"{_written(definition)} = {name} ." for name, definition in problem.definitions.items()]
    return " ".join([*sentences, f"? {problem.target}"])


def parse_problem(text: str, modulus: int) -> Problem:
    body, _, target = text.rpartition(" ? ")
    definitions: dict[str, Expr] = {}
    for sentence in body.removesuffix(" .").split(" . "):
        value, _, name = sentence.rpartition(" = ")
        expression = read(value.split(" "), str)
        if expression is None or not _WORD.fullmatch(name):
            raise ValueError(f"cannot read the sentence {sentence!r}")
        definitions[name] = expression
    return Problem(modulus, definitions, target)


def render(trace: Trace, aliases: Mapping[str, str] | None = None) -> str:
    steps = [f"{' = '.join(map(_written, step.sides))} = {step.name} ." for step in trace.steps]
    return " ".join([*steps, f"answer {trace.final} ."])


def sentences(text: str) -> list[str]:
    parts = text.strip().removesuffix(" .").split(" . ") if text.strip() else []
    return parts[:-1] if parts and parts[-1].startswith("answer ") else parts


def parse(text: str) -> Trace:
    final = re.search(r"(?:^| )answer ([0-9]+) \.$", text.strip())
    steps = []
    for sentence in sentences(text):
        value, _, name = sentence.rpartition(" = ")
        sides = read_sides(value.split(" "), str) if _WORD.fullmatch(name) else None
        steps.append(Step(name, sides) if sides else Step(sentence, (), "unparseable"))
    return Trace(tuple(steps), final[1] if final else None)


SURFACES.register(__import__("sys").modules[__name__])
