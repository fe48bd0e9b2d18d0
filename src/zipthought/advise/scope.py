"""What a reference measured, and what it says nothing about."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .reference import FormatRuns, Reference

NEAR = 2.0
"""Passes over the examples, and structures of them, count as measured within this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The budget that a compression is wanted for."""

    examples: int
    """Distinct training examples."""
    n_ops: int
    """Operations (steps of reasoning) of the problems."""
    structures: int = 0
    """Distinct structures of the examples, where prompts are structures dressed anew; 0: those of the measured runs."""
    max_response_tokens: float = 0.0
    """Token limit of a response, in the unit of the study; 0: no limit."""
    epochs: float = 0.0
    """Passes over the examples; 0: those of the measured runs."""
    rlvr: bool = False
    """Whether RLVR follows."""
    model: str = ""
    """The base; empty: that of the study."""
    task: str = ""
    """The task of the problems; empty: that of the study."""

    def __post_init__(self) -> None:
        if self.examples < 1 or self.n_ops < 1:
            raise ValueError(f"examples and n_ops must be at least 1, got {self.examples} and {self.n_ops}")
        if min(self.max_response_tokens, self.epochs, self.structures) < 0:
            raise ValueError("max_response_tokens, epochs and structures must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The measured cells of one format that are nearest to a question. The accuracy is theirs, and no forecast."""

    format: str
    examples: int
    structures: int
    """Distinct structures of the examples."""
    n_ops: tuple[int, ...]
    model: str
    task: str
    accuracy: float
    """The mean over the runs."""
    runs: int
    response_tokens: float
    """Mean tokens of a completion at the largest N."""

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"accuracy": round(self.accuracy, 4), "n_ops": list(self.n_ops)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a question lies. `formats` are those whose measured range holds it."""

    formats: list[FormatRuns]
    outside: list[str] = field(default_factory=list)
    """How the question lies outside, a line for each variable."""
    nearest: list[Measured] = field(default_factory=list)
    """The nearest cells of each format that is outside."""


def scope_of(question: Question, reference: Reference) -> Scope:
    """The formats whose measured range holds the question, and how it lies outside that of the others."""
    outside = _of_all(question, reference)
    inside = [] if outside else [runs for runs in reference.formats if _holds(runs, question)]
    outside += _examples(question, [runs for runs in reference.formats if not _in_range(runs, question)])
    for name in ("epochs", "structures"):
        far = [runs for runs in reference.formats if _in_range(runs, question) and not _near(name, runs, question)]
        if far:
            asked, measured = _both(name, far[0], question)
            names = ", ".join(runs.format for runs in far)
            outside.append(f"{name}: {asked:,g} requested, about {measured:,.3g} measured of {names}")
    kept = {runs.format for runs in inside}
    nearest = [_cells(runs, question, reference) for runs in reference.formats if runs.format not in kept]
    return Scope(formats=inside, outside=outside, nearest=sorted(nearest, key=lambda m: -m.accuracy))


def _of_all(question: Question, reference: Reference) -> list[str]:
    """Lines on the variables that have one value, or one set of values, for all formats."""
    lines = []
    if question.model and question.model != reference.model:
        lines.append(f"model: {question.model} requested, {reference.model} measured")
    if question.task and question.task != reference.task:
        lines.append(f"task: {question.task} requested, {reference.task} measured")
    if question.n_ops not in reference.n_ops:
        lines.append(f"n_ops: {question.n_ops} requested, {', '.join(map(str, reference.n_ops))} measured")
    return lines


def _examples(question: Question, formats: list[FormatRuns]) -> list[str]:
    ranges: dict[tuple[int, int], list[str]] = {}
    for runs in formats:
        ranges.setdefault(runs.examples, []).append(runs.format)
    return [
        f"examples: {question.examples:,} requested, {low:,} to {high:,} measured of {', '.join(names)}"
        for (low, high), names in ranges.items()
    ]


def _holds(runs: FormatRuns, question: Question) -> bool:
    return _in_range(runs, question) and _near("epochs", runs, question) and _near("structures", runs, question)


def _in_range(runs: FormatRuns, question: Question) -> bool:
    low, high = runs.examples
    return low <= question.examples <= high


def _both(name: str, runs: FormatRuns, question: Question) -> tuple[float, float]:
    """Passes or structures as requested (0: those of the runs) and as measured with so many examples."""
    if name == "epochs":
        return question.epochs, runs.passes_at(question.examples)
    return question.structures, runs.structures_at(question.examples)


def _near(name: str, runs: FormatRuns, question: Question) -> bool:
    """Whether a request counts as measured."""
    asked, measured = _both(name, runs, question)
    return not asked or 1 / NEAR <= asked / measured <= NEAR


def _cells(runs: FormatRuns, question: Question, reference: Reference) -> Measured:
    n = runs.nearest(question.examples)
    at = [run for run in runs.runs if run.examples == n]
    return Measured(
        format=runs.format,
        examples=n,
        structures=runs.distinct(n),
        n_ops=reference.n_ops,
        model=reference.model,
        task=reference.task,
        accuracy=sum(run.solved for run in at) / sum(run.n for run in at),
        runs=len(at),
        response_tokens=runs.response_tokens,
    )
