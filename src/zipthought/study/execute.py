"""Running a cell: the one function that all schedulers call."""

from __future__ import annotations

import os

from ..core.registry import PluginError
from .cells import Cell, Result
from .progress import Reporter
from .workspace import Workspace

FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError),
    *(ValueError, PluginError),
)
"""Exceptions that fail a cell. The scheduler reports the exception, and tries the cell again where that may help
(`failures.Reason`)."""


def execute(cell: Cell, workspace: Workspace, threads: int) -> Result:
    """Run a cell with this many threads, from its checkpoint if it has one. Its files are in the workspace afterwards.

    The caller removes its scratch directory when the result is stored.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    return cell.run(workspace, Reporter(workspace.scratch(cell.digest)))
