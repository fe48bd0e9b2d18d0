"""Dressing: what stands around a structure. Names, unused quantities and the order of the sentences.

    redress(problem, number=1)      # the same structure and answer under other names

A problem dressed anew is a new prompt with the same structure, so it stays in its split.
"""

from __future__ import annotations

import hashlib

import numpy as np

from ..core.arithmetic import BinOp, Expr, substitute
from ..core.problem import Problem
from .names import nouns


def redress(problem: Problem, number: int, number_range: int | None = None) -> Problem:
    """Dressing `number` of a problem's structure: other names, unused quantities and order of the sentences.

    A pure function of its arguments, with the sampler's distributions: 1..max(2, n_ops) unused quantities with
    constants in 1..number_range-1. None: one more than the greatest constant of the problem.
    """
    if number_range is None:
        number_range = 1 + max(
            number for definition in problem.definitions.values() for number in _constants(definition)
        )
    digest = hashlib.sha256(f"dressing|{problem.structure}|{number}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    unused = int(rng.integers(1, max(2, problem.n_ops) + 1))
    table = nouns()
    drawn = rng.choice(len(table), size=len(problem.order) + unused, replace=False).tolist()
    names = [table[i] for i in drawn]
    renamed = dict(zip(problem.order, names, strict=False))
    definitions: dict[str, Expr] = {renamed[old]: _renamed(problem.definitions[old], renamed) for old in problem.order}
    definitions |= {name: int(rng.integers(1, number_range)) for name in names[len(renamed) :]}
    order = rng.permutation(list(definitions)).tolist()
    return Problem(problem.modulus, {name: definitions[name] for name in order}, renamed[problem.target])


def _constants(definition: Expr) -> list[int]:
    operands = definition[1:] if isinstance(definition, BinOp) else (definition,)
    return [operand for operand in operands if isinstance(operand, int)]


def _renamed(definition: Expr, names: dict[str, str]) -> Expr:
    return substitute(definition, names) if isinstance(definition, BinOp) else definition


def part_of(structure: str, parts: int) -> int:
    """The part, 0..parts-1, of a structure digest. It does not depend on the split, which uses the last digits."""
    return int(structure[:8], 16) * parts >> 32
