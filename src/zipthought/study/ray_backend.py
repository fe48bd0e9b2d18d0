"""The scheduler for a Ray cluster: the driver owns the store, and tasks run cells on any node with free resources.

A task receives a cell, the results that it needs and the weights that it starts from. It returns its result and its
files. So nodes share nothing with the driver but the package. If a task dies with its node or its worker, its cell is
put back and claimed again. Where a node sees the study's directory (one machine, a shared file system), the scratch
directory of the cell is there: its progress is shown, and it goes on from its checkpoint. Nodes need the environment
variable ``ZIPTHOUGHT_PLUGINS`` of the driver if the study has experiments or cells of other packages.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..train.config import Execution
from .cells import Cell, Result, make_cell
from .execute import FAILURES, execute
from .failures import DIED, MAX_EQUAL_FAILURES, Failure, FailureWatch, Reason
from .store import Store, worker_name
from .workspace import CHECKPOINT_SECONDS, Workspace

POLL_SECONDS = 0.5
WAIT_SECONDS = 300.0
"""The longest time without a running cell and without room for one on any node."""


def run_packed(
    settings: str,
    results: Mapping[str, Result],
    archive: bytes,
    threads: int,
    study: str = "",
    execution: Execution = Execution(),  # noqa: B008
) -> tuple[Result | None, bytes, float, Reason | None]:
    """Run a cell in a temporary directory. Returns its result, its packed files, the seconds, and the reason of a
    failure. `study` is the directory of the study on the driver's machine; empty: this machine does not see it."""
    cell = make_cell(json.loads(settings))
    began = time.perf_counter()
    shared = Path(study) if study and (Path(study) / "study.db").is_file() else None
    with tempfile.TemporaryDirectory(prefix="zipthought-") as root:
        # A checkpoint in the temporary directory would end with it.
        seconds = CHECKPOINT_SECONDS if shared else math.inf
        workspace = Workspace(Path(root), results, seconds, execution, shared)
        workspace.unpack(archive)
        try:
            result = execute(cell, workspace, threads)
        except FAILURES as error:
            return None, b"", 0.0, Reason.of(error)
        return result, workspace.pack(workspace.files(cell.digest)), time.perf_counter() - began, None


def run(
    store: Store,
    *,
    address: str = "",
    threads: int = 1,
    gpus: float = 0.0,
    execution: Execution = Execution(),  # noqa: B008
    max_equal_failures: int = MAX_EQUAL_FAILURES,
    on_progress: Callable[[dict[str, int]], None] | None = None,
    on_failure: Callable[[Failure], None] | None = None,
) -> dict[str, int]:
    """Run all cells that are not done on a Ray cluster; returns status -> count.

    `address` is that of a running cluster (`auto`: the one of this machine); empty starts one here that ends with the
    run. Each cell gets `threads` cores and `gpus` GPUs. A `KeyboardInterrupt` stops the tasks and is raised again;
    their unfinished cells are pending at the next run. The other arguments are those of `runner.run`. Raises
    `RepeatedFailureError` as that does, and `ValueError` if no node has had room for a cell for `WAIT_SECONDS`.
    """
    import ray

    watch = FailureWatch(max_equal_failures, on_failure)
    ray.init(address=address or None, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(run_packed)
    worker = worker_name()
    running: dict[Any, Cell] = {}
    store.begin()
    study = str(store.directory.resolve())
    with store.beating(worker, lambda: [cell.digest for cell in list(running.values())]):
        try:
            last_running = time.monotonic()
            while True:
                if on_progress:
                    on_progress(store.counts())
                watch.check(store.failures())
                while len(running) < _slots(ray, threads, gpus) and (cell := store.claim(worker)):
                    try:
                        running[task.remote(*_arguments(store, cell), threads, study, execution)] = cell
                    except FAILURES as error:
                        store.fail(cell.digest, worker, Reason.of(error))
                if not running:
                    if not store.ready():
                        break
                    if time.monotonic() > last_running + WAIT_SECONDS:
                        raise ValueError(
                            f"no node of the cluster has room for {threads} cores and {gpus:g} GPUs; lower --threads "
                            "and --gpus, or add nodes"
                        )
                    time.sleep(POLL_SECONDS)  # No node has room at the moment.
                    continue
                last_running = time.monotonic()
                done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
                for reference in done:
                    _record(ray, reference, store, running.pop(reference), worker)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            ray.shutdown()
            store.release([worker])
    return store.counts()


def _arguments(store: Store, cell: Cell) -> tuple[str, Mapping[str, Result], bytes]:
    """The arguments of `run_packed` for a cell: its settings, the results that it needs, and the packed weights."""
    workspace = store.workspace(cell)
    weights = [path for n in cell.needs() if n.keeps_weights for path in workspace.files(n.digest)]
    return json.dumps(cell.plain()), workspace.results, workspace.pack(p for p in weights if p.suffix != ".parquet")


def _record(ray: Any, reference: Any, store: Store, cell: Cell, worker: str) -> None:
    """Store the result of a finished task, or its failure."""
    try:
        result, archive, seconds, reason = ray.get(reference)
    except ray.exceptions.RayError as error:
        result, archive, seconds = None, b"", 0.0
        reason = Reason(f"{DIED}: {type(error).__name__}", final=False)
    if result is None:
        store.fail(cell.digest, worker, reason)
    else:
        workspace = store.workspace()
        workspace.unpack(archive)
        if store.finish(cell.digest, worker, result, seconds):
            workspace.clear_scratch(cell.digest)


def _slots(ray: Any, threads: int, gpus: float) -> int:
    """The number of cells that the living nodes can run at once."""
    resources = ray.cluster_resources()
    slots = resources.get("CPU", 0) // threads
    return int(min(slots, resources.get("GPU", 0) // gpus) if gpus else slots)
