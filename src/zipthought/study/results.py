"""From the store to the report: every number of a report is read or computed here, from the store alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..core.compress import compress
from ..core.methods import is_baseline
from ..core.problem import Problem
from ..evaluation.metrics import JudgedCompletion
from ..report.data import (
    CellRow,
    CurvePoint,
    ExplorerCompletion,
    ExplorerProblem,
    FindingRow,
    LossPoint,
    PathPoint,
    ProfilePoint,
    RepetitionPoint,
    ReportData,
    ThresholdRow,
)
from ..surfaces import count_pieces, get_surface, verify
from ..tasks.sampling import SamplerConfig, sample_batch
from .cells import BEFORE, BRANCHES, SFTCell
from .findings import Measured, findings
from .findings.decomposition import F3_NAMES, Parts, complete_parts
from .findings.scaling import Scaled
from .findings.verdicts import LEVEL, Comparison, quantile
from .spec import StudySpec
from .statistics import Fit, binomial_interval
from .store import Store, StoredCell

CURVE_POINTS = 40
EXPLORED = 8
"""Problems of an experiment in the trace explorer."""
STAGES = {"scaling": "sft", "repetition": "repeat", "orders": "order"}
"""Experiment -> what its runs are called in the report's table."""


def report_data(store: Store, data: Measured) -> ReportData:
    """All that the report shows."""
    spec = store.spec
    stored = {cell.digest: cell for cell in store.cells() if cell.result}
    runs = _sft_runs(spec, stored)
    scaled = data.scaling[0] if data.scaling else None
    curves, thresholds = _curves(scaled) if scaled else ([], [])
    return ReportData(
        title=f"zipthought study: {spec.name}",
        command=store.meta("environment").get("command", "zipthought study run"),
        spec=spec.plain(),
        environment=store.meta("environment") | {"models": store.meta("models")},
        created=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(store.meta("created"))),
        findings=[
            FindingRow(id=f.id, claim=f.claim, verdict=f.verdict, rule=f.rule, summary=f.summary, rows=f.rows)
            for f in findings(store, data)
        ],
        cells=[row for stage, cell in runs for row in _cell_rows(stage, cell)],
        curves=curves,
        thresholds=thresholds,
        training=[
            LossPoint(format=c.config.format, examples=c.config.examples, seed=c.config.seed, step=step, loss=loss)
            for stage, c in runs
            if stage == STAGES["scaling"] and isinstance(c.config, SFTCell)
            for step, loss in c.result["loss"]
        ],
        paths=[
            PathPoint(
                format=c.config.format,
                examples=c.config.examples,
                seed=c.config.seed,
                n=len(point["correct"]),
                **{name: point[name] for name in ("step", "flops", "accuracy")},
            )
            for stage, c in runs
            if stage == STAGES["scaling"] and isinstance(c.config, SFTCell) and len(c.result["points"]) > 1
            for point in c.result["points"]
        ],
        profiles=[
            row
            for parts in (complete_parts(store, spec.decomposition) if spec.decomposition else [])
            for row in _profiles(parts, stored)
        ],
        repetition=_repetition(data),
        problems=[*_problems(store, spec, runs), *_decomposed_problems(store, spec)],
    )


def _sft_runs(spec: StudySpec, stored: dict[str, StoredCell]) -> list[tuple[str, StoredCell]]:
    """(stage, cell) of the finished SFT runs of every experiment; those that choose a learning rate are left out, and
    of several bases only the first is shown."""
    runs = []
    for name, experiment in spec.experiments.items():
        if name not in STAGES:
            continue
        model = experiment.model or spec.model
        for cell in experiment.cells(spec):
            if cell.digest in stored and cell.model == model:
                runs.append((STAGES[name], stored[cell.digest]))
    return runs


def _repetition(data: Measured) -> list[RepetitionPoint]:
    return [
        RepetitionPoint(
            format=fmt,
            epochs=epochs,
            seed=seed,
            test=float(repeated.test[seed, place].mean()),
            train=float(repeated.train[seed, place].mean()),
            memorized=float(repeated.old_train[seed, place].mean() - repeated.old_held_out[seed, place].mean()),
        )
        for fmt, repeated in (data.repetition or {}).items()
        for place, epochs in enumerate(repeated.epochs)
        for seed in range(repeated.seeds)
    ]


