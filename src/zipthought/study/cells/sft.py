"""Cells of SFT: one SFT run from a base, and its measurements. `sft_run` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from ...evaluation.metrics import EditedAnswer, Summary
from .base import TUNING_SEED, Cell, OnStep, Result, Work
from .tokens import mean_tokens

if TYPE_CHECKING:
    from ..workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPoint:
    """A measurement during an SFT run, on held-out problems of the trained lengths."""

    step: int
    """Updates so far."""
    tokens: int
    """Training tokens so far."""
    flops: float
    """Training compute so far: 6 FLOPs per parameter and token (Kaplan et al. 2020)."""
    correct: tuple[bool, ...]
    """Whether each problem is solved, in order of n_ops and index."""
    validation: float | None
    """Accuracy on the validation split; None for a run that is measured at its end only."""

    @property
    def accuracy(self) -> float:
        """The share of solved problems."""
        return sum(self.correct) / len(self.correct)

    def plain(self) -> dict[str, Any]:
        """The point as JSON values; `correct` is a string of 0 and 1."""
        bits = "".join(str(int(solved)) for solved in self.correct)
        values = {name: getattr(self, name) for name in ("step", "tokens", "flops", "accuracy", "validation")}
        return values | {"correct": bits}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> RunPoint:
        """The inverse of `plain`."""
        kept = {name: values[name] for name in ("step", "tokens", "flops", "validation")}
        return cls(**kept, correct=tuple(bit == "1" for bit in values["correct"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Memorization:
    """Answers to changed problems."""

    train: tuple[EditedAnswer, ...]
    """Training problems."""
    held_out: tuple[EditedAnswer, ...]
    """Held-out problems, the control."""

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Memorization:
        """The inverse of `dataclasses.asdict`."""
        return cls(**{name: tuple(EditedAnswer(**answer) for answer in values[name]) for name in ("train", "held_out")})


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTCellResult(Result):
    """What an SFT cell measured. `chosen` is the point with the best validation accuracy, or the only one."""

    learning_rate: float
    """The peak."""
    points: tuple[RunPoint, ...]
    step: int
    """Updates at the chosen point."""
    tokens: int
    """Training tokens at the chosen point."""
    flops: float
    """Training compute at the chosen point."""
    test: Summary
    """Held-out problems at the chosen point."""
    train: Summary
    """Training problems at the chosen point."""
    memorized: Memorization | None
    """None for a cell with `edited_count` 0."""
    parameters: int
    """Parameters of the model."""
    distinct_tokens: int
    """Tokens of the distinct training examples, each counted once."""
    train_seconds: float
    """Wall-clock time of training."""
    loss: tuple[tuple[int, float], ...]
    """(step, loss) of a thinned training curve."""

    def plain(self) -> dict[str, Any]:
        """The result as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("test", "train")}
        return values | {
            "points": [point.plain() for point in self.points],
            "splits": {"test": self.test.plain(), "train": self.train.plain()},
            "memorized": None if self.memorized is None else asdict(self.memorized),
            "loss": [list(point) for point in self.loss],
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> SFTCellResult:
        """The inverse of `plain`. It also reads results of version 0.1."""
        memorized, splits = values["memorized"], values["splits"]
        own = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        return cls(
            **own
            | {
                "points": tuple(RunPoint.from_plain(point) for point in values["points"]),
                "test": Summary.from_plain(splits["test"]),
                "train": Summary.from_plain(splits["train"]),
                "memorized": None if memorized is None else Memorization.from_plain(memorized),
                "loss": tuple((step, loss) for step, loss in values["loss"]),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTCell(Cell):
    """One SFT run from a base, and how it is measured."""

    NAME = "sft"
    RESULT = SFTCellResult

    format: str
    """The format of the training traces, for example `composed:2`."""
    order: str = "forward"
    """The order of their steps."""
    n_ops: tuple[int, ...]
    """Operations of the training problems, in equal shares, and of the measured problems."""
    longer_n_ops: tuple[int, ...] = ()
    """Operations of further measured problems."""
    examples: int
    """Distinct training problems, spread evenly over `n_ops`."""
    steps: int
    """Updates."""
    batch_size: int
    """Sequences in an update."""
    optimizer: str = "adamw"
    """`adamw` or `muon`."""
    learning_rates: tuple[float, ...]
    """The peak. Of several, the run takes the one with the best validation accuracy (see `tuning_cells`)."""
    tuning_examples: int = 0
    """Distinct problems of the runs that choose a learning rate; unused with one learning rate."""
    points: int = 1
    """Measurements during the run, evenly spaced. The result is the one with the best validation accuracy."""
    positions: int = 0
    """Random gaps between sentences spread training texts over this many positions. 0: no gaps."""
    sentences: int = 0
    """Training problems get unused quantities until they have a random number of sentences up to this. 0: none."""
    test_count: int = 100
    """Measured held-out problems of each length."""
    validation_count: int = 100
    """Validation problems at each of several `points`, over all of `n_ops`."""
    train_count: int = 50
    """Measured training problems of each of `n_ops`, if there are so many."""
    edited_count: int = 0
    """Training problems, and held-out ones, that are answered again with one constant changed."""

    @property
    def label(self) -> str:
        spread = ", familiar positions" if self.positions else ""
        return f"{self.format}, {self.order}, {self.examples} examples x {self.steps} updates{spread}"

    @property
    def cost(self) -> float:
        return self.steps * self.batch_size * (1 + max(self.n_ops))

    def tuning_cells(self) -> dict[float, SFTCell]:
        """Candidate learning rate -> the run that tries it; empty for a single learning rate.

        Each has one seed, measures the validation split only, and has the same size for every format and data size.
        """
        if len(self.learning_rates) == 1:
            return {}
        return {
            rate: replace(
                self,
                split="validation",
                seed=TUNING_SEED,
                examples=self.tuning_examples,
                learning_rates=(rate,),
                tuning_examples=0,
                points=1,
                longer_n_ops=(),
                test_count=-(-self.validation_count // len(self.n_ops)),
                train_count=1,
                edited_count=0,
            )
            for rate in self.learning_rates
        }

    def completion_names(self) -> tuple[str, ...]:
        return ("test", "train")

    def needs(self) -> list[Cell]:
        return list(self.tuning_cells().values())

    def work(self) -> Work:
        sequence = sum(mean_tokens(self, self.format, self.order, self.n_ops))
        lengths = self.n_ops + self.longer_n_ops
        measured = sum(mean_tokens(self, self.format, self.order, lengths))
        held_out = self.test_count * len(lengths) + (self.validation_count if self.points > 1 else 0)
        prompts = self.points * held_out + self.train_count * len(self.n_ops) + 2 * self.edited_count
        return Work(self.steps * self.batch_size * sequence, prompts * measured)

    def run(self, workspace: Workspace, on_step: OnStep | None = None) -> SFTCellResult:
        from .sft_run import run_sft

        return run_sft(self, workspace, on_step)
