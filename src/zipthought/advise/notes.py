"""Further measurements of a study that bear on a question."""

from __future__ import annotations

import numpy as np

from ..core.methods import parse_method
from .reference import FITTED, Branches, Reference, RepetitionRuns
from .scope import Question


def notes_on(question: Question, reference: Reference, chosen: str) -> list[str]:
    """Sentences. `chosen` is the recommended format; empty: none fits."""
    notes = []
    if reference.base is None:
        notes.append(
            "this study did not measure the base without training, so it is unknown whether SFT improves on it"
        )
    notes += [note for runs in reference.repetition if runs.format == chosen for note in _dressed(runs)]
    if question.epochs:
        notes += [_repeated(runs, question.epochs) for runs in reference.repetition if len(runs.accuracy) > 1]
    if question.rlvr:
        notes += [_branched(branch) for branch in reference.branches]
        if not reference.branches:
            notes.append("RLVR was not measured in this study")
    for measured in reference.formats:
        if measured.format != chosen:
            continue
        if parse_method(chosen).NAME == "implicit":
            notes.append("implicit traces state no operation, so a right answer cannot be checked step by step")
        if measured.training_accuracy < FITTED:
            notes.append(
                f"{chosen} had {measured.training_accuracy:.2f} on its own training problems at the largest N: more "
                "updates may bring more"
            )
    return notes


def _measured_with(runs: RepetitionRuns | Branches) -> str:
    """The base and the lengths that a note was measured with; they may differ from the question."""
    return f"measured from {runs.model} on {' and '.join(map(str, runs.n_ops))} operations"


def _dressed(runs: RepetitionRuns) -> list[str]:
    """What new names or new structures bring in place of the same prompts, at equal updates."""
    if not runs.arms:
        return []
    most = max(runs.accuracy)
    names = {"redress": "the same structures under new names (`train sft --redress`)", "fresh": "new structures"}
    parts = [f"{np.mean(values):.2f} with {names.get(arm, arm)}" for arm, values in runs.arms.items()]
    return [
        f"{runs.format} ({_measured_with(runs)}): after the updates of {most} epochs over {runs.examples:,} examples, "
        f"held-out accuracy is {np.mean(runs.accuracy[most]):.2f} with the same prompts, {', '.join(parts)}"
    ]


def _repeated(runs: RepetitionRuns, epochs: float) -> str:
    passes = sorted(runs.accuracy)
    upper = min((e for e in passes if e >= epochs), default=passes[-1])
    first, last = (float(np.mean(runs.accuracy[e])) for e in (passes[0], upper))
    return (
        f"{runs.format} ({_measured_with(runs)}): from {passes[0]} to {upper} epochs over {runs.examples:,} examples, "
        f"held-out accuracy went from {first:.2f} to {last:.2f}; old answers came back "
        f"{float(np.mean(runs.memorized[upper])):+.2f} beyond the control"
    )


def _branched(branch: Branches) -> str:
    before, after, more = (branch.states[state] for state in ("sft", "rlvr", "sft-updates"))
    return (
        f"RLVR after {branch.sft_steps} updates of SFT on {branch.format} ({_measured_with(branch)}): accuracy "
        f"{before['accuracy']:.2f} to {after['accuracy']:.2f} (more SFT: {more['accuracy']:.2f}), operations a step "
        f"{before['operations a step']:.2f} to {after['operations a step']:.2f}, response tokens "
        f"{before['response tokens']:.0f} to {after['response tokens']:.0f}"
    )
