"""The fast path: records of some combinations of task, method, surface and order, many at a time.

It writes the bytes of `exact`, which tests compare. Only the combinations that are declared here (`_FRAGMENTS`,
`_COMPLETIONS` and `supports`) are written by it; everything else, above all an addition that it does not know, is
written by the exact path.

A text is a row of fragments ("The number of kites equals ", "the number of oaks plus 4. ", ...). Which fragments is a
matter of integers, which numpy computes for a batch at once; `fragments` joins their text.

Shapes: B items, n operations, S sentences (n + 1 and the most distractors).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..core.arithmetic import apply
from ..core.methods import AnswerOnly, Composed, Explicit, Implicit, Method
from ..surfaces import english, terse
from ..tasks import Chain
from ..tasks.names import alias_table, nouns
from ..tasks.sampling import ProblemBatch, SamplerConfig
from .fragments import Bank, Rows, frame_of, record_lines

MAX_CODE = 1 << 62
"""Fragments are numbered by int64; moduli and constants that need more have no fast path."""


class Fragments(NamedTuple):
    """The pieces that a surface writes forward traces of chains with."""

    subject: str
    """A sentence of the prompt, up to its value; ``{}`` is the name."""
    constant: str
    """The rest of a sentence that gives a constant."""
    relation: str
    """The rest of a sentence that gives an operation: the name, and the operation from `operations`."""
    operations: dict[str, str]
    """Operator -> how the prompt writes it."""
    question: str
    open: str
    close: str
    stop: str
    """What ends a step."""
    answer: str
    aliases: bool
    """Whether a step defines an alias, and refers by aliases."""


_FRAGMENTS: dict[str, Fragments] = {
    english.NAME: Fragments(
        subject="The number of {} equals ",
        constant="{}. ",
        relation="the number of {}{}. ",
        operations={"+": "plus", "-": "minus", "*": "times"},
        question="What is the number of {}?",
        open="(",
        close=")",
        stop=". ",
        answer="Answer: {}.",
        aliases=True,
    ),
    terse.NAME: Fragments(
        subject="{} = ",
        constant="{} . ",
        relation="{}{} . ",
        operations={"+": "+", "-": "-", "*": "*"},
        question="? {}",
        open="( ",
        close=" )",
        stop=" . ",
        answer="answer {} .",
        aliases=False,
    ),
}
"""The surfaces that have a fast path. No other surface can take their names (`core.registry`)."""


def supports(config: SamplerConfig, method: Method, surface: str, order: str) -> bool:
    """Whether this combination has a fast path."""
    largest = config.modulus + len(nouns())
    pieces = len(config.operators) * config.number_range
    return (
        type(config.space) is Chain
        and type(method) in _COMPLETIONS
        and surface in _FRAGMENTS
        and order == "forward"
        and 8 * largest * (config.n_ops + pieces) < MAX_CODE
    )


class FastWriter:
    """Writes records of the problems of one configuration by several methods. Each must be supported."""

    def __init__(self, config: SamplerConfig, methods: Sequence[Method], surface: str, split: str) -> None:
        fragments = _FRAGMENTS[surface]
        self._frames = [frame_of(config, method, surface, split) for method in methods]
        self._prompts = _Prompts(config, fragments)
        self._completions = [_COMPLETIONS[type(method)](config, method, fragments) for method in methods]

    def blocks(self, batch: ProblemBatch) -> Iterator[list[bytes]]:
        """As `exact.Writer`."""
        values = _values(batch)
        completions = [part.rows(batch, values) for part in self._completions]
        return record_lines(self._frames, batch, values[-1], self._prompts.rows(batch), completions)


def _values(batch: ProblemBatch) -> np.ndarray:
    """(n_ops + 1, B) the residue of each quantity."""
    m, symbols = batch.config.modulus, batch.config.operators
    op, constant = batch.op.T, batch.constant.T
    values = np.empty(constant.shape, dtype=np.int64)
    values[0] = constant[0] % m
    for j in range(1, len(values)):
        value, c = values[j - 1], constant[j]
        result = value * c
        for symbol, other in (("+", value + c), ("-", value - c)):
            np.copyto(result, other, where=op[j] == symbols.find(symbol))
        np.remainder(result, m, out=values[j])
    return values


class _Operations:
    """An operation and its constant as one number, and their texts."""

    def __init__(self, config: SamplerConfig) -> None:
        self._operators, self._range, self._modulus = config.operators, config.number_range, config.modulus
        self.size = len(config.operators) * config.number_range

    def codes(self, batch: ProblemBatch) -> np.ndarray:
        """(B, n_ops)"""
        return batch.op[:, 1:] * self._range + batch.constant[:, 1:]

    def text(self, code: int, symbols: dict[str, str] | None = None) -> str:
        """`` + 4``, or with other symbols `` plus 4``."""
        op, constant = divmod(code, self._range)
        symbol = self._operators[op]
        return f" {symbols[symbol] if symbols else symbol} {constant}"

    def result(self, value: int, code: int) -> int:
        op, constant = divmod(code, self._range)
        return int(apply(self._operators[op], value, constant, self._modulus))


class _Prompts:
    """Prompts: two fragments for each sentence and one for the question."""

    def __init__(self, config: SamplerConfig, fragments: Fragments) -> None:
        names, operations, bank = nouns(), _Operations(config), Bank()
        self._bank, self._operations, size = bank, operations, operations.size
        self._subject = bank.add(len(names), lambda i: fragments.subject.format(names[i]))
        self._constant = bank.add(config.number_range, fragments.constant.format)
        self._question = bank.add(len(names), lambda i: fragments.question.format(names[i]))
        self._relation = bank.add(
            len(names) * size,
            lambda i: fragments.relation.format(names[i // size], operations.text(i % size, fragments.operations)),
        )

    def rows(self, batch: ProblemBatch) -> Rows:
        n, name = batch.config.n_ops, batch.name
        subject = name + self._subject
        rest = np.empty_like(subject)
        rest[:, 0] = batch.constant[:, 0] + self._constant
        rest[:, 1 : n + 1] = name[:, :n] * self._operations.size + self._operations.codes(batch) + self._relation
        rest[:, n + 1 :] = batch.distractor_constant + self._constant
        sentences = subject.shape[1]
        order = batch.sentence + (np.arange(len(subject)) * sentences)[:, None]
        codes = np.empty((len(subject), 2 * sentences + 1), dtype=np.int64)
        codes[:, 0:-1:2] = subject.ravel().take(order)
        codes[:, 1:-1:2] = rest.ravel().take(order)
        codes[:, -1] = name[:, n] + self._question
        used = 2 * (n + 1 + batch.distractors)
        kept = np.arange(2 * sentences + 1) < used[:, None]
        kept[:, -1] = True
        return Rows(self._bank, codes[kept], np.cumsum(used + 1))


class _Completions:
    """Completions by one method: rows of as many fragments each. A subclass writes the steps."""

    def __init__(self, config: SamplerConfig, method: Method, fragments: Fragments) -> None:
        self.bank, self.fragments, self.modulus = Bank(), fragments, config.modulus
        self._answer = self.bank.add(config.modulus, fragments.answer.format)

    def steps(self, batch: ProblemBatch, values: np.ndarray) -> list[np.ndarray]:
        """The fragments of the steps, each (B,). values: (n_ops + 1, B)."""
        return []

    def rows(self, batch: ProblemBatch, values: np.ndarray) -> Rows:
        columns = [*self.steps(batch, values), values[-1] + self._answer]
        width = len(columns)
        ends = np.arange(width, width * (len(batch.index) + 1), width)
        return Rows(self.bank, np.stack(columns, axis=1).ravel(), ends)


class _Results(_Completions):
    """Steps that show results alone."""

    def __init__(self, config: SamplerConfig, method: Method, fragments: Fragments) -> None:
        super().__init__(config, method, fragments)
        self._k = method.k
        self._name = self.bank.add(len(nouns()), nouns().__getitem__)
        self._result = self.bank.add(config.modulus, lambda v: f" = {v}{fragments.stop}")

    def steps(self, batch: ProblemBatch, values: np.ndarray) -> list[np.ndarray]:
        n, columns = batch.config.n_ops, []
        for end in (*range(0, n, self._k), n):
            columns += [batch.name[:, end] + self._name, values[end] + self._result]
        return columns


class _Expressions(_Completions):
    """Steps that show an expression of k operations: with symbols, with values, the result."""

    def __init__(self, config: SamplerConfig, method: Method, fragments: Fragments) -> None:
        super().__init__(config, method, fragments)
        self._operations, self._times = _Operations(config), config.operators.find("*")
        self._k = min(method.k, config.n_ops)
        add, m, names, aliases, stop = self.bank.add, config.modulus, nouns(), alias_table(), fragments.stop
        size, text, result = self._operations.size, self._operations.text, self._operations.result
        refs = aliases if fragments.aliases else names
        self._refs = len(refs)
        self._name = add(len(names), lambda i: f"Define {names[i]} as " if fragments.aliases else names[i])
        self._alias = add(len(aliases), lambda i: f"{aliases[i]}; so {aliases[i]}")
        self._start = add(config.number_range, lambda c: f" = {c}{stop}" if c < m else f" = {c} = {c % m}{stop}")
        self._result = add(m, lambda v: f" = {v}{stop}")
        self._symbols = self._values = 0
        if self._k == 1 or config.n_ops % self._k == 1:  # A step of one operation takes fewer fragments.
            self._symbols = add(len(refs) * size, lambda i: f" = {refs[i // size]}{text(i % size)}")
            self._values = add(
                m * size, lambda i: f" = {i // size}{text(i % size)} = {result(i // size, i % size)}{stop}"
            )
        most = self._k // 2 + 1  # Parentheses open before the first operand, at most one for two operations.
        if self._k > 1:
            opened = fragments.open
            self._open_ref = add(most * len(refs), lambda i: f" = {opened * (i // len(refs))}{refs[i % len(refs)]}")
            self._open_value = add(most * m, lambda i: f" = {opened * (i // m)}{i % m}")
            self._piece = add(2 * size, lambda i: f"{fragments.close * (i // size)}{text(i % size)}")

    def steps(self, batch: ProblemBatch, values: np.ndarray) -> list[np.ndarray]:
        n, k, size = batch.config.n_ops, self._k, self._operations.size
        name, alias = batch.name.T, batch.alias.T
        ref = alias if self.fragments.aliases else name
        operation, times = self._operations.codes(batch).T, batch.op.T[1:] == self._times
        columns = []

        def subject(end: int) -> None:
            columns.append(name[end] + self._name)
            if self.fragments.aliases:
                columns.append(alias[end] + self._alias)

        subject(0)
        columns.append(batch.constant[:, 0] + self._start)
        for start in range(0, n, k):
            end = min(start + k, n)
            subject(end)
            if end == start + 1:
                columns.append(ref[start] * size + operation[start] + self._symbols)
                columns.append(values[start] * size + operation[start] + self._values)
                continue
            # The expression so far is put in parentheses where a product takes a sum as its left operand.
            wraps = np.zeros((end - start, len(batch.index)), dtype=np.int64)
            wraps[1:] = times[start + 1 : end] & ~times[start : end - 1]
            opened = wraps.sum(axis=0)
            pieces = list(wraps * size + operation[start:end] + self._piece)
            columns += [opened * self._refs + ref[start] + self._open_ref, *pieces]
            columns += [opened * self.modulus + values[start] + self._open_value, *pieces]
            columns.append(values[end] + self._result)
        return columns


_COMPLETIONS: dict[type[Method], type[_Completions]] = {
    Explicit: _Expressions,
    Composed: _Expressions,
    Implicit: _Results,
    AnswerOnly: _Completions,
}
"""The methods that have a fast path, exactly these classes: a subclass may write other steps."""
