"""A second reader of solution texts on synthetic problems, which shares no code with the verifier.

It is written from docs/formats.md and docs/verdicts.md, reads more loosely than the verifier, and uses a `Problem` as
data only (modulus, definitions, target). What it proves wrong is wrong under every reading that the documents allow:

    second_reader.audit(text, problem, "english").provable_faults

So a text that the verifier calls faithful has no provable fault, and an answer that it calls correct is `correct` here.
The opposite need not hold: what the documents leave open is no fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .facts import Facts, evaluate, residue


@dataclass(frozen=True, slots=True)
class Audit:
    """What the second reader found in one text."""

    correct: bool
    """False where the final answer is provably not the gold answer, stated once, as the last sentence."""
    answer_faults: tuple[str, ...]
    """Why `correct` is False."""
    provable_faults: tuple[str, ...]
    """Why the text is not faithful, as ``kind: detail``; the faults of the answer are among them."""
    calculated_operations: frozenset[str]
    """The operations (named by the quantity that each defines) that steps with a result work out."""
    single_steps: int
    """How many steps at most work out one operation that no earlier step did, in a text without faults."""
    single_steps_at_most: int
    """The same in a text of which a reader may leave out some sentences."""


@dataclass(slots=True)
class _Side:
    tokens: list[str]
    refs: frozenset[str]
    kind: str
    """`symbols` (refers to quantities), `values` (numbers with operators) or `number`."""


_TOKEN = re.compile(r"[0-9]+|[^\W\d_]+|\S")
_RESULT = re.compile(r"=\s*[0-9]+\W*$")
_FULL_STOP = re.compile(r"\.(?![0-9])")
_DEFINE = re.compile(r"\s*(?:Define\s+(\S+)\s+as\s+([A-Z]{2})\s*;\s*so\s|So\s)")
_ECHO = {
    "english": re.compile(r"\s*(?:The number of [a-z]+ equals [a-z0-9 ]+$|What is the number of [a-z]+\s*\?)"),
    "terse": re.compile(r"\s*\?\s+[a-z]+(?=\s|$)"),
}
_FINAL = {
    "english": re.compile(r"\s*(?:the\s+)?(?:final\s+)?answer\b\s*(?:is|:|=)?\s*:?\s*(.*?)\s*", re.I | re.S),
    "terse": re.compile(r"\s*answer\b\s*:?\s*(.*?)\s*", re.I | re.S),
}
_CLAIM = re.compile(r"\banswer\b\s*(?:is\b)?[\s:=]*([-+]?[0-9][0-9.,]*[0-9]|[-+]?[0-9])", re.I)


class _Reader:
    """Reads the sentences of one text in order."""

    def __init__(self, facts: Facts, surface: str) -> None:
        self.facts, self.surface = facts, surface
        self.aliases: dict[str, str] = {}
        self.faults: list[str] = []
        self.settled: set[str] = set()
        self.shown: set[str] = set()
        self.restated: set[str] = set()
        self.single, self.single_at_most = _Singles(), _Singles()
        self.sentences = self.steps = 0

    def define_aliases(self, sentences: list[str]) -> None:
        """All aliases of the text: an order may use one before the sentence that defines it."""
        for sentence in sentences if self.surface == "english" else ():
            match = _DEFINE.match(sentence)
            if match and match[1]:
                name, alias = match[1], match[2]
                if name not in self.facts.definitions:
                    self.faults.append(f"unknown name: {name[:40]}")
                elif self.aliases.setdefault(alias, name) != name:
                    self.faults.append(f"redefined alias: {alias}")
                    self.single_at_most.doubtful += len(sentences)

    def quantity(self, word: str) -> str | None:
        """The quantity that a word names."""
        return word if word in self.facts.definitions else self.aliases.get(word)

    def side(self, text: str) -> _Side | None:
        """One side of an equality chain with aliases replaced by names; None where it cannot be read."""
        tokens = _TOKEN.findall(text)
        refs = set()
        for i, token in enumerate(tokens):
            if token[0].isalpha():
                name = self.quantity(token)
                if name is None:
                    return None
                tokens[i] = name
                refs.add(name)
        if not tokens:
            return None
        kind = "symbols" if refs else "number" if len(tokens) == 1 else "values"
        return _Side(tokens, frozenset(refs), kind)

    def read(self, sentence: str) -> None:
        """One sentence that is not the final answer."""
        echo = _ECHO[self.surface].match(sentence)
        sentence = sentence[echo.end() :] if echo else sentence
        if not sentence.strip():
            return
        self.sentences += 1
        match = _DEFINE.match(sentence) if self.surface == "english" else None
        subject, *texts = (sentence[match.end() :] if match else sentence).split("=")
        name = self.quantity(subject.strip())
        sides = [self.side(text) for text in texts]
        if name is None or not sides or None in sides:
            self.faults.append(f"unread: {sentence.strip()[:60]}")
            if name is not None and texts and texts[-1].strip().isdecimal():  # Later steps may refer to it.
                self.settled.add(name)
                self.single_at_most.doubtful += 1
            return
        self.steps += 1
        before = len(self.faults)
        self.check(name, sides)  # type: ignore[arg-type]
        self.count(name, sides, {fault.split(":")[0] for fault in self.faults[before:]})  # type: ignore[arg-type]

    def check(self, name: str, sides: list[_Side]) -> None:
        """Collect what is provably wrong in a step."""
        facts, m = self.facts, self.facts.modulus
        symbols: _Side | None = None
        replaced = False
        for side in sides:
            shown = f"{name} = {' '.join(side.tokens)[:60]}"
            worlds = facts.worlds(side.refs)
            found = [evaluate(side.tokens, world, m) for world in worlds]
            if found[0] is None:
                self.faults.append(f"unread: {shown}")
            elif found[0] != facts.true[name]:
                self.faults.append(f"value: {shown}")
            elif any(value != world[name] for value, world in zip(found, worlds, strict=True)):
                self.faults.append(f"relation: {shown}")
            elif side.kind == "number" and not self._is_residue(name, side.tokens[0]):
                self.faults.append(f"residue: {shown}")
            elif side.kind == "values" and not replaced and not self._substitutes(name, symbols, side):
                self.faults.append(f"substitution: {shown}")
            replaced = side.kind == "values"  # What follows is worked out from it.
            symbols = side if side.kind == "symbols" else symbols
        if any(side.kind != "symbols" for side in sides):
            refs = next((side.refs for side in reversed(sides) if side.refs), frozenset())
            for ref in sorted(refs - self.settled):
                self.faults.append(f"undefined: {ref} has no value for {name}")

    def _is_residue(self, name: str, digits: str) -> bool:
        stated = self.facts.definitions[name]
        return digits == str(self.facts.true[name]) or (isinstance(stated, int) and digits == str(stated))

    def _substitutes(self, name: str, symbols: _Side | None, side: _Side) -> bool:
        """Whether the numbers of a side can be those of its symbols, or of the definition where it shows none.

        Only a side of the same shape with other numbers is refused: the documents do not say in which order the
        numbers stand, or how much may be worked out at once.
        """
        true, m = self.facts.true, self.facts.modulus
        parts = self.facts.parts(name)
        if symbols is not None:
            want = [str(true[t]) if t[0].isalpha() else t for t in symbols.tokens]
        elif parts and len([t for t in side.tokens if t in "+-*"]) == 1:
            left, right = (str(true[x]) if isinstance(x, str) else str(x) for x in parts[1:])
            want = [left, parts[0], right]
        else:
            return True
        have_numbers, have_operators = _shape(side.tokens, m)
        want_numbers, want_operators = _shape(want, m)
        return have_operators != want_operators or have_numbers == want_numbers

    def count(self, name: str, sides: list[_Side], kinds: set[str]) -> None:
        """Count the operations that a step with these kinds of faults works out."""
        valued = any(side.kind == "number" for side in sides)
        symbols = [side for side in sides if side.refs]
        refs = symbols[-1].refs if symbols else self.settled
        segment = self.facts.segment(name, refs) & self.facts.needed if name not in refs else frozenset()
        reduced = bool(symbols) and len(segment) > 1 and self.facts.is_chain and "(" not in symbols[-1].tokens
        if not kinds:
            if symbols:
                (self.shown if valued or reduced else self.restated).update(segment)
            if valued or (reduced and self._is_computed(segment)):
                self.single.count(segment, certain=valued)
                self.single_at_most.count(segment, certain=False)
        elif valued:
            self.single_at_most.doubtful += name in self.facts.needed
        if valued:
            self.settled.add(name)

    def _is_computed(self, segment: frozenset[str]) -> bool:
        """Whether a linear form over these operations has numbers that the problem does not state, so that they had to
        be computed. A product, then a sum (2x + 4) is written down as it is."""
        parts = {name: self.facts.parts(name) for name in segment}
        inner = [op for op, *operands in parts.values() if not segment & set(operands)]  # type: ignore[misc]
        outer = [op for op, *operands in parts.values() if segment & set(operands)]  # type: ignore[misc]
        return len(segment) > 2 or inner != ["*"] or outer == ["*"]


class _Singles:
    """How many steps can count as one operation, when some steps certainly count and others may."""

    def __init__(self) -> None:
        self.certain: set[str] = set()
        self.possible: set[str] = set()
        self.used: set[str] = set()
        self.doubtful = 0
        """Steps with a fault, which a verifier may read in another way."""

    def count(self, segment: frozenset[str], certain: bool) -> None:
        """Count a step that works out the operations of a segment, unless an earlier step did."""
        fresh = segment - self.possible
        unused = segment - self.certain - self.used
        if unused and len(fresh) <= 1:
            self.used.add(min(fresh & unused or unused))
        self.possible |= segment
        if certain:
            self.certain |= segment


def _shape(tokens: list[str], modulus: int) -> tuple[list[int], list[str]]:
    """The numbers of a side, sorted, and its operators; a coefficient counts as a factor."""
    numbers = sorted(residue(t, modulus) for t in tokens if t[0] in "0123456789")
    operators = [t for t in tokens if t in "+-*"]
    for before, after in pairwise(tokens):
        if before[0] in "0123456789" and (after == "(" or after[0].isalpha()):
            operators.append("*")
    return numbers, sorted(operators)


def _final_faults(text: str, sentences: list[str], gold: str, surface: str) -> list[str]:
    """Why the text does not state `gold` as its one final answer, in its last sentence."""
    faults = []
    match = _FINAL[surface].fullmatch(sentences[-1]) if sentences else None
    if match is None:
        faults.append("answer: the last sentence is not the answer alone")
    elif match[1] != gold:
        faults.append(f"answer: {match[1][:40]!r} is not {gold}")
    for claim in _CLAIM.finditer(text):
        if claim[1].rstrip(".,") != gold:
            faults.append(f"answer: also {claim[1][:40]!r}")
    return faults


def audit(text: str, problem: Any, surface: str) -> Audit:
    """What is provably wrong in a solution text, and how many operations it works out at most.

    `problem` needs `modulus`, `definitions` (name -> int, or (operator, left, right)) and `target`; `surface` is
    `english` or `terse`. Raises nothing because of `text`.
    """
    facts = Facts(problem.modulus, problem.definitions, problem.target)
    sentences = [each for each in _FULL_STOP.split(text) if each.strip()]
    gold = str(facts.true[facts.target])
    answer_faults = _final_faults(text, sentences, gold, surface)
    reader = _Reader(facts, surface)
    reader.define_aliases(sentences)
    for sentence in sentences:
        for part in re.split(r"\s(?=Answer:)", sentence):  # A step without its full stop before the answer.
            if not _FINAL[surface].fullmatch(part):
                reader.read(part)
    if reader.sentences and facts.target not in reader.settled:
        reader.faults.append("missing chain: no step states the value of the target")
    for name in sorted(reader.restated - reader.shown - reader.settled):
        reader.faults.append(f"restated: {name} is never worked out")
    calculated, single = frozenset(reader.single.possible), len(reader.single.used)
    if not reader.steps:  # The answer alone, as one implicit step.
        calculated, single = facts.needed, int(len(facts.needed) == 1)
    at_most = max(single, len(reader.single_at_most.used) + reader.single_at_most.doubtful)
    # A reader may leave out sentences that it refuses. Each step that it counts shows a result.
    at_most = max(at_most, min(len(facts.needed), sum(_RESULT.search(each) is not None for each in sentences)))
    if answer_faults and len(facts.needed) == 1:  # It may be read as the answer alone.
        at_most = max(1, at_most)
    faults = (*answer_faults, *reader.faults)
    return Audit(not answer_faults, tuple(answer_faults), faults, calculated, single, at_most)
