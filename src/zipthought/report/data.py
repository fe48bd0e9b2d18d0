"""The data of a report: plain values, which the study room fills from its store.

Nothing here computes measurements. A value that was not measured is None. It shows as a dash, never as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .figures import FigureGroup
    from .palette import Palette

VERDICTS = ("supported", "contradicted", "inconclusive")
X_AXES = ("examples", "tokens", "updates", "flops")
SPLITS = ("test", "train")
CENSORED = ("", "above", "below")


def check_word(field_name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise `ValueError` for a value that is not allowed."""
    if value not in allowed:
        raise ValueError(f"{field_name} must be one of {', '.join(repr(a) for a in allowed)}, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim, its rule, and the verdict of the data."""

    id: str
    """The finding's name, for example `F1`."""
    claim: str
    """The claim under study, one sentence."""
    verdict: str
    """One of `VERDICTS`."""
    rule: str
    """The rule that turned the data into the verdict."""
    summary: str
    """One sentence with the decisive numbers."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """A table: column -> value. Columns stand in the order of their first appearance."""

    def __post_init__(self) -> None:
        check_word("verdict", self.verdict, VERDICTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationView:
    """The registration of a study, and how the run differs from it."""

    sha256: str = ""
    """The digest of the file; empty if the run was not registered."""
    date: str = ""
    """The day on which it was written, as the file records it; may be empty."""
    sentences: list[str] = field(default_factory=list)
    """What a reader must know, the verdict on the differences first."""
    differences: list[dict[str, str]] = field(default_factory=list)
    """Rows with `name`, `registered` and `run`."""

    @property
    def equal(self) -> bool:
        """Whether the run was registered and does not differ."""
        return bool(self.sha256) and not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One measurement: a trained model on a set of problems."""

    format: str
    """The format of the training traces, for example `composed:2`."""
    order: str = "forward"
    """The order of their steps."""
    examples: int
    """Distinct training examples."""
    structures: int | None = None
    """Distinct structures of these; fewer than examples where structures were dressed anew."""
    updates: int | None = None
    """Updates of the measured model."""
    learning_rate: float | None = None
    """The peak learning rate."""
    seed: int
    """The seed of the run."""
    n_ops: str = "all"
    """`all`, or the number of operations of the measured problems."""
    split: str = "test"
    """`test`, or `train` for problems of the training data."""
    n: int
    """Measured problems."""
    accuracy: float | None = None
    """The share of correct final answers, 0..1."""
    low: float | None = None
    """The lower end of the accuracy's 95% interval."""
    high: float | None = None
    """The upper end of that interval."""
    faithful: float | None = None
    """The share of completions with a correct answer and only valid steps."""
    response_tokens: float | None = None
    """Mean tokens of a completion."""
    truncated: float | None = None
    """The share of completions that reached the length limit."""
    ops_per_step: float | None = None
    """Mean operations that a valid step covers."""
    training_tokens: float | None = None
    """Tokens of the distinct training examples, each counted once."""
    flops: float | None = None
    """Training compute."""
    seconds: float | None = None
    """Training time, wall clock."""
    stage: str = "sft"
    """The experiment of the run: `sft` is the data-scaling grid, other experiments have names of their own."""
    baseline: bool = False
    """Whether the format is a baseline rather than a compression under study. Tables and legends mark baselines."""

    def __post_init__(self) -> None:
        check_word("split", self.split, SPLITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdRow:
    """N*: the amount of `x` that a format needs to reach an accuracy."""

    format: str
    """As in `CellRow`."""
    x: str
    """One of `X_AXES`."""
    threshold: float
    """The accuracy to reach."""
    estimate: float | None = None
    """The crossing of the fitted curve. For `censored` `above` (`below`), the largest (smallest) measured value."""
    low: float | None = None
    """The lower end of the 95% interval; None if it lies outside the measured range."""
    high: float | None = None
    """The upper end; None likewise."""
    censored: str = ""
    """Empty; `above`: not reached within the measured range; `below`: already reached at its smallest value."""

    def __post_init__(self) -> None:
        check_word("x", self.x, X_AXES)
        check_word("censored", self.censored, CENSORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerCompletion:
    """A generated text and its verdict."""

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
    """What else distinguishes the model, such as `RLVR`; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerProblem:
    """A problem of the trace explorer."""

    id: str
    """The id of the problem."""
    n_ops: int
    """Its operations."""
    prompt: str
    """The prompt that the models read."""
    gold: list[tuple[str, str, int]] = field(default_factory=list)
    """(format, text, tokens) of the gold trace in each format."""
    generated: list[ExplorerCompletion] = field(default_factory=list)
    """The completions of the models."""


def _no_figures(palette: Palette) -> list[FigureGroup]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one experiment adds to a report."""

    experiment: str
    """The experiment's table in the study's file."""
    cells: list[CellRow] = field(default_factory=list)
    """One row for each run, split and n_ops."""
    tables: dict[str, list[Any]] = field(default_factory=dict)
    """Table -> rows, which are dataclasses of one type. CSV and JSON exports have every table under its name."""
    shown: dict[str, str] = field(default_factory=dict)
    """Heading -> the table that the page and the Markdown export show under it."""
    figures: Callable[[Palette], list[FigureGroup]] = _no_figures
    """Draws the figures. Panels whose chart is None are left out."""
    names: set[str] = field(default_factory=set)
    """Names that have a colour in the figures, besides the formats of `cells` and `problems`."""
    problems: list[ExplorerProblem] = field(default_factory=list)
    """Problems of the trace explorer."""


_RESERVED = (
    *("cells", "title", "command", "spec", "environment", "created", "warnings", "notes", "registration", "findings"),
    "problems",
)
"""Names in `ReportData.plain` that no table of a section may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """The content of a report. Every number on the page comes from here."""

    title: str
    """The page's headline."""
    command: str
    """The command that reproduces the study."""
    spec: dict[str, Any] = field(default_factory=dict)
    """Resolved settings; may nest."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Versions, machine, threads; may nest."""
    created: str = ""
    """The time of the study, as text."""
    warnings: list[str] = field(default_factory=list)
    """Sentences on what the study lacks. They stand at the head of every form of the report."""
    notes: list[str] = field(default_factory=list)
    """Quieter sentences after them."""
    registration: RegistrationView = field(default_factory=RegistrationView)
    """Whether the run was registered, and every difference."""
    findings: list[Finding] = field(default_factory=list)
    """In the order of the page."""
    sections: list[Section] = field(default_factory=list)
    """One for each experiment, in the order of the page."""

    def __post_init__(self) -> None:
        names = [name for section in self.sections for name in section.tables]
        titles = [title for section in self.sections for title in section.shown]
        for name in names:
            if name in _RESERVED or names.count(name) > 1:
                raise ValueError(f"a report cannot have another table {name!r}; choose another name")
        for title in titles:
            if titles.count(title) > 1:
                raise ValueError(f"two sections of the report have the heading {title!r}; choose another one")

    @property
    def cells(self) -> list[CellRow]:
        """The cells of all sections."""
        return [row for section in self.sections for row in section.cells]

    @property
    def tables(self) -> dict[str, list[Any]]:
        """Table -> rows: `cells` first, then the tables of all sections."""
        return {"cells": self.cells} | {name: rows for s in self.sections for name, rows in s.tables.items()}

    @property
    def shown(self) -> dict[str, list[Any]]:
        """Heading -> rows of the tables that the page and the Markdown export show."""
        tables = self.tables
        return {title: tables[name] for section in self.sections for title, name in section.shown.items()}

    @property
    def thresholds(self) -> list[ThresholdRow]:
        """The rows of the table `thresholds`."""
        return self.tables.get("thresholds", [])

    @property
    def problems(self) -> list[ExplorerProblem]:
        """The problems of all sections."""
        return [problem for section in self.sections for problem in section.problems]

    def plain(self) -> dict[str, Any]:
        """The report as plain values: its texts, the findings, every table by name, and the problems."""
        names = ("title", "command", "spec", "environment", "created", "warnings", "notes")
        own = {name: getattr(self, name) for name in names} | {"registration": asdict(self.registration)}
        tables = {name: [asdict(row) for row in rows] for name, rows in self.tables.items()}
        findings = [asdict(finding) for finding in self.findings]
        return own | {"findings": findings} | tables | {"problems": [asdict(problem) for problem in self.problems]}
