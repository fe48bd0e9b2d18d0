"""The fast path: records of chain problems in forward order, many at a time, byte for byte those of `records`.

A text is a row of fragments ("The number of kites equals ", "the number of oaks plus 4. ", ...), and which fragments is
a matter of integers, which numpy computes for a batch at once; `lines` makes the text of them. `make_record` says what
a record is; tests hold the two together.

Shapes: B items, n operations, S sentences (n + 1 and the most distractors).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..core.arithmetic import apply
from ..core.methods import Method
from ..tasks.sampling import Batch, SamplerConfig, alias_table, nouns
from .lines import Bank, Rows, frame_of, plain_lines

MAX_CODE = 1 << 62
"""Fragments are numbered by int64: moduli and constants that need more have no fast path."""

_WORDS = {"+": "plus", "-": "minus", "*": "times"}


def supports(config: SamplerConfig, order: str) -> bool:
    """Whether there is a fast path for these problems in this order."""
    largest = config.modulus + len(nouns())
    pieces = len(config.operators) * config.number_range
    return config.task == "chain" and order == "forward" and 8 * largest * (config.n_ops + pieces) < MAX_CODE


def _values(batch: Batch) -> np.ndarray:
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


class FastWriter:
    """Lines of the problems of one configuration, for several formats at once. Requires `supports`."""

    def __init__(
        self,
        config: SamplerConfig,
        formats: Sequence[Method],
        surface: str,
        split: str,
    ) -> None:
        self._frames = [frame_of(config, fmt, surface, split) for fmt in formats]
        self._prompts = _Prompts(config, surface)
        self._completions = [_Completions(config, fmt, surface) for fmt in formats]

    def blocks(self, batch: Batch) -> Iterator[list[bytes]]:
        """The records of some rows after the other, as JSON Lines: for each format, a block."""
        values = _values(batch)
        completions = [part.rows(batch, values) for part in self._completions]
        return plain_lines(self._frames, batch, values[-1], self._prompts.rows(batch), completions)


class _Operations:
    """An operation and its constant as one number, and the texts of both."""

    def __init__(self, config: SamplerConfig) -> None:
        self._operators, self._range, self._modulus = config.operators, config.number_range, config.modulus
        self.size = len(config.operators) * config.number_range

    def codes(self, batch: Batch) -> np.ndarray:
        """(B, n_ops)"""
        return batch.op[:, 1:] * self._range + batch.constant[:, 1:]

    def piece(self, code: int) -> str:
        """`` + 4``"""
        op, constant = divmod(code, self._range)
        return f" {self._operators[op]} {constant}"

    def words(self, code: int) -> str:
        """`` plus 4``"""
        op, constant = divmod(code, self._range)
        return f" {_WORDS[self._operators[op]]} {constant}"

    def result(self, value: int, code: int) -> int:
        op, constant = divmod(code, self._range)
        return int(apply(self._operators[op], value, constant, self._modulus))


class _Prompts:
    """Prompts: two fragments a sentence and one for the question."""

    def __init__(self, config: SamplerConfig, surface: str) -> None:
        names, operations, bank = nouns(), _Operations(config), Bank()
        self._bank, self._operations, size = bank, operations, operations.size
        if surface == "english":
            subject, given, question = "The number of {} equals ", "{}. ", "What is the number of {}?"
            relation, words = "the number of {}{}. ", operations.words
        else:
            subject, given, question = "{} = ", "{} . ", "? {}"
            relation, words = "{}{} . ", operations.piece
        self._subject = bank.add(len(names), lambda i: subject.format(names[i]))
        self._given = bank.add(config.number_range, given.format)
        self._question = bank.add(len(names), lambda i: question.format(names[i]))
        self._relation = bank.add(len(names) * size, lambda i: relation.format(names[i // size], words(i % size)))

    def rows(self, batch: Batch) -> Rows:
        n, name = batch.config.n_ops, batch.name
        subject = name + self._subject
        rest = np.empty_like(subject)
        rest[:, 0] = batch.constant[:, 0] + self._given
        rest[:, 1 : n + 1] = name[:, :n] * self._operations.size + self._operations.codes(batch) + self._relation
        rest[:, n + 1 :] = batch.distractor_constant + self._given
        sentences = subject.shape[1]
        places = batch.sentence + (np.arange(len(subject)) * sentences)[:, None]
        codes = np.empty((len(subject), 2 * sentences + 1), dtype=np.int64)
        codes[:, 0:-1:2] = subject.ravel().take(places)
        codes[:, 1:-1:2] = rest.ravel().take(places)
        codes[:, -1] = name[:, n] + self._question
        told = 2 * (n + 1 + batch.distractors)
        said = np.arange(2 * sentences + 1) < told[:, None]
        said[:, -1] = True
        return Rows(self._bank, codes[said], np.cumsum(told + 1))


class _Completions:
    """Completions in one format: the start, then a group of k operations after the other, then the answer."""

    def __init__(self, config: SamplerConfig, fmt: Method, surface: str) -> None:
        self.fmt = fmt
        self._operations, self._times = _Operations(config), config.operators.find("*")
        self._bank, self._aliased = Bank(), surface == "english" and fmt.NAME != "implicit"
        add, m, names, aliases = self._bank.add, config.modulus, nouns(), alias_table()
        size, piece, result = self._operations.size, self._operations.piece, self._operations.result
        opening, closing, stop, answer = ("(", ")", ". ", "Answer: {}.")
        if surface == "terse":
            opening, closing, stop, answer = ("( ", " )", " . ", "answer {} .")

        self._answer = add(m, answer.format)
        self._result = add(m, lambda v: f" = {v}{stop}")
        self._modulus = m
        self._group = min(fmt.k, config.n_ops) if fmt.NAME in ("explicit", "composed") else 0
        if not self._group:
            self._name = add(len(names), names.__getitem__)
            return

        refs = aliases if self._aliased else names
        self._refs = len(refs)
        self._name = add(len(names), lambda i: f"Define {names[i]} as " if self._aliased else names[i])
        self._alias = add(len(aliases), lambda i: f"{aliases[i]}; so {aliases[i]}")
        self._given = add(config.number_range, lambda c: f" = {c}{stop}" if c < m else f" = {c} = {c % m}{stop}")
        # A group of one operation takes fewer fragments, for speed alone.
        self._symbols = self._values = 0
        if self._group == 1 or config.n_ops % self._group == 1:
            self._symbols = add(len(refs) * size, lambda i: f" = {refs[i // size]}{piece(i % size)}")
            self._values = add(
                m * size, lambda i: f" = {i // size}{piece(i % size)} = {result(i // size, i % size)}{stop}"
            )
        # Parentheses open before the first operand: at most one for two operations.
        most = self._group // 2 + 1
        if self._group > 1:
            self._open_ref = add(most * len(refs), lambda i: f" = {opening * (i // len(refs))}{refs[i % len(refs)]}")
            self._open_value = add(most * m, lambda i: f" = {opening * (i // m)}{i % m}")
            self._piece = add(2 * size, lambda i: f"{closing * (i // size)}{piece(i % size)}")

    def rows(self, batch: Batch, values: np.ndarray) -> Rows:
        """values: (n_ops + 1, B)."""
        n = batch.config.n_ops
        name, columns = batch.name.T, []
        if self.fmt.NAME == "implicit":
            for end in (*range(0, n, self.fmt.k), n):
                columns += [name[end] + self._name, values[end] + self._result]
        elif self._group:
            columns = self._stepwise(batch, values)
        columns.append(values[n] + self._answer)
        width = len(columns)
        ends = np.arange(width, width * (len(batch.index) + 1), width)
        return Rows(self._bank, np.stack(columns, axis=1).ravel(), ends)

    def _stepwise(self, batch: Batch, values: np.ndarray) -> list[np.ndarray]:
        """The fragments of explicit and composed steps, each (B,)."""
        n, k, size = batch.config.n_ops, self._group, self._operations.size
        name, alias = batch.name.T, batch.alias.T
        ref = alias if self._aliased else name
        operation, times = self._operations.codes(batch).T, batch.op.T[1:] == self._times
        columns = []

        def subject(end: int) -> None:
            columns.append(name[end] + self._name)
            if self._aliased:
                columns.append(alias[end] + self._alias)

        subject(0)
        columns.append(batch.constant[:, 0] + self._given)
        for start in range(0, n, k):
            end = min(start + k, n)
            subject(end)
            if end == start + 1:
                columns.append(ref[start] * size + operation[start] + self._symbols)
                columns.append(values[start] * size + operation[start] + self._values)
                continue
            # What is written so far is wrapped where a product takes a sum as its left operand.
            wraps = np.zeros((end - start, len(batch.index)), dtype=np.int64)
            wraps[1:] = times[start + 1 : end] & ~times[start : end - 1]
            opened = wraps.sum(axis=0)
            pieces = list(wraps * size + operation[start:end] + self._piece)
            columns += [opened * self._refs + ref[start] + self._open_ref, *pieces]
            columns += [opened * self._modulus + values[start] + self._open_value, *pieces]
            columns.append(values[end] + self._result)
        return columns
