"""From the store to the report: every number of a report is read or computed here, from the store alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..core.compress import compress
from ..core.formats import parse_format
from ..core.problem import Problem
from ..data.sampling import SamplerConfig, sample_batch
from ..evaluation.evaluate import read_completions
from ..evaluation.metrics import Row
from ..report.data import (
    CellRow,
    CurvePoint,
    ExplorerCompletion,
    ExplorerProblem,
    FindingRow,
    LossPoint,
    ProfilePoint,
    ReportData,
    ThresholdRow,
)
from ..surfaces import count_pieces, get_surface, verify
from .decomposition import BEFORE, BRANCHES, excess_counts
from .findings import F3_NAMES, FINDINGS, Decomposed, Finding, Measured
from .spec import CellConfig, DecompositionCell, StudySpec
from .statistics import Outcomes, binomial_interval, fit_formats
from .store import Cell, Store

THRESHOLDS = (0.5, 0.9)
CURVE_POINTS = 40
EXPLORED = 8
"""Problems in the trace explorer."""
BASELINES = ("explicit", "answer-only")


def measured(store: Store) -> Measured:
    """What the findings are computed from: the cells of the study's first order, in all formats of the study.

    Seeds that are not complete in every format and data size are left out; where none is, there are no fits.
    """
    spec = store.spec
    cells = [cell for cell in store.grid() if cell.config.order == spec.orders[0]]
    found: dict[tuple[str, int, int], dict[tuple[int, int], bool]] = {}
    tokens: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        rows = read_completions(store.completions_path(cell.digest, "test"))
        found[cell.config.format, cell.config.seed, cell.config.examples] = {
            (row["n_ops"], row["index"]): row["correct"] for row in rows
        }
        tokens[cell.config.format].append(cell.result["distinct_tokens"] / cell.config.examples)
    formats = list(dict.fromkeys(str(parse_format(fmt)) for fmt in spec.formats))
    complete = [seed for seed in spec.seeds if all((fmt, seed, n) in found for fmt in formats for n in spec.examples)]
    outcomes = {}
    if found and complete:
        keys = sorted(next(iter(found.values())))
        for fmt in formats:
            grid = [[[found[fmt, seed, n][key] for key in keys] for n in spec.examples] for seed in complete]
            outcomes[fmt] = Outcomes(spec.examples, np.array(grid, dtype=bool))
    means = {fmt: float(np.mean(values)) for fmt, values in tokens.items()}
    training = defaultdict(list)
    for cell in cells:
        if cell.config.examples == max(spec.examples):
            training[cell.config.format].append(cell.result["splits"]["train"]["accuracy"])
    return Measured(
        fits=fit_formats(outcomes, spec.bootstrap),
        tokens_per_example=means,
        seeds=len(complete),
        training_accuracy={fmt: float(np.mean(values)) for fmt, values in training.items()},
        decompositions=_decomposed(store),
        draws=spec.bootstrap,
    )


def _decomposed(store: Store) -> list[Decomposed]:
    """What the decomposition cells measured at their ends, the seeds of one format and length of SFT together."""
    groups: dict[tuple[str, int], list[Cell[DecompositionCell]]] = defaultdict(list)
    for cell in store.decompositions():
        groups[cell.config.format, cell.config.sft_steps].append(cell)
    found = []
    for (fmt, sft_steps), cells in groups.items():
        k, lengths = parse_format(fmt).k, cells[0].config.settings.n_ops
        excess: dict[str, list[Any]] = defaultdict(list)
        correct: dict[str, list[Any]] = defaultdict(list)
        shown: dict[str, dict[str, float | None]] = {}
        for state in (BEFORE, *BRANCHES):
            for cell in cells:
                rows = read_completions(store.completions_path(cell.digest, state))
                excess[state].append([excess_counts(row["stated"], k, row["n_ops"]) for row in rows])
                correct[state].append([row["correct"] for row in rows])
                trained = np.array([row["n_ops"] in lengths for row in rows])
            shown[state] = _shown(cells, state, lengths)
        found.append(
            Decomposed(
                format=fmt,
                sft_steps=sft_steps,
                excess={state: np.array(values, dtype=np.int64) for state, values in excess.items()},
                correct={state: np.array(values, dtype=bool) for state, values in correct.items()},
                trained=trained,
                shown=shown,
            )
        )
    return found


def _shown(cells: list[Cell[DecompositionCell]], state: str, lengths: Sequence[int]) -> dict[str, float | None]:
    """The table's other columns: means over seeds and trained lengths."""
    place, branch = (0, BRANCHES[0]) if state == BEFORE else (-1, state)
    points = [cell.result["points"][branch][place]["by_n_ops"][str(n)] for cell in cells for n in lengths]
    tried = [cell.result["pass_at"][state].get(str(n), {}) for cell in cells for n in lengths]
    columns = {
        "faithful": [point["faithful"] for point in points],
        "response tokens": [point["response_tokens"] for point in points],
        "operations a step": [point["ops_per_step"] for point in points],
        **{
            f"pass@{k}{', faithful' * (mark == 'faithful')}": [row[mark][k] for row in tried]
            for mark in ("correct", "faithful")
            for k in dict.fromkeys(("1", str(cells[0].config.settings.samples)))
            if tried[0]
        },
        "updates": [float(cell.result["updates"][state]) for cell in cells],
        "tokens": [float(cell.result["tokens"][state]) for cell in cells],
    }
    known = {name: [value for value in values if value is not None] for name, values in columns.items()}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


