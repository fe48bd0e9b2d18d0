"""Running the cells of a study for ``zipthought study run``: progress, failures at once, and why a run stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import Progress, TaskID

from .console import console, progress

if TYPE_CHECKING:
    from ..study.store import Store


def run_cells(store: Store, backend: str, **options: Any) -> bool:
    """Run all cells that are not done, by `study.runner.run` or, for `ray`, by `study.ray_backend.run` with these
    options, and say what fails.

    Returns whether all cells are done. Raises as the scheduler does, but for `RepeatedFailureError`, which it reports.
    """
    from ..report import page  # noqa: F401  # A package that the report needs is missing now, not after the training.
    from ..study import ray_backend, runner
    from ..study.failures import RepeatedFailureError

    scheduler: Callable[..., Any] = ray_backend.run if backend == "ray" else runner.run
    stopped = False
    with progress() as bar:
        try:
            shown = {"on_progress": _Display(bar, store), "on_failure": lambda failure: warn(str(failure))}
            scheduler(store, **shown, **options)
        except RepeatedFailureError as error:
            stopped = True
            warn(
                f"stopped, because {error.failure.cells} cells failed in the same way. Remove the cause and run the "
                "command again to go on, or add --keep-going to try all cells:"
            )
            warn(f"  {runner.command_line()}")
    counts = store.counts()
    if not stopped:
        for failure in store.failures():
            warn(failure.summary)
        if waiting := counts.get("pending"):
            warn(f"{waiting} cells wait for one that failed; run the command again to retry it")
    return set(counts) <= {"done"}


def warn(*sentences: str) -> None:
    """Print sentences on standard error, one a line."""
    for sentence in sentences:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


class _Display:
    """The progress of a run: a bar of its cells, and one of the steps of each running cell."""

    def __init__(self, bar: Progress, store: Store) -> None:
        self._bar, self._store = bar, store
        self._cells = bar.add_task("cells", total=sum(store.counts().values()), note="")
        self._steps: dict[str, TaskID] = {}

    def __call__(self, counts: Mapping[str, int]) -> None:
        """Show status -> number of cells, and how far the running ones are."""
        if self._bar.disable:
            return
        note = f"{counts.get('running', 0)} running" + (f", {n} failed" if (n := counts.get("failed")) else "")
        self._bar.update(self._cells, completed=counts.get("done", 0) + counts.get("failed", 0), note=note)
        running = {cell.cell.digest: cell for cell in self._store.running()}
        for digest in set(self._steps) - set(running):
            self._bar.remove_task(self._steps.pop(digest))
        for digest, cell in running.items():
            if cell.progress is None:
                continue
            if digest not in self._steps:
                self._steps[digest] = self._bar.add_task(escape(cell.name), total=cell.progress.steps, note="")
            self._bar.update(self._steps[digest], completed=cell.progress.step, note=cell.metrics)
