"""F8, a finding of our own: does a model choose better than chance what a chain of thought can do without?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....core.methods import RandomSteps, ScoredMethod, parse_method
from ....report.data import Finding
from ...cells import SFTCellResult
from ...snapshot import Snapshot
from ...statistics import bootstrap_means, standard_errors
from ...verdicts import FITTED, LEVEL, Comparison, common_rule, decide, quantile, undecided, unresolved
from ..sft import canonical
from . import Baselines

CLAIM = (
    "At equal training tokens and equal length, chains of thought without what a model finds least informative train a "
    "better model than chains without random steps."
)
RULE = (
    "Each format has as many distinct examples as the same number of training tokens allows, prompts included, and the "
    "same number of passes over them. The base of the study scores the explicit texts once, before training. At the "
    "most tokens, the held-out accuracy of steps:p (the steps with the highest entropy, arXiv 2508.03346) and of "
    "tokens:p (the tokens with the highest surprisal), minus that of random-steps:p with the same p, are compared with "
    "0. {common} Beside the verdict, the summary names the format with the highest accuracy among the compressed ones "
    "and those that are not clearly below it: the interval of the difference reaches 0 after a correction for all "
    "pairs of formats, because the best is chosen after the run. A format that does not fit its training problems "
    "(accuracy below {fitted:g}) may lack updates, which the summary says."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatMeasurements:
    """The runs of one format. S seeds, T numbers of tokens, P problems."""

    solved: np.ndarray
    """(S, T, P) bool: solved held-out problems."""
    results: Sequence[Sequence[SFTCellResult]]
    """[S][T] the results of its cells."""
    examples: tuple[int, ...]
    """(T,) distinct training examples."""

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len(self.solved)

    def fit(self, index: int) -> float:
        """The mean accuracy on its training problems at the tokens of this index."""
        return float(np.mean([of_seed[index].fit for of_seed in self.results]))


Measured = dict[str, FormatMeasurements]
"""Format -> its measurements."""


def collect(study: Snapshot, baselines: Baselines) -> Measured:
    """The measurements of the seeds that are complete in every format and number of tokens."""
    results, spec = study.results(SFTCellResult), study.spec
    formats, sizes = canonical(baselines.formats), range(len(baselines.tokens))
    cells = {
        (fmt, seed): [baselines.cell(spec, fmt, seed, index) for index in sizes]
        for seed in baselines.seeds_of(spec)
        for fmt in formats
    }
    seeds = [
        seed
        for seed in baselines.seeds_of(spec)
        if all(cell.digest in results for fmt in formats for cell in cells[fmt, seed])
    ]
    if not seeds:
        return {}
    return {
        fmt: FormatMeasurements(
            solved=np.array([[study.solved(cell.digest) for cell in cells[fmt, seed]] for seed in seeds], dtype=bool),
            results=[[results[cell.digest] for cell in cells[fmt, seed]] for seed in seeds],
            examples=tuple(cell.examples for cell in cells[fmt, seeds[0]]),
        )
        for fmt in formats
    }


class Estimate(NamedTuple):
    """A mean accuracy and its 95% interval."""

    value: float
    low: float
    high: float

    def text(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def accuracy_of(solved: np.ndarray, draws: int) -> Estimate:
    """The mean of (S, P) solved problems. Its error is at least that of so many problems (`standard_errors`)."""
    middle, means = float(solved.mean()), bootstrap_means(solved, draws)
    error = float(standard_errors(np.array([middle]), means[:, None], solved.shape[1])[0])
    reach = quantile(len(solved), LEVEL) * error
    return Estimate(middle, max(0.0, middle - reach), min(1.0, middle + reach))


def less(one: np.ndarray, other: np.ndarray, draws: int, findings: int = 1, comparisons: int = 1) -> Comparison:
    """The mean of (S, P) solved problems of one format minus that of another, paired by seed and problem."""
    difference = one.astype(float) - other
    means = bootstrap_means(difference, draws)
    return Comparison.of(float(difference.mean()), means, len(one), findings, comparisons)


def best_of(measured: Measured, index: int, draws: int) -> tuple[str, list[str]]:
    """The compressed format with the highest accuracy at the tokens of this index, and those not clearly below it."""
    solved = {fmt: data.solved[:, index] for fmt, data in measured.items() if fmt != "explicit"}
    pairs = len(solved) * (len(solved) - 1) // 2
    best = max(solved, key=lambda fmt: float(solved[fmt].mean()))
    others = {fmt: less(values, solved[best], draws, 1, max(1, pairs)) for fmt, values in solved.items() if fmt != best}
    return best, [fmt for fmt, c in others.items() if c.wide_high >= 0]


def f8(
    measured: Mapping[str, FormatMeasurements], tokens: Sequence[int], findings: int = 1, draws: int = 1000
) -> Finding:
    """The finding. `tokens` is the setting of the experiment, `findings` the number of findings of the study."""
    rule = RULE.format(common=common_rule(findings), fitted=FITTED)
    if not measured:
        return undecided("F8", CLAIM, rule, "No seed is complete: nothing to compare.")
    pairs = _pairs(list(measured))
    compared = {
        fmt: less(measured[fmt].solved[:, -1], measured[other].solved[:, -1], draws, findings, len(pairs))
        for fmt, other in pairs.items()
    }
    seeds = next(iter(measured.values())).seeds
    parts = [f"{fmt} {comparison.text()}" for fmt, comparison in compared.items()]
    random_steps = (
        f"Minus random steps of the same length: {'; '.join(parts)}. " if parts else "No random steps beside. "
    )
    summary = f"{random_steps}{_best(dict(measured), tokens, draws)} {seeds} seeds.{unresolved(compared)}"
    unfitted = [fmt for fmt, data in measured.items() if data.fit(-1) < FITTED]
    if unfitted:
        summary += f" They do not fit their training problems, and may lack updates: {', '.join(unfitted)}."
    rows = [row for index in range(len(tokens)) for row in _rows(dict(measured), tokens, index, draws)]
    verdict = decide(list(compared.values()), seeds)
    return Finding(id="F8", claim=CLAIM, rule=rule, verdict=verdict, summary=summary, rows=rows)


def _pairs(formats: Sequence[str]) -> dict[str, str]:
    """Format that a model decides -> `random-steps` with the same share."""
    methods = [parse_method(fmt) for fmt in formats]
    at = {method.share: str(method) for method in methods if isinstance(method, RandomSteps)}
    scored = [method for method in methods if isinstance(method, ScoredMethod)]
    return {str(method): at[method.share] for method in scored if method.share in at}


def _best(measured: Measured, tokens: Sequence[int], draws: int) -> str:
    """What is best at the most tokens, as sentences."""
    if not set(measured) - {"explicit"}:
        return "There is no compressed format."
    best, equal = best_of(measured, -1, draws)
    text = f"Best at {tokens[-1]:,} tokens: {best} with {accuracy_of(measured[best].solved[:, -1], draws).text()}"
    text += f", not clearly above {', '.join(equal)}." if equal else ", clearly above all others."
    if "explicit" in measured:
        text += f" Uncompressed: {accuracy_of(measured['explicit'].solved[:, -1], draws).text()}."
    return text


def _rows(measured: Measured, tokens: Sequence[int], index: int, draws: int) -> list[dict[str, Any]]:
    """A row for each format, the best first."""
    order = sorted(measured, key=lambda fmt: -float(measured[fmt].solved[:, index].mean()))
    explicit = measured.get("explicit")
    rows = []
    for fmt in order:
        data = measured[fmt]
        row: dict[str, Any] = {
            "tokens": tokens[index],
            "format": fmt,
            "examples": data.examples[index],
            "accuracy": accuracy_of(data.solved[:, index], draws).text(),
            "training accuracy": data.fit(index),
        }
        if explicit is not None:
            is_other = fmt != "explicit"
            row["less explicit's"] = (
                less(data.solved[:, index], explicit.solved[:, index], draws).text() if is_other else "-"
            )
        rows.append(row)
    return rows
