"""What a report is made of: plain values, filled by the study room from its store.

Nothing here computes. A value that was not measured is None and shows as a dash; it is never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

VERDICTS = ("supported", "contradicted", "inconclusive")
X_AXES = ("examples", "tokens", "flops")
SPLITS = ("test", "train")
CENSORED = ("", "above", "below")


def _check(field_name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{field_name} must be one of {', '.join(repr(a) for a in allowed)}, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """A claim that was written down before the run, and what the data say of it."""

    id: str
    """`F1`, `F2a`, ..."""
    claim: str
    """The claim under study, one sentence."""
    verdict: str
    """One of `VERDICTS`."""
    rule: str
    """The pre-registered rule, in words, that turned the data into the verdict."""
    summary: str
    """One sentence with the numbers that decided."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """A table, column -> value; columns in the order in which they first appear."""

    def __post_init__(self) -> None:
        _check("verdict", self.verdict, VERDICTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One measurement: a trained model on a set of problems."""

    format: str
    """`explicit`, `composed:2`, `implicit:2`, `answer-only`, or a baseline's name."""
    order: str = "forward"
    """`forward`, `backward` or `hierarchical`."""
    examples: int
    """Distinct training examples."""
    updates: int | None = None
    """Optimizer steps of the model that was measured."""
    learning_rate: float | None = None
    """The peak."""
    seed: int
    """Of the run."""
    n_ops: str = "all"
    """`all`, or the number of operations of the problems that were measured."""
    split: str = "test"
    """`test`, or `train` for problems that were trained on."""
    n: int
    """Problems measured."""
    accuracy: float | None = None
    """Share of correct final answers, 0..1."""
    low: float | None = None
    """Lower end of the accuracy's 95% interval."""
    high: float | None = None
    """Upper end."""
    faithful: float | None = None
    """Share of completions with a correct answer and every step valid."""
    response_tokens: float | None = None
    """Mean tokens of a completion."""
    truncated: float | None = None
    """Share of completions that met the length limit."""
    ops_per_step: float | None = None
    """Mean operations that a valid step covers."""
    training_tokens: float | None = None
    """Tokens of the distinct training examples, each counted once: the data that a format needs."""
    flops: float | None = None
    """Training compute."""
    seconds: float | None = None
    """Training time, wall clock."""
    stage: str = "sft"
    """`sft` is the data-scaling grid, which the figures show; runs beside it (`repeat`, `rlvr`, ...) stand in the table
    alone."""
    baseline: bool = False
    """A baseline of the comparison rather than a compression under study; marked in tables and legends."""

    def __post_init__(self) -> None:
        _check("split", self.split, SPLITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A point of a fitted curve of accuracy, with its band."""

    format: str
    """As in `CellRow`."""
    x: str
    """One of `X_AXES`: what `value` counts."""
    value: float
    """Above 0: the axis is logarithmic."""
    accuracy: float | None
    """The fit at `value`."""
    low: float | None = None
    """Lower end of the 95% band."""
    high: float | None = None
    """Upper end."""

    def __post_init__(self) -> None:
        _check("x", self.x, X_AXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdRow:
    """N*: how much of `x` a format needs to reach an accuracy."""

    format: str
    """As in `CellRow`."""
    x: str
    """One of `X_AXES`."""
    threshold: float
    """The accuracy to reach: 0.5 or 0.9."""
    estimate: float | None = None
    """Where the fitted curve crosses; the largest (smallest) value measured where `censored` is `above` (`below`)."""
    low: float | None = None
    """Lower end of the 95% interval; None where that lies outside what was measured."""
    high: float | None = None
    """Upper end."""
    censored: str = ""
    """Empty, `above` (not reached within the data measured) or `below` (reached at the smallest already)."""

    def __post_init__(self) -> None:
        _check("x", self.x, X_AXES)
        _check("censored", self.censored, CENSORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPoint:
    """A training loss."""

    format: str
    """As in `CellRow`."""
    examples: int
    """Distinct training examples of the run."""
    seed: int
    """Of the run."""
    step: int
    """The optimizer step, from 1."""
    loss: float | None
    """Mean over the batch's completion tokens, nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPoint:
    """A measurement on the way of a run of the data-scaling grid."""

    format: str
    """As in `CellRow`."""
    examples: int
    """Distinct training examples of the run."""
    seed: int
    """Of the run."""
    step: int
    """Updates so far."""
    flops: float
    """Training compute so far."""
    accuracy: float
    """On held-out problems, 0..1."""
    n: int
    """Problems measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePoint:
    """A measurement on the way of a model that goes on from SFT."""

    branch: str
    """What it goes on with: `RLVR`, or more SFT."""
    run: str
    """The SFT that it goes on from."""
    seed: int
    """Of the run."""
    lengths: str
    """`trained` or `longer`: which problems were measured."""
    tokens: int
    """Training tokens since SFT."""
    excess: float | None
    """Share of single-operation steps beyond those that the format leaves, 0..1."""
    accuracy: float | None
    """Share of correct final answers, 0..1."""
    response_tokens: float | None
    """Mean tokens of a completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionPoint:
    """What a number of epochs over the same examples did."""

    format: str
    """As in `CellRow`."""
    epochs: int
    """Passes over the examples."""
    seed: int
    """Of the run."""
    test: float
    """Accuracy on held-out problems, 0..1."""
    train: float
    """Accuracy on the training problems."""
    memorized: float
    """Share of training problems whose old answer came back after one constant was changed, less that of held-out
    problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerCompletion:
    """A generated text and what the verifier says of it."""

    format: str
    """The format that the model was trained on."""
    examples: int
    """Distinct training examples of the model."""
    text: str
    """The completion as it was generated."""
    answer_verdict: str
    """One of `zipthought.core.verify.ANSWERS`."""
    faithful: bool
    """As `Verdict.faithful`."""
    steps: list[tuple[str, str, int, str]] = field(default_factory=list)
    """(text, verdict, granularity, form) of each step, in order."""
    label: str = ""
    """What else tells this completion apart, such as `after RLVR`; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerProblem:
    """A problem for the trace explorer."""

    id: str
    """Of the problem's record."""
    n_ops: int
    """Its operations."""
    prompt: str
    """As the model reads it."""
    gold: list[tuple[str, str, int]] = field(default_factory=list)
    """(format, text, tokens): the right reasoning in every format."""
    generated: list[ExplorerCompletion] = field(default_factory=list)
    """What models wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """All that a report says. Every number on the page comes from here."""

    title: str
    """The page's headline."""
    command: str
    """What reproduces the study."""
    spec: dict[str, Any] = field(default_factory=dict)
    """Resolved settings; may nest."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Versions, machine, threads; may nest."""
    created: str = ""
    """When the report was made, as text."""
    findings: list[FindingRow] = field(default_factory=list)
    """In the order in which they are shown."""
    cells: list[CellRow] = field(default_factory=list)
    """One a run, split and n_ops."""
    curves: list[CurvePoint] = field(default_factory=list)
    """Fitted curves."""
    thresholds: list[ThresholdRow] = field(default_factory=list)
    """N* by format, axis and accuracy."""
    training: list[LossPoint] = field(default_factory=list)
    """Loss curves; thinned by whoever fills this where runs are long."""
    paths: list[PathPoint] = field(default_factory=list)
    """Accuracy on the way of the runs of the data-scaling grid; empty where they were measured at their ends only."""
    profiles: list[ProfilePoint] = field(default_factory=list)
    """How models changed after SFT."""
    repetition: list[RepetitionPoint] = field(default_factory=list)
    """What repetition did."""
    problems: list[ExplorerProblem] = field(default_factory=list)
    """For the trace explorer; a dozen is plenty."""
