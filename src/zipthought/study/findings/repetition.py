"""F2b: what repetition brings, and what it fixes in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...core.methods import parse_method
from ..cells import SFTCell
from ..experiments import Repetition
from ..statistics import bootstrap_means
from ..store import Store
from .scaling import correct_rows
from .verdicts import Comparison, Finding, common_rule, decide, undecided


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """What the epochs over one set of examples did, for one format. S seeds, E epochs, P and Q problems."""

    epochs: tuple[int, ...]
    """(E,)"""
    test: np.ndarray
    """(S, E, P) bool: held-out problems solved."""
    train: np.ndarray
    """(S, E, Q) bool: training problems solved."""
    old_train: np.ndarray
    """(S, E, Q') bool: training problems whose old answer came back after one constant was changed."""
    old_held_out: np.ndarray
    """(S, E, P') bool: the same of held-out problems, the control."""

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.test)

    def memorized(self) -> float:
        """Old answers that came back after the most epochs, less those of the control."""
        return float(self.old_train[:, -1].mean() - self.old_held_out[:, -1].mean())

    def memorized_draws(self, draws: int) -> np.ndarray:
        """(draws,) the same by bootstrap."""
        return bootstrap_means(self.old_train[:, -1], draws) - bootstrap_means(self.old_held_out[:, -1], draws)

    def gain(self) -> float:
        """Held-out accuracy after the most epochs less that after the fewest."""
        return float(self.test[:, -1].mean() - self.test[:, 0].mean())

    def gain_draws(self, draws: int) -> np.ndarray:
        """(draws,) the same by bootstrap."""
        means = bootstrap_means(self.test, draws)
        return means[:, -1] - means[:, 0]


def collect(store: Store, repetition: Repetition) -> dict[str, Repeated]:
    """Format -> what was measured, over the seeds that are complete in every format and number of epochs."""
    spec, results = store.spec, store.results()
    found: dict[tuple[str, int, int], SFTCell] = {}
    for cell in repetition.cells(spec):
        if isinstance(cell, SFTCell) and cell.digest in results:
            found[cell.format, cell.seed, cell.steps] = cell
    formats = list(dict.fromkeys(str(parse_method(fmt)) for fmt in repetition.formats))
    steps = [repetition.updates(epochs) for epochs in repetition.epochs]
    complete = [s for s in repetition.seeds_of(spec) if all((f, s, n) in found for f in formats for n in steps)]
    measured: dict[str, Callable[[str], list[bool]]] = {
        "test": lambda digest: correct_rows(store, digest),
        "train": lambda digest: correct_rows(store, digest, "train"),
        "old_train": lambda digest: [entry["old"] for entry in results[digest]["memorized"]["train"]],
        "old_held_out": lambda digest: [entry["old"] for entry in results[digest]["memorized"]["held_out"]],
    }
    made = {}
    for fmt in formats if complete else ():
        arrays = {}
        for name, of in measured.items():
            runs = [[of(found[fmt, seed, n].digest) for n in steps] for seed in complete]
            shortest = min(len(bits) for seed in runs for bits in seed)
            arrays[name] = np.array([[bits[:shortest] for bits in seed] for seed in runs], dtype=bool)
        made[fmt] = Repeated(epochs=repetition.epochs, **arrays)
    return made


F2B_CLAIM = "Repeating the same data helps composed chains of thought, and makes implicit ones memorize."
F2B_RULE = (
    "Each format is trained for several numbers of epochs over the same examples. Its gain is held-out accuracy after "
    "the most epochs less that after the fewest. It memorizes as much as this: training problems are asked again with "
    "one constant changed, so that their answer is another one, and the share whose old answer comes back, less the "
    "same share of held-out problems, is taken after the most epochs. Three comparisons with 0: the gain of the first "
    "composed format; that gain less the gain of the first implicit format; what the implicit format memorizes less "
    "what the composed one does. {common}"
)


def f2b(measured: dict[str, Repeated], findings: int = 1, draws: int = 1000) -> Finding:
    """Repetition and memorization (paper, finding 2)."""
    rule = F2B_RULE.format(common=common_rule(findings))
    composed = next((fmt for fmt in measured if parse_method(fmt).NAME == "composed"), None)
    implicit = next((fmt for fmt in measured if parse_method(fmt).NAME == "implicit"), None)
    if composed is None or implicit is None:
        why = "No seed is complete in a composed and an implicit format: nothing to compare."
        return undecided("F2b", F2B_CLAIM, rule, why)
    one, other = measured[composed], measured[implicit]
    against = (one.seeds, findings, 3)
    gains = {fmt: data.gain_draws(draws) for fmt, data in measured.items()}
    memories = {fmt: data.memorized_draws(draws) for fmt, data in measured.items()}
    comparisons = [
        Comparison.of(one.gain(), gains[composed], *against),
        Comparison.of(one.gain() - other.gain(), gains[composed] - gains[implicit], *against),
        Comparison.of(other.memorized() - one.memorized(), memories[implicit] - memories[composed], *against),
    ]
    rows = []
    for fmt, data in measured.items():
        for place, epochs in enumerate(data.epochs):
            test, train = data.test[:, place].mean(), data.train[:, place].mean()
            last = place == len(data.epochs) - 1
            rows.append(
                {
                    "format": fmt,
                    "epochs": epochs,
                    "held-out accuracy": float(test),
                    "training accuracy": float(train),
                    "gap": float(train - test),
                    "old answers, training": float(data.old_train[:, place].mean()),
                    "old answers, held out": float(data.old_held_out[:, place].mean()),
                    "gain": Comparison.of(data.gain(), gains[fmt], data.seeds).text() if last else "",
                    "memorized": Comparison.of(data.memorized(), memories[fmt], data.seeds).text() if last else "",
                }
            )
    gain, more, memory = (comparison.text() for comparison in comparisons)
    summary = (
        f"From {one.epochs[0]} to {one.epochs[-1]} epochs {composed} gains {gain}, which is {more} more than "
        f"{implicit}; changed training problems bring back the old answer {memory} more often from {implicit} than "
        f"from {composed}; {one.seeds} seeds."
    )
    verdict = decide(comparisons, one.seeds)
    return Finding(id="F2b", claim=F2B_CLAIM, rule=rule, verdict=verdict, summary=summary, rows=rows)
