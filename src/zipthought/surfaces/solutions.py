"""Solutions in prose: steps found in a text, which earlier result each operand is, and the text compressed.

A family of solutions (`gsm8k`, `countdown`) is a module with ``NAME, SYSTEM, looks_like, read, judge`` and one line
in `FAMILIES` of this package; `read` gives a `Solution`, or raises `UnreadableError` with the reason, and `judge` gives
the verdict on any text. A step is one
equation of the source, so that granularity counts the source's steps. A result is nested in a later step only where
that step alone uses it, once, and where the sentence that is left can say so (`Solution.hidden`); other steps are shown
in every composed or implicit text.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..core.arithmetic import BinOp, Expr, substitute
from ..core.formats import group, parse_format
from .expressions import write
from .prose import Equation
from .tokens import Number, tokenize

BASELINES = ("prose", "random-steps")
_PIECE = re.compile(r"\w+|[^\w\s]")
_OPERATOR_CHARACTERS = tuple("+-−–*×·/÷xX")
_UNIT = re.compile(r" (?![xX] |times |plus |minus |divided |multiplied |of |equals )[^\W\d_]")
_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2}


class UnreadableError(ValueError):
    """A solution that is not read or does not verify: `reason` is one of a few words, the message says it whole."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class TextFormat(NamedTuple):
    """A compression of text: a format of the taxonomy with its k, `prose`, or `random-steps` with its share."""

    name: str
    k: int = 0
    share: float = 1.0

    def __str__(self) -> str:
        if self.name == "random-steps":
            return f"{self.name}:{self.share:g}"
        return f"{self.name}:{self.k}" if self.name in ("composed", "implicit") else self.name


