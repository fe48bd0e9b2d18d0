"""F2b: what repetition brings, and what is memorized (paper, finding 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....core.methods import parse_method
from ....report.data import Finding
from ...cells import SFTCellResult
from ...snapshot import Snapshot
from ...statistics import bootstrap_means
from ...verdicts import Comparison, common_rule, decide, undecided, unresolved
from ..sft import canonical
from . import Repetition


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatMeasurements:
    """The runs of one format. S seeds, E numbers of epochs, P and Q problems."""

    epochs: tuple[int, ...]
    """(E,)"""
    test: np.ndarray
    """(S, E, P) bool: solved held-out problems."""
    train: np.ndarray
    """(S, E, Q) bool: solved training problems."""
    old_train: np.ndarray
    """(S, E, Q') bool: training problems whose old answer returned after one constant was changed."""
    old_held_out: np.ndarray
    """(S, E, P') bool: the same for held-out problems, the control."""
    arms: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Another arm than `repeat` -> (S, E, P) bool: solved held-out problems after as many updates."""

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len(self.test)

    def memorized(self) -> float:
        """Returned old answers after the most epochs, minus those of the control."""
        return float(self.old_train[:, -1].mean() - self.old_held_out[:, -1].mean())

    def memorized_draws(self, draws: int) -> np.ndarray:
        """(draws,) `memorized` by bootstrap."""
        return bootstrap_means(self.old_train[:, -1], draws) - bootstrap_means(self.old_held_out[:, -1], draws)

    def gain(self) -> float:
        """Held-out accuracy after the most epochs, minus that after the fewest."""
        return float(self.test[:, -1].mean() - self.test[:, 0].mean())

    def gain_draws(self, draws: int) -> np.ndarray:
        """(draws,) `gain` by bootstrap."""
        means = bootstrap_means(self.test, draws)
        return means[:, -1] - means[:, 0]


def collect(study: Snapshot, repetition: Repetition) -> dict[str, FormatMeasurements]:
    """Format -> its measurements. Only seeds that are complete in every format and number of epochs count."""
    results = study.results(SFTCellResult)
    formats, spec = canonical(repetition.formats), study.spec

    def runs(fmt: str, seed: int, arm: str = "repeat") -> list[str]:
        return [repetition.cell(spec, fmt, seed, epochs, arm).digest for epochs in repetition.epochs]

    seeds = [
        seed
        for seed in repetition.seeds_of(spec)
        if all(digest in results for fmt in formats for arm in repetition.arms for digest in runs(fmt, seed, arm))
    ]
    read: dict[str, Callable[[str], list[bool]]] = {
        "test": lambda digest: study.solved(digest),
        "train": lambda digest: study.solved(digest, "train"),
        "old_train": lambda digest: _old(results[digest], "train"),
        "old_held_out": lambda digest: _old(results[digest], "held_out"),
    }
    measured = {}
    for fmt in formats if seeds else ():
        arrays = {}
        for name, values in read.items():
            found = [[values(digest) for digest in runs(fmt, seed)] for seed in seeds]
            shortest = min(len(run) for of_seed in found for run in of_seed)
            arrays[name] = np.array([[run[:shortest] for run in of_seed] for of_seed in found], dtype=bool)
        arms = {
            arm: np.array([[study.solved(digest) for digest in runs(fmt, seed, arm)] for seed in seeds], dtype=bool)
            for arm in repetition.arms
            if arm != "repeat"
        }
        measured[fmt] = FormatMeasurements(epochs=repetition.epochs, **arrays, arms=arms)
    return measured


def _old(result: SFTCellResult, problems: str) -> list[bool]:
    assert result.memorized is not None, "cells of this experiment have edited_count above 0"
    return [answer.old for answer in getattr(result.memorized, problems)]


CLAIM = "Repeating the same data helps composed chains of thought, and makes implicit ones memorize."
RULE = (
    "Each format is trained for several numbers of epochs over the same examples. Its gain is the held-out accuracy "
    "after the most epochs, minus that after the fewest. Memorization is measured after the most epochs: training "
    "problems are answered again with one constant changed, so that their answer changes. The measure is the share "
    "whose old answer returns, minus the same share of held-out problems. Three comparisons with 0: the gain of the "
    "first composed format; that gain minus the gain of the first implicit format; the memorization of the implicit "
    "format minus that of the composed one. {common}"
)


def f2b(measured: Mapping[str, FormatMeasurements], findings: int = 1, draws: int = 1000) -> Finding:
    """The finding. `findings` is the number of findings of the study."""
    rule = RULE.format(common=common_rule(findings))
    composed = next((fmt for fmt in measured if parse_method(fmt).NAME == "composed"), None)
    implicit = next((fmt for fmt in measured if parse_method(fmt).NAME == "implicit"), None)
    if composed is None or implicit is None:
        reason = "No seed is complete in a composed and an implicit format: nothing to compare."
        return undecided("F2b", CLAIM, rule, reason)
    one, other = measured[composed], measured[implicit]
    gains = {fmt: data.gain_draws(draws) for fmt, data in measured.items()}
    memories = {fmt: data.memorized_draws(draws) for fmt, data in measured.items()}
    against = (one.seeds, findings, 3)
    comparisons = [
        Comparison.of(one.gain(), gains[composed], *against),
        Comparison.of(one.gain() - other.gain(), gains[composed] - gains[implicit], *against),
        Comparison.of(other.memorized() - one.memorized(), memories[implicit] - memories[composed], *against),
    ]
    gain, more, memory = (comparison.text() for comparison in comparisons)
    names = (f"the fewest epochs of {composed}", f"the gain of {implicit}", f"the memorization of {composed}")
    summary = (
        f"From {one.epochs[0]} to {one.epochs[-1]} epochs {composed} gains {gain}, which is {more} more than "
        f"{implicit}; on changed training problems the old answer returns {memory} more often from {implicit} than "
        f"from {composed}; {one.seeds} seeds."
    ) + unresolved(dict(zip(names, comparisons, strict=True)))
    rows = [row for fmt, data in measured.items() for row in _rows(fmt, data, gains[fmt], memories[fmt])]
    verdict = decide(comparisons, one.seeds)
    return Finding(id="F2b", claim=CLAIM, rule=rule, verdict=verdict, summary=summary, rows=rows)


def _rows(fmt: str, data: FormatMeasurements, gains: np.ndarray, memories: np.ndarray) -> list[dict[str, Any]]:
    """A row for each number of epochs; the comparisons stand in the last one."""
    rows = []
    for i, epochs in enumerate(data.epochs):
        test, train = data.test[:, i].mean(), data.train[:, i].mean()
        last = i == len(data.epochs) - 1
        rows.append(
            {
                "format": fmt,
                "epochs": epochs,
                "held-out accuracy": float(test),
                "training accuracy": float(train),
                "gap": float(train - test),
                "old answers, training": float(data.old_train[:, i].mean()),
                "old answers, held out": float(data.old_held_out[:, i].mean()),
                "gain": Comparison.of(data.gain(), gains, data.seeds).text() if last else "",
                "memorized": Comparison.of(data.memorized(), memories, data.seeds).text() if last else "",
            }
        )
    return rows
