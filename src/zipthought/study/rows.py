"""Rows of the report's table of cells."""

from __future__ import annotations

from ..core.methods import is_baseline
from ..report.data import CellRow
from .cells import SFTCell, SFTCellResult
from .statistics import binomial_interval


def sft_rows(stage: str, cell: SFTCell, result: SFTCellResult) -> list[CellRow]:
    """The rows of an SFT cell: for each split, all lengths together and each length. `stage` names the experiment."""
    rows = []
    for split, summary in (("test", result.test), ("train", result.train)):
        for n_ops, part in [("all", summary), *summary.by_n_ops.items()]:
            low, high = binomial_interval(part.correct, part.n)
            rows.append(
                CellRow(
                    format=cell.format,
                    order=cell.order,
                    stage=stage,
                    examples=cell.examples,
                    updates=result.step,
                    learning_rate=result.learning_rate,
                    seed=cell.seed,
                    n_ops=str(n_ops),
                    split=split,
                    n=part.n,
                    accuracy=part.accuracy,
                    low=low,
                    high=high,
                    faithful=part.faithful,
                    response_tokens=part.response_tokens,
                    truncated=part.truncated,
                    ops_per_step=part.ops_per_step,
                    training_tokens=result.distinct_tokens,
                    flops=result.flops,
                    seconds=result.train_seconds,
                    baseline=is_baseline(cell.format) or cell.format == "explicit",
                )
            )
    return rows
