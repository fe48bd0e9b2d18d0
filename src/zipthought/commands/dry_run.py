"""``zipthought study run --dry-run``: what a study will take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import print_json, print_table

if TYPE_CHECKING:
    from ..study.spec import StudySpec


def dry_run_of(spec: StudySpec, gpu_memory: float, json: bool) -> int:
    """Print what the cells of a study take, on GPUs with so many bytes; returns the exit code.

    Raises `ValueError` if one of them does not fit.
    """
    from ..study.estimate import GENERATION_TFLOPS, TRAINING_TFLOPS, estimate, require_fit

    parts = estimate(spec, gpu_memory)
    total = sum(part.gpu_hours for part in parts.values())
    if json:
        print_json({"study": spec.name, "experiments": {n: p.plain() for n, p in parts.items()}, "gpu_hours": total})
    else:
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
        cells, flops = (
            sum(p.cells for p in parts.values()),
            sum(p.training_flops + p.generation_flops for p in parts.values()),
        )
        print_table(f"{spec.name}: {cells} cells, {flops:.3g} FLOPs, {total:.3g} GPU hours", rows)
        print(
            "Tokens trained and generated, counted on sampled texts. Hours of one H100 at "
            f"{TRAINING_TFLOPS:g} TFLOP/s in training and {GENERATION_TFLOPS:g} in generation. GB is what a GPU needs "
            f"for the largest cell, and a pass is the tokens that fit into {gpu_memory / 1e9:g} GB at a time."
        )
    require_fit(parts, gpu_memory)
    return 0
