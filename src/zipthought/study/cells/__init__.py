"""Cells: the units of work of a study. A kind of cell is a subclass of `Cell` and its registration in `CELLS`."""

from __future__ import annotations

from .base import CELLS, TUNING_SEED, Cell, OnStep, Result, Work, make_cell
from .decomposition import (
    BASE_STATE,
    BRANCHES,
    PRICED,
    PRICED_BRANCHES,
    RLVR_BASE,
    RLVR_PRICED,
    SFT_STATE,
    DecompositionCell,
    DecompositionResult,
    DecompositionSettings,
)
from .sft import SFTCell, SFTCellResult
from .step0 import Step0Cell, Step0Result

for _kind in (SFTCell, DecompositionCell, Step0Cell):
    CELLS.register(_kind)

__all__ = [
    "BASE_STATE",
    "BRANCHES",
    "CELLS",
    "PRICED",
    "PRICED_BRANCHES",
    "RLVR_BASE",
    "RLVR_PRICED",
    "SFT_STATE",
    "TUNING_SEED",
    "Cell",
    "DecompositionCell",
    "DecompositionResult",
    "DecompositionSettings",
    "OnStep",
    "Result",
    "SFTCell",
    "SFTCellResult",
    "Step0Cell",
    "Step0Result",
    "Work",
    "make_cell",
]
