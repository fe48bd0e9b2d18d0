"""The contract of a compression method."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..problem import Problem
from ..trace import Step, Trace


class Method(ABC):
    """A compression method with its parameter. Subclasses are frozen dataclasses; equal methods write equal traces."""

    NAME: ClassVar[str]
    """The part of a format before the colon."""
    faithful: ClassVar[bool] = True
    """Whether every trace of the method verifies as faithful."""
    baseline: ClassVar[bool] = False
    """Whether the method is no compression under study, but stands beside others for comparison."""
    takes_k: ClassVar[bool] = False
    """Whether the parameter is the granularity, which a record has in its field `k`."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What the method needs beside the text: ``tokenizer``, ``model``. Only a `solutions.methods.SolutionWriter` gets a
    tokenizer; everything else refuses the method."""

    @classmethod
    @abstractmethod
    def parse(cls, parameter: str | None) -> Method:
        """The method with the parameter after the colon, None where there is no colon. Raises `ValueError`."""

    @property
    def parameter(self) -> str:
        """The parameter as a format writes it; empty where the method has none."""
        return ""

    @property
    def k(self) -> int:
        """The granularity: operations that a step covers; 0 for all of them. A method whose granularity depends on the
        problem overrides `granularity` instead."""
        return 1

    @abstractmethod
    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        """The steps that a trace of the problem shows in an order (`core.orders`)."""

    def compress(self, problem: Problem, order: str = "forward") -> Trace:
        """The trace of a problem."""
        return Trace(self.steps(problem, order), str(problem.answer), problem=problem)

    def granularity(self, n_ops: int) -> int:
        """Operations that a step covers in a problem of `n_ops`."""
        return self.k or n_ops

    def fields(self, n_ops: int) -> dict[str, Any]:
        """The fields by which a record names its format: name, k and, where that is something else, the parameter."""
        named = {"format": self.NAME, "k": self.granularity(n_ops)}
        return named if self.takes_k or not self.parameter else {**named, "parameter": self.parameter}

    @classmethod
    def format_of(cls, record: Mapping[str, Any]) -> str:
        """The format that the `fields` of a record name."""
        parameter = record.get("k") if cls.takes_k else record.get("parameter")
        return cls.NAME if parameter is None else f"{cls.NAME}:{parameter}"

    @property
    def file_stem(self) -> str:
        """The format as the name of a file: ``composed-2``."""
        return re.sub(r"[^A-Za-z0-9_+.=-]", "-", str(self))

    def __str__(self) -> str:
        return f"{self.NAME}:{self.parameter}" if self.parameter else self.NAME


class FixedMethod(Method):
    """A method without a parameter."""

    @classmethod
    def parse(cls, parameter: str | None) -> Method:
        if parameter is not None:
            raise ValueError(f"format {cls.NAME!r} takes no k, got {f'{cls.NAME}:{parameter}'!r}; use {cls.NAME!r}")
        return cls()


@dataclass(frozen=True, slots=True)
class GroupingMethod(Method):
    """A method whose parameter is its granularity, as in ``composed:2``."""

    takes_k = True

    size: int
    """Operations of a step, at least 1."""

    @classmethod
    def parse(cls, parameter: str | None) -> Method:
        if parameter is None:
            raise ValueError(f"format {cls.NAME!r} needs a granularity; write {cls.NAME}:2")
        text = f"{cls.NAME}:{parameter}"
        if not re.fullmatch(r"-?[0-9]{1,9}", parameter):
            raise ValueError(f"granularity k must be a whole number, got {text!r}; write {cls.NAME}:2")
        if int(parameter) < 1:
            raise ValueError(f"granularity k must be at least 1, got {text!r}; composed:1 is explicit")
        return cls(int(parameter))

    @property
    def parameter(self) -> str:
        return str(self.size)

    @property
    def k(self) -> int:
        return self.size
