"""F3: what becomes of compressed steps after SFT, by RLVR and by more SFT."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.methods import parse_method
from ..cells import BEFORE, BRANCHES, DecompositionCell
from ..decomposition import excess_counts
from ..experiments import Decomposition
from ..statistics import bootstrap_ratio
from ..store import Store
from .verdicts import Comparison, Finding, common_rule, decide, undecided


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposed:
    """What became of one format after SFT of one length, on held-out problems of trained lengths and of longer ones.

    S seeds, P problems (the same for every seed and state).
    """

    format: str
    """Of the SFT."""
    sft_steps: int
    """Updates of the SFT."""
    excess: dict[str, np.ndarray]
    """State (`sft` or a branch) -> (S, P, 2): single-operation steps and all steps, less those the format leaves."""
    correct: dict[str, np.ndarray]
    """State -> (S, P) bool."""
    trained: np.ndarray
    """(P,) bool: whether the problem is of a trained length."""
    shown: dict[str, dict[str, float | None]]
    """State -> what else the table shows: name of a measure -> its mean over seeds and trained lengths."""

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.correct[BEFORE])


Parts = dict[str, DecompositionCell]
"""State -> its cell, of one SFT."""


def complete_parts(store: Store, decomposition: Decomposition) -> list[Parts]:
    """The SFT runs whose branches are all done, in the order of the spec."""
    results = store.results()
    groups: dict[tuple[str, int, int], Parts] = defaultdict(dict)
    for cell in decomposition.cells(store.spec):
        if isinstance(cell, DecompositionCell) and cell.digest in results:
            groups[cell.format, cell.sft_steps, cell.seed][cell.part] = cell
    return [parts for parts in groups.values() if len(parts) == 1 + len(BRANCHES)]


def collect(store: Store, decomposition: Decomposition) -> list[Decomposed]:
    """What was measured at the ends of the branches, the seeds of one format and length of SFT together."""
    results = store.results()
    groups: dict[tuple[str, int], list[Parts]] = defaultdict(list)
    for parts in complete_parts(store, decomposition):
        groups[parts[BEFORE].format, parts[BEFORE].sft_steps].append(parts)
    found = []
    for (fmt, sft_steps), runs in groups.items():
        k, lengths = parse_method(fmt).k, decomposition.n_ops
        excess: dict[str, list[Any]] = defaultdict(list)
        correct: dict[str, list[Any]] = defaultdict(list)
        for state in (BEFORE, *BRANCHES):
            for parts in runs:
                rows = store.completions(parts[state].digest, state)
                excess[state].append([excess_counts(row.stated, k, row.n_ops) for row in rows])
                correct[state].append([row.correct for row in rows])
                trained = np.array([row.n_ops in lengths for row in rows])
        found.append(
            Decomposed(
                format=fmt,
                sft_steps=sft_steps,
                excess={state: np.array(values, dtype=np.int64) for state, values in excess.items()},
                correct={state: np.array(values, dtype=bool) for state, values in correct.items()},
                trained=trained,
                shown={
                    state: _shown([results[parts[state].digest] for parts in runs], lengths, decomposition.samples)
                    for state in (BEFORE, *BRANCHES)
                },
            )
        )
    return found


def _shown(results: Sequence[dict[str, Any]], lengths: Sequence[int], samples: int) -> dict[str, float | None]:
    """The table's other columns: means over seeds and trained lengths."""
    points = [result["points"][-1]["by_n_ops"][str(n)] for result in results for n in lengths]
    tried = [result["pass_at"].get(str(n), {}) for result in results for n in lengths]
    columns = {
        "faithful": [point["faithful"] for point in points],
        "response tokens": [point["response_tokens"] for point in points],
        "operations a step": [point["ops_per_step"] for point in points],
        **{
            f"pass@{k}{', faithful' * (mark == 'faithful')}": [row[mark][k] for row in tried]
            for mark in ("correct", "faithful")
            for k in dict.fromkeys(("1", str(samples)))
            if tried[0]
        },
        "updates": [float(result["updates"]) for result in results],
        "tokens": [float(result["tokens"]) for result in results],
    }
    known = {name: [value for value in values if value is not None] for name, values in columns.items()}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


F3_CLAIM = "RLVR after SFT decomposes compressed steps into single operations; more SFT does not."
F3_RULE = (
    "The excess is the share of single-operation steps among the steps of greedy completions that state "
    "operations of the problem, rightly computed or not, on held-out problems of the trained lengths; both counts "
    "are without the short last group that the format itself leaves: 0 for the format as trained, 1 for an "
    "explicit trace. That of the model after RLVR, less that of three others, is compared with 0: the model after "
    "SFT that RLVR started from, that model after as many further SFT updates, and after as many further SFT tokens "
    "(and so about as much compute). {common} The verdict is that of the first format and the first length of SFT "
    "that the study names; the others stand beside it."
)
F3_NAMES = {BEFORE: "after SFT", "rlvr": "RLVR", "sft-updates": "SFT, same updates", "sft-tokens": "SFT, same tokens"}
"""State of a model -> what the report calls it."""


def f3(measured: Sequence[Decomposed], findings: int = 1, draws: int = 1000) -> Finding:
    """Decomposition by RLVR (paper, finding 3)."""
    rule = F3_RULE.format(common=common_rule(findings))
    if not measured:
        return undecided("F3", F3_CLAIM, rule, "No seed is complete: nothing to compare.")
    rows: list[dict[str, Any]] = []
    verdicts: list[str] = []
    decisive: dict[str, Comparison] = {}
    for found in measured:
        shares = {s: bootstrap_ratio(found.excess[s][:, found.trained], draws) for s in found.excess}
        differences = {
            state: Comparison.of(
                _excess(found, "rlvr") - _excess(found, state),
                shares["rlvr"] - shares[state],
                found.seeds,
                findings,
                len(BRANCHES),
            )
            for state in (BEFORE, *BRANCHES)
            if state != "rlvr"
        }
        for state in (BEFORE, *BRANCHES):
            row = {
                "format": found.format,
                "SFT updates": found.sft_steps,
                "model": F3_NAMES[state],
                "excess": Comparison.of(_excess(found, state), shares[state], found.seeds).text(3, sign=False),
                "accuracy": float(found.correct[state][:, found.trained].mean()),
            }
            if not found.trained.all():
                row["accuracy, longer"] = float(found.correct[state][:, ~found.trained].mean())
            rows.append(row | found.shown[state])
            if state in differences:
                rows[-1]["RLVR less this"] = differences[state].text(3)
        verdicts.append(decide(list(differences.values()), found.seeds))
        decisive = decisive or differences
    first = measured[0]
    against = ", ".join(f"{c.text()} against {F3_NAMES[state]}" for state, c in decisive.items())
    summary = (
        f"{first.format} after {first.sft_steps} updates of SFT: excess single-operation share "
        f"{_excess(first, BEFORE):.2f} before and {_excess(first, 'rlvr'):.2f} after RLVR; {against}; "
        f"{first.seeds} seeds."
    )
    for found, verdict in list(zip(measured, verdicts, strict=True))[1:]:
        summary += f" With {found.format} and {found.sft_steps} updates: {verdict}."
    return Finding(id="F3", claim=F3_CLAIM, rule=rule, verdict=verdicts[0], summary=summary, rows=rows)


def _excess(found: Decomposed, state: str) -> float:
    single, steps = found.excess[state][:, found.trained].sum(axis=(0, 1))
    return float(single / steps) if steps else 0.0
