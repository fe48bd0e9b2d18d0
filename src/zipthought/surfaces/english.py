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
from .expressions import NUMBERS, explicit_step, read_sides, write

NAME = "english"

_WORDS = {"+": "plus", "-": "minus", "*": "times"}
_SYMBOLS = {word: op for op, word in _WORDS.items()}
_NUMBER = r"(0|[1-9][0-9]{0,17})"
_NAME = r"[^\W\d_](?:[^.;=?]*[^\W\d_])?"
# Each name ends at the first word that can end it (an atomic group goes no further), so that reading stays linear.
_SENTENCE = re.compile(
    rf"The number of (?>([^.;=?]+?) equals )(?:{_NUMBER}|"
    rf"the number of (?>([^.;=?]+?) (plus|minus|times) )(?:{_NUMBER}|the number of ([^.;=?]+)))\. "
)
_QUESTION = re.compile(rf"What is the number of ({_NAME})\?")
_EXPLICIT = re.compile(
    r"Define ([a-z]+) as ([A-Z]{2}); so \2 = "
    r"(?:([A-Z]{2}) ([-+*]) ([0-9]{1,3}) = ([0-9]{1,3}) \4 \5 = )?([0-9]{1,3})"
)
_DEFINE = re.compile(rf"Define ({_NAME}) as ([A-Z]{{2}}); so ")
_TOKEN = re.compile(r"[0-9]+|[A-Za-z]+|[-+*=()]")


def _equation(subject: str, word: str) -> re.Pattern[str]:
    """``subject = side = side ...``, where a reference is a `word`. Possessive, so that no text makes it go back."""
    chunk = rf"(?:[0-9]*+\()*+(?:[0-9]++(?:{word})?+|{word})\)*+"
    return re.compile(rf"({subject}) = ({chunk}(?: [-+*=] {chunk})*+)")


_ALIASED = _equation("[A-Z]{2}", "[A-Z]{2}")
_BARE = _equation(rf"(?!Define |[A-Z]{{2}} ){_NAME}", "[A-Za-z]++")
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
    """Distinct aliases for the quantities of a trace, drawn by a hash of the trace itself.

    Raises `ValueError` for a trace of more quantities than there are pairs of letters.
    """
    names = dict.fromkeys(name for step in trace.steps for name in (step.name, *_mentioned(step)))
    if len(names) > len(_LETTERS) ** 2:
        raise ValueError(f"there are {len(_LETTERS) ** 2} aliases and the trace needs {len(names)}; use implicit:1")
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
    sentences, final, fault = _split(text)
    return Trace(_parse_steps(sentences), final, fault)


def sentences(text: str) -> list[str]:
    """The sentences of a solution text that `parse` reads as steps, in the order of the steps."""
    return _split(text)[0]


def _split(text: str) -> tuple[list[str], str | None, str | None]:
    """The sentences that are steps, the final answer and what is wrong with it."""
    text = text.strip()
    body, claim, final = text.rpartition("Answer: ")
    if not claim:
        claims = _CLAIM.findall(text)
        return text.removesuffix(".").split(". "), *((claims[-1], "malformed") if claims else (None, None))
    fault = None
    if final[:-1].isascii() and final[:-1].isdigit() and final[-1] == "." and (not body or body.endswith(". ")):
        final = final[:-1]
    else:
        fault = "malformed"
    if "Answer:" in body and len(set(_CLAIM.findall(text))) > 1:
        fault = "conflicting"
    return body.removesuffix(" ").removesuffix(".").split(". ") if body else [], final, fault


class _Aliases:
    """Which quantity an alias stands for, at the place in the text that has been reached."""

    __slots__ = ("_later", "_sentences", "defined", "names")

    def __init__(self, sentences: list[str]) -> None:
        self.names: dict[str, str] = {}  # alias -> name, as defined so far
        self.defined: set[str] = set()  # names with an alias so far
        self._sentences = sentences
        self._later: dict[str, str] | None = None  # alias -> name, first definition anywhere in the text

    def resolve(self, token: str) -> str:
        """The name behind an alias, which a later sentence may define; one that none defines stands for itself."""
        if token in self.names:
            return self.names[token]
        if self._later is None:
            self._later = {}
            for define in filter(None, map(_DEFINE.match, self._sentences)):
                self._later.setdefault(define[2], define[1])
        return self._later.get(token, token)


def _parse_steps(sentences: list[str]) -> tuple[Step, ...]:
    aliases = _Aliases(sentences)
    names, defined = aliases.names, aliases.defined
    steps: list[Step] = []
    append = steps.append
    for sentence in sentences:
        if match := _EXPLICIT.fullmatch(sentence):
            name, alias, ref, op, constant, value, result = match.groups()
            if alias not in names and name not in defined:
                try:
                    if ref:
                        append(explicit_step(name, names[ref], op, constant, value, result))
                    else:
                        append(Step(name, (NUMBERS[result],)))
                    names[alias] = name
                    defined.add(name)
                    continue
                except KeyError:
                    pass  # The general way to read it follows.
        append(_parse_step(sentence, aliases))
    return tuple(steps)


def _parse_step(sentence: str, aliases: _Aliases) -> Step:
    rest, fault = sentence, None
    if define := _DEFINE.match(sentence):
        name, alias = define.groups()
        if alias in aliases.names or name in aliases.defined:
            fault = "redefined"
        else:
            aliases.names[alias] = name
            aliases.defined.add(name)
        rest = sentence[define.end() :]
    elif sentence.startswith("So "):
        rest = sentence[3:]
    bare = rest == sentence
    if equation := (_BARE if bare else _ALIASED).fullmatch(rest):
        reference = str if bare else aliases.resolve
        sides = read_sides(_TOKEN.findall(equation[2]), reference)
        if sides:
            return Step(reference(equation[1]), sides, fault)
    return Step(sentence, (), "unparseable")
