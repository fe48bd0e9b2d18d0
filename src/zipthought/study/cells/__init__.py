"""Cells: the units of work of a study. A kind of cell is a subclass of `Cell` and its registration in `CELLS`."""

from __future__ import annotations

from .base import CELLS, TUNING_SEED, Cell, OnStep, Result, Work, make_cell
from .decomposition import (
    BASE_STATE,
    BRANCHES,
    RLVR_BASE,
    SFT_STATE,
    DecompositionCell,
    DecompositionResult,
    DecompositionSettings,
)
from .sft import SFTCell, SFTCellResult

for _kind in (SFTCell, DecompositionCell):
    CELLS.register(_kind)

__all__ = [
    "BASE_STATE",
    "BRANCHES",
    "CELLS",
    "RLVR_BASE",
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
    "Work",
    "make_cell",
]
