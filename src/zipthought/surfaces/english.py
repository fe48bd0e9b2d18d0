"""Surface `english`: sentences, exact to the space, since other programs read and write them too (docs/formats.md).

    The number of kites equals 3. The number of drums equals the number of kites plus 4. What is the number of drums?
    Define kites as QB; so QB = 3. Define drums as MX; so MX = QB + 4 = 3 + 4 = 7. Answer: 7.

A trace whose steps all show one side is written with names (``kites = 3. drums = 7. Answer: 7.``). Any other trace
defines a two-letter alias for each quantity. A backward trace uses an alias before the sentence that defines it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

from ..core.arithmetic import BinOp, Expr, references
from ..core.problem import Problem
from ..core.trace import Step, Trace
from .expressions import NUMBERS, explicit_step, read_sides, write
from .finals import claims, may_claim

NAME = "english"
VOCABULARY_SAMPLE = "Define kites as QB; so QB = 3."

_WORDS = {"+": "plus", "-": "minus", "*": "times"}
_SYMBOLS = {word: op for op, word in _WORDS.items()}
_NUMBER = r"(0|[1-9][0-9]{0,17})"
_NAME = r"[^\W\d_](?:[^.;=?]*[^\W\d_])?"
# A name ends at the first word that can end it. The atomic groups never look further, so reading is linear.
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
    """``subject = side = side ...``, where a reference is a `word`. Possessive quantifiers rule out backtracking."""
    chunk = rf"(?:[0-9]*+\()*+(?:[0-9]++(?:{word})?+|{word})\)*+"
    return re.compile(rf"({subject}) = ({chunk}(?: [-+*=] {chunk})*+)")


_ALIASED = _equation("[A-Z]{2}", "[A-Z]{2}")
_BARE = _equation(rf"(?!Define |[A-Z]{{2}} ){_NAME}", "[A-Za-z]++")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def system_message(modulus: int) -> str:
    """The modulus, and how to end."""
    return (
        f"All quantities are integers modulo {modulus}: the result of every operation is reduced to 0..{modulus - 1}. "
        "Reason step by step and end with 'Answer: <value>.'"
    )


def looks_like(text: str) -> bool:
    """Whether a solution text has an answer line or a definition of this surface."""
    return "Answer:" in text or text.startswith("Define ")


def render_problem(problem: Problem) -> str:
    """The sentences, then the question."""
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
    """The problem that a prompt states. Raises `ValueError` naming the part that cannot be read."""
    text = text.strip()
    definitions: dict[str, Expr] = {}
    position = 0
    while match := _SENTENCE.match(text, position):
        name, constant, left, word, number, right = match.groups()
        if name in definitions:
            raise ValueError(f"the number of {name} is defined twice")
        definitions[name] = int(constant) if constant else BinOp(_SYMBOLS[word], left, int(number) if number else right)
        position = match.end()
    question = _QUESTION.fullmatch(text, position)
    if not question:
        raise ValueError(f"cannot read the problem at {text[position : position + 60]!r}")
    return Problem(modulus, definitions, question[1])


def make_aliases(trace: Trace) -> dict[str, str]:
    """Distinct aliases for the quantities of a trace, drawn from a hash of its steps.

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
    """The solution text. Without `aliases` (name -> two upper-case letters), `make_aliases` draws them."""
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
    """What a solution text claims. Raises nothing: a sentence that cannot be read is a step with a fault.

    The final answer must be the last sentence, on its own; any other answer in the text must agree with it.
    """
    sentences, final, fault = _split(text)
    return Trace(_parse_steps(sentences), final, fault)


def sentences(text: str) -> list[str]:
    """The sentences of a solution text that `parse` reads as steps, in the order of the steps."""
    return _split(text)[0]


def _split(text: str) -> tuple[list[str], str | None, str | None]:
    """The sentences that are steps, the final answer, and its fault as a piece of text."""
    text = text.strip()
    body, claim, final = text.rpartition("Answer: ")
    if not claim:
        _, claim, final = text.rpartition("Answer:")
        return text.removesuffix(".").split(". "), *((final.strip(), "malformed") if claim else (None, None))
    fault = None
    if final[:-1].isascii() and final[:-1].isdigit() and final[-1] == "." and (not body or body.endswith(". ")):
        final = final[:-1]
    else:
        fault = "malformed"
    if may_claim(body) and len(claims(text)) > 1:
        fault = "conflicting"
    return body.removesuffix(" ").removesuffix(".").split(". ") if body else [], final, fault


class _Aliases:
    """Which quantity an alias stands for, at the sentence that is being read."""

    __slots__ = ("_later", "_sentences", "defined", "names")

    def __init__(self, sentences: list[str]) -> None:
        self.names: dict[str, str] = {}  # alias -> name, as defined so far
        self.defined: set[str] = set()  # names with an alias so far
        self._sentences = sentences
        self._later: dict[str, str] | None = None  # alias -> name, first definition anywhere in the text

    def resolve(self, token: str) -> str:
        """The name behind an alias. A later sentence may define it; an alias that none defines stands for itself."""
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
                    pass  # Read by `_parse_step` below.
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
