"""Solutions in prose: steps found in a text, which earlier result each operand is, and the text compressed.

A family of solutions (`gsm8k`, `countdown`) is a module with ``NAME, SYSTEM, looks_like, read, judge`` and one line
in `FAMILIES` of this package; `read` gives a `Solution`, or raises `UnreadableError` with the reason, and `judge` gives
the verdict on any text. A step is one equation of the source, so that granularity counts the source's steps. A result
is nested in a later step only where that step alone uses it, once, where no other number of its value could be meant,
and where the sentence that is left can say so (`Solution.hidden`); other steps are shown in every composed or implicit
text.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..core.arithmetic import BinOp, Expr, walk
from ..core.grouping import group
from ..core.methods import Method, RandomSteps, parse_method
from ..core.methods.base import no_parameter
from ..core.pieces import count_pieces
from ..core.problem import Problem
from ..core.trace import Step
from .prose import Equation
from .tokens import Number, tokenize

_OPERATOR_CHARACTERS = tuple("+-−–*×·/÷xX")
_UNIT = re.compile(r" (?![xX] |times |plus |minus |divided |multiplied |of |equals )[^\W\d_]")
_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2}


Written = tuple[list[str], str]
"""An expression as tokens, and the operator at its root; "" for a single number."""
Edits = dict[int, list[tuple[int, int, str]]]
"""For each step that is shown: from where to where its sentence changes, and to what."""


class UnreadableError(ValueError):
    """A solution that is not read or does not verify: `reason` is one of a few words, the message says it whole."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Prose(Method):
    """The unchanged text of a solution, a baseline."""

    NAME = "prose"
    baseline = True

    @classmethod
    def parse(cls, parameter: str | None) -> Method:
        no_parameter(cls.NAME, parameter)
        return cls()

    @property
    def k(self) -> int:
        return 0

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        raise ValueError("prose is the text of a real solution; problems of a task have none")


def parse_text_format(text: str) -> Method:
    """The format that a name says: `composed:k`, `implicit:k`, `answer-only`, and two baselines: `prose` (unchanged)
    and `random-steps:p` (sentences with steps dropped at random, to about a share p
    of the text).

    Raises `ValueError` with the formats that exist.
    """
    name = text.partition(":")[0]
    if text == "prose":
        return Prose()
    if name in ("explicit", "prose") or text == "composed:1":
        raise ValueError(f"solutions in prose have no format {text!r}; the unchanged text is 'prose'")
    if name not in ("composed", "implicit", "answer-only", RandomSteps.NAME):
        raise ValueError(f"unknown format {text!r}; use composed:k, implicit:k, answer-only, random-steps:p or prose")
    return parse_method(text)


class SolutionStep(NamedTuple):
    """One equation of a solution, in its place."""

    equation: Equation
    piece: int
    """Place of its sentence in `Solution.pieces`."""
    sources: tuple[int, ...]
    """For each operand the step whose result it is, or -1 for a number of the question or of the solver's own."""


