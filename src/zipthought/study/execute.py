"""Running a cell, wherever: the one function that schedulers call."""

from __future__ import annotations

import os
from typing import Any

from .cells import Cell, SFTCell
from .workspace import Workspace

FAILURES = (ValueError, OSError, RuntimeError)
"""What a cell may raise without being a fault of the program: it is tried again, and then reported."""


def execute(cell: Cell, workspace: Workspace, threads: int) -> dict[str, Any]:
    """The cell's result, computed with that many threads; its files are in the workspace then."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    if isinstance(cell, SFTCell):
        from .sft import run_sft

        return run_sft(cell, workspace)
    from .decomposition import run_part

    return run_part(cell, workspace)
