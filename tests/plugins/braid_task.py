"""A task family, as a stranger would add it: each quantity combines the one before it and an earlier one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zipthought.tasks import TASKS, Skeletons, Task
from zipthought.tasks.draws import Draws
from zipthought.tasks.sampling import SamplerConfig


@TASKS.register
@dataclass(frozen=True, slots=True)
class Braid(Task):
    """``braid:reach=2``: quantity i is quantity i-1 combined with quantity i-reach."""

    NAME = "braid"

    reach: int = 2

    def check(self, config: SamplerConfig) -> None:
        if not 2 <= self.reach <= config.n_ops:
            raise ValueError(f"reach must be 2..n_ops ({config.n_ops}), got {self.reach}")

    def n_quantities(self, n_ops: int) -> int:
        return n_ops + self.reach

    def skeletons(self, config: SamplerConfig, draws: Draws) -> Skeletons:
        constant = draws.integers("start", self.n_quantities(config.n_ops), 1, config.number_range)
        op = np.full_like(constant, -1)
        op[:, self.reach :] = draws.integers("op", config.n_ops, 0, len(config.operators))
        index = np.tile(np.arange(constant.shape[1]), (len(op), 1))
        left, right = (np.where(op < 0, -1, index - back) for back in (1, self.reach))
        return Skeletons(op, left, right, constant)