@dataclass(frozen=True)
class Solution:
    """A solution whose steps hold, as the text of its sentences and a graph of its steps."""

    text: str
    """What comes before the final answer."""
    tail: str
    """The final answer as the text states it, with what leads up to it."""
    answer: str
    """The final answer as a plain number."""
    pieces: tuple[tuple[int, int], ...]
    """From where to where each sentence goes in `text`, the blanks after it included."""
    steps: tuple[SolutionStep, ...]
    unread: tuple[int, ...] = ()
    """Where a ``=`` stands whose equation could not be read."""
    ambiguous: int = 0
    """Operands that could be more than one earlier result, or an earlier result and a number of the question."""
    guessed: frozenset[int] = frozenset()
    """Steps that are not nested: an operand that is their result by the rule of `link` could be another number."""

    @cached_property
    def hidden(self) -> frozenset[int]:
        """The steps that may be left out, nested in the one step that uses their result."""
        steps = self.steps
        crowded = {self._piece_at(place) for place in self.unread}  # Sentences that must stay as they are.
        seen: set[int] = set()
        users: list[list[tuple[int, int]]] = [[] for _ in steps]  # The (step, operand) pairs that take each result.
        shares: list[bool] = []  # What per cent counts as is a matter of the equation that it stands in.
        for place, (equation, piece, sources) in enumerate(steps):
            (crowded if piece in seen else seen).add(piece)
            percent = equation.value.percent
            for slot, source in enumerate(sources):
                if source >= 0:
                    users[source].append((place, slot))
                percent = percent or equation.operands[slot].percent
            shares.append(percent)
        may = []
        for place, uses in enumerate(users):
            certain = len(uses) == 1 and place not in self.guessed
            if certain and steps[place].piece not in crowded and not shares[place]:
                user, slot = uses[0]
                if not shares[user] and self._takes_nested(steps[user], slot):
                    may.append(place)
        return frozenset(may)

    def _piece_at(self, place: int) -> int:
        return next((i for i, (start, end) in enumerate(self.pieces) if start <= place < end), -1)

    def _takes_nested(self, step: SolutionStep, slot: int) -> bool:
        """Whether a step's sentence can say an expression in the place of an operand."""
        equation = step.equation
        if equation.mirror:
            return True
        start, end = self.pieces[step.piece]
        value = equation.values[slot]
        note = equation.annotation
        words = tokenize(self.text, start, note[0] if note else end)
        return all(token.kind != "n" or token.value != value for token in words)

    def groups(self, k: int) -> list[int]:
        """The steps that a text of granularity k shows."""
        operands = {place: [s for s in step.sources if s >= 0] for place, step in enumerate(self.steps)}
        return sorted(group(operands, k, set(operands) - self.hidden))

    def compress(self, fmt: Method, seed: str = "", count: Callable[[str], int] | None = None) -> str:
        """The solution in a format, its final answer as it was.

        `seed` decides which steps `random-steps` drops; `count` measures text for it (pieces, unless given).
        """
        if fmt.NAME == "prose":
            return self.text + self.tail
        if fmt.NAME == "answer-only":
            return self.tail.lstrip()
        if isinstance(fmt, RandomSteps):
            return self._random_steps(fmt.share, seed, count or count_pieces)
        shown = self.groups(fmt.k)
        return self._assemble(self._composed(shown) if fmt.NAME == "composed" else self._implicit(shown))

    def _assemble(self, edits: Edits) -> str:
        """The sentences of the steps that `edits` has, with its replacements made, and those that lead up to them."""
        by_piece: dict[int, list[tuple[int, int, str]]] = {}
        with_steps = {step.piece for step in self.steps}
        for place, changes in edits.items():
            by_piece.setdefault(self.steps[place].piece, []).extend(changes)
        parts: list[str] = []
        waiting: list[str] = []
        for number, (start, end) in enumerate(self.pieces):
            if number not in with_steps:
                waiting.append(self.text[start:end])
                continue
            if number in by_piece:
                parts += waiting
                for begin, stop, new in sorted(by_piece[number]):
                    parts += (self.text[start:begin], new)
                    start = stop
                parts.append(self.text[start:end])
            waiting = []
        return "".join(parts + waiting) + self.tail

    def _implicit(self, shown: Sequence[int]) -> Edits:
        edits: Edits = {}
        for place in shown:
            equation = self.steps[place].equation
            edits[place] = changes = []
            if equation.start >= 0 and equation.gap >= 0:
                changes.append((equation.start, equation.gap, ""))
            if equation.annotation:
                changes.append((*equation.annotation, ""))
        return edits

    def _composed(self, shown: Sequence[int]) -> Edits:
        edits: Edits = {place: [] for place in shown}
        nested: dict[int, Written] = {}  # What stands for the result of each step that is not shown.
        for place, (equation, _, sources) in enumerate(self.steps):
            inner = {slot: nested[source] for slot, source in enumerate(sources) if source in nested}
            if place in edits and not inner:
                continue
            leaves = [inner.get(slot) or ([self._leaf(place, slot)], "") for slot in range(len(sources))]
            written = write(equation.tree, leaves)
            if place not in edits:
                nested[place] = written
                continue
            changes = edits[place]
            if equation.annotation:
                value = self.text[equation.value.start : equation.value.end]
                changes.append((*equation.annotation, f"<<{''.join(written[0])}={value}>>"))
            if equation.mirror:
                for slot, (tokens, op) in inner.items():
                    start, end = equation.mirror[slot].start, equation.mirror[slot].end
                    brackets = _needs_brackets(equation.tree, str(slot), op)
                    changes.append((start, end, self._in_prose(tokens, start, end, brackets)))
        return edits

    def _in_prose(self, tokens: list[str], start: int, end: int, brackets: bool) -> str:
        """An expression as it is written in the place of an operand, with blanks where its neighbours have them."""
        before, after = self.text[start - 1 : start], self.text[end : end + 1]
        tight = before in _OPERATOR_CHARACTERS or after in _OPERATOR_CHARACTERS
        text = "".join(tokens) if tight else " ".join(tokens).replace("( ", "(").replace(" )", ")")
        return f"({text})" if brackets or before == ")" or after == "(" or _UNIT.match(self.text, end) else text

    def _leaf(self, place: int, slot: int) -> str:
        """An operand as it is written, fit to stand in another expression."""
        operand = self.steps[place].equation.operands[slot]
        text = self.text[operand.start : operand.end]
        if operand.percent:
            text += "%"
        return f"({text})" if operand.value < 0 or " " in text or "/" in text else text.replace(",", "")

    def _random_steps(self, share: float, seed: str, count: Callable[[str], int]) -> str:
        rng = random.Random(f"random-steps {seed}")
        last = self.steps[-1].piece
        order = sorted({step.piece for step in self.steps} - {last})
        rng.shuffle(order)
        kept = dict.fromkeys(range(len(self.steps)))
        text = self.text + self.tail
        length = count(text)
        limit = share * length
        for piece in order:
            fewer = {place: None for place in kept if self.steps[place].piece != piece}
            shorter = self._assemble({place: [] for place in fewer})
            now = count(shorter)
            if abs(now - limit) >= abs(length - limit):
                break
            kept, text, length = fewer, shorter, now
        return text


