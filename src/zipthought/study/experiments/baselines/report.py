"""The baselines experiment's section of the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....report.data import Section
from ...cells import SFTCellResult
from ...explorer import sft_problems
from ...rows import sft_rows
from ...snapshot import Snapshot
from . import Baselines
from .findings import Measured, accuracy_of

STAGE = "baselines"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRow:
    """One format at one number of training tokens, over the complete seeds."""

    format: str
    """As in `CellRow`."""
    tokens: int
    """Tokens of the distinct examples, as the study sets them."""
    example_tokens: int
    """Those that they have, the mean of the seeds."""
    training_tokens: int
    """Tokens of all updates, the mean of the seeds."""
    examples: int
    """Distinct training examples."""
    seeds: int
    """Complete seeds."""
    accuracy: float
    """The mean share of correct answers on held-out problems, 0..1."""
    low: float
    """The lower end of its 95% interval."""
    high: float
    """The upper end."""
    training: float
    """The mean of the highest accuracies on its own training problems."""
    faithful: float | None
    """The share of held-out completions with a correct answer and only valid steps."""
    response_tokens: float | None
    """The mean tokens of a held-out completion."""


def section_of(study: Snapshot, baselines: Baselines, measured: Measured) -> Section:
    """The section of a study."""
    cells, results = baselines.finished(study), study.results(SFTCellResult)
    first = baselines.seeds_of(study.spec)[0]
    return Section(
        experiment=Baselines.NAME,
        cells=[
            *baselines.step0_rows(study, STAGE),
            *(row for cell in cells for row in sft_rows(STAGE, cell, results[cell.digest])),
        ],
        tables={"baselines": rows(measured, baselines.tokens, study.spec.bootstrap)},
        shown={"Formats at equal training tokens": "baselines"},
        problems=sft_problems(study, baselines.NAME, cells, first),
    )


def rows(measured: Measured, tokens: tuple[int, ...], draws: int) -> list[BaselineRow]:
    """The rows of the table, format by format."""
    found = []
    for fmt, data in measured.items():
        for index, number in enumerate(tokens):
            results = [of_seed[index] for of_seed in data.results]
            estimate = accuracy_of(data.solved[:, index], draws)
            found.append(
                BaselineRow(
                    format=fmt,
                    tokens=number,
                    example_tokens=round(np.mean([result.distinct_tokens for result in results])),
                    training_tokens=round(np.mean([result.points[-1].tokens for result in results])),
                    examples=data.examples[index],
                    seeds=data.seeds,
                    accuracy=estimate.value,
                    low=estimate.low,
                    high=estimate.high,
                    training=data.fit(index),
                    faithful=_mean([result.test.faithful for result in results]),
                    response_tokens=_mean([result.test.response_tokens for result in results]),
                )
            )
    return found


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
