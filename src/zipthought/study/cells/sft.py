"""Cells of SFT: one SFT run from a base, and its measurements. `sft_run` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ...evaluation.metrics import EditedAnswer, Summary
from .base import TUNING_SEED, Cell, OnStep, Result, Work
from .tokens import longest_tokens, mean_tokens

if TYPE_CHECKING:
    from ..workspace import Workspace


FIT = 0.95
"""The accuracy on training problems at which a run may end by the rule of convergence."""
RISE = 0.01
"""A smaller gain in validation accuracy between two points, the second with twice the updates, is none."""


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
    train: float | None = None
    """Accuracy on training problems; None where the run has no rule of convergence."""

    @property
    def accuracy(self) -> float:
        """The share of solved problems."""
        return sum(self.correct) / len(self.correct)

    def plain(self) -> dict[str, Any]:
        """The point as JSON values; `correct` is a string of 0 and 1."""
        bits = "".join(str(int(solved)) for solved in self.correct)
        values = {name: getattr(self, name) for name in ("step", "tokens", "flops", "accuracy", "validation", "train")}
        return values | {"correct": bits}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> RunPoint:
        """The inverse of `plain`."""
        kept = {name: values[name] for name in ("step", "tokens", "flops", "validation")}
        return cls(**kept, train=values.get("train"), correct=tuple(bit == "1" for bit in values["correct"]))


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
    """What an SFT cell measured. The chosen point is that with the best validation accuracy, or the only one."""

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

    @property
    def fit(self) -> float:
        """The highest accuracy on its training problems during the run. A run that fitted them did not lack updates,
        even if an earlier point is the best on validation."""
        assert self.train.accuracy is not None, "every cell measures training problems"
        return max([self.train.accuracy, *(point.train for point in self.points if point.train is not None)])

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
    ADDED: ClassVar[Mapping[str, Any]] = {
        **Cell.ADDED,
        "structures": 0,
        "parts": 1,
        "part": 0,
        "converge": False,
        "min_learning_rate_ratio": 0.1,
    }

    format: str
    """The format of the training traces, for example `composed:2`."""
    order: str = "forward"
    """The order of their steps."""
    n_ops: tuple[int, ...]
    """Operations of the training problems, in equal shares, and of the measured problems."""
    longer_n_ops: tuple[int, ...] = ()
    """Operations of further problems, measured at the end."""
    examples: int
    """Distinct training prompts, spread evenly over `n_ops`."""
    structures: int = 0
    """Distinct structures of these, over all of `n_ops`. Beyond them, prompts are structures dressed anew. 0: each
    prompt has a structure of its own."""
    parts: int = 1
    """The structures of the train split fall into this many parts."""
    part: int = 0
    """The part, 0..parts-1, that training problems are drawn from."""
    steps: int
    """Updates; with `converge`, the most."""
    converge: bool = False
    """The run ends by the common rule of convergence: the learning rate is constant after its warm-up, the averaged
    weights are measured (`train.averaging`), at `points` doubling numbers of updates up to `steps`. It ends at the
    first point where the model fits its training problems (accuracy of at least `FIT`) and the validation accuracy has
    not risen by more than `RISE` since the point before."""
    batch_size: int
    """Sequences in an update."""
    optimizer: str = "adamw"
    """`adamw` or `muon`."""
    learning_rates: tuple[float, ...]
    """The peak. Of several, the run takes the one with the best validation accuracy (see `tuning_cells`)."""
    min_learning_rate_ratio: float = 0.1
    """The learning rate of the last update over the peak; unused with `converge`."""
    tuning_examples: int = 0
    """Distinct problems of the runs that choose a learning rate; unused with one learning rate."""
    points: int = 1
    """Measurements during the run, evenly spaced or, with `converge`, doubling. The result is the one with the best
    validation accuracy."""
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

    def measured_at(self) -> tuple[int, ...]:
        """The updates after which the run is measured, ascending."""
        numbers = range(1, self.points + 1)
        if self.converge:
            return tuple(sorted({max(1, round(self.steps / 2 ** (self.points - number))) for number in numbers}))
        return tuple(sorted({round(self.steps * number / self.points) for number in numbers}))

    def completion_names(self) -> tuple[str, ...]:
        return ("test", "train")

    def needs(self) -> list[Cell]:
        return list(self.tuning_cells().values())

    def work(self) -> Work:
        sequence = sum(mean_tokens(self, self.format, self.order, self.n_ops))
        lengths = self.n_ops + self.longer_n_ops
        measured = sum(mean_tokens(self, self.format, self.order, lengths))
        held_out = self.test_count * len(self.n_ops) + (self.validation_count if self.points > 1 else 0)
        longer = self.test_count * len(self.longer_n_ops)
        kept = (self.test_count + self.train_count) * len(self.n_ops) + longer
        prompts = self.points * held_out + longer + self.train_count * len(self.n_ops) + 2 * self.edited_count
        longest = longest_tokens(self, self.format, self.order, self.n_ops)
        trained = self.steps * self.batch_size * sequence
        copies = 2 if self.converge else int(self.points > 1)  # The best weights so far, and the averaged ones.
        return Work(trained, prompts * measured, longest=longest, written=kept * measured, copies=copies)

    def run(self, workspace: Workspace, on_step: OnStep | None = None) -> SFTCellResult:
        from .sft_run import run_sft

        return run_sft(self, workspace, on_step)
