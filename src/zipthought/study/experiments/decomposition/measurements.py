"""How the states of a model show the operations of a problem: the base, after SFT, by RLVR and by more SFT."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ....core.problem import Problem
from ....evaluation.metrics import JudgedCompletion
from ...cells import SFT_STATE, DecompositionCell, DecompositionResult
from ...problems import held_out_problem
from ...single_op_coverage import attempted_coverage, format_coverage, single_op_coverage
from ...snapshot import Snapshot
from . import COMPARED, Decomposition


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompositionMeasurements:
    """The final models of one format and one length of SFT, on held-out problems of trained and of longer lengths.

    S seeds, P problems (the same for every seed and state). The base has the same row for every seed.
    """

    format: str
    """The format of the SFT."""
    sft_steps: int
    """Updates of the SFT."""
    coverage: dict[str, np.ndarray]
    """State -> (S, P) `single_op_coverage` of the greedy completions."""
    attempted: dict[str, np.ndarray]
    """State -> (S, P) `attempted_coverage`."""
    correct: dict[str, np.ndarray]
    """State -> (S, P) bool."""
    faithful: dict[str, np.ndarray]
    """State -> (S, P) bool."""
    trained: np.ndarray
    """(P,) bool: whether the problem is of a trained length."""
    own: float
    """The mean `format_coverage` of the format over the problems of trained lengths."""
    shown: dict[str, dict[str, float | None]]
    """State -> further columns of the table: measure -> its mean over seeds and trained lengths."""

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len(self.correct[SFT_STATE])

    def mean(self, measure: str, state: str) -> float:
        """The mean of `coverage`, `attempted`, `correct` or `faithful` over seeds and problems of trained lengths."""
        return float(self.of(measure, state).mean())

    def of(self, measure: str, state: str) -> np.ndarray:
        """The same for each seed and problem of trained length."""
        return np.asarray(getattr(self, measure)[state][:, self.trained], dtype=float)


Parts = dict[str, DecompositionCell]
"""State -> its cell, of one SFT run."""


def complete_parts(study: Snapshot, decomposition: Decomposition) -> list[Parts]:
    """The SFT runs that F3 can compare, in the order of the spec, with all their finished states."""
    results = study.results(DecompositionResult)
    finished = [
        {state: cell for state, cell in run.items() if cell.digest in results} for run in decomposition.runs(study.spec)
    ]
    return [parts for parts in finished if {"rlvr", *COMPARED} <= parts.keys()]


def collect(study: Snapshot, decomposition: Decomposition) -> list[DecompositionMeasurements]:
    """The measurements of the complete runs, the seeds of one format and length of SFT together."""
    groups: dict[tuple[str, int], list[Parts]] = defaultdict(list)
    for parts in complete_parts(study, decomposition):
        groups[parts[SFT_STATE].format, parts[SFT_STATE].sft_steps].append(parts)
    return [_measure(study, decomposition, runs) for runs in groups.values()]


def _measure(study: Snapshot, decomposition: Decomposition, runs: Sequence[Parts]) -> DecompositionMeasurements:
    """The states that every run has."""
    results = study.results(DecompositionResult)
    first = runs[0][SFT_STATE]
    states = [state for state in decomposition.states if all(state in parts for parts in runs)]
    completions = {state: [study.completions(parts[state].digest, state) for parts in runs] for state in states}
    trained = np.array([c.n_ops in decomposition.n_ops for c in completions[SFT_STATE][0]])
    own = np.array([format_coverage(_problem(first, c), first.format) for c in completions[SFT_STATE][0]])

    def values(measure: Callable[[JudgedCompletion], float]) -> dict[str, np.ndarray]:
        return {state: np.array([[measure(c) for c in run] for run in completions[state]]) for state in states}

    return DecompositionMeasurements(
        format=first.format,
        sft_steps=first.sft_steps,
        coverage=values(single_op_coverage),
        attempted=values(lambda c: attempted_coverage(c, _problem(first, c))),
        correct=values(lambda c: c.correct),
        faithful=values(lambda c: c.faithful),
        trained=trained,
        own=float(own[trained].mean()),
        shown={
            state: _shown([results[parts[state].digest] for parts in runs], decomposition.n_ops, decomposition.samples)
            for state in states
        },
    )


def _problem(cell: DecompositionCell, completion: JudgedCompletion) -> Problem:
    return held_out_problem(cell.sampler(completion.n_ops), cell.split, completion.index)[0]


def _shown(results: Sequence[DecompositionResult], lengths: Sequence[int], samples: int) -> dict[str, float | None]:
    """The further columns of the table: means over seeds and trained lengths."""
    points = [result.points[-1].by_n_ops[n] for result in results for n in lengths]
    pass_at = [result.pass_at[n] for result in results for n in lengths if n in result.pass_at]
    columns: dict[str, list[float | None]] = {
        "faithful": [point.faithful for point in points],
        "response tokens": [point.response_tokens for point in points],
        "operations a step": [point.ops_per_step for point in points],
    }
    for mark in ("correct", "faithful") if pass_at else ():
        for k in dict.fromkeys((1, samples)):
            name = f"pass@{k}{', faithful' * (mark == 'faithful')}"
            columns[name] = [getattr(row, mark)[k] for row in pass_at]
    columns["updates"] = [float(result.updates) for result in results]
    columns["tokens"] = [float(result.tokens) for result in results]
    known = {name: [value for value in values if value is not None] for name, values in columns.items()}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}
