"""A compression method with a parameter, as a stranger would add it: the first k operations in one step, the rest one
by one."""

from __future__ import annotations

from dataclasses import dataclass

from zipthought.core.methods import METHODS, Method
from zipthought.core.orders import ORDERS, settle
from zipthought.core.problem import Problem
from zipthought.core.trace import Step


@METHODS.register
@dataclass(frozen=True, slots=True)
class Head(Method):
    """``head:k``."""

    NAME = "head"

    size: int

    @classmethod
    def parse(cls, parameter: str | None) -> Method:
        if parameter is None or not parameter.isdecimal() or int(parameter) < 1:
            raise ValueError(f"head needs a number of operations of at least 1, as head:2; got {parameter!r}")
        return cls(int(parameter))

    @property
    def parameter(self) -> str:
        return str(self.size)

    @property
    def k(self) -> int:
        return self.size

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        if order == "forward" and problem.is_chain:
            return settle(problem, problem.operations[min(self.size, problem.n_ops) - 1 :])
        return ORDERS[order].steps(problem, self.size)