def findings(spec: StudySpec, data: Measured) -> list[Finding]:
    """The verdict on every claim that the study bears on."""
    asked = {"F1": bool(spec.formats), "F3": spec.decomposition is not None}
    return [finding(data) for name, finding in FINDINGS.items() if asked[name]]


def report_data(store: Store, data: Measured) -> ReportData:
    """All that the report shows."""
    spec = store.spec
    cells = store.grid()
    curves, thresholds = _curves(data)
    return ReportData(
        title=f"zipthought study: {spec.name}",
        command=store.meta("environment").get("command", "zipthought study run"),
        spec=asdict(spec),
        environment=store.meta("environment"),
        created=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(store.meta("created"))),
        findings=[
            FindingRow(id=f.id, claim=f.claim, verdict=f.verdict, rule=f.rule, summary=f.summary, rows=f.rows)
            for f in findings(spec, data)
        ],
        cells=[row for cell in cells for row in _cell_rows(cell)],
        curves=curves,
        thresholds=thresholds,
        training=[
            LossPoint(format=c.config.format, examples=c.config.examples, seed=c.config.seed, step=step, loss=loss)
            for c in cells
            for step, loss in c.result["loss"]
        ],
        profiles=[row for cell in store.decompositions() for row in _profiles(cell)],
        problems=[*_problems(store, spec, cells), *_decomposed_problems(store, spec)],
    )


def _profiles(cell: Cell[DecompositionCell]) -> Iterable[ProfilePoint]:
    """How the branches of a cell went, trained and longer lengths apart."""
    s = cell.config.settings
    for branch, points in cell.result["points"].items():
        for point in points:
            for lengths, sizes in (("trained", s.n_ops), ("longer", s.longer_n_ops)):
                rows = [point["by_n_ops"][str(n)] for n in sizes]
                if not rows:
                    continue

                def mean(name: str, rows: list[dict[str, Any]] = rows) -> float | None:
                    values = [row[name] for row in rows if row[name] is not None]
                    return sum(values) / len(values) if values else None

                yield ProfilePoint(
                    branch=F3_NAMES[branch],
                    run=f"{cell.config.format} after {cell.config.sft_steps} updates",
                    seed=cell.config.seed,
                    lengths=lengths,
                    tokens=point["tokens"],
                    excess=mean("excess"),
                    accuracy=mean("accuracy"),
                    response_tokens=mean("response_tokens"),
                )


