"""From a question to advice."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv

from ..core.compress import compress
from ..core.methods import parse_method
from ..surfaces import count_pieces, get_surface
from ..tasks.sampling import SamplerConfig, sample_batch
from .curves import DRAWS, Posterior, Prediction, fit
from .notes import notes_on
from .reference import BaseRun, FormatRuns, Reference
from .scope import Measured, Question, scope_of

LEVEL = 0.9
"""The level of the intervals."""
SAMPLED = 64
"""Problems whose gold responses are counted for a length."""
CLOSE = 0.02
"""Accuracies that differ by less are a tie, and the shorter response wins."""
NO_SFT = "no SFT"
"""The option to use the base as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A format, or the base without training, and what to expect of it."""

    format: str
    """`no SFT` for the base without training."""
    granularity: int | None
    """The most operations of a step; None for the base."""
    structures: int | None
    """Distinct structures of the examples at the nearest measured N, where they are fewer; None otherwise."""
    accuracy: Prediction
    """The accuracy of a new run with these examples."""
    best: float
    """The posterior probability that it has the highest accuracy among the options that fit."""
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
            "granularity": self.granularity,
            "structures": self.structures,
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
    """None where no option fits the limit, and outside what was measured."""
    runner_up: Option | None
    options: list[Option]
    """The base, if it was measured, and the formats whose measured range holds the question; the best first."""
    outside: list[str]
    """How the question lies outside the measured range, of all formats or of those that it names."""
    nearest: list[Measured]
    """The nearest measured cells of the formats that are outside."""
    notes: list[str]
    """Further measurements: the base, new names and structures, repetition, memorization, RLVR."""
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
            "nearest": [measured.plain() for measured in self.nearest],
            "notes": self.notes,
            "basis": self.basis,
        }


def advise(question: Question, reference: Reference) -> Advice:
    """The option with the highest expected accuracy among those that fit the limit; the shortest format in a tie.

    SFT is advised only where a format has a higher expected accuracy than the base without training, if the base
    fits the limit and was measured. Nothing is extrapolated: a format whose measured range does not hold the question
    has no option, and where none does, there is no advice.
    """
    scope = scope_of(question, reference)
    options = _options(question, reference, scope.formats)
    fitting = [option for option in options if option.fits]
    return Advice(
        question=question,
        recommended=fitting[0] if fitting else None,
        runner_up=fitting[1] if len(fitting) > 1 else None,
        options=options,
        outside=scope.outside,
        nearest=scope.nearest,
        notes=notes_on(question, reference, fitting[0].format if fitting else "") if options else [],
        basis={
            "study": reference.name,
            "model": reference.model,
            "parameters": reference.parameters or None,
            "task": reference.task,
            "n_ops": list(reference.n_ops),
            "examples": list(reference.examples),
            "runs": sum(len(runs.runs) for runs in reference.formats),
            "interval": LEVEL,
        },
    )


def _options(question: Question, reference: Reference, formats: list[FormatRuns]) -> list[Option]:
    """Those that fit first, and of these the one to recommend first."""
    if not formats:
        return []
    limit = question.max_response_tokens or float("inf")
    fitted = {runs.format: fit(runs.runs) for runs in formats}
    tokens = {runs.format: _tokens(reference, runs, question.n_ops) for runs in formats}
    base = reference.base
    within = {fmt: posterior for fmt, posterior in fitted.items() if tokens[fmt] <= limit}
    best = _best(within, base if base and base.response_tokens <= limit else None, question.examples)
    options = [
        Option(
            format=runs.format,
            granularity=parse_method(runs.format).granularity(question.n_ops),
            structures=runs.structures.get(runs.nearest(question.examples)),
            accuracy=fitted[runs.format].predict(question.examples, LEVEL),
            best=best.get(runs.format, 0.0),
            response_tokens=tokens[runs.format],
            doubled=fitted[runs.format].predict(2 * question.examples, LEVEL)
            if 2 * question.examples <= runs.examples[1]
            else None,
            fits=runs.format in within,
        )
        for runs in formats
    ]
    options = _shorter_first(sorted(options, key=lambda o: (not o.fits, -o.accuracy.mean)))
    return _with_base(options, base, best.get(NO_SFT, 0.0), limit) if base else options


def _with_base(options: list[Option], base: BaseRun, best: float, limit: float) -> list[Option]:
    """The options with the base: before all formats that it does not lose to, where it fits the limit."""
    shape = base.solved + 0.5, base.n - base.solved + 0.5
    low, high = (float(betaincinv(*shape, tail)) for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    itself = Option(
        format=NO_SFT,
        granularity=None,
        structures=None,
        accuracy=Prediction(base.solved / base.n, low, high),
        best=best,
        response_tokens=base.response_tokens,
        doubled=None,
        fits=base.response_tokens <= limit,
    )
    if not itself.fits:
        return [*options, itself]
    better = [o for o in options if o.fits and o.accuracy.mean > itself.accuracy.mean]
    return [*_shorter_first(better), itself, *(o for o in options if o not in better)]


def _best(fitted: dict[str, Posterior], base: BaseRun | None, examples: int) -> dict[str, float]:
    """The posterior probability that the mean accuracy of each option is the highest."""
    draws = {fmt: curve.draws(examples, seed=i, new_run=False) for i, (fmt, curve) in enumerate(fitted.items())}
    if base:
        rng = np.random.default_rng(len(draws))
        draws[NO_SFT] = rng.beta(base.solved + 0.5, base.n - base.solved + 0.5, DRAWS)
    if not draws:
        return {}
    wins = np.bincount(np.array(list(draws.values())).argmax(axis=0), minlength=len(draws)) / DRAWS
    return dict(zip(draws, wins.tolist(), strict=True))


def _shorter_first(options: list[Option]) -> list[Option]:
    """Moves the shortest of the options that tie with the first to the front."""
    tied = [o for o in options if o.fits and options[0].accuracy.mean - o.accuracy.mean < CLOSE]
    if len(tied) < 2:
        return options
    first = min(tied, key=lambda o: o.response_tokens)
    return [first, *(o for o in options if o is not first)]


def _tokens(reference: Reference, runs: FormatRuns, n_ops: int) -> float:
    """Mean tokens of a response to problems of n_ops operations: the measured mean over all lengths, scaled by the
    lengths of gold responses."""
    measured = np.mean([_gold_tokens(reference, runs.format, n) for n in reference.n_ops])
    return runs.response_tokens * _gold_tokens(reference, runs.format, n_ops) / float(measured)


def _gold_tokens(reference: Reference, fmt: str, n_ops: int) -> float:
    config = SamplerConfig(
        n_ops=n_ops, task=reference.task, modulus=reference.modulus, number_range=reference.number_range
    )
    batch = sample_batch(config, "train", range(SAMPLED))
    render = get_surface(reference.surface).render
    texts = [render(compress(batch.problem(row), fmt), batch.aliases(row)) for row in range(SAMPLED)]
    return sum(map(count_pieces, texts)) / SAMPLED