def _profiles(parts: Parts, stored: dict[str, StoredCell]) -> Iterable[ProfilePoint]:
    """How the branches of an SFT run went, trained and longer lengths apart."""
    cell = parts[BEFORE]
    start = stored[cell.digest].result["points"][-1] | {"step": 0, "tokens": 0}
    for branch in BRANCHES:
        for point in [start, *stored[parts[branch].digest].result["points"]]:
            for lengths, sizes in (("trained", cell.settings.n_ops), ("longer", cell.settings.longer_n_ops)):
                rows = [point["by_n_ops"][str(n)] for n in sizes]
                if not rows:
                    continue

                def mean(name: str, rows: list[dict[str, Any]] = rows) -> float | None:
                    values = [row[name] for row in rows if row[name] is not None]
                    return sum(values) / len(values) if values else None

                yield ProfilePoint(
                    branch=F3_NAMES[branch],
                    run=f"{cell.format} after {cell.sft_steps} updates",
                    seed=cell.seed,
                    lengths=lengths,
                    tokens=point["tokens"],
                    excess=mean("excess"),
                    accuracy=mean("accuracy"),
                    response_tokens=mean("response_tokens"),
                )


def _decomposed_problems(store: Store, spec: StudySpec) -> list[ExplorerProblem]:
    """The first held-out problems of each length, with what the models of the first seed wrote before and after."""
    settings = spec.decomposition
    if settings is None:
        return []
    runs = [p for p in complete_parts(store, settings) if p[BEFORE].seed == settings.seeds_of(spec)[0]]
    if not runs:
        return []
    written = {cell.digest: store.completions(cell.digest, state) for parts in runs for state, cell in parts.items()}
    lengths = settings.n_ops + settings.longer_n_ops
    problems = []
    for n_ops in lengths:
        rows = [row for row in written[runs[0][BEFORE].digest] if row.n_ops == n_ops]
        for index in [row.index for row in rows[: max(1, EXPLORED // len(lengths))]]:
            formats = ["explicit", *dict.fromkeys(parts[BEFORE].format for parts in runs)]
            problem, gold = _gold(spec, n_ops, index, formats)
            generated = [
                _judged(spec, problem, row, parts[BEFORE].format, settings.examples, F3_NAMES[state])
                for parts in runs
                for state in (BEFORE, *BRANCHES)
                for row in written[parts[state].digest]
                if (row.n_ops, row.index) == (n_ops, index)
            ]
            problems.append(_explored(spec, "decomposition", problem, index, gold, generated))
    return problems


def _cell_rows(stage: str, cell: StoredCell) -> Iterable[CellRow]:
    result, config = cell.result, cell.config
    assert isinstance(config, SFTCell)
    for split, summary in result["splits"].items():
        for n_ops, row in [("all", summary), *summary["by_n_ops"].items()]:
            low, high = binomial_interval(round(row["accuracy"] * row["n"]), row["n"])
            yield CellRow(
                format=config.format,
                order=config.order,
                stage=stage + (", familiar" if config.positions else ""),
                examples=config.examples,
                updates=result["step"],
                learning_rate=result["learning_rate"],
                seed=config.seed,
                n_ops=str(n_ops),
                split=split,
                n=row["n"],
                accuracy=row["accuracy"],
                low=low,
                high=high,
                faithful=row["faithful"],
                response_tokens=row["response_tokens"],
                truncated=row["truncated"],
                ops_per_step=row["ops_per_step"],
                training_tokens=result["distinct_tokens"],
                flops=result["flops"],
                seconds=result["train_seconds"],
                baseline=is_baseline(config.format) or config.format == "explicit",
            )


def _curves(data: Scaled) -> tuple[list[CurvePoint], list[ThresholdRow]]:
    points: list[CurvePoint] = []
    rows: list[ThresholdRow] = []
    # Distinct training tokens are examples times the mean length of one, so the same curve serves both axes.
    axes: list[tuple[str, dict[str, Fit], dict[str, float]]] = [
        ("examples", data.fits, dict.fromkeys(data.fits, 1.0)),
        ("tokens", data.fits, data.tokens_per_example),
        ("flops", data.compute, dict.fromkeys(data.compute, 1.0)),
    ]
    for x, fits, scales in axes:
        for fmt, fit in fits.items():
            scale = scales[fmt]
            least, most = min(fit.examples), max(fit.examples)
            grid = np.geomspace(least, most, CURVE_POINTS)
            middles = fit.curve(grid)
            reach = quantile(data.seeds, LEVEL) * np.std([c(grid) for c in fit.resampled], axis=0)
            low, high = np.clip([middles - reach, middles + reach], 0, 1)
            for value, middle, lower, upper in zip(grid, middles, low, high, strict=True):
                points.append(
                    CurvePoint(
                        format=fmt,
                        x=x,
                        value=float(value * scale),
                        accuracy=float(middle),
                        low=float(lower),
                        high=float(upper),
                    )
                )
            for threshold in data.thresholds:
                found = fit.threshold(threshold)
                interval = Comparison.of(found.value, fit.threshold_draws(threshold), data.seeds, ratio=True)
                rows.append(
                    ThresholdRow(
                        format=fmt,
                        x=x,
                        threshold=threshold,
                        estimate=found.value * scale,
                        low=interval.low * scale if interval.low > least else None,
                        high=interval.high * scale if interval.high < most else None,
                        censored=found.censored,
                    )
                )
    return points, rows


def _problems(store: Store, spec: StudySpec, runs: Sequence[tuple[str, StoredCell]]) -> list[ExplorerProblem]:
    """The first held-out problems of each length: gold in every format, and what the models of the first seed wrote:
    those of few and of many examples, of few and of many epochs, of every order."""
    problems = []
    for name, experiment in spec.experiments.items():
        if name not in STAGES:
            continue
        cells = [c for stage, c in runs if stage == STAGES[name] and c.config.seed == experiment.seeds_of(spec)[0]]
        sizes = [_size(c) for c in cells]
        shown = [c for c in cells if _size(c) in (min(sizes), max(sizes))]
        written = {c.digest: store.completions(c.digest) for c in shown}
        if not written:
            continue
        keys = sorted({(row.n_ops, row.index) for row in next(iter(written.values()))})
        lengths = sorted({n_ops for n_ops, _ in keys})
        formats = list(dict.fromkeys(c.config.format for c in shown))
        for n_ops in lengths:
            for index in [i for n, i in keys if n == n_ops][: max(1, EXPLORED // len(lengths))]:
                problem, gold = _gold(spec, n_ops, index, formats)
                generated = [
                    _judged(spec, problem, row, c.config.format, _size(c)[0], _label(name, c))
                    for c in shown
                    for row in written[c.digest]
                    if (row.n_ops, row.index) == (n_ops, index)
                ]
                problems.append(_explored(spec, name, problem, index, gold, generated))
    return problems


def _size(cell: StoredCell) -> tuple[int, int]:
    """What grows along an experiment: examples, or updates on the same examples."""
    assert isinstance(cell.config, SFTCell)
    return cell.config.examples, cell.config.steps


def _label(experiment: str, cell: StoredCell) -> str:
    """What tells a completion apart in the explorer, besides format and examples."""
    assert isinstance(cell.config, SFTCell)
    if experiment == "orders":
        return f"{cell.config.order}{', familiar positions' if cell.config.positions else ''}"
    return f"{cell.config.steps} updates" if experiment == "repetition" else ""


def _gold(
    spec: StudySpec, n_ops: int, index: int, formats: Sequence[str]
) -> tuple[Problem, list[tuple[str, str, int]]]:
    """A held-out problem and its right reasoning in each format."""
    sampler = SamplerConfig(n_ops=n_ops, modulus=spec.modulus, number_range=spec.number_range)
    batch = sample_batch(sampler, spec.split, [index])
    problem = batch.problem(0)
    render = get_surface(spec.surface).render
    texts = [(fmt, render(compress(problem, fmt), batch.aliases(0))) for fmt in formats]
    return problem, [(fmt, text, count_pieces(text)) for fmt, text in texts]


def _judged(
    spec: StudySpec, problem: Problem, row: JudgedCompletion, fmt: str, examples: int, label: str = ""
) -> ExplorerCompletion:
    """What a model wrote, step by step."""
    verdict = verify(row.completion, problem, spec.surface)
    texts = get_surface(spec.surface).sentences(row.completion)
    return ExplorerCompletion(
        format=fmt,
        examples=examples,
        text=row.completion,
        answer_verdict=verdict.answer,
        faithful=verdict.faithful,
        steps=[
            (text, step.verdict, step.granularity, step.form) for text, step in zip(texts, verdict.steps, strict=True)
        ],
        label=label,
    )


def _explored(
    spec: StudySpec,
    experiment: str,
    problem: Problem,
    index: int,
    gold: list[tuple[str, str, int]],
    generated: list[ExplorerCompletion],
) -> ExplorerProblem:
    return ExplorerProblem(
        id=f"{experiment}-{spec.split}-{problem.n_ops}-{index}",
        n_ops=problem.n_ops,
        prompt=get_surface(spec.surface).render_problem(problem),
        gold=gold,
        generated=generated,
    )


def summary(store: Store, data: Measured, shown: ReportData) -> dict[str, Any]:
    """What ``study run --json`` prints: counts, verdicts (those of the report), fits."""
    scaled = data.scaling[0] if data.scaling else None
    return {
        "study": store.spec.name,
        "cells": store.counts(),
        "findings": [asdict(finding) for finding in shown.findings],
        "curves": {fmt: {**fit.curve._asdict(), "r2": fit.r2} for fmt, fit in scaled.fits.items()} if scaled else {},
    }
