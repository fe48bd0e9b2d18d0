"""``zipthought evaluate``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.config import EvaluateConfig
from ..files.atomic import refuse_directories, refuse_existing, refuse_overwrite
from ..files.earlier import is_completions
from ..files.hub import on_disk
from ..models.names import resolve
from ..solutions.layouts import Reading
from .console import print_json, print_table, progress
from .evaluate_data import measure, read, report
from .outputs import model_files

if TYPE_CHECKING:
    from ..models.backends import Backend

_OF_PROBLEMS = ("split", "n_ops", "count", "offset", "surface", "number_range", "task")
"""Settings that choose problems of the sampler."""


def evaluate(
    config: EvaluateConfig = EvaluateConfig(),  # noqa: B008
    model: str = "bundled",
    data: Path | None = None,
    reading: Reading = Reading(),  # noqa: B008
    limit: int = 0,
    completions: Path | None = None,
    output: Path | None = None,
    backend: str = "native",
    device: str = "auto",
    threads: int = 0,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Measure a model.

    Args:
        config: Which problems are evaluated, and how completions are generated.
        model: bundled, bundled-deep, bundled-mixed, neutral, neutral-2, a directory with a model, or a hub id, also
            with a revision (org/name@v1).
        data: Records to evaluate instead of problems of the sampler: a file that `zipthought verify` reads. A record
            needs a question and its right answer. --modulus is for problems whose record has none; without
            --max-new-tokens the limit is 1.25 x the longest solution + 16, or 1024 where no record has a solution.
        reading: Where the records of --data have their texts.
        limit: The first so many records of --data; 0 means all.
        completions: File for the completions and their verdicts, Parquet (.parquet) or JSON Lines (.jsonl).
        output: Another name of --completions.
        backend: What generates: native (our own decoder), transformers, vllm (a GPU, and the package vllm), or the
            address of a server with the completions API of OpenAI, such as http://localhost:8000/v1.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 is the default of torch.
        overwrite: Replace an existing file that zipthought did not write, too.
        json: Print {"n", "accuracy", "by_n_ops": {"3": {...}}, ...} on standard output; with --data {"n", "accuracy":
            {"value", "low", "high"}, ...}.
    """
    if completions and output:
        raise ValueError("--output is another name of --completions; give one of them")
    completions = completions or output
    _check_options(config, data, reading, limit)
    if completions:
        read_too = [on_disk(data)] if data else []
        read_too += [reading.layout_file] if reading.layout_file else []
        _check_completions(completions, [*model_files(model), *read_too], overwrite)
    if data is None:
        with _open(backend, model, device, threads) as opened:
            return _evaluate_problems(model, opened, config, completions, json)
    resolve(model)  # Before a large file is read.
    found = read(data, reading, config.modulus, limit)
    with _open(backend, model, device, threads) as opened:
        measured = measure(opened, found, config.decoding())
    if completions:
        measured.write_completions(completions)
    report(model, data, measured, found.skipped, json)
    return 2 if any(one.reason == "unreadable" for one in found.skipped) else 0


def _evaluate_problems(
    model: str, backend: Backend, config: EvaluateConfig, completions: Path | None, json: bool
) -> int:
    """Evaluate a model on problems of the sampler; returns the exit code."""
    from ..evaluation.evaluate import evaluate as run

    with progress() as bar:
        task = bar.add_task("evaluate", total=None, note="")
        evaluation = run(
            backend,
            backend.tokenizer,
            config,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if completions:
        evaluation.write_completions(completions)
    summary = evaluation.summary()
    if json:
        print_json(summary.plain())
        return 0
    columns = ("n", "accuracy", "faithful", "response_tokens", "truncated", "ops_per_step")
    rows = [{"n_ops": n, **{c: getattr(part, c) for c in columns}} for n, part in summary.by_n_ops.items()]
    print_table(f"{model}, split {config.split}: accuracy {summary.accuracy:.3f} of {summary.n}", rows)
    return 0


def _check_options(config: EvaluateConfig, data: Path | None, reading: Reading, limit: int) -> None:
    """Raises `ValueError` for options that have no effect with the others."""
    if limit < 0:
        raise ValueError(f"limit must be at least 0, got {limit}; 0 means all records")
    if data is None:
        if given := _changed(reading) + ["limit"] * bool(limit):
            raise ValueError(f"{_flag(given[0])} is about the records of --data; give --data, or leave it out")
        return
    if given := [name for name in _changed(config) if name in _OF_PROBLEMS]:
        raise ValueError(f"{_flag(given[0])} chooses problems of the sampler; leave it out with --data")


def _changed(settings: Any) -> list[str]:
    """The names of the settings that have not their default."""
    usual = type(settings)()
    return [f.name for f in fields(settings) if getattr(settings, f.name) != getattr(usual, f.name)]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_completions(path: Path, inputs: list[Path], overwrite: bool) -> None:
    """Raises as the checks of `files.atomic` do, and `ValueError` for another suffix."""
    from ..evaluation.completions import FILE_TYPES

    if path.suffix not in FILE_TYPES:
        raise ValueError(
            f"completions are written as Parquet or JSON Lines; choose a name that ends in {' or '.join(FILE_TYPES)}, "
            f"not {path.name}"
        )
    refuse_directories([path])
    refuse_overwrite([path], inputs)
    if not overwrite and not is_completions(path):
        refuse_existing([path])


def _open(backend: str, model: str, device: str, threads: int) -> Backend:
    import torch

    from ..models.backends import open_backend

    if threads:
        torch.set_num_threads(threads)
    return open_backend(backend, model, device)
