"""Running a cell: the one function that all schedulers call."""

from __future__ import annotations

import os

from ..core.registry import PluginError
from .cells import Cell, Result
from .workspace import Workspace

FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError),
    *(ValueError, PluginError),
)
"""Exceptions that fail a cell. The scheduler tries such a cell again, then reports the exception."""


def execute(cell: Cell, workspace: Workspace, threads: int) -> Result:
    """Run a cell with this many threads. Its files are in the workspace afterwards."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    return cell.run(workspace)
