"""``zipthought study run | report | status``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from ..study.store import Store

from ..data.files import write_text
from .console import console, print_json, print_table, progress

REPORT_NAME = "report.html"


def run(
    spec: Annotated[str, tyro.conf.Positional],
    output_dir: Path,
    workers: int = 0,
    threads: int = 1,
    json: bool = False,
) -> int:
    """Run a study; what is done already is not done again.

    Args:
        spec: A preset (quick, decomposition) or the path of a TOML file.
        output_dir: The study's directory: its store, its completions and report.html.
        workers: Processes that train at the same time; 0 means one a core.
        threads: Of each worker; results depend on it in their last bits.
        json: Print counts, findings and fits as one object on standard output.
    """
    from ..study import runner
    from ..study.spec import load_spec
    from ..study.store import Store

    environment = {**runner.environment(), "command": runner.command_line(), "threads": threads}
    store = Store.create(output_dir, load_spec(spec), environment)
    with progress() as bar:
        task = bar.add_task("cells", total=sum(store.counts().values()), note="")

        def show(counts: dict[str, int]) -> None:
            note = f"{counts.get('running', 0)} running" + (f", {n} failed" if (n := counts.get("failed")) else "")
            bar.update(task, completed=counts.get("done", 0) + counts.get("failed", 0), note=note)

        counts = runner.run(store, workers=workers, threads=threads, on_progress=show)
    for cell in store.cells():
        if cell.error and cell.status == "failed":
            console.print(f"cell {cell.digest} failed: {cell.error}", markup=False)
    _report(store, output_dir / REPORT_NAME, json)
    return 1 if counts.get("failed") else 0


def report(
    directory: Annotated[Path, tyro.conf.Positional],
    output: Path | None = None,
    json: bool = False,
) -> int:
    """Rebuild the report from the store.

    Args:
        directory: Of the study.
        output: The HTML file; report.html in the study's directory where it is not given.
        json: Print counts, findings and fits as one object on standard output.
    """
    from ..study.store import Store

    _report(Store.open(directory), output or directory / REPORT_NAME, json)
    return 0


def status(directory: Annotated[Path, tyro.conf.Positional], json: bool = False) -> int:
    """Show how far a study is.

    Args:
        directory: Of the study.
        json: Print {"cells": {status: n}, "seconds_left"} on standard output.
    """
    from ..study.store import Store

    store = Store.open(directory)
    cells = store.cells()
    times = [cell.seconds for cell in cells if cell.seconds is not None]
    open_cells = sum(cell.status in ("pending", "running") for cell in cells)
    left = round(open_cells * sum(times) / len(times)) if times else None
    if json:
        print_json({"cells": store.counts(), "seconds_left": left})
        return 0
    rows = [
        {
            "cell": c.config.label,
            "seed": c.config.seed,
            "status": c.status,
            "seconds": c.seconds,
        }
        for c in cells
    ]
    print_table(f"{store.spec.name}: {store.counts()}, worker-seconds left: {left}", rows)
    return 0


def _report(store: Store, path: Path, json: bool) -> None:
    from ..report.page import build_report
    from ..study.findings import measure
    from ..study.results import report_data, summary

    data = measure(store)
    shown = report_data(store, data)
    write_text(path, build_report(shown))
    if json:
        print_json({**summary(store, data), "report": str(path)})
        return
    for finding in shown.findings:
        print(f"{finding.id} {finding.verdict}: {finding.summary}")
    print(f"report: {path}")
