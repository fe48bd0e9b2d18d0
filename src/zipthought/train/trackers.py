"""Experiment trackers: they receive the metrics of each step, and the settings of the run.

    zipthought train sft --data composed-2.jsonl --output-dir out --report-to tensorboard

Both engines use this module, so a metric has the name that it has in ``metrics.jsonl``. A resumed run continues in the
same TensorBoard files, and is a new run of wandb and trackio, whose steps go on. torch is imported when a run reports
to TensorBoard.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

Log = Callable[[Mapping[str, Any]], None]
"""Receives a row of ``metrics.jsonl``."""
PROJECT = "zipthought"
"""The project of wandb and trackio that receives the runs."""


def require_trackers(names: Sequence[str]) -> None:
    """Raises `ValueError` for a tracker that is unknown or not installed."""
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"unknown tracker {name!r}; use {', '.join(TRACKERS)}")
        try:
            import_module(name)
        except ImportError as error:
            raise ValueError(f"the tracker {name!r} is not installed; install the package {name}") from error


@contextmanager
def tracking(names: Sequence[str], directory: Path, run: str, settings: Mapping[str, Any]) -> Iterator[Log]:
    """While the block runs, the function that it gets sends a row to each of the trackers. They are closed at its end.

    `directory` receives the files of TensorBoard, in the folder `tensorboard`. `run` is the name of the run, and
    `settings` are plain values. Raises `ValueError` as `require_trackers` does, and for a tracker that cannot start.
    """
    require_trackers(names)
    with ExitStack() as stack:
        logs = [stack.enter_context(TRACKERS[name](name, directory, run, settings)) for name in dict.fromkeys(names)]

        def log(row: Mapping[str, Any]) -> None:
            for each in logs:
                each(row)

        yield log


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row, without its step."""
    return {name: value for name, value in row.items() if name != "step" and type(value) in (int, float)}


@contextmanager
def _run(name: str, directory: Path, run: str, settings: Mapping[str, Any]) -> Iterator[Log]:
    """A run of wandb, or of trackio, which has the same functions. What they print goes to standard error."""
    module = import_module(name)
    try:
        with redirect_stdout(sys.stderr):
            module.init(project=PROJECT, name=run, config=dict(settings))
    except (getattr(module, "Error", OSError), OSError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"the tracker {name!r} cannot start: {reason or type(error).__name__}") from error
    try:
        yield lambda row: module.log(numbers(row), step=row["step"])
    finally:
        with redirect_stdout(sys.stderr):
            module.finish()


@contextmanager
def _tensorboard(name: str, directory: Path, run: str, settings: Mapping[str, Any]) -> Iterator[Log]:
    """The files of TensorBoard, from the first row on. Rows that a resumed run repeats take the place of earlier
    ones."""
    writers: list[Any] = []

    def log(row: Mapping[str, Any]) -> None:
        if not writers:
            from torch.utils.tensorboard import SummaryWriter

            writers.append(SummaryWriter(str(directory / "tensorboard"), purge_step=row["step"]))
        for metric, value in numbers(row).items():
            writers[0].add_scalar(metric, value, row["step"])

    try:
        yield log
    finally:
        for writer in writers:
            writer.close()


TRACKERS = {"tensorboard": _tensorboard, "trackio": _run, "wandb": _run}


__all__ = ["TRACKERS", "Log", "require_trackers", "tracking"]
