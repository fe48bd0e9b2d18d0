"""What became of compressed steps after SFT, by RLVR and by more SFT."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....core.methods import parse_method
from ....evaluation.metrics import JudgedCompletion
from ...cells import SFT_STATE, DecompositionCell, DecompositionResult
from ...excess import excess_counts, short_steps
from ...problems import held_out_problem
from ...snapshot import Snapshot
from . import STATES, Decomposition


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompositionMeasurements:
    """The final models of one format and one length of SFT, on held-out problems of trained and of longer lengths.

    S seeds, P problems (the same for every seed and state).
    """

    format: str
    """The format of the SFT."""
    sft_steps: int
    """Updates of the SFT."""
    excess: dict[str, np.ndarray]
    """State (`sft` or a branch) -> (S, P, 2): single-operation steps and all steps, as `excess_counts`."""
    correct: dict[str, np.ndarray]
    """State -> (S, P) bool."""
    trained: np.ndarray
    """(P,) bool: whether the problem is of a trained length."""
    shown: dict[str, dict[str, float | None]]
    """State -> further columns of the table: measure -> its mean over seeds and trained lengths."""

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len(self.correct[SFT_STATE])

    def share(self, state: str) -> float:
        """The excess over the trained lengths."""
        single, steps = self.excess[state][:, self.trained].sum(axis=(0, 1))
        return float(single / steps) if steps else 0.0


Parts = dict[str, DecompositionCell]
"""State -> its cell, of one SFT run."""


def complete_parts(study: Snapshot, decomposition: Decomposition) -> list[Parts]:
    """The SFT runs whose branches are all done, in the order of the spec."""
    results = study.results(DecompositionResult)
    runs: dict[tuple[str, int, int], Parts] = defaultdict(dict)
    for cell in decomposition.cells(study.spec):
        if isinstance(cell, DecompositionCell) and cell.digest in results:
            runs[cell.format, cell.sft_steps, cell.seed][cell.part] = cell
    return [parts for parts in runs.values() if len(parts) == len(STATES)]


def collect(study: Snapshot, decomposition: Decomposition) -> list[DecompositionMeasurements]:
    """The measurements of the complete runs, the seeds of one format and length of SFT together."""
    groups: dict[tuple[str, int], list[Parts]] = defaultdict(list)
    for parts in complete_parts(study, decomposition):
        groups[parts[SFT_STATE].format, parts[SFT_STATE].sft_steps].append(parts)
    return [_measure(study, decomposition, runs) for runs in groups.values()]


def _measure(study: Snapshot, decomposition: Decomposition, runs: Sequence[Parts]) -> DecompositionMeasurements:
    results = study.results(DecompositionResult)
    first = runs[0][SFT_STATE]
    excess: dict[str, Any] = {}
    correct: dict[str, Any] = {}
    for state in STATES:
        completions = [study.completions(parts[state].digest, state) for parts in runs]
        excess[state] = np.array([[_excess(first, c) for c in run] for run in completions], dtype=np.int64)
        correct[state] = np.array([[c.correct for c in run] for run in completions], dtype=bool)
    return DecompositionMeasurements(
        format=first.format,
        sft_steps=first.sft_steps,
        excess=excess,
        correct=correct,
        trained=np.array([c.n_ops in decomposition.n_ops for c in completions[0]]),
        shown={
            state: _shown([results[parts[state].digest] for parts in runs], decomposition.n_ops, decomposition.samples)
            for state in STATES
        },
    )


def _excess(cell: DecompositionCell, completion: JudgedCompletion) -> tuple[int, int]:
    problem, _ = held_out_problem(cell.sampler(completion.n_ops), cell.split, completion.index)
    short = short_steps(problem, parse_method(cell.format).k)
    return excess_counts(completion.stated, short, completion.valid)


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
