"""The local scheduler: worker processes that claim cells from the store until none is left.

Workers share nothing but the store. So any of them may be killed at any moment, and the next run continues where they
stopped, in the middle of a cell too. Each worker computes with a fixed number of threads, and sees one GPU at most, or
as many as its cells have processes: where there are several, workers get them in turn.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from .. import __version__
from .cells import Cell
from .database import StoreError
from .devices import default_workers, devices_of, only, visible_devices
from .execute import FAILURES, execute
from .execution import CellExecution
from .failures import MAX_EQUAL_FAILURES, Failure, FailureWatch, Reason, RepeatedFailureError
from .store import MAX_ATTEMPTS, Store, worker_name
from .workspace import CHECKPOINT_SECONDS, Workspace

STORE_UNUSABLE = 3
"""The exit code of a worker that could not read or write the store."""
_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "altair")


def environment() -> dict[str, Any]:
    """The machine and the versions of the packages on it."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "zipthought": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": "none" if versions["torch"].endswith("+cpu") else _gpus(),  # To import torch takes seconds.
        **versions,
    }


def _gpus() -> str:
    """The names of the GPUs that cells can use, or none."""
    import torch

    names = Counter(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return ", ".join(f"{count} x {name}" if count > 1 else name for name, count in names.items()) or "none"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or "unknown"


def _work(
    directory: str, threads: int, execution: CellExecution, checkpoint_seconds: float, max_equal_failures: int
) -> None:
    """A worker process: claim, run and store cells until none is ready, or until too many have failed alike."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent stops the workers.
    store, worker = Store(Path(directory)), worker_name()
    parent, watch = multiprocessing.parent_process(), FailureWatch(max_equal_failures)
    try:
        while parent is not None and parent.is_alive() and (cell := store.claim(worker)):
            workspace = replace(store.workspace(cell), execution=execution, checkpoint_seconds=checkpoint_seconds)
            _run_cell(store, worker, cell, threads, workspace)
            watch.check(store.failures())
    except RepeatedFailureError:
        return  # The parent sees it, too, and says so.
    except (StoreError, OSError) as error:
        print(f"zipthought study run: a worker stopped: {error}", file=sys.stderr)
        sys.exit(STORE_UNUSABLE)


def _run_cell(store: Store, worker: str, cell: Cell, threads: int, workspace: Workspace) -> None:
    digest, began = cell.digest, time.perf_counter()
    with store.beating(worker, lambda: [digest]):
        try:
            result = execute(cell, workspace, threads)
        except StoreError:
            raise
        except FAILURES as error:
            store.fail(digest, worker, Reason.of(error))
        else:
            if store.finish(digest, worker, result, time.perf_counter() - began):
                workspace.clear_scratch(digest)


def run(
    store: Store,
    *,
    workers: int = 0,
    threads: int = 1,
    execution: CellExecution = CellExecution(),  # noqa: B008
    max_equal_failures: int = MAX_EQUAL_FAILURES,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_progress: Callable[[dict[str, int]], None] | None = None,
    on_failure: Callable[[Failure], None] | None = None,
    poll_seconds: float = 0.3,
) -> dict[str, int]:
    """Run all cells that are not done; returns status -> count.

    `workers` 0 means one for each of several GPUs (or for as many as a cell has processes), else one for each core.
    `on_progress` receives the counts, `on_failure` the first failure of each kind at once. `execution` and
    `checkpoint_seconds` are those of `Workspace`. A `KeyboardInterrupt` stops the workers and is raised again; their
    unfinished cells are pending at the next run. A worker that dies is replaced while cells are left.

    Raises `RepeatedFailureError` when `max_equal_failures` cells (0: any number) have failed in the same way,
    `StoreError` if workers cannot use the store, and `RuntimeError` if they keep dying without a cell.
    """
    watch = FailureWatch(max_equal_failures, on_failure)
    pool = _Pool(store, workers, (str(store.directory), threads, execution, checkpoint_seconds, max_equal_failures))
    store.begin()
    try:
        while True:
            counts = store.counts()
            if on_progress:
                on_progress(counts)
            watch.check(store.failures())
            ready, running = store.ready(), counts.get("running", 0)
            pool.drop_ended()
            if not ready and not running:
                break
            pool.fill(ready)
            if running > len(pool.processes) or not pool.processes:
                store.release_dead()
            time.sleep(poll_seconds)
        for process in pool.processes:
            process.join()
    except (KeyboardInterrupt, RepeatedFailureError):
        pool.terminate()
        store.release(worker_name(process.pid) for process in pool.processes)
        raise
    finally:
        pool.terminate()
        store.release_dead()
    return store.counts()


class _Pool:
    """The worker processes of a run, each with a number. A worker that replaces another has its number and its GPU."""

    def __init__(self, store: Store, workers: int, arguments: tuple[str, int, CellExecution, float, int]) -> None:
        if workers < 0:
            raise ValueError(f"workers must be at least 0 (one for every GPU or core), got {workers}")
        self._store, self._visible, self._arguments = store, visible_devices(), arguments
        self._each = arguments[2].processes
        self._size = workers or default_workers(self._visible, self._each)
        self._left = self._size + MAX_ATTEMPTS * sum(store.counts().values())
        self._context = multiprocessing.get_context("spawn")
        self._numbered: dict[int, SpawnProcess] = {}

    @property
    def processes(self) -> list[SpawnProcess]:
        """Those that were started and, at the last look, had not ended."""
        return list(self._numbered.values())

    def fill(self, ready: int) -> None:
        """Start workers for `ready` cells, if there is room for them. Raises `RuntimeError` after too many of them."""
        for number in [number for number in range(self._size) if number not in self._numbered][:ready]:
            process = self._context.Process(target=_work, args=self._arguments, daemon=True)
            with only(devices_of(number, self._visible, self._each)):
                process.start()
            self._numbered[number] = process
            self._left -= 1
            if self._left < 0:
                raise RuntimeError("workers end before they claim a cell; run with --workers 1 to see the error")

    def drop_ended(self) -> None:
        """Forget workers that have ended. Raises `StoreError` if one of them could not use the store."""
        if any(process.exitcode == STORE_UNUSABLE for process in self.processes):
            raise StoreError(
                f"the workers cannot use the store of {self._store.directory}; see above. Finished cells are kept: run "
                "the command again"
            )
        self._numbered = {number: process for number, process in self._numbered.items() if process.is_alive()}

    def terminate(self) -> None:
        """Stop all workers."""
        for process in self.processes:
            process.terminate()
            process.join()


def command_line() -> str:
    """The command of this process, for the report."""
    return shlex.join(["zipthought", *sys.argv[1:]])
