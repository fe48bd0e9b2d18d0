"""The tables that the scaling experiment adds to the report."""

from __future__ import annotations

from dataclasses import dataclass, field

from ....report.data import X_AXES, CellRow, ThresholdRow, check_word


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A point of a fitted curve of accuracy, with its band."""

    format: str
    """As in `CellRow`."""
    x: str
    """The unit of `value`, one of `X_AXES`."""
    value: float
    """Above 0, because the axis is logarithmic."""
    accuracy: float | None
    """The fit at `value`."""
    low: float | None = None
    """The lower end of the 95% band."""
    high: float | None = None
    """The upper end."""

    def __post_init__(self) -> None:
        check_word("x", self.x, X_AXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRow:
    """One format with one number of examples, over all its finished seeds; or the base before any training."""

    format: str
    """As in `CellRow`; `no training` for the base."""
    granularity: int | None = None
    """Operations that a step covers."""
    examples: int
    """Distinct training examples."""
    seeds: int
    """Finished seeds. Nothing about the base is random: 1."""
    accuracy: float | None
    """The mean share of correct answers on held-out problems, 0..1."""
    low: float
    """The lower end of its 95% interval."""
    high: float
    """The upper end."""
    minus_explicit: float | None = None
    """The accuracy minus that of `explicit`, over the seeds that both have."""
    minus_low: float | None = None
    """The lower end of its 95% interval; None where it has no width, because all seeds and problems give the same."""
    minus_high: float | None = None
    """The upper end."""
    training: float | None = None
    """The mean of the highest accuracies on its own training problems."""
    fitted: int | None = None
    """The seeds in which that accuracy is at least 0.9. Without them, updates may be missing rather than data."""
    faithful: float | None
    """The share of held-out completions with a correct answer and only valid steps."""
    response_tokens: float | None
    """Mean tokens of a held-out completion."""
    example_tokens: float | None = None
    """Mean tokens of a training example, prompt included."""
    updates: float | None = None
    """Mean updates at the measured point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPoint:
    """A training loss."""

    format: str
    """As in `CellRow`."""
    examples: int
    """Distinct training examples of the run."""
    seed: int
    """The seed of the run."""
    step: int
    """The update, from 1."""
    loss: float | None
    """Mean over the batch's completion tokens, nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPoint:
    """A measurement during a run."""

    format: str
    """As in `CellRow`."""
    examples: int
    """Distinct training examples of the run."""
    seed: int
    """The seed of the run."""
    step: int
    """Updates so far."""
    flops: float
    """Training compute so far."""
    accuracy: float
    """On held-out problems, 0..1."""
    n: int
    """Measured problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRows:
    """All rows that the figures of the experiment are drawn from."""

    cells: list[CellRow] = field(default_factory=list)
    curves: list[CurvePoint] = field(default_factory=list)
    """Fitted curves."""
    thresholds: list[ThresholdRow] = field(default_factory=list)
    """N* by format, axis and accuracy."""
    formats: list[FormatRow] = field(default_factory=list)
    """Each format at each number of examples, over all seeds."""
    training: list[LossPoint] = field(default_factory=list)
    """Thinned loss curves."""
    paths: list[PathPoint] = field(default_factory=list)
    """Measurements during the runs; empty for runs that are measured at their ends only."""

    def whole(self, split: str = "test") -> list[CellRow]:
        """The cells of one split with all lengths together, in the order forward."""
        cells = [c for c in self.cells if c.split == split and c.n_ops == "all"]
        return [c for c in cells if c.order == "forward" and c.examples > 0]
