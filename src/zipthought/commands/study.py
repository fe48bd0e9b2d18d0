"""``zipthought study run | register | report | status | check``."""

from __future__ import annotations

import json as jsonlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from ..study.registration import Registration
    from ..study.snapshot import Snapshot, StoredCell
    from ..study.spec import StudySpec
    from ..study.store import Store

from ..files.atomic import Overwrite, refuse_overwrite, write_text
from ..files.earlier import mentions_us
from .cells import run_cells, warn
from .console import echo, print_json, print_table
from .dry_run import dry_run_of
from .outputs import STORE_FILES

REPORT_NAME = "report.html"
NAMES = {
    "html": REPORT_NAME, "markdown": "report.md", "csv": "tables", "json": "report.json", "png": "figures",
    "svg": "figures", "reference": "reference.json",
}  # fmt: skip
"""Format of a report -> its file or directory in the study's directory."""


def run(
    spec: Annotated[str, tyro.conf.Positional],
    *,
    output_dir: Path | None = None,
    registration: Path | None = None,
    workers: int = 0,
    threads: int = 1,
    backend: Literal["local", "ray"] = "local",
    address: str = "",
    gpus: float = 0.0,
    max_equal_failures: int = 3,
    keep_going: bool = False,
    dry_run: bool = False,
    gpu_memory: float = 80.0,
    json: bool = False,
) -> int:
    """Run a study. Finished cells are not run again, and a cell that was killed goes on from its last checkpoint.

    Exit code 0: all cells are done; 1: cells failed.

    Args:
        spec: A preset (quick, laptop, evening, granularity, implicit, orders, redress, decomposition, baselines,
            real, smollm2, paper-small, paper), or a TOML file.
        output_dir: The study's directory, for its store, completions and report.html.
        registration: A file that `zipthought study register` wrote. A new study of a preset takes the one that ships
            with the preset, if there is one. The report lists every difference.
        workers: Processes that train at the same time on this machine, each on one GPU if there are any; 0 means one
            per GPU where there are several, else one per core.
        threads: CPU threads of each worker; the last bits of the results depend on them.
        backend: Where cells run: in processes on this machine, or on a Ray cluster (needs zipthought[ray]).
        address: The address of a Ray cluster, such as auto or ray://head:10001; empty starts one on this machine.
        gpus: GPUs for each cell, on Ray.
        max_equal_failures: The study stops after the same failure in this many cells.
        keep_going: Try all cells, whatever fails.
        dry_run: Print the cost of the study (cells, tokens, FLOPs, GPU hours, memory, disk) and run nothing. Exit code
            2 if a GPU cannot hold its cells.
        gpu_memory: GB of the GPU that --dry-run plans with.
        json: Print counts, findings and fits as one object on standard output.
    """
    from ..study import runner
    from ..study.devices import workers_of
    from ..study.spec import load_spec

    settings = load_spec(spec)
    if dry_run:
        at_once = workers or (1 if backend == "ray" else workers_of(settings.execution))
        return dry_run_of(settings, gpu_memory * 1e9, json, at_once, output_dir)
    if output_dir is None:
        raise ValueError("a study needs a directory of its own; give --output-dir")
    _refuse_files_of_others(output_dir, [path for path in (Path(spec), registration) if path and path.is_file()])
    if max_equal_failures < 1:
        raise ValueError(f"--max-equal-failures must be at least 1, got {max_equal_failures}; or use --keep-going")
    environment = {**runner.environment(), "command": runner.command_line(), "threads": threads, "backend": backend}
    store = _create(output_dir, settings, environment, _registration(spec, registration, output_dir))
    places = {"address": address, "gpus": gpus} if backend == "ray" else {"workers": workers}
    most = 0 if keep_going else max_equal_failures
    how = {"threads": threads, "execution": settings.execution, "max_equal_failures": most}
    all_done = run_cells(store, backend, **how, **places)
    _report(store.read(), output_dir / REPORT_NAME, overwrite=True, json=json)
    return 0 if all_done else 1


def _registration(spec: str, file: Path | None, output_dir: Path) -> Registration | None:
    """The registration that a study is run with. An existing study keeps its own."""
    from ..study.registration import read_registration, shipped_registration

    if file is not None:
        return read_registration(file)
    return None if (output_dir / STORE_FILES[0]).exists() else shipped_registration(spec)


