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
    training: list[LossPoint] = field(default_factory=list)
    """Thinned loss curves."""
    paths: list[PathPoint] = field(default_factory=list)
    """Measurements during the runs; empty for runs that are measured at their ends only."""

    def whole(self, split: str = "test") -> list[CellRow]:
        """The cells of one split with all lengths together, in the order forward."""
        cells = [c for c in self.cells if c.split == split and c.n_ops == "all"]
        return [c for c in cells if c.order == "forward" and c.examples > 0]
