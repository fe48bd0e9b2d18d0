"""The scheduler for a Ray cluster: the driver owns the store, tasks run cells wherever there is room.

A task is given a cell, the results that it needs and the weights that it starts from, and sends back its result and its
files, so that nodes share nothing with the driver but the package. A task that dies with its node or its worker is put
back and claimed again.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .cells import Cell, make_cell, plain
from .execute import FAILURES, execute
from .store import Store, worker_name
from .workspace import Workspace

POLL_SECONDS = 0.5
WAIT_SECONDS = 300.0
"""How long no node may have room for a cell, while none runs."""


def run_packed(
    settings: str, results: Mapping[str, dict[str, Any]], archive: bytes, threads: int
) -> tuple[dict[str, Any] | None, bytes, float, str]:
    """Run a cell in a directory of its own: (result, its files packed, seconds, why it failed)."""
    cell = make_cell(json.loads(settings))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="zipthought-") as root:
        workspace = Workspace(Path(root), results)
        workspace.unpack(archive)
        try:
            result = execute(cell, workspace, threads)
        except FAILURES as error:
            return None, b"", 0.0, f"{type(error).__name__}: {error}"
        return result, workspace.pack(workspace.files(cell.digest)), time.perf_counter() - began, ""


def run(
    store: Store,
    *,
    address: str = "",
    threads: int = 1,
    gpus: float = 0.0,
    on_progress: Callable[[dict[str, int]], None] | None = None,
) -> dict[str, int]:
    """Run all cells that are not done on a Ray cluster; returns status -> count.

    `address` is that of a running cluster (`auto`: the one of this machine); empty starts one here that ends with the
    run. Each cell is given `threads` cores and `gpus` GPUs. A `KeyboardInterrupt` stops the tasks and is raised again;
    what they had not finished is pending at the next run. Raises `ValueError` where for `WAIT_SECONDS` no node has had
    room for a cell.
    """
    import ray

    ray.init(address=address or None, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(run_packed)
    worker = worker_name()
    running: dict[Any, Cell] = {}
    store.release_dead()
    store.retry_failed()
    with store.beating(worker, lambda: [cell.digest for cell in list(running.values())]):
        try:
            worked = time.monotonic()
            while True:
                if on_progress:
                    on_progress(store.counts())
                while len(running) < _slots(ray, threads, gpus) and (cell := store.claim(worker)):
                    workspace = store.workspace(cell)
                    weights = [path for n in cell.needs() if n.keeps_weights for path in workspace.files(n.digest)]
                    packed = workspace.pack(path for path in weights if path.suffix != ".parquet")
                    running[task.remote(json.dumps(plain(cell)), workspace.results, packed, threads)] = cell
                if not running:
                    if not store.ready():
                        break
                    if time.monotonic() > worked + WAIT_SECONDS:
                        raise ValueError(
                            f"no node of the cluster has room for {threads} cores and {gpus:g} GPUs; lower --threads "
                            "and --gpus, or add nodes"
                        )
                    time.sleep(POLL_SECONDS)  # No node has room at the moment.
                    continue
                worked = time.monotonic()
                done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
                for reference in done:
                    cell = running.pop(reference)
                    try:
                        result, archive, seconds, why = ray.get(reference)
                    except ray.exceptions.RayError as error:
                        result, archive, seconds, why = None, b"", 0.0, f"its worker died: {type(error).__name__}"
                    if result is None:
                        store.fail(cell.digest, worker, why)
                    else:
                        store.workspace().unpack(archive)
                        store.finish(cell.digest, worker, result, seconds)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            store.release([worker])
            ray.shutdown()
    return store.counts()


def _slots(ray: Any, threads: int, gpus: float) -> int:
    """How many cells the nodes that are alive can run at once."""
    resources = ray.cluster_resources()
    slots = resources.get("CPU", 0) // threads
    return int(min(slots, resources.get("GPU", 0) // gpus) if gpus else slots)