def _create(
    output_dir: Path, spec: StudySpec, environment: Mapping[str, Any], registered: Registration | None
) -> Store:
    """The store of a study, new or existing. Says what was damaged, and how the run differs from its registration."""
    from ..study.registration import Registration, differences
    from ..study.store import Store

    spec = spec.keeping(registered.models) if registered else spec
    store = Store.create(output_dir, spec, environment, registered.plain() if registered else None)
    warn(*store.mended)
    if registered and (names := [found.name for found in differences(registered, Registration.of(spec))]):
        warn(f"this run differs from its registration in {', '.join(names)}")
    return store


def _refuse_files_of_others(output_dir: Path, reads: Sequence[Path]) -> None:
    """Raises `ValueError` if a study in the directory would write over a file that it reads, or over a page of another
    origin."""
    outputs = [output_dir / name for name in (REPORT_NAME, *STORE_FILES)]
    refuse_overwrite(outputs, reads)
    if outputs[0].exists() and not (output_dir / STORE_FILES[0]).exists():
        raise ValueError(f"{outputs[0]} exists and belongs to no study; choose another --output-dir")


def register(
    spec: Annotated[str, tyro.conf.Positional],
    *,
    output_file: Path,
    overwrite: bool = False,
) -> int:
    """Write everything that is fixed before a study runs to a file: rules, settings, seeds, thresholds and bases.

    Commit the file before the run, and give it to `zipthought study run --registration`.

    Args:
        spec: A preset (quick, laptop, evening, granularity, implicit, orders, redress, decomposition, baselines,
            real, smollm2, paper-small, paper), or a TOML file.
        output_file: The file, JSON with its own sha256.
        overwrite: Replace a file with other content.
    """
    import time

    from ..study.registration import Registration, read_registration
    from ..study.spec import load_spec

    refuse_overwrite([output_file], [Path(spec)] if Path(spec).is_file() else [])
    settings = load_spec(spec)
    made = Registration.of(settings, time.strftime("%Y-%m-%d", time.gmtime()))
    if output_file.is_file():
        with suppress(ValueError):  # A file of another kind.
            earlier = read_registration(output_file)
            made = earlier if replace(earlier, date=made.date) == made else made  # It keeps its date.
    write_text(output_file, made.text(), overwrite)
    echo(f"{made.digest}  {output_file}")
    return 0


