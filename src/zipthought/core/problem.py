"""Problems: named quantities over the integers modulo m, and a question for one of them.

A quantity is a constant, or one operation on earlier quantities and constants. In a **chain** problem each quantity is
the one before it combined with a constant; in a **tree** problem two earlier quantities may be combined. Quantities
that the target does not depend on are distractors. (Paper, section 3; trees are ours.)
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from .arithmetic import BinOp, Expr, apply, references


@dataclass(frozen=True)
class Problem:
    """One problem, with its sentences in order.

    Raises `ValueError` for a modulus below 2, and for a target that depends on an undefined name or on itself.
    """

    modulus: int
    """Residues are 0..modulus-1."""
    definitions: dict[str, Expr]
    """Name of each quantity -> an `int`, or a `BinOp` of one operation. The order is that of the sentences."""
    target: str
    """The quantity in question."""

    def __post_init__(self) -> None:
        if self.modulus < 2:
            raise ValueError(f"modulus must be at least 2, got {self.modulus}")
        if self.target not in self.definitions:
            raise ValueError(f"the question asks for {self.target!r}, which no sentence defines")
        _ = self.order  # Raises for a problem that cannot be solved.

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The quantities that the target depends on, each after those it depends on, the target last."""
        definitions = self.definitions
        done: dict[str, None] = {}
        open_names: set[str] = set()
        stack = [self.target]
        while stack:
            name = stack[-1]
            if name in done:
                stack.pop()
                continue
            definition = definitions.get(name)
            if definition is None:
                raise ValueError(f"{name!r} is used but no sentence defines it")
            operands = definition[1:] if isinstance(definition, BinOp) else ()
            waiting = [ref for ref in operands if type(ref) is str and ref not in done]
            if not waiting:
                done[name] = None
                open_names.discard(name)
                stack.pop()
            elif name in open_names:
                raise ValueError(f"the definition of {name!r} is circular")
            else:
                open_names.add(name)
                stack.extend(reversed(waiting))
        return tuple(done)

    @cached_property
    def operations(self) -> tuple[str, ...]:
        """Names of the quantities in `order` that an operation defines; `n_ops` of them."""
        return tuple(name for name in self.order if isinstance(self.definitions[name], BinOp))

    @property
    def n_ops(self) -> int:
        return len(self.operations)

    @cached_property
    def is_chain(self) -> bool:
        """Whether the target is reached from one start by operations with constants."""
        return len(self.order) == self.n_ops + 1 and all(
            isinstance(self.definitions[name].right, int) for name in self.operations
        )

    @cached_property
    def position(self) -> dict[str, int]:
        """Name -> index in `order` (in a chain, 0 is the start and n_ops the target)."""
        return {name: i for i, name in enumerate(self.order)}

    @cached_property
    def values(self) -> dict[str, int]:
        """Name -> residue, for the quantities in `order`."""
        modulus, definitions = self.modulus, self.definitions
        values: dict[str, int] = {}
        for name in self.order:
            definition = definitions[name]
            if isinstance(definition, BinOp):
                op, left, right = definition
                values[name] = apply(op, values.get(left, left), values.get(right, right), modulus)
            else:
                values[name] = definition % modulus
        return values

    @property
    def answer(self) -> int:
        """The value of the target."""
        return self.values[self.target]

    @cached_property
    def depth(self) -> int:
        """The most operations on one path to the target; in a chain, n_ops."""
        depth: dict[str, int] = {}
        for name in self.order:
            below = [depth[ref] for ref in references(self.definitions[name])]
            depth[name] = 1 + max(below) if below else 0
        return depth[self.target]

    @property
    def width(self) -> int:
        """How many named constants the target depends on; in a chain, 1."""
        return len(self.order) - self.n_ops

    @cached_property
    def structure(self) -> str:
        """sha256 of the operations and constants, without names, sentence order or distractors (64 hex digits)."""
        if self.is_chain:
            first, *rest = (self.definitions[name] for name in self.order)
            return structure_digest(self.modulus, first, [d.op for d in rest], [d.right for d in rest])
        position = self.position
        rows = [
            [d.op, *(f"q{position[x]}" if isinstance(x, str) else x for x in (d.left, d.right))]
            if isinstance(d := self.definitions[name], BinOp)
            else [d]
            for name in self.order
        ]
        return hashlib.sha256(json.dumps([self.modulus, rows], separators=(",", ":")).encode()).hexdigest()


def structure_digest(modulus: int, start: int, ops: list[str], constants: list[int]) -> str:
    """The `structure` of a chain problem."""
    listed = ",".join(map(str, constants))
    text = f'{{"constants":[{listed}],"modulus":{modulus},"ops":"{"".join(ops)}","start":{start}}}'
    return hashlib.sha256(text.encode()).hexdigest()
