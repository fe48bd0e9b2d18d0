"""The cell of a base before any training: what it can do at step 0. Every table of a study shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...evaluation.config import EvaluateConfig
from ...evaluation.metrics import Summary
from .base import Cell, OnStep, Result, Work
from .tokens import mean_tokens

if TYPE_CHECKING:
    from ..workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Step0Result(Result):
    """Held-out problems, greedy."""

    test: Summary

    def plain(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {"splits": {"test": self.test.plain()}}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Step0Result:
        """The inverse of `plain`."""
        return cls(test=Summary.from_plain(values["splits"]["test"]))


@dataclass(frozen=True, kw_only=True)
class Step0Cell(Cell):
    """A base on held-out problems. It has seed 0: nothing is random."""

    NAME = "step0"
    RESULT = Step0Result

    n_ops: tuple[int, ...]
    """Operations of the measured problems."""
    test_count: int = 100
    """Measured problems of each length."""

    @property
    def label(self) -> str:
        return f"step 0 of {self.model}"

    @property
    def cost(self) -> float:
        return 4 * self.test_count * len(self.n_ops) * (1 + max(self.n_ops))

    def completion_names(self) -> tuple[str, ...]:
        return ("test",)

    def work(self) -> Work:
        measured = sum(mean_tokens(self, "explicit", "forward", self.n_ops))
        generated = self.test_count * len(self.n_ops) * measured
        return Work(0.0, generated, written=generated)

    def run(self, workspace: Workspace, on_step: OnStep | None = None) -> Step0Result:
        from ...evaluation.evaluate import evaluate
        from ...models.loading import load

        model, tokenizer = load(self.source, training=True)  # The weights that training starts from, in float32.
        config = EvaluateConfig(
            split=self.split,
            n_ops=self.n_ops,
            count=self.test_count,
            surface=self.surface,
            task=self.task,
            modulus=self.modulus,
            number_range=self.number_range,
        )
        with workspace.execution.backend(model, tokenizer) as backend:
            evaluation = evaluate(backend, tokenizer, config)
        evaluation.write_completions(workspace.completions(self.digest, "test"))
        return Step0Result(test=evaluation.summary())