def report(
    directory: Annotated[Path, tyro.conf.Positional],
    output: Path | None = None,
    format: Literal["html", "markdown", "csv", "json", "png", "svg", "reference"] = "html",  # noqa: A002
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Rebuild the report from the store.

    Args:
        directory: The study's directory.
        output: A file, or for csv, png and svg a directory; by default in the study's directory.
        format: html is the whole report; markdown has the verdicts and tables; csv writes a file per table; json holds
            all data of the report; png and svg write a file per figure; reference is for `zipthought advise`.
        overwrite: Replace files at --output that zipthought did not write, too. The store is never replaced.
        json: Print counts, findings and fits as one object on standard output.
    """
    from ..study.store import Store

    target = output or directory / NAMES[format]
    replaceable = overwrite or target == directory / NAMES[format] or mentions_us
    reads = [directory / name for name in STORE_FILES]
    refuse_overwrite([target], reads)
    study = Store.open(directory).read()
    if json and format != "html":
        raise ValueError(f"--json goes with --format html; --format {format} writes files and prints their paths")
    if format == "html":
        _report(study, target, replaceable, json)
    elif format == "reference":
        from ..advise.reference import from_study

        write_text(target, jsonlib.dumps(from_study(study).plain(), indent=1) + "\n", replaceable)
        echo(target)
    else:
        from ..report.exports import write_export
        from ..study.report import measure, report_data

        data = report_data(study, measure(study))
        paths = write_export(data, format, target, replaceable, reads)
        warn(*data.warnings)
        for path in paths:
            echo(path)
    return 0


def status(directory: Annotated[Path, tyro.conf.Positional], json: bool = False) -> int:
    """Show the progress of a study.

    Args:
        directory: The study's directory.
        json: Print {"cells": {status: n}, "seconds_left", "running": [{"digest", "cell", "seed", "step", "steps",
            "loss", "reward", "tokens_per_second", "seconds_left", "age"}], "errors": [{"error", "cells", "digest",
            "cell", "seed"}], "damage": [...], "registration": {"sha256", "date", "sentences", "differences"}} on
            standard output; `seconds_left` of all is that of one worker, `age` is the seconds since a cell's report.
    """
    from ..study.report import registration_view
    from ..study.snapshot import ALTERED, STATUSES
    from ..study.store import Store

    study = Store.open(directory).read()
    cells, name = study.cells, study.spec.name
    left = seconds_left(cells)
    failures, running = study.failures(), study.running()
    if json:
        values = {
            "cells": study.counts(),
            "seconds_left": left,
            "running": [cell.plain() for cell in running],
            "errors": [failure.plain() for failure in failures],
            "damage": [str(fault) for fault in study.faults],
            "registration": asdict(registration_view(study)),
        }
        print_json(values)
        return 0
    groups: dict[str, list[StoredCell]] = {}
    for cell in cells:
        groups.setdefault(cell.config.label, []).append(cell)
    statuses = [*STATUSES, *([ALTERED] if any(cell.fault for cell in cells) else [])]
    rows = [
        {
            "cell": label,
            "seeds": len(members),
            **{status: sum(c.status == status for c in members) for status in statuses},
            "seconds": sum(c.seconds or 0 for c in members),
        }
        for label, members in groups.items()
    ]
    print_table(f"{name}: {study.counts()}, worker-seconds left: {left}", rows)
    for cell_at_work in running:
        echo(f"running: {cell_at_work}")
    for failure in failures:
        echo(failure.summary)
        echo(f"  the first: cell {failure.digest} ({failure.label}, seed {failure.seed})")
    for sentence in registration_view(study).sentences:
        echo(sentence)
    if study.faults:
        warn(f"{len(study.faults)} faults; 'zipthought study check {directory}' names them")
    return 0


def check(directory: Annotated[Path, tyro.conf.Positional], json: bool = False) -> int:
    """Check a study for damage: its database, its settings, and each cell with its result and files.

    Exit code 0: no damage; 1: damage was found; 2: the study cannot be read.

    Args:
        directory: The study's directory.
        json: Print {"cells": {status: n}, "faults": [{"name", "problem"}], "unchecked", "leftovers"} on standard
            output.
    """
    from ..study.check import check as check_study

    found = check_study(directory)
    if json:
        print_json(found.plain())
        return 1 if found.faults else 0
    for fault in found.faults:
        echo(fault)
    for name in found.leftovers:
        echo(f"{name} belongs to no finished cell; it may be deleted while no study runs here")
    if found.unchecked:
        echo(f"{found.unchecked} results have no checksum, because an earlier version wrote them")
    echo(f"{directory}: {found.cells}, {len(found.faults)} faults")
    return 1 if found.faults else 0


def seconds_left(cells: list[StoredCell]) -> int | None:
    """Seconds that one worker needs for the open cells; None if no cell is done yet.

    Each cell's cost is multiplied by the seconds per cost of the finished cells of its kind and base, or of all
    finished cells if none of them is.
    """
    seconds: dict[tuple[str, str] | None, float] = defaultdict(float)
    cost: dict[tuple[str, str] | None, float] = defaultdict(float)
    for cell in cells:
        if cell.seconds is not None:
            for kin in (_kin(cell), None):
                seconds[kin] += cell.seconds
                cost[kin] += cell.config.cost
    if not cost:
        return None
    left = 0.0
    for cell in cells:
        if cell.status in ("pending", "running"):
            kin = _kin(cell) if _kin(cell) in cost else None
            left += cell.config.cost * seconds[kin] / cost[kin]
    return round(left)


def _kin(cell: StoredCell) -> tuple[str, str]:
    return cell.config.NAME, cell.config.model


def _report(study: Snapshot, path: Path, overwrite: Overwrite, json: bool) -> None:
    from ..report.page import build_report
    from ..study.report import measure, report_data, summary

    data = measure(study)
    shown = report_data(study, data)
    write_text(path, build_report(shown), overwrite)
    warn(*shown.warnings)
    if json:
        print_json({**summary(study, data, shown), "report": str(path)})
        return
    for finding in shown.findings:
        echo(f"{finding.id} {finding.verdict}: {finding.summary}")
    echo(f"report: {path}")