def _decomposed_problems(store: Store, spec: StudySpec) -> list[ExplorerProblem]:
    """The first held-out problems of each length, with what the models of the first seed wrote before and after."""
    cells = [c for c in store.decompositions() if c.config.seed == spec.seeds[0]]
    if not cells:
        return []
    written = {
        (cell.digest, state): read_completions(store.completions_path(cell.digest, state))
        for cell in cells
        for state in (BEFORE, *BRANCHES)
    }
    settings = cells[0].config.settings
    lengths = settings.n_ops + settings.longer_n_ops
    problems = []
    for n_ops in lengths:
        rows = [row for row in next(iter(written.values())) if row["n_ops"] == n_ops]
        for index in [row["index"] for row in rows[: max(1, EXPLORED // len(lengths))]]:
            formats = ["explicit", *dict.fromkeys(c.config.format for c in cells)]
            problem, gold = _gold(spec, n_ops, index, formats)
            generated = [
                _judged(spec, problem, row, cell.config.format, settings.examples, F3_NAMES[state])
                for cell in cells
                for state in (BEFORE, *BRANCHES)
                for row in written[cell.digest, state]
                if (row["n_ops"], row["index"]) == (n_ops, index)
            ]
            problems.append(_explored(spec, problem, index, gold, generated))
    return problems


def _cell_rows(cell: Cell[CellConfig]) -> Iterable[CellRow]:
    result, config = cell.result, cell.config
    for split, summary in result["splits"].items():
        for n_ops, row in [("all", summary), *summary["by_n_ops"].items()]:
            low, high = binomial_interval(round(row["accuracy"] * row["n"]), row["n"])
            yield CellRow(
                format=config.format,
                order=config.order,
                examples=config.examples,
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
                baseline=config.format in BASELINES,
            )


def _curves(data: Measured) -> tuple[list[CurvePoint], list[ThresholdRow]]:
    points: list[CurvePoint] = []
    rows: list[ThresholdRow] = []
    for fmt, fit in data.fits.items():
        grid = np.geomspace(min(fit.examples), max(fit.examples), CURVE_POINTS)
        low, high = np.quantile([c(grid) for c in fit.resampled], [0.025, 0.975], axis=0)
        # Distinct training tokens are examples times the mean length of one, so the same curve serves both axes.
        for x, scale in (("examples", 1.0), ("tokens", data.tokens_per_example[fmt])):
            for value, middle, lower, upper in zip(grid, fit.curve(grid), low, high, strict=True):
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
            for threshold in THRESHOLDS:
                found = fit.threshold(threshold)
                lower, upper = np.quantile(fit.threshold_draws(threshold), [0.025, 0.975])
                rows.append(
                    ThresholdRow(
                        format=fmt,
                        x=x,
                        threshold=threshold,
                        estimate=found.value * scale,
                        low=float(lower) * scale,
                        high=float(upper) * scale,
                        censored=found.censored,
                    )
                )
    return points, rows


def _problems(store: Store, spec: StudySpec, cells: list[Cell[CellConfig]]) -> list[ExplorerProblem]:
    """The first held-out problems of each length: gold in every format, and what the models of seed 0 wrote."""
    shown = [c for c in cells if (c.config.seed, c.config.order) == (spec.seeds[0], spec.orders[0])]
    shown = [c for c in shown if c.config.examples in (min(spec.examples), max(spec.examples))]
    written = {c.digest: read_completions(store.completions_path(c.digest, "test")) for c in shown}
    if not written:
        return []
    per_length = max(1, EXPLORED // len(spec.n_ops))
    problems = []
    for n_ops in spec.n_ops:
        keys = sorted({row["index"] for row in next(iter(written.values())) if row["n_ops"] == n_ops})[:per_length]
        for index in keys:
            problem, gold = _gold(spec, n_ops, index, spec.formats)
            generated = [
                _judged(spec, problem, row, cell.config.format, cell.config.examples)
                for cell in shown
                for row in written[cell.digest]
                if (row["n_ops"], row["index"]) == (n_ops, index)
            ]
            problems.append(_explored(spec, problem, index, gold, generated))
    return problems


def _gold(
    spec: StudySpec, n_ops: int, index: int, formats: Sequence[str]
) -> tuple[Problem, list[tuple[str, str, int]]]:
    """A held-out problem and its right reasoning in each format."""
    sampler = SamplerConfig(n_ops=n_ops, modulus=spec.modulus, number_range=spec.number_range)
    batch = sample_batch(sampler, spec.split, [index])
    problem = batch.problem(0)
    render = get_surface(spec.surface).render
    texts = [(fmt, render(compress(problem, fmt, spec.orders[0]), batch.aliases(0))) for fmt in formats]
    return problem, [(fmt, text, count_pieces(text)) for fmt, text in texts]


def _judged(
    spec: StudySpec, problem: Problem, row: Row, fmt: str, examples: int, label: str = ""
) -> ExplorerCompletion:
    """What a model wrote, step by step."""
    verdict = verify(row["completion"], problem, spec.surface)
    texts = get_surface(spec.surface).sentences(row["completion"])
    return ExplorerCompletion(
        format=fmt,
        examples=examples,
        text=row["completion"],
        answer_verdict=verdict.answer,
        faithful=verdict.faithful,
        steps=[
            (text, step.verdict, step.granularity, step.form) for text, step in zip(texts, verdict.steps, strict=True)
        ],
        label=label,
    )


def _explored(
    spec: StudySpec,
    problem: Problem,
    index: int,
    gold: list[tuple[str, str, int]],
    generated: list[ExplorerCompletion],
) -> ExplorerProblem:
    return ExplorerProblem(
        id=f"{spec.split}-{problem.n_ops}-{index}",
        n_ops=problem.n_ops,
        prompt=get_surface(spec.surface).render_problem(problem),
        gold=gold,
        generated=generated,
    )


def summary(store: Store, data: Measured) -> dict[str, Any]:
    """What ``study run --json`` prints: counts, verdicts, fits."""
    return {
        "study": store.spec.name,
        "cells": store.counts(),
        "findings": [asdict(finding) for finding in findings(store.spec, data)],
        "curves": {fmt: {**fit.curve._asdict(), "r2": fit.r2} for fmt, fit in data.fits.items()},
    }
