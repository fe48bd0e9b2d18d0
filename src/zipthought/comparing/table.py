"""From measures to the rows of the table: intervals, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..evaluation.intervals import Estimate, share_of
from ..study.statistics import bootstrap_means, standard_errors
from ..study.verdicts import LEVEL, quantile
from .results import Cell
from .rows import FileRow, Saving

DRAWS = 1000
"""Of the bootstrap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the models have in common that one file has trained: means over seeds."""

    seeds: int
    accuracy: Estimate
    faithful: Estimate
    response_tokens: float
    """Mean tokens of an answer to a test question, right or wrong."""
    truncated: float
    examples: int
    epochs: float
    updates: float
    tokens: float
    left_out: dict[str, int]
    """Records that were not trained on -> their number: overlap, overlap_structure and overlap_near (the question is in
    the test file), held_out (other splits), too_long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row of the table."""

    name: str
    file: str
    sha256: str
    records: int
    mean_tokens: float
    shared: int
    saved: float | None
    saved_p10: float | None
    saved_p90: float | None
    right: float
    verified: float
    readable: float
    unjudged: int
    trained: Trained | None
    front: bool = False
    """Whether no other row is at least as good in both measures of the front and better in one."""

    @property
    def point(self) -> tuple[float, float] | None:
        """(what should be high, tokens): accuracy and tokens of an answer of the trained model; without training, the
        verified share and the tokens over those of the reference. None where the row shares no question with it."""
        if self.trained:
            return self.trained.accuracy.value, self.trained.response_tokens
        return None if self.saved is None else (self.verified, 1 - self.saved)

    def plain(self) -> dict[str, Any]:
        """As JSON values; an estimate is {"value", "low", "high"}."""
        values = asdict(self)
        if self.trained:
            for name in ("accuracy", "faithful"):
                values["trained"][name] = getattr(self.trained, name)._asdict()
        return values


def accuracy_of(answers: Sequence[str]) -> Estimate:
    """The share of right answers with a 95% interval, from one string of 0 and 1 for each seed, a digit a question.

    With several seeds: the mean plus or minus t(seeds - 1) standard errors of a bootstrap over seeds, then questions
    (docs/statistics.md), cut to 0..1. With one seed: Wilson's interval over questions, which leaves the noise between
    seeds out.
    """
    values = np.array([[digit == "1" for digit in row] for row in answers], float)
    if len(values) == 1:
        return share_of(values[0].tolist())
    mean = float(values.mean())
    draws = bootstrap_means(values, DRAWS)
    error = float(standard_errors(np.array([mean]), draws[:, None], values.shape[1])[0])
    half = quantile(len(values), LEVEL) * error
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half))


def trained_of(cells: Sequence[Cell]) -> Trained:
    """The summary of the runs of one file."""
    first = cells[0]

    def mean(name: str) -> float:
        return float(np.mean([cell[name] for cell in cells]))

    left_out = {**first["left_out"], "held_out": first["held_out"], "too_long": first["too_long"]}
    return Trained(
        seeds=len(cells),
        accuracy=accuracy_of([cell["correct"] for cell in cells]),
        faithful=accuracy_of([cell["faithful"] for cell in cells]),
        response_tokens=mean("response_tokens"),
        truncated=mean("truncated"),
        examples=first["examples"],
        epochs=mean("epochs"),
        updates=mean("updates"),
        tokens=mean("tokens"),
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def table_of(
    rows: Sequence[tuple[FileRow, Saving]], cells: Mapping[str, Sequence[Cell]] | None = None
) -> list[TableRow]:
    """The rows of the table in their order. `cells` are the runs by the name of their row."""
    table = [
        TableRow(
            name=row.name,
            file=row.file,
            sha256=row.sha256,
            records=row.records,
            mean_tokens=row.mean_tokens,
            shared=saved.shared,
            saved=saved.saved,
            saved_p10=saved.p10,
            saved_p90=saved.p90,
            right=row.right,
            verified=row.verified,
            readable=row.readable,
            unjudged=row.unjudged,
            trained=trained_of(cells[row.name]) if cells else None,
        )
        for row, saved in rows
    ]
    front = pareto_front([row.point for row in table])
    return [replace(row, front=is_front) for row, is_front in zip(table, front, strict=True)]


def pareto_front(points: Sequence[tuple[float, float] | None]) -> list[bool]:
    """Whether each (high is good, low is good) point is on the Pareto front: no other one is at least as good in both
    and better in one. A missing point is not."""
    known = [point for point in points if point is not None]
    return [
        point is not None
        and not any(high >= point[0] and low <= point[1] and (high > point[0] or low < point[1]) for high, low in known)
        for point in points
    ]


__all__ = ["TableRow", "Trained", "accuracy_of", "pareto_front", "table_of", "trained_of"]