def parse_text_format(text: str) -> TextFormat:
    """The format that a name says: `composed:k`, `implicit:k`, `answer-only`, and two baselines: `prose` (unchanged)
    and `random-steps:p` (sentences with steps dropped at random, to about a share p
    of the text).

    Raises `ValueError` with the formats that exist.
    """
    if text == "prose":
        return TextFormat("prose")
    name, _, share = text.partition(":")
    if name == "random-steps":
        if not re.fullmatch(r"0?\.[0-9]+|1|1\.0", share):
            raise ValueError(f"random-steps needs the share of the text to keep, above 0 and at most 1, got {text!r}")
        return TextFormat(name, share=float(share))
    if name in ("explicit", "prose") or text == "composed:1":
        raise ValueError(f"solutions in prose have no format {text!r}; the unchanged text is 'prose'")
    if name not in ("composed", "implicit", "answer-only"):
        raise ValueError(f"unknown format {text!r}; use composed:k, implicit:k, answer-only, random-steps:p or prose")
    fmt = parse_format(text)
    return TextFormat(fmt.name, fmt.k)


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

    @cached_property
    def uses(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each step the (step, operand) pairs that take its result."""
        uses: list[list[tuple[int, int]]] = [[] for _ in self.steps]
        for place, step in enumerate(self.steps):
            for operand, source in enumerate(step.sources):
                if source >= 0:
                    uses[source].append((place, operand))
        return tuple(tuple(u) for u in uses)

    @cached_property
    def hidden(self) -> frozenset[int]:
        """The steps that may be left out, nested in the one step that uses their result."""
        steps = self.steps
        crowded = {self._piece_at(place) for place in self.unread}  # Sentences that must stay as they are.
        seen: set[int] = set()
        for step in steps:
            (crowded if step.piece in seen else seen).add(step.piece)
        may: set[int] = set()
        for place, step in enumerate(steps):
            uses = self.uses[place]
            if step.piece in crowded or len(uses) != 1 or place == len(steps) - 1:
                continue
            user, operand = uses[0]
            # What per cent counts as is a matter of the equation that it stands in.
            shares = any(o.percent for s in (step, steps[user]) for o in (*s.equation.operands, s.equation.value))
            if not shares and self._takes_nested(steps[user], operand):
                may.add(place)
        return frozenset(may)

    def _piece_at(self, place: int) -> int:
        return next((i for i, (start, end) in enumerate(self.pieces) if start <= place < end), -1)

    def _takes_nested(self, step: SolutionStep, operand: int) -> bool:
        """Whether a step's sentence can say an expression in the place of an operand."""
        equation = step.equation
        if equation.mirror:
            return True
        start, end = self.pieces[step.piece]
        value = equation.values[operand]
        note = equation.annotation
        words = tokenize(self.text, start, note[0] if note else end)
        return all(token.kind != "n" or token.value != value for token in words)

    def groups(self, k: int) -> list[int]:
        """The steps that a text of granularity k shows."""
        operands = {place: [s for s in step.sources if s >= 0] for place, step in enumerate(self.steps)}
        return sorted(group(operands, k, set(operands) - self.hidden))

    def compress(self, fmt: TextFormat, seed: str = "", count: Callable[[str], int] | None = None) -> str:
        """The solution in a format, its final answer as it was.

        `seed` decides which steps `random-steps` drops; `count` measures text for it (pieces, unless given).
        """
        if fmt.name == "prose":
            return self.text + self.tail
        if fmt.name == "answer-only":
            return self.tail.lstrip()
        if fmt.name == "random-steps":
            return self._random_steps(fmt.share, seed, count or (lambda text: len(_PIECE.findall(text))))
        shown = self.groups(fmt.k)
        edit = self._composed if fmt.name == "composed" else self._implicit
        return self._assemble({place: edit(place, shown) for place in shown})

    def _assemble(self, edits: dict[int, list[tuple[int, int, str]]]) -> str:
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

    def _implicit(self, place: int, shown: Sequence[int]) -> list[tuple[int, int, str]]:
        equation = self.steps[place].equation
        changes = []
        if equation.start >= 0 and equation.gap >= 0:
            changes.append((equation.start, equation.gap, ""))
        if equation.annotation:
            changes.append((*equation.annotation, ""))
        return changes

    def _composed(self, place: int, shown: Sequence[int]) -> list[tuple[int, int, str]]:
        equation, _, sources = self.steps[place]
        visible = set(shown)
        inner = {slot: self._nested(s, visible) for slot, s in enumerate(sources) if s >= 0 and s not in visible}
        if not inner:
            return []
        changes = []
        if equation.annotation:
            leaves = {str(i): inner.get(i) or self._leaf(place, i) for i in range(len(sources))}
            text = "".join(write(substitute(equation.tree, leaves), str))
            value = self.text[equation.value.start : equation.value.end] + "%" * equation.value.percent
            changes.append((*equation.annotation, f"<<{text}={value}>>"))
        for slot, tree in inner.items():
            if equation.mirror:
                start, end = equation.mirror[slot].start, equation.mirror[slot].end
                changes.append((start, end, self._in_prose(tree, start, end, equation.tree, str(slot))))
        return changes

    def _in_prose(self, tree: Expr, start: int, end: int, outer: Expr, slot: str) -> str:
        """An expression as it is written in the place of an operand, with blanks where its neighbours have them."""
        before, after = self.text[start - 1 : start], self.text[end : end + 1]
        tokens = write(tree, str)
        tight = before in _OPERATOR_CHARACTERS or after in _OPERATOR_CHARACTERS
        text = "".join(tokens) if tight else " ".join(tokens).replace("( ", "(").replace(" )", ")")
        if before == ")" or after == "(" or _UNIT.match(self.text, end) or _needs_brackets(outer, slot, tree):
            return f"({text})"
        return text

    def _nested(self, place: int, visible: Container[int]) -> Expr:
        """The expression of a step that is not shown, its operands as they are written."""
        sources = self.steps[place].sources
        leaves: dict[str, Expr] = {
            str(i): self._nested(s, visible) if s >= 0 and s not in visible else self._leaf(place, i)
            for i, s in enumerate(sources)
        }
        return substitute(self.steps[place].equation.tree, leaves)

    def _leaf(self, place: int, slot: int) -> str:
        operand = self.steps[place].equation.operands[slot]
        text = self.text[operand.start : operand.end] + "%" * operand.percent
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


def _needs_brackets(tree: Expr, slot: str, inner: Expr) -> bool:
    """Whether `inner` needs brackets in the place of a leaf of `tree`."""
    if not isinstance(inner, BinOp):
        return False
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, BinOp):
            level, own = _LEVEL[node.op], _LEVEL[inner.op]
            if node.left == slot:
                return own < level
            if node.right == slot:
                return own <= level
            stack += (node.left, node.right)
    return False


def link(equations: Sequence[Equation], given: Container[Number]) -> tuple[list[tuple[int, ...]], int]:
    """For each equation, which earlier result each operand is (-1 for none), and how many operands were ambiguous.

    The rule: an operand is the latest earlier result of its value that nothing has used; else a number of the question
    where `given` has it; else the latest earlier result of its value; else a number of the solver's own.
    """
    unused: dict[Number, list[int]] = {}
    latest: dict[Number, int] = {}
    links: list[tuple[int, ...]] = []
    ambiguous = 0
    for place, equation in enumerate(equations):
        sources = []
        for value in equation.values:
            waiting = unused.get(value)
            if waiting:
                ambiguous += len(waiting) > 1 or value in given
                sources.append(waiting.pop())
            elif value in latest and value not in given:
                sources.append(latest[value])
            else:
                ambiguous += value in latest
                sources.append(-1)
        links.append(tuple(sources))
        unused.setdefault(equation.result, []).append(place)
        latest[equation.result] = place
    return links, ambiguous


_SENTENCE = re.compile(r"[.!?][)\"']*[ \t]+(?=[^a-z\s])|\n+")


def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """From where to where each sentence of a text goes, the blanks after it included."""
    cuts = [0, *(match.end() for match in _SENTENCE.finditer(text))]
    if cuts[-1] < len(text) or len(cuts) == 1:
        cuts.append(len(text))
    return tuple(itertools.pairwise(cuts))
