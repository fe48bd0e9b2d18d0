"""Task ``tree``: a quantity may combine two earlier ones. The paper has chains only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .base import Skeletons, Task

if TYPE_CHECKING:
    from .draws import Draws
    from .sampling import SamplerConfig


@dataclass(frozen=True, slots=True)
class Tree(Task):
    """Of the `n_ops` operations, `width - 1` combine two quantities, the others a quantity and a constant."""

    NAME = "tree"
    SYNTAX = "tree:width=3,depth=2"

    width: int = 3
    """How many constants the tree starts from, 2..n_ops+1."""
    depth: int = 0
    """The most operations on one path to the target, 1..n_ops; 0 for any."""

    def check(self, config: SamplerConfig) -> None:
        if not 2 <= self.width <= config.n_ops + 1:
            raise ValueError(f"width must be 2..n_ops+1 ({config.n_ops + 1}), got {self.width}")
        if not 0 <= self.depth <= config.n_ops:
            raise ValueError(f"depth must be 1..n_ops ({config.n_ops}), or 0 for any, got {self.depth}")

    def n_quantities(self, n_ops: int) -> int:
        return n_ops + self.width

    def skeletons(self, config: SamplerConfig, draws: Draws) -> Skeletons:
        # Which operations combine, and what, is uniform. Each quantity is used once, so the target needs them all.
        n, w, high = config.n_ops, self.width, config.number_range
        leaves = draws.integers("start", w, 1, high)
        op = draws.integers("op", n, 0, len(config.operators))
        constant = draws.integers("constant", n, 1 + (op == config.operators.find("*")), high)
        combine = np.argsort(draws.bits("tree", n), axis=1, kind="stable") < w - 1
        picks = draws.bits("tree", 3 * n)[:, n:]
        rows = len(op)
        left, right = np.full((rows, w + n), -1), np.full((rows, w + n), -1)
        for row in range(rows):
            pool = list(range(w))
            for j in range(n):
                pick_left, pick_right = int(picks[row, 2 * j]), int(picks[row, 2 * j + 1])
                left[row, w + j] = pool.pop(pick_left % len(pool))
                if combine[row, j]:
                    right[row, w + j] = pool.pop(pick_right % len(pool))
                pool.append(w + j)
        full = np.full((rows, w), -1)
        return Skeletons(np.concatenate([full, op], axis=1), left, right, np.concatenate([leaves, constant], axis=1))

    def accepted(self, config: SamplerConfig, skeletons: Skeletons) -> np.ndarray:
        if not self.depth:
            return np.ones(len(skeletons.op), dtype=bool)
        left, right = skeletons.left, skeletons.right
        rows, quantities = np.arange(len(left)), left.shape[1]
        depth = np.zeros((len(left), quantities + 1), dtype=np.int64)  # Index -1 (no operand) is the last column, 0.
        for j in range(self.width, quantities):
            depth[:, j] = 1 + np.maximum(depth[rows, left[:, j]], depth[rows, right[:, j]])
        return depth[:, -2] == self.depth

    def key(self) -> tuple[int, ...]:
        return (self.width, self.depth) if self.depth else (self.width,)
