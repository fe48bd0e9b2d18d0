"""Surface `english`: sentences that another program reads and writes too (FORMATS.md 3), exact to the space.

    The number of kites equals 3. The number of drums equals the number of kites plus 4. What is the number of drums?
    Define kites as QB; so QB = 3. Define drums as MX; so MX = QB + 4 = 3 + 4 = 7. Answer: 7.

A trace in which every step shows the result alone is written with names (``kites = 3. drums = 7. Answer: 7.``); any
other one defines a two-letter alias for each quantity where it first needs one, in backward traces after its first use.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

from ..core.arithmetic import BinOp, Expr, references
from ..core.problem import Problem
from ..core.trace import Step, Trace
from .expressions import read, write

NAME = "english"

_WORDS = {"+": "plus", "-": "minus", "*": "times"}
_SYMBOLS = {word: op for op, word in _WORDS.items()}
_NAME = r"[^\W\d_](?:[^.;=?]*[^\W\d_])?"
_SENTENCE = re.compile(
    r"The number of (.+?) equals (?:([0-9]{1,18})|the number of (.+?) (plus|minus|times) (?:([0-9]{1,18})|the number of (.+?)))\. "
)
_QUESTION = re.compile(rf"What is the number of ({_NAME})\?")
_EXPLICIT = re.compile(
    r"Define ([a-z]+) as ([A-Z]{2}); so ([A-Z]{2}) = ([A-Z]{2}) ([-+*]) ([0-9]{1,18})"
    r" = ([0-9]{1,18}) ([-+*]) ([0-9]{1,18}) = ([0-9]{1,18})"
)
_DEFINE = re.compile(rf"Define ({_NAME}) as ([A-Z]{{2}}); so (?=[A-Z])")
_CHUNK = re.compile(r"(?:[0-9]*\()*(?:[0-9]+[A-Za-z]*|[A-Za-z]+)\)*")
_TOKEN = re.compile(r"[0-9]+|[A-Za-z]+|[()]")
_ALIAS = re.compile(r"[A-Z]{2}")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CLAIM = re.compile(r"Answer:[^\S\n]*([^\s.]*)")


def looks_like(text: str) -> bool:
    """Whether a solution text is meant to be in this surface."""
    return "Answer:" in text or text.startswith("Define ")


def render_problem(problem: Problem) -> str:
    """The prompt text: the sentences, then the question."""
    parts = []
    for name, definition in problem.definitions.items():
        if isinstance(definition, BinOp):
            op, left, right = definition
            right = f"the number of {right}" if isinstance(right, str) else right
            parts.append(f"The number of {name} equals the number of {left} {_WORDS[op]} {right}.")
        else:
            parts.append(f"The number of {name} equals {definition}.")
    return " ".join([*parts, f"What is the number of {problem.target}?"])


def parse_problem(text: str, modulus: int) -> Problem:
    """The problem that a prompt text states. Raises `ValueError` naming the part that cannot be read."""
    text = text.strip()
    definitions: dict[str, Expr] = {}
    place = 0
    while match := _SENTENCE.match(text, place):
        name, constant, left, word, number, right = match.groups()
        if name in definitions:
            raise ValueError(f"the number of {name} is given twice")
        definitions[name] = int(constant) if constant else BinOp(_SYMBOLS[word], left, int(number) if number else right)
        place = match.end()
    question = _QUESTION.fullmatch(text, place)
    if not question:
        raise ValueError(f"cannot read the problem at {text[place : place + 60]!r}")
    return Problem(modulus, definitions, question[1])


def make_aliases(trace: Trace) -> dict[str, str]:
    """Distinct aliases for the quantities of a trace, drawn by a hash of the trace itself."""
    names = dict.fromkeys(name for step in trace.steps for name in (step.name, *_mentioned(step)))
    rng = random.Random(repr([(step.name, step.sides) for step in trace.steps]))
    chosen = rng.sample(range(len(_LETTERS) ** 2), len(names))
    return {name: _LETTERS[i // 26] + _LETTERS[i % 26] for name, i in zip(names, chosen, strict=True)}


def _mentioned(step: Step) -> list[str]:
    return [name for side in step.sides for name in references(side)]


def _write(expression: Expr, reference: Callable[[str], str]) -> str:
    """The text of an expression: spaces around operators, none inside parentheses or after a coefficient."""
    return "".join(f" {t} " if t in ("+", "-", "*") else t for t in write(expression, reference))


def render(trace: Trace, aliases: Mapping[str, str] | None = None) -> str:
    """The solution text. `aliases` (name -> two upper-case letters) are drawn from the trace where none are given."""
    parts = []
    if all(len(step.sides) == 1 for step in trace.steps):
        parts = [f"{step.name} = {_write(step.sides[0], str)}" for step in trace.steps]
    else:
        alias = make_aliases(trace) if aliases is None else aliases
        defined: set[str] = set()
        for step in trace.steps:
            text = " = ".join([alias[step.name], *(_write(side, alias.__getitem__) for side in step.sides)])
            fresh = [name for name in (step.name, *references(step.sides[0])) if name not in defined][:1]
            parts.append(f"Define {fresh[0]} as {alias[fresh[0]]}; so {text}" if fresh else f"So {text}")
            defined.update(fresh)
    return ". ".join([*parts, f"Answer: {trace.final}."])


def parse(text: str) -> Trace:
    """What a solution text says; never raises. A sentence that cannot be read is a step with a fault.

    The final answer counts where it is a sentence of its own and the last one; any other claim must agree with it.
    """
    text = text.strip()
    body, claim, final = text.rpartition("Answer: ")
    fault = None
    if not claim:
        body, final = text.removesuffix("."), None
        if claims := _CLAIM.findall(text):
            final, fault = claims[-1], "malformed"
    else:
        claims = _CLAIM.findall(body) if "Answer:" in body else []
        if final.endswith(".") and final[:-1].isascii() and final[:-1].isdigit() and body[-2:] in ("", ". "):
            final = final[:-1]
        else:
            fault = "malformed"
        if any(other != final for other in claims):
            fault = "conflicting"
        body = body.rstrip(" ").removesuffix(".")
    return Trace(_parse_steps(body), final, fault)


def _parse_steps(body: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    names: dict[str, str] = {}  # alias -> name, as defined so far
    later: dict[str, str] | None = None  # alias -> name, first definition anywhere in the text
    append = steps.append

    def resolve(token: str) -> str:
        nonlocal later
        if not _ALIAS.fullmatch(token) or token in names:
            return names.get(token, token)
        if later is None:
            later = {}
            for name, alias in _DEFINE.findall(body):
                later.setdefault(alias, name)
        return later.get(token, token)

    for sentence in body.split(". ") if body else []:
        if match := _EXPLICIT.fullmatch(sentence):
            name, alias, subject, ref, op, constant, value, op2, constant2, result = match.groups()
            if alias == subject and alias not in names and ref in names:
                names[alias] = name
                symbols = BinOp(op, names[ref], int(constant))
                append(Step(name, (symbols, BinOp(op2, int(value), int(constant2)), int(result))))
                continue
        append(_parse_step(sentence, names, resolve))
    return tuple(steps)


def _parse_step(sentence: str, names: dict[str, str], resolve: Callable[[str], str]) -> Step:
    rest, fault = sentence, None
    if define := _DEFINE.match(sentence):
        name, alias = define.groups()
        if alias in names or name in names.values():
            fault = "redefined"
        else:
            names[alias] = name
        rest = sentence[define.end() :]
    elif sentence.startswith("So "):
        rest = sentence[3:]
    subject, *sides = rest.split(" = ")
    expressions = []
    for side in sides:
        tokens: list[str] = []
        for chunk in side.split(" "):
            if chunk in _WORDS:
                tokens.append(chunk)
            elif _CHUNK.fullmatch(chunk):
                tokens += _TOKEN.findall(chunk)
            else:
                return Step(sentence, (), "unparseable")
        expressions.append(read(tokens, resolve))
    aliased = bool(_ALIAS.fullmatch(subject))
    if not expressions or None in expressions or (rest is not sentence) != aliased:
        return Step(sentence, (), "unparseable")
    return Step(resolve(subject), tuple(expressions), fault)
