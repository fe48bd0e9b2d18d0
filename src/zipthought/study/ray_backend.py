"""The scheduler for a Ray cluster: the driver owns the store, and tasks run cells on any node with free resources.

A task receives a cell, the results that it needs and the weights that it starts from. It returns its result and its
files (`node`). Nodes need nothing but the package. If a task dies with its node or its worker, its cell is put back and
claimed again. Where a node sees the study's directory (one machine, a shared file system), the scratch directory of the
cell is there: its progress is shown, and it goes on from its checkpoint. Weights then go by path. For other nodes, the
driver puts the weights of a cell into Ray's object store once, and all cells that start from them share this object.
Nodes need the environment variable ``ZIPTHOUGHT_PLUGINS`` of the driver if the study has experiments or cells of other
packages.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .cells import Cell
from .execute import FAILURES
from .execution import CellExecution
from .failures import DIED, MAX_EQUAL_FAILURES, Failure, FailureWatch, Reason
from .node import Job, Outcome, collect, mark, run_job
from .store import Store, worker_name
from .workspace import CHECKPOINT_SECONDS, Workspace

POLL_SECONDS = 0.5
WAIT_SECONDS = 300.0
"""The longest time without a running cell and without room for one on any node."""


def run(
    store: Store,
    *,
    address: str = "",
    threads: int = 1,
    gpus: float = 0.0,
    execution: CellExecution = CellExecution(),  # noqa: B008
    max_equal_failures: int = MAX_EQUAL_FAILURES,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_progress: Callable[[dict[str, int]], None] | None = None,
    on_failure: Callable[[Failure], None] | None = None,
) -> dict[str, int]:
    """Run all cells that are not done on a Ray cluster; returns status -> count.

    `address` is that of a running cluster (`auto`: the one of this machine); empty starts one here that ends with the
    run. Each cell gets `threads` cores and `gpus` GPUs. A `KeyboardInterrupt` stops the tasks and is raised again;
    their unfinished cells are pending at the next run. The other arguments are those of `runner.run`. Raises
    `RepeatedFailureError` as that does, and `ValueError` if no node has had room for a cell for `WAIT_SECONDS`, and if
    the processes of a cell need other than `gpus` GPUs.
    """
    import ray

    _check_gpus(gpus, execution.processes)
    watch = FailureWatch(max_equal_failures, on_failure)
    ray.init(address=address or None, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    store.begin()
    driver = Driver(ray, store, threads, gpus, execution, checkpoint_seconds)
    running = driver.running
    with store.beating(driver.worker, lambda: [cell.digest for cell in list(running.values())]):
        try:
            last_running = time.monotonic()
            while True:
                if on_progress:
                    on_progress(store.counts())
                watch.check(store.failures())
                while len(running) < _slots(ray, threads, gpus) and (cell := store.claim(driver.worker)):
                    driver.submit(cell)
                if not running:
                    if not (ready := store.ready()) and not store.counts().get("running"):
                        break
                    store.release_dead()  # The driver of an earlier job may have left cells, on another machine.
                    if not ready:
                        last_running = time.monotonic()
                    elif time.monotonic() > last_running + WAIT_SECONDS:
                        raise ValueError(
                            f"no node of the cluster has room for {threads} cores and {gpus:g} GPUs; lower --threads "
                            "and --gpus, or add nodes"
                        )
                    time.sleep(POLL_SECONDS)  # No node has room at the moment.
                    continue
                last_running = time.monotonic()
                done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
                for reference in done:
                    driver.record(reference)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            ray.shutdown()
            store.release([driver.worker])
    return store.counts()


@dataclass(slots=True)
class Driver:
    """The tasks of a run, and what they share. `ray` is the module."""

    ray: Any
    store: Store
    threads: int
    gpus: float
    execution: CellExecution
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    worker: str = field(default_factory=worker_name)
    running: dict[Any, Cell] = field(default_factory=dict)
    """The reference of each task -> its cell."""
    packs: bool = False
    """Whether weights go with a job: a node does not see them. Until one is met, nothing is packed."""
    _token: str = field(default_factory=lambda: secrets.token_hex(16))
    _task: Any = None
    _packed: dict[str, Any] = field(default_factory=dict)
    """Digest -> the reference to its packed weights in Ray's object store."""
    _checksums: dict[str, dict[str, str]] = field(default_factory=dict)
    """Digest -> name -> sha256 of its weights."""
    _waiting: dict[str, set[str]] = field(default_factory=dict)
    """Digest -> the cells without a result that start from its weights."""

    def __post_init__(self) -> None:
        self._task = self.ray.remote(num_cpus=self.threads, num_gpus=self.gpus, max_retries=0)(run_job)
        for stored in self.store.read().cells:
            if stored.result is None:
                for digest in _states(stored.config):
                    self._waiting.setdefault(digest, set()).add(stored.digest)

    def submit(self, cell: Cell) -> None:
        """Start the task of a claimed cell, or record that it cannot be started."""
        try:
            self.running[self._task.remote(*self.job(cell))] = cell
        except FAILURES as error:
            self.store.fail(cell.digest, self.worker, Reason.of(error))
        except self.ray.exceptions.RayError as error:  # Such as an object store without room.
            self.store.fail(cell.digest, self.worker, Reason.of(error)._replace(final=False))

    def job(self, cell: Cell) -> tuple[Job, dict[str, Any]]:
        """The arguments of `run_job` for a claimed cell. Raises as `Store.workspace` does, and `OSError`."""
        workspace = self.store.workspace(cell)
        mark(workspace, cell.digest, self._token)
        job = Job(
            settings=json.dumps(cell.plain()),
            results=workspace.results,
            weights={digest: self._sums(workspace, digest) for digest in _states(cell)},
            threads=self.threads,
            execution=self.execution,
            checkpoint_seconds=self.checkpoint_seconds,
            study=str(self.store.directory.resolve()),
            token=self._token,
        )
        # Ray follows no reference inside of a mapping: only nodes that need the weights fetch them.
        return job, {digest: self._reference(workspace, digest) for digest in _states(cell)} if self.packs else {}

    def record(self, reference: Any) -> None:
        """Store the result of a finished task, or its failure. A cell that lacks weights is started again with them."""
        cell = self.running.pop(reference)
        try:
            outcome: Outcome = self.ray.get(reference)
            if outcome.needs_weights:
                self.packs = True
                self.submit(cell)
                return
        except self.ray.exceptions.RayError as error:
            outcome = Outcome(reason=Reason(f"{DIED}: {type(error).__name__}", final=False))
            for digest in _states(cell):
                self._packed.pop(digest, None)  # The object may be lost.
        self._finish(cell, outcome)

    def _finish(self, cell: Cell, outcome: Outcome) -> None:
        workspace = self.store.workspace()
        try:
            collect(workspace, cell, outcome)
        except FAILURES as error:
            outcome = Outcome(reason=Reason.of(error))
        if outcome.result is None:
            assert outcome.reason is not None, "a job without a result says why"
            self.store.fail(cell.digest, self.worker, outcome.reason)
            return
        if self.store.finish(cell.digest, self.worker, outcome.result, outcome.seconds):
            workspace.clear_scratch(cell.digest)
        for digest in _states(cell):
            waiting = self._waiting.get(digest, set())
            waiting.discard(cell.digest)
            if not waiting:
                self._packed.pop(digest, None)  # Ray then deletes the object.

    def _sums(self, workspace: Workspace, digest: str) -> dict[str, str]:
        if digest not in self._checksums:
            weights = {workspace.name(path) for path in workspace.weight_files(digest)}
            checksums = workspace.checksums(digest)
            self._checksums[digest] = {name: value for name, value in checksums.items() if name in weights}
        return self._checksums[digest]

    def _reference(self, workspace: Workspace, digest: str) -> Any:
        if digest not in self._packed:
            self._packed[digest] = self.ray.put(workspace.pack(workspace.weight_files(digest)))
        return self._packed[digest]


def _states(cell: Cell) -> list[str]:
    """The digests of the needed cells that keep weights."""
    return [needed.digest for needed in cell.needs() if needed.keeps_weights]


def _check_gpus(gpus: float, processes: int) -> None:
    if gpus and processes not in (1, gpus):
        raise ValueError(f"a cell has {processes} processes with a GPU each, got --gpus {gpus:g}")


def _slots(ray: Any, threads: int, gpus: float) -> int:
    """The number of cells that the living nodes can run at once."""
    resources = ray.cluster_resources()
    slots = resources.get("CPU", 0) // threads
    return int(min(slots, resources.get("GPU", 0) // gpus) if gpus else slots)
