"""From a question to advice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..core.compress import compress
from ..core.methods import parse_method
from ..surfaces import count_pieces, get_surface
from ..tasks.sampling import SamplerConfig, sample_batch
from .curves import DRAWS, Posterior, Prediction, fit
from .reference import Branches, FormatRuns, Reference, RepetitionRuns

LEVEL = 0.9
"""The level of the intervals."""
SAMPLED = 64
"""Problems whose gold responses are counted for a length."""
CLOSE = 0.02
"""Accuracies that differ by less are a tie, and the shorter response wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The budget that a compression is wanted for."""

    examples: int
    """Distinct training examples."""
    n_ops: int
    """Operations (steps of reasoning) of the problems."""
    max_response_tokens: float = 0.0
    """Token limit of a response, in the unit of the study; 0: no limit."""
    epochs: float = 0.0
    """Passes over the examples; 0: those of the measured runs."""
    rlvr: bool = False
    """Whether RLVR follows."""
    tokens: dict[str, float] = field(default_factory=dict)
    """Format -> tokens of a response, counted on the user's data. Formats without an entry are estimated."""

    def __post_init__(self) -> None:
        if self.examples < 1 or self.n_ops < 1:
            raise ValueError(f"examples and n_ops must be at least 1, got {self.examples} and {self.n_ops}")
        if self.max_response_tokens < 0 or self.epochs < 0:
            raise ValueError("max_response_tokens and epochs must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A format and what to expect of it."""

    format: str
    accuracy: Prediction
    """The accuracy of a new run with these examples, or with the nearest number that was measured."""
    best: float
    """The posterior probability that it has the highest accuracy among the formats that fit."""
    response_tokens: float
    """Mean tokens of a response to a problem of n_ops operations."""
    doubled: Prediction | None
    """The accuracy with twice the examples; None where that was not measured."""
    fits: bool
    """Whether its responses are within the token limit."""

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": self.format,
            "accuracy": self.accuracy.plain(),
            "best": round(self.best, 3),
            "response_tokens": round(self.response_tokens, 1),
            "doubled": self.doubled.plain() if self.doubled else None,
            "fits": self.fits,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The answer."""

    question: Question
    recommended: Option | None
    """None where no format fits the limit."""
    runner_up: Option | None
    options: list[Option]
    """All measured formats, the best first."""
    outside: list[str]
    """How the question lies outside the measured range. The numbers are then those of the nearest measured point."""
    notes: list[str]
    """Further measurements: repetition, memorization, RLVR."""
    basis: dict[str, Any]
    """The study behind the advice."""

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "question": asdict(self.question),
            "recommended": self.recommended.plain() if self.recommended else None,
            "runner_up": self.runner_up.plain() if self.runner_up else None,
            "options": [option.plain() for option in self.options],
            "outside": self.outside,
            "notes": self.notes,
            "basis": self.basis,
        }


def advise(question: Question, reference: Reference) -> Advice:
    """The format with the highest expected accuracy among those that fit the limit; the shortest one in a tie.

    Nothing is extrapolated. Outside the measured range of a format, the nearest measured N is used, and `outside` says
    so. It also names lengths of problems and numbers of epochs that were not measured.
    """
    ranges = {runs.format: runs.examples for runs in reference.formats}
    at = {fmt: min(max(question.examples, low), high) for fmt, (low, high) in ranges.items()}
    chance = 1 / reference.modulus
    fitted = {runs.format: fit(runs.runs, chance) for runs in reference.formats}
    tokens = {
        runs.format: question.tokens.get(runs.format) or _tokens(reference, runs, question.n_ops)
        for runs in reference.formats
    }
    limit = question.max_response_tokens or float("inf")
    within = [fmt for fmt in fitted if tokens[fmt] <= limit]
    best = _best({fmt: fitted[fmt] for fmt in within}, at)
    doubled = 2 * question.examples
    options = [
        Option(
            format=fmt,
            accuracy=posterior.predict(at[fmt], LEVEL),
            best=best.get(fmt, 0.0),
            response_tokens=tokens[fmt],
            doubled=posterior.predict(doubled, LEVEL)
            if ranges[fmt][0] <= question.examples and doubled <= ranges[fmt][1]
            else None,
            fits=fmt in within,
        )
        for fmt, posterior in fitted.items()
    ]
    options.sort(key=lambda o: (not o.fits, -o.accuracy.mean))
    options = _shorter_first(options)
    fitting = [option for option in options if option.fits]
    return Advice(
        question=question,
        recommended=fitting[0] if fitting else None,
        runner_up=fitting[1] if len(fitting) > 1 else None,
        options=options,
        outside=_outside(question, reference),
        notes=_notes(question, reference, fitting[0] if fitting else None),
        basis={
            "study": reference.name,
            "model": reference.model,
            "n_ops": list(reference.n_ops),
            "examples": list(reference.examples),
            "runs": sum(len(runs.runs) for runs in reference.formats),
            "interval": LEVEL,
        },
    )


def _best(fitted: dict[str, Posterior], at: dict[str, int]) -> dict[str, float]:
    """The posterior probability that each format's mean accuracy is the highest."""
    if not fitted:
        return {}
    draws = np.array([curve.draws(at[fmt], seed=i, new_run=False) for i, (fmt, curve) in enumerate(fitted.items())])
    wins = np.bincount(draws.argmax(axis=0), minlength=len(fitted)) / DRAWS
    return dict(zip(fitted, wins.tolist(), strict=True))


def _shorter_first(options: list[Option]) -> list[Option]:
    """Moves the shortest of the options that tie with the first to the front."""
    tied = [o for o in options if o.fits and options[0].accuracy.mean - o.accuracy.mean < CLOSE]
    if len(tied) < 2:
        return options
    first = min(tied, key=lambda o: o.response_tokens)
    return [first, *(o for o in options if o is not first)]


def _tokens(reference: Reference, runs: FormatRuns, n_ops: int) -> float:
    """Mean tokens of a response to problems of n_ops operations: the measured mean, scaled by the lengths of gold
    responses, which are known for any n_ops."""
    measured = np.mean([_gold_tokens(reference, runs.format, n) for n in reference.n_ops])
    return runs.response_tokens * _gold_tokens(reference, runs.format, n_ops) / float(measured)


def _gold_tokens(reference: Reference, fmt: str, n_ops: int) -> float:
    config = SamplerConfig(n_ops=n_ops, modulus=reference.modulus, number_range=reference.number_range)
    batch = sample_batch(config, "train", range(SAMPLED))
    render = get_surface(reference.surface).render
    texts = [render(compress(batch.problem(row), fmt), batch.aliases(row)) for row in range(SAMPLED)]
    return sum(map(count_pieces, texts)) / SAMPLED


def _outside(question: Question, reference: Reference) -> list[str]:
    found = []
    ranges: dict[tuple[int, int], list[str]] = {}
    for runs in reference.formats:
        ranges.setdefault(runs.examples, []).append(runs.format)
    for (low, high), formats in ranges.items():
        if not low <= question.examples <= high:
            nearest = low if question.examples < low else high
            of = f" of {', '.join(formats)}" if len(ranges) > 1 else ""
            found.append(
                f"examples: {question.examples:,} requested, {low:,} to {high:,} measured{of}; accuracies are those at "
                f"{nearest:,}"
            )
    if question.n_ops not in reference.n_ops:
        lengths = ", ".join(map(str, reference.n_ops))
        found.append(
            f"n_ops: {question.n_ops} requested, {lengths} measured; accuracies are those of {lengths}, and longer "
            "problems have lower ones"
        )
    if question.epochs:
        measured = {n: e for runs in reference.formats for n, e in runs.epochs.items()}
        nearest = min(measured, key=lambda n: abs(np.log(n / question.examples)))
        if not 0.5 <= question.epochs / measured[nearest] <= 2:
            found.append(
                f"epochs: {question.epochs:g} requested; the runs with {nearest:,} examples made "
                f"{measured[nearest]:.3g} passes over them"
            )
    return found


def _measured_with(runs: RepetitionRuns | Branches) -> str:
    """The base and the lengths that a note was measured with; they may differ from the question."""
    return f"measured from {runs.model} on {' and '.join(map(str, runs.n_ops))} operations"


def _notes(question: Question, reference: Reference, chosen: Option | None) -> list[str]:
    notes = []
    for runs in reference.repetition:
        passes = sorted(runs.accuracy)
        if question.epochs and len(passes) > 1:
            upper = min((e for e in passes if e >= question.epochs), default=passes[-1])
            first, last = (float(np.mean(runs.accuracy[e])) for e in (passes[0], upper))
            memorized = float(np.mean(runs.memorized[upper]))
            notes.append(
                f"{runs.format} ({_measured_with(runs)}): from {passes[0]} to {upper} epochs over {runs.examples:,} "
                f"examples, held-out accuracy went from {first:.2f} to {last:.2f}; old answers came back "
                f"{memorized:+.2f} beyond the control"
            )
    if question.rlvr:
        for branch in reference.branches:
            before, after = branch.states["sft"], branch.states["rlvr"]
            more = branch.states["sft-updates"]
            notes.append(
                f"RLVR after {branch.sft_steps} updates of SFT on {branch.format} ({_measured_with(branch)}): accuracy "
                f"{before['accuracy']:.2f} to {after['accuracy']:.2f} (more SFT: {more['accuracy']:.2f}), operations a "
                f"step {before['operations a step']:.2f} to {after['operations a step']:.2f}, response tokens "
                f"{before['response tokens']:.0f} to {after['response tokens']:.0f}"
            )
        if not reference.branches:
            notes.append("RLVR was not measured in this study")
    if chosen and parse_method(chosen.format).NAME == "implicit":
        notes.append("implicit traces state no operation, so a right answer cannot be checked step by step")
    for measured in reference.formats:
        if chosen and measured.format == chosen.format and measured.training_accuracy < 0.9:
            notes.append(
                f"{measured.format} had {measured.training_accuracy:.2f} on its own training problems at the largest "
                "N: more updates may bring more"
            )
    return notes
