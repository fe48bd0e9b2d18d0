"""``zipthought study run --dry-run``: what a study will take."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cells import warn
from .console import echo, print_json, print_table

if TYPE_CHECKING:
    from ..study.estimate import Disk, Estimate
    from ..study.spec import StudySpec


def dry_run_of(spec: StudySpec, gpu_memory: float, json: bool, workers: int = 1, output_dir: Path | None = None) -> int:
    """Print what the cells of a study take, on GPUs with so many bytes, if `workers` cells run at once; returns the
    exit code. Warns if the disk of `output_dir` (None: of the working directory) has less room than the study needs.

    Raises `ValueError` if a cell does not fit into the memory of the GPU.
    """
    from ..study.estimate import Disk, estimate, require_fit

    parts = estimate(spec, gpu_memory)
    disk = Disk.all_of(part.disk for part in parts.values())
    workers = min(workers, sum(part.cells for part in parts.values()))
    place = _existing(output_dir or Path())
    needed, free = disk.peak(workers), shutil.disk_usage(place).free
    if json:
        print_json(
            {
                "study": spec.name,
                "experiments": {name: part.plain() for name, part in parts.items()},
                "gpu_hours": _hours(parts),
                "disk": {**disk.plain(), "workers": workers, "peak": needed, "free": free},
            }
        )
    else:
        _print_work(spec, parts, gpu_memory)
        _print_disk(parts, disk, workers)
    if free < needed:
        warn(
            f"the disk of {place} has {_size(free)} free, and the study needs up to {_size(needed)}: make room there, "
            "choose another --output-dir, or fewer --workers"
        )
    require_fit(parts, gpu_memory)
    return 0


def _print_work(spec: StudySpec, parts: Mapping[str, Estimate], gpu_memory: float) -> None:
    """The table of tokens, hours and the memory of a GPU."""
    from ..study.estimate import GENERATION_TFLOPS, TRAINING_TFLOPS

    rows = [
        {
            "experiment": name,
            "cells": part.cells,
            "trained": f"{part.trained_tokens:.3g}",
            "generated": f"{part.generated_tokens:.3g}",
            "GPU hours": f"{part.gpu_hours:.3g}",
            "GB": f"{part.memory.needed / 1e9:.3g}" if part.memory else "-",
            "pass": part.memory.tokens if part.memory else "-",
        }
        for name, part in parts.items()
    ]
    cells = sum(part.cells for part in parts.values())
    flops = sum(part.training_flops + part.generation_flops for part in parts.values())
    print_table(f"{spec.name}: {cells} cells, {flops:.3g} FLOPs, {_hours(parts):.3g} GPU hours", rows)
    echo(
        "Tokens trained and generated, counted on sampled texts. Hours of one H100 at "
        f"{TRAINING_TFLOPS:g} TFLOP/s in training and {GENERATION_TFLOPS:g} in generation. GB is what a GPU needs "
        f"for the largest cell, and a pass is the tokens that fit into {gpu_memory / 1e9:g} GB at a time."
    )


def _print_disk(parts: Mapping[str, Estimate], disk: Disk, workers: int) -> None:
    """The table of the disk."""
    named: dict[str, Any] = {name: part.disk for name, part in parts.items()}
    rows = [
        {"experiment": name, **{what: _size(size) if size else "-" for what, size in part.plain().items()}}
        for name, part in named.items()
    ]
    kept = disk.weights + disk.completions
    cells = f"{workers} running cells" if workers > 1 else "one running cell"
    print_table(f"disk: {_size(kept)} when it is done, up to {_size(disk.peak(workers))} with {cells}", rows)
    echo(
        "Weights that cells keep for others, in float32, completions (roughly), and the largest checkpoint of a "
        "running cell. A checkpoint is written beside the earlier one, so that of a running cell counts twice."
    )


def _hours(parts: Mapping[str, Estimate]) -> float:
    return sum(part.gpu_hours for part in parts.values())


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    whole = path.absolute()
    return next(place for place in (whole, *whole.parents) if place.exists())


def _size(size: float) -> str:
    """Bytes as text: in GB, or in MB below one."""
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
