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
from .reference import Branches, FormatRuns, Reference, Repetition

LEVEL = 0.9
"""Of the intervals."""
SAMPLED = 64
"""Problems whose gold responses are counted."""
CLOSE = 0.02
"""Accuracies nearer than this are a tie, which the shorter response wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be decided."""

    examples: int
    """Distinct training examples that there are."""
    n_ops: int
    """Operations (steps of reasoning) of the problems."""
    max_response_tokens: float = 0.0
    """The most tokens that a response may have, in the study's unit; 0: no limit."""
    epochs: float = 0.0
    """Passes over the examples; 0: as many as the measured runs made."""
    rlvr: bool = False
    """Whether RLVR follows."""
    tokens: dict[str, float] = field(default_factory=dict)
    """Format -> tokens of a response, where they were counted on data of one's own; else they are worked out."""

    def __post_init__(self) -> None:
        if self.examples < 1 or self.n_ops < 1:
            raise ValueError(f"examples and n_ops must be at least 1, got {self.examples} and {self.n_ops}")
        if self.max_response_tokens < 0 or self.epochs < 0:
            raise ValueError("max_response_tokens and epochs must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A format as an answer."""

    format: str
    accuracy: Prediction
    """Of a new run at the examples asked for, or at the nearest that were measured."""
    best: float
    """How often it has the highest accuracy among the formats that fit, over draws of the posterior."""
    response_tokens: float
    """Of a response for n_ops operations."""
    doubled: Prediction | None
    """The same with twice the examples; None where that was not measured."""
    fits: bool
    """Whether its responses stay within the limit."""

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
    """All that were measured, the best first."""
    outside: list[str]
    """In which ways the question lies outside what was measured; the numbers are then those of the nearest point."""
    notes: list[str]
    """What else the measurements say: repetition, memorization, RLVR."""
    basis: dict[str, Any]
    """The study that it rests on."""

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
    """The format with the highest expected accuracy among those that fit; of formats as good, the shortest.

    Nothing is extrapolated: beyond the smallest and largest N measured of a format, the nearest of them stands in, and
    `outside` says so, as it does for other lengths of problems and numbers of epochs.
    """
    ranges = {made.format: made.examples for made in reference.formats}
    at = {fmt: min(max(question.examples, low), high) for fmt, (low, high) in ranges.items()}
    chance = 1 / reference.modulus
    fitted = {made.format: fit(made.runs, chance) for made in reference.formats}
    tokens = {
        made.format: question.tokens.get(made.format) or _tokens(reference, made, question.n_ops)
        for made in reference.formats
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
            "runs": sum(len(made.runs) for made in reference.formats),
            "interval": LEVEL,
        },
    )


def _best(fitted: dict[str, Posterior], at: dict[str, int]) -> dict[str, float]:
    """How often each format's mean accuracy is the highest."""
    if not fitted:
        return {}
    draws = np.array([made.draws(at[fmt], seed=i, new_run=False) for i, (fmt, made) in enumerate(fitted.items())])
    wins = np.bincount(draws.argmax(axis=0), minlength=len(fitted)) / DRAWS
    return dict(zip(fitted, wins.tolist(), strict=True))


def _shorter_first(options: list[Option]) -> list[Option]:
    """Of the options as good as the first, the shortest goes to the front."""
    tied = [o for o in options if o.fits and options[0].accuracy.mean - o.accuracy.mean < CLOSE]
    if len(tied) < 2:
        return options
    first = min(tied, key=lambda o: o.response_tokens)
    return [first, *(o for o in options if o is not first)]


def _tokens(reference: Reference, made: FormatRuns, n_ops: int) -> float:
    """Of a response for problems of n_ops operations: the measured mean, scaled by the lengths of right responses,
    which are known for any n_ops."""
    measured = np.mean([_gold_tokens(reference, made.format, n) for n in reference.n_ops])
    return made.response_tokens * _gold_tokens(reference, made.format, n_ops) / float(measured)


def _gold_tokens(reference: Reference, fmt: str, n_ops: int) -> float:
    config = SamplerConfig(n_ops=n_ops, modulus=reference.modulus, number_range=reference.number_range)
    batch = sample_batch(config, "train", range(SAMPLED))
    render = get_surface(reference.surface).render
    texts = [render(compress(batch.problem(row), fmt), batch.aliases(row)) for row in range(SAMPLED)]
    return sum(map(count_pieces, texts)) / SAMPLED


def _outside(question: Question, reference: Reference) -> list[str]:
    found = []
    ranges: dict[tuple[int, int], list[str]] = {}
    for made in reference.formats:
        ranges.setdefault(made.examples, []).append(made.format)
    for (low, high), formats in ranges.items():
        if not low <= question.examples <= high:
            nearest = low if question.examples < low else high
            of = f" of {', '.join(formats)}" if len(ranges) > 1 else ""
            found.append(
                f"examples: {question.examples:,} asked, {low:,} to {high:,} measured{of}; accuracies are those at "
                f"{nearest:,}"
            )
    if question.n_ops not in reference.n_ops:
        lengths = ", ".join(map(str, reference.n_ops))
        found.append(
            f"n_ops: {question.n_ops} asked, {lengths} measured; accuracies are those of {lengths}, and longer "
            "problems have lower ones"
        )
    if question.epochs:
        measured = {n: e for made in reference.formats for n, e in made.epochs.items()}
        nearest = min(measured, key=lambda n: abs(np.log(n / question.examples)))
        if not 0.5 <= question.epochs / measured[nearest] <= 2:
            found.append(
                f"epochs: {question.epochs:g} asked; the runs with {nearest:,} examples made {measured[nearest]:.3g} "
                "passes over them"
            )
    return found


def _where(made: Repetition | Branches) -> str:
    """What a note was measured on, which may be other than what is asked about."""
    return f"measured from {made.model} on {' and '.join(map(str, made.n_ops))} operations"


def _notes(question: Question, reference: Reference, chosen: Option | None) -> list[str]:
    notes = []
    for made in reference.repetition:
        passes = sorted(made.accuracy)
        if question.epochs and len(passes) > 1:
            upper = min((e for e in passes if e >= question.epochs), default=passes[-1])
            first, last = (float(np.mean(made.accuracy[e])) for e in (passes[0], upper))
            memorized = float(np.mean(made.memorized[upper]))
            notes.append(
                f"{made.format} ({_where(made)}): from {passes[0]} to {upper} epochs over {made.examples:,} examples "
                f"held-out accuracy went from {first:.2f} to {last:.2f}; old answers came back {memorized:+.2f} "
                "beyond the control"
            )
    if question.rlvr:
        for branch in reference.branches:
            before, after = branch.states["sft"], branch.states["rlvr"]
            more = branch.states["sft-updates"]
            notes.append(
                f"RLVR after {branch.sft_steps} updates of SFT on {branch.format} ({_where(branch)}): accuracy "
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
