"""``rewrite:NAME``: a model rewrites the solution under a prompt. The room `rewriting` asks it and judges its answers;
here is the method, and what `compress_file` expects of that room."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.methods import Method
from ..core.problem import Problem
from ..core.trace import Step


@dataclass(frozen=True, slots=True)
class Rewrite(Method):
    """A solution in the words of a model, of which every step was verified."""

    NAME = "rewrite"
    needs = ("model",)

    prompt: str
    """The name of a built-in prompt, or the path of a file."""

    @classmethod
    def parse(cls, parameter: str | None) -> Method:
        if not parameter:
            raise ValueError(f"format {cls.NAME!r} needs a prompt; write {cls.NAME}:draft or {cls.NAME}:FILE")
        return cls(parameter)

    @property
    def parameter(self) -> str:
        return self.prompt

    @property
    def k(self) -> int:
        return 0

    def granularity(self, n_ops: int) -> int:
        """0: the model decides how many operations a step covers."""
        return 0

    def steps(self, problem: Problem, order: str) -> tuple[Step, ...]:
        raise ValueError("rewrite is for real solutions; generate writes problems in every format exactly")
