"""Rows of the report's table of cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.methods import is_baseline
from ..evaluation.metrics import Summary
from ..report.data import CellRow
from .cells import SFTCell, SFTCellResult, Step0Cell, Step0Result
from .statistics import binomial_interval

STEP0 = "no training"
"""What stands for the format of a base before any training."""


def sft_rows(stage: str, cell: SFTCell, result: SFTCellResult) -> list[CellRow]:
    """The rows of an SFT cell: for each split, all lengths together and each length. `stage` names the experiment."""
    return [
        CellRow(
            format=cell.format,
            order=cell.order,
            stage=stage,
            examples=cell.examples,
            structures=cell.structures or cell.examples,
            updates=result.step,
            learning_rate=result.learning_rate,
            seed=cell.seed,
            split=split,
            training_tokens=result.distinct_tokens,
            flops=result.flops,
            seconds=result.train_seconds,
            baseline=is_baseline(cell.format) or cell.format == "explicit",
            **measured,
        )
        for split, summary in (("test", result.test), ("train", result.train))
        for measured in _measured(summary)
    ]


def step0_rows(stage: str, cell: Step0Cell, result: Step0Result) -> list[CellRow]:
    """The rows of a base before any training: all lengths together and each length."""
    return [
        CellRow(format=STEP0, stage=stage, examples=0, updates=0, seed=cell.seed, baseline=True, **measured)
        for measured in _measured(result.test)
    ]


def _measured(summary: Summary) -> Iterator[dict[str, Any]]:
    """The fields of rows that hold measurements: of all lengths together and of each length."""
    for n_ops, part in [("all", summary), *summary.by_n_ops.items()]:
        low, high = binomial_interval(part.correct, part.n)
        yield {
            "n_ops": str(n_ops),
            "n": part.n,
            "accuracy": part.accuracy,
            "low": low,
            "high": high,
            "faithful": part.faithful,
            "response_tokens": part.response_tokens,
            "truncated": part.truncated,
            "ops_per_step": part.ops_per_step,
        }
