"""Primitives: what the neutral base is pretrained on, each a prompt and its completion in `terse`.

A trace is made of few abilities: to find the sentence about a name, to follow sentences in either direction, to stop at
the quantity in question, to calculate, and to write. A base that has these in equal measure, and no trace of more than
two operations, knows where to look and how to calculate. It does not know which trace to write.

    facts      3 * 4 . 6 - 1 .    ->  3 * 4 = 12 . 6 - 1 = 5 .           one or two operations, over all residues
    forms      2 ( 3 x + 4 ) + 1  ->  2 ( 3 x + 4 ) + 1 = 6 x + 9 .      linear forms, and their values
    lookups    ... ? = lamps oaks ->  lamps = drums * 2 . oaks = 2 .     the sentences about names
    starts     ... ? + = lamps    ->  kites = 3 .                        the sentence where the chain to a name starts
    names      ... ? + lamps      ->  kites drums lamps .                forward to the target; `-`: back to the start
    sentences  ... ? = + lamps    ->  kites = 3 . drums = kites + 4 .    the sentences of that walk
    syntax     ... ? lamps        ->  a solution in any format and order, for problems of one and two operations

Facts, forms and look-ups can come several to a text, because most of a text otherwise teaches only copying. Walks have
up to `max(n_ops)` operations. The chain of a walk may go on beyond the target, so that neither its end nor a count of
steps says where to stop. Half of the walks have several chains and name the quantity that they start from;
then the start cannot be guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from ..core.arithmetic import BinOp, Expr, evaluate, linear, linear_expression
from ..core.compress import compress
from ..core.orders import ORDERS
from ..core.problem import Problem
from ..models.tokenizer import MAX_NUMBER
from ..surfaces import terse
from ..surfaces.expressions import write
from ..tasks.names import nouns
from ..tasks.splits import split_of
from .config import PretrainConfig

Text = tuple[str, str]
"""A prompt and its completion."""

SYNTAX_FORMATS = ("explicit", "composed:2", "implicit:1", "implicit:2", "answer-only")
SYNTAX_N_OPS = (1, 2)


class Primitives:
    """Draws of primitives over the residues of a modulus."""

    def __init__(
        self,
        modulus: int,
        number_range: int,
        n_ops: Sequence[tuple[int, float]],
        page: int = 1,
        wide_numbers: float = 0.0,
        simple_forms: float = 0.0,
    ) -> None:
        """`page`, `wide_numbers` and `simple_forms` are as in `PretrainConfig`."""
        self.modulus, self._range = modulus, number_range
        self._page_size, self._wide, self._simple = page, wide_numbers, simple_forms
        self._lengths, self._weights = zip(*n_ops, strict=True)

    @classmethod
    def of(cls, config: PretrainConfig) -> Primitives:
        """The primitives of a recipe."""
        c = config
        return cls(c.modulus, c.number_range, c.n_ops, c.page, c.wide_numbers, c.simple_forms)

    def walk(self, rng: np.random.Generator, length: int, forward: bool, beyond: int = 0) -> Text:
        """A walk of names over `length` operations of a problem whose chain goes on `beyond` its target."""
        problem = self._in_training(lambda: self._study_like(rng, length, beyond))
        path = list(problem.order)
        mark = f"{'+' if forward else '-'} {problem.target}"
        return self._asked(problem, f"? {mark}"), f"{' '.join(path if forward else path[::-1])} ."

    def draw(self, name: str, rng: np.random.Generator) -> Text:
        """A text of the primitive `name`."""
        return getattr(self, name)(rng)

    def facts(self, rng: np.random.Generator) -> Text:
        return self._page([self._fact(rng) for _ in range(rng.integers(1, self._page_size + 1))])

    def forms(self, rng: np.random.Generator) -> Text:
        return self._page([self._form(rng) for _ in range(rng.integers(1, self._page_size + 1))])

    def _fact(self, rng: np.random.Generator) -> tuple[Expr, Expr]:
        """An expression and its value."""
        fact = self._operations(int(rng.integers(self.modulus)), int(rng.integers(1, 3)), rng)
        return fact, evaluate(fact, {}, self.modulus)

    def _form(self, rng: np.random.Generator) -> tuple[Expr, Expr]:
        """An expression of a linear form, and the form or value that it reduces to."""
        m = self.modulus
        a, b = int(rng.integers(1, m)), int(rng.integers(m))
        if self._simple and rng.random() < self._simple:
            a, b = (a, 0) if rng.random() < 0.5 else (1, b)
        name = nouns()[int(rng.integers(len(nouns())))]
        kind = rng.integers(4)
        if kind == 0:  # The value of a form.
            side = self._scaled(a, b, int(rng.integers(m)))
            return side, evaluate(side, {}, m)
        if kind == 1:  # Operations become a form.
            side = self._operations(name, int(rng.integers(1, 3)), rng)
        elif kind == 2:  # A definition replaces the name in a form.
            side = self._scaled(a, b, self._operations(name, int(rng.integers(1, 3)), rng))
        else:  # A form replaces the name in a form.
            side = self._scaled(a, b, self._scaled(int(rng.integers(1, m)), int(rng.integers(m)), None, name))
        form = linear(side, m)
        assert form is not None
        return side, linear_expression(form, m)

    def lookups(self, rng: np.random.Generator) -> Text:
        problem = self._chains(rng, int(rng.integers(1, 4)))[0]
        names = rng.permutation(list(problem.definitions)).tolist()[: int(rng.integers(1, self._page_size + 1))]
        return self._asked(problem, f"? = {' '.join(names)}"), self._stated(problem, names)

    def starts(self, rng: np.random.Generator) -> Text:
        problem = self._walked(rng)
        start = problem.order[0]
        return self._asked(problem, f"? + = {problem.target}"), self._stated(problem, [start])

    def names(self, rng: np.random.Generator) -> Text:
        problem, path, mark = self._walk(rng)
        return self._asked(problem, f"? {mark}"), f"{' '.join(path)} ."

    def sentences(self, rng: np.random.Generator) -> Text:
        problem, path, mark = self._walk(rng)
        return self._asked(problem, f"? = {mark}"), self._stated(problem, path)

    def syntax(self, rng: np.random.Generator) -> Text:
        problem = self._in_training(lambda: self._study_like(rng, SYNTAX_N_OPS[rng.integers(len(SYNTAX_N_OPS))], 0))
        order = list(ORDERS)[rng.integers(len(ORDERS))]
        name = SYNTAX_FORMATS[rng.integers(len(SYNTAX_FORMATS))]
        return terse.render_problem(problem), terse.render(compress(problem, name, order))

    def _walk(self, rng: np.random.Generator) -> tuple[Problem, list[str], str]:
        """A problem, the names of a walk, and the words of its question after the question mark."""
        forward = rng.random() < 0.5
        if rng.random() < 0.5:
            problem, chain = self._chains(rng, int(rng.integers(2, 4)))
            path = chain if forward else chain[::-1]
            first = path[0]
            return problem, path, f"{first} {'+' if forward else '-'}"
        problem = self._walked(rng)
        path = list(problem.order)
        return problem, path if forward else path[::-1], f"{'+' if forward else '-'} {problem.target}"

    def _walked(self, rng: np.random.Generator) -> Problem:
        """A problem with one chain, which goes on beyond the target in half of the cases."""
        length = int(rng.choice(self._lengths, p=self._weights))
        beyond = int(rng.integers(0, self._lengths[-1] - length + 1)) if rng.random() < 0.5 else 0
        wide = rng.random() < self._wide
        return self._in_training(lambda: self._study_like(rng, length, beyond, wide))

    def _in_training(self, draw: Callable[[], Problem]) -> Problem:
        """The first drawn problem whose structure is of the train split."""
        while split_of((problem := draw()).structure) != "train":
            pass
        return problem

    def _chains(self, rng: np.random.Generator, count: int) -> tuple[Problem, list[str]]:
        """A problem with several chains in mixed order, and the names of one of them from its start to its end."""
        wide = rng.random() < self._wide
        lengths = rng.choice(self._lengths, p=self._weights, size=count)
        if count > 1:
            lengths[1:] = np.minimum(lengths[1:], rng.integers(1, 5, size=count - 1))
        names = [nouns()[i] for i in rng.choice(len(nouns()), size=int(lengths.sum()) + count, replace=False)]
        definitions: dict[str, Expr] = {}
        chains = []
        for length in lengths.tolist():
            chain, names = names[: length + 1], names[length + 1 :]
            self._define(chain, definitions, rng, wide)
            chains.append(chain)
        chosen = chains[0 if rng.random() < 0.7 else int(rng.integers(count))]
        return self._shuffled(definitions, chosen[-1], rng), chosen

    def _study_like(self, rng: np.random.Generator, length: int, beyond: int, wide: bool = False) -> Problem:
        """One chain and unused constants, as the sampler draws them; the chain goes on `beyond` its target."""
        total = length + beyond
        unused = int(rng.integers(1, max(2, total) + 1))
        names = [nouns()[i] for i in rng.choice(len(nouns()), size=total + 1 + unused, replace=False)]
        definitions: dict[str, Expr] = {}
        self._define(names[: total + 1], definitions, rng, wide)
        definitions |= {name: self._number(rng, wide) for name in names[total + 1 :]}
        return self._shuffled(definitions, names[length], rng)

    def _define(self, chain: list[str], definitions: dict[str, Expr], rng: np.random.Generator, wide: bool) -> None:
        definitions[chain[0]] = self._number(rng, wide)
        for before, name in pairwise(chain):
            operation = self._operations(before, 1, rng)
            definitions[name] = operation._replace(right=self._number(rng, wide)) if wide else operation

    def _number(self, rng: np.random.Generator, wide: bool) -> int:
        return int(rng.integers(MAX_NUMBER) if wide else rng.integers(1, self._range))

    def _shuffled(self, definitions: dict[str, Expr], target: str, rng: np.random.Generator) -> Problem:
        names = rng.permutation(list(definitions)).tolist()
        return Problem(self.modulus, {name: definitions[name] for name in names}, target)

    def _operations(self, inner: Expr, count: int, rng: np.random.Generator) -> BinOp:
        """`count` random operations on `inner`, at least one."""
        for _ in range(count):
            op = "+-*"[rng.integers(3)]
            inner = BinOp(op, inner, int(rng.integers(1 + (op == "*"), self._range)))
        return inner

    def _scaled(self, a: int, b: int, inner: Expr, name: str | None = None) -> Expr:
        """``a ( inner ) + b``, or ``a name + b``."""
        value = BinOp("+", BinOp("·", a, "x"), b)
        form = linear(value, self.modulus)
        assert form is not None
        form = form._replace(reference=name)
        return linear_expression(form, self.modulus, inner=inner)

    def _page(self, pairs: Sequence[tuple[Expr, Expr]]) -> Text:
        """Expressions as the prompt; in the completion each is followed by its result."""
        written = [(" ".join(write(side, str)), " ".join(write(result, str))) for side, result in pairs]
        return " ".join(f"{side} ." for side, _ in written), " ".join(f"{side} = {end} ." for side, end in written)

    def _stated(self, problem: Problem, names: Sequence[str]) -> str:
        """The sentences about these names."""
        return " ".join(f"{name} = {' '.join(write(problem.definitions[name], str))} ." for name in names)

    def _asked(self, problem: Problem, question: str) -> str:
        body, _, _ = terse.render_problem(problem).rpartition("? ")
        return body + question
