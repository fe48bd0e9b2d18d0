"""The contract of a task: a space of problems, as arrays of operations and constants.

A task draws **skeletons**: which quantity is a constant, and which is an operation on earlier quantities and a
constant. Names, distractors and the order of the sentences are drawn for every task alike (`sampling`), and so is the
split, by the structure of the problem. The right answer, every value between and the explicit trace follow from the
problem itself (`core.problem`, `core.trace.solve`); `Task.oracle` computes the answer a second, independent way.

Shapes: B items, Q quantities that the target depends on, the target last.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import fields
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from ..core.arithmetic import BinOp, Expr
from ..core.orders import ORDERS
from ..core.problem import Problem

if TYPE_CHECKING:
    from .draws import Draws
    from .sampling import SamplerConfig


class Skeletons(NamedTuple):
    """Operations and constants of B items."""

    op: np.ndarray
    """(B, Q) index of the operator in `config.operators`; -1 for a constant."""
    left: np.ndarray
    """(B, Q) index of the left operand, an earlier quantity; -1 for a constant."""
    right: np.ndarray
    """(B, Q) index of the right operand where it is an earlier quantity; -1 where it is the constant."""
    constant: np.ndarray
    """(B, Q) the quantity's own constant, or its right operand."""

    def definitions(self, row: int, operators: str, names: list[str]) -> list[Expr]:
        """The definition of each quantity of a row, under these names."""
        columns = zip(*(part[row].tolist() for part in self), strict=True)
        return [
            constant if op < 0 else BinOp(operators[op], names[left], names[right] if right >= 0 else constant)
            for op, left, right, constant in columns
        ]


class Task(ABC):
    """A problem space with its settings. Subclasses are frozen dataclasses whose fields are whole numbers; a study or a
    command names a task as ``tree`` or ``tree:width=4,depth=3``."""

    NAME: ClassVar[str]
    """The part of a task's text before the colon."""
    chains: ClassVar[bool] = False
    """Whether its problems are chains (`Problem.is_chain`), which some orders need."""

    @classmethod
    def parse(cls, settings: str) -> Task:
        """The task with the settings after the colon, ``width=4,depth=3``. Raises `ValueError` for others."""
        known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
        values: dict[str, int] = {}
        for part in filter(None, settings.split(",")):
            name, _, value = part.partition("=")
            if name not in known or name in values or not re.fullmatch("-?[0-9]{1,9}", value):
                choices = ", ".join(f"{each}=1" for each in known) or "no settings"
                raise ValueError(f"task {cls.NAME!r} cannot read the setting {part!r}; it takes {choices}")
            values[name] = int(value)
        return cls(**values)

    @property
    def orders(self) -> tuple[str, ...]:
        """The orders in which its traces can be written: all that are registered and that suit its problems."""
        return tuple(name for name, order in ORDERS.items() if self.chains or not order.chains_only)

    def __str__(self) -> str:
        """The one text of this task: settings at their defaults are left out."""
        settings = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name) != f.default]  # type: ignore[arg-type]
        return f"{self.NAME}:{','.join(settings)}" if settings else self.NAME

    def check(self, config: SamplerConfig) -> None:  # noqa: B027
        """Raises `ValueError` for a configuration that has no problems of this task."""

    @abstractmethod
    def n_quantities(self, n_ops: int) -> int:
        """Q: the quantities that the target of a problem of `n_ops` operations depends on, itself included."""

    @abstractmethod
    def skeletons(self, config: SamplerConfig, draws: Draws) -> Skeletons:
        """Skeletons drawn at random, a pure function of `draws`. The last quantity is the target, and it depends on all
        others."""

    def accepted(self, config: SamplerConfig, skeletons: Skeletons) -> np.ndarray:
        """(B,) bool: which skeletons are problems of this task. Others are drawn again."""
        return np.ones(len(skeletons.op), dtype=bool)

    def digests(self, config: SamplerConfig, skeletons: Skeletons) -> np.ndarray:
        """(B, 32) uint8: `Problem.structure` of each item, as bytes."""
        names = [f"q{i}" for i in range(skeletons.op.shape[1])]
        texts = []
        for row in range(len(skeletons.op)):
            definitions = dict(zip(names, skeletons.definitions(row, config.operators, names), strict=True))
            texts.append(Problem(config.modulus, definitions, names[-1]).structure)
        return np.frombuffer(bytes.fromhex("".join(texts)), dtype=np.uint8).reshape(-1, 32)

    def count_structures(self, config: SamplerConfig) -> int | None:
        """How many structures there are in all splits together; None where that is not known."""
        return None

    def key(self) -> tuple[int, ...]:
        """The settings that the random draws depend on."""
        return tuple(getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]

    def oracle(self, problem: Problem) -> int:
        """The answer, computed by following the definitions from the target down, apart from `Problem.values`."""
        apply = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
        values: dict[str, int] = {}
        stack = [problem.target]
        while stack:
            definition = problem.definitions[stack[-1]]
            if not isinstance(definition, BinOp):
                values[stack.pop()] = definition
                continue
            operands = definition.left, definition.right
            if waiting := [x for x in operands if isinstance(x, str) and x not in values]:
                stack += waiting
                continue
            left, right = (values[x] if isinstance(x, str) else x for x in operands)
            values[stack.pop()] = apply[definition.op](left, right)
        return values[problem.target] % problem.modulus