def write(tree: Expr, leaves: Sequence[Written]) -> Written:
    """The tokens of an expression, leaf ``"0"`` written as ``leaves[0]`` and so on; brackets by precedence."""
    done: list[Written] = []
    for node in reversed(walk(tree)):
        if not isinstance(node, BinOp):
            done.append(leaves[int(node)])
            continue
        op, level = node[0], _LEVEL[node[0]]
        (left, left_op), (right, right_op) = done.pop(), done.pop()
        if left_op and _LEVEL[left_op] < level:
            left = ["(", *left, ")"]
        if right_op and _LEVEL[right_op] <= level:
            right = ["(", *right, ")"]
        done.append(([*left, op, *right], op))
    return done[0]


def _needs_brackets(tree: Expr, leaf: str, inner: str) -> bool:
    """Whether an expression with the operator `inner` at its root needs brackets in the place of a leaf of `tree`."""
    for node in walk(tree):
        if isinstance(node, BinOp) and leaf in (node.left, node.right):
            return _LEVEL[inner] < _LEVEL[node.op] + (node.right == leaf)
    return False


def link(equations: Sequence[Equation], given: Container[Number]) -> tuple[list[tuple[int, ...]], int, frozenset[int]]:
    """For each equation, which earlier result each operand is (-1 for none); how many operands were ambiguous; and the
    results of which a use is a guess.

    The rule: an operand is the latest earlier result of its value that nothing has used; else a number of the question
    where `given` has it; else the latest earlier result of its value; else a number of the solver's own. A use is a
    guess where the question or another earlier result has the value too.
    """
    unused: dict[Number, list[int]] = {}
    latest: dict[Number, int] = {}
    links: list[tuple[int, ...]] = []
    ambiguous = 0
    repeated: set[Number] = set()
    guessed: set[int] = set()
    for place, equation in enumerate(equations):
        sources = []
        for value in equation.values:
            waiting = unused.get(value)
            if waiting:
                told = value in given
                ambiguous += told or len(waiting) > 1
                if told or value in repeated:
                    guessed.add(waiting[-1])
                sources.append(waiting.pop())
            elif value in latest and value not in given:
                sources.append(latest[value])
            else:
                ambiguous += value in latest
                sources.append(-1)
        links.append(tuple(sources))
        unused.setdefault(equation.result, []).append(place)
        if equation.result in latest:
            repeated.add(equation.result)
        latest[equation.result] = place
    return links, ambiguous, frozenset(guessed)


_SENTENCE = re.compile(r"[.!?][)\"']*[ \t]+(?=[^a-z\s])|\n+")


def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """From where to where each sentence of a text goes, the blanks after it included."""
    cuts = [0, *(match.end() for match in _SENTENCE.finditer(text))]
    if cuts[-1] < len(text) or len(cuts) == 1:
        cuts.append(len(text))
    return tuple(itertools.pairwise(cuts))
