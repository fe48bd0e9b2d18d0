"""The local scheduler: worker processes that claim cells from the store until none is left.

Workers share nothing but the store. So any of them may be killed at any moment, and the next run continues where they
stopped. Each worker computes with a fixed number of threads.
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
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from .. import __version__
from .cells import Cell
from .database import StoreError
from .execute import FAILURES, execute
from .store import MAX_ATTEMPTS, Store, worker_name

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


def _work(directory: str, threads: int) -> None:
    """A worker process: claim, run and store cells until none is ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent stops the workers.
    store, worker = Store(Path(directory)), worker_name()
    parent = multiprocessing.parent_process()
    try:
        while parent is not None and parent.is_alive() and (cell := store.claim(worker)):
            _run_cell(store, worker, cell, threads)
    except (StoreError, OSError) as error:
        print(f"zipthought study run: a worker stopped: {error}", file=sys.stderr)
        sys.exit(STORE_UNUSABLE)


def _run_cell(store: Store, worker: str, cell: Cell, threads: int) -> None:
    digest, began = cell.digest, time.perf_counter()
    with store.beating(worker, lambda: [digest]):
        try:
            result = execute(cell, store.workspace(cell), threads)
        except StoreError:
            raise
        except FAILURES as error:
            store.fail(digest, worker, f"{type(error).__name__}: {error}")
        else:
            store.finish(digest, worker, result, time.perf_counter() - began)


def run(
    store: Store,
    *,
    workers: int = 0,
    threads: int = 1,
    on_progress: Callable[[dict[str, int]], None] | None = None,
    poll_seconds: float = 0.3,
) -> dict[str, int]:
    """Run all cells that are not done; returns status -> count.

    `workers` 0 means one for each core. `on_progress` receives the counts. A `KeyboardInterrupt` stops the workers and
    is raised again; their unfinished cells are pending at the next run. A worker that dies is replaced while cells are
    left. Raises `StoreError` if workers cannot use the store, and `RuntimeError` if they keep dying without a cell.
    """
    if workers < 0:
        raise ValueError(f"workers must be at least 0 (one for every core), got {workers}")
    workers = workers or os.cpu_count() or 1
    started, most = 0, workers + MAX_ATTEMPTS * sum(store.counts().values())
    context = multiprocessing.get_context("spawn")
    store.release_dead()
    store.retry_failed()
    pool: list[SpawnProcess] = []
    stopped: list[SpawnProcess] = []
    try:
        while True:
            counts = store.counts()
            if on_progress:
                on_progress(counts)
            ready, running = store.ready(), counts.get("running", 0)
            if any(process.exitcode == STORE_UNUSABLE for process in pool):
                raise StoreError(
                    f"the workers cannot use the store of {store.directory}; see above. Finished cells are kept: run "
                    "the command again"
                )
            pool = [process for process in pool if process.is_alive()]
            if not ready and not running:
                break
            for _ in range(min(workers - len(pool), ready)):
                process = context.Process(target=_work, args=(str(store.directory), threads), daemon=True)
                process.start()
                pool.append(process)
                started += 1
                if started > most:
                    raise RuntimeError("workers end before they claim a cell; run with --workers 1 to see the error")
            if running > len(pool) or not pool:
                store.release_dead()
            time.sleep(poll_seconds)
        for process in pool:
            process.join()
    except KeyboardInterrupt:
        stopped = pool
        raise
    finally:
        for process in pool:
            process.terminate()
            process.join()
        store.release(worker_name(process.pid) for process in stopped)
        store.release_dead()
    return store.counts()


def command_line() -> str:
    """The command of this process, for the report."""
    return shlex.join(["zipthought", *sys.argv[1:]])
