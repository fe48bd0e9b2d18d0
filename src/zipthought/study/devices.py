"""Which GPU each worker process of this machine uses.

CUDA reads `CUDA_VISIBLE_DEVICES` once, when a process first uses it. So the scheduler sets the variable before the
process starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .execution import CellExecution

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that lists the GPUs of a process."""


def visible_devices() -> tuple[str, ...]:
    """The GPUs that this process may use, by the names that `CUDA_VISIBLE_DEVICES` gives them: indices or UUIDs.

    They are those that the variable lists already, else all of the machine. Names of GPUs that do not exist are left
    out, as CUDA does. Torch counts them, and is imported only if it can use GPUs at all.
    """
    listed = listed_devices(os.environ.get(VISIBLE))
    count = 0 if listed == () else _count()
    if listed is None:
        return tuple(str(index) for index in range(count))
    if count and any(name.startswith("MIG-") for name in listed):
        return listed  # A process may see one part of a GPU at a time, so the count says nothing.
    return listed[:count]


def listed_devices(value: str | None) -> tuple[str, ...] | None:
    """The names in a value of `CUDA_VISIBLE_DEVICES`; None if it is not set. As in CUDA, the list ends at the first
    entry that is empty or negative."""
    if value is None:
        return None
    names = []
    for name in (entry.strip() for entry in value.split(",")):
        if not name or re.fullmatch(r"-\d+", name):
            break
        names.append(name)
    return tuple(names)


def workers_of(execution: CellExecution) -> int:
    """The number of workers of a run of cells on this machine, where none is given."""
    return default_workers(visible_devices(), execution.processes)


def devices_of(worker: int, visible: Sequence[str], each: int = 1) -> str | None:
    """The value of `CUDA_VISIBLE_DEVICES` for the worker of this number, counted from 0: `each` of the visible GPUs, in
    turn. None without a GPU: the variable stays as it is.

    Raises `ValueError` if there are fewer GPUs than a worker needs.
    """
    if not visible:
        return None
    groups = [visible[low : low + each] for low in range(0, len(visible) - each + 1, each)]
    if not groups:
        raise ValueError(f"a cell of {each} processes needs {each} GPUs, and {len(visible)} can be used here")
    return ",".join(groups[worker % len(groups)])


def default_workers(visible: Sequence[str], each: int = 1) -> int:
    """The number of workers where none is given: one for each of several GPUs, or for `each` of them, else one for each
    core."""
    return max(1, len(visible) // each) if len(visible) > 1 else max(1, (os.cpu_count() or 1) // each)


@contextmanager
def only(devices: str | None) -> Iterator[None]:
    """Processes that start inside the block see these devices only. None changes nothing."""
    if devices is None:
        yield
        return
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = devices
    try:
        yield
    finally:
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before


def _count() -> int:
    """The number of GPUs that torch could use here."""
    try:
        if version("torch").endswith("+cpu"):
            return 0  # To import torch takes seconds.
    except PackageNotFoundError:
        return 0
    import torch

    return torch.cuda.device_count()
