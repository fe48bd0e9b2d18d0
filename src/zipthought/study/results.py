"""From the store to the report: every number of a report is read or computed here, from the store alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from ..core.compress import compress
from ..core.formats import parse_format
from ..data.sampling import SamplerConfig, sample_batch
from ..evaluation.evaluate import read_completions
from ..report.data import (
    CellRow,
    CurvePoint,
    ExplorerCompletion,
    ExplorerProblem,
    FindingRow,
    LossPoint,
    ReportData,
    ThresholdRow,
)
from ..surfaces import count_pieces, get_surface, verify
from .findings import FINDINGS, Finding, Measured
from .spec import StudySpec
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
    cells = [cell for cell in store.cells() if cell.result and cell.config.order == spec.orders[0]]
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
    if complete:
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
    )


def findings(data: Measured) -> list[Finding]:
    """The verdict on every claim that the study bears on."""
    return [finding(data) for finding in FINDINGS.values()]


def report_data(store: Store, data: Measured) -> ReportData:
    """All that the report shows."""
    spec = store.spec
    cells = [cell for cell in store.cells() if cell.result]
    curves, thresholds = _curves(data)
    return ReportData(
        title=f"zipthought study: {spec.name}",
        command=store.meta("environment").get("command", "zipthought study run"),
        spec=asdict(spec),
        environment=store.meta("environment"),
        created=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(store.meta("created"))),
        findings=[
            FindingRow(id=f.id, claim=f.claim, verdict=f.verdict, rule=f.rule, summary=f.summary, rows=f.rows)
            for f in findings(data)
        ],
        cells=[row for cell in cells for row in _cell_rows(cell)],
        curves=curves,
        thresholds=thresholds,
        training=[
            LossPoint(format=c.config.format, examples=c.config.examples, seed=c.config.seed, step=step, loss=loss)
            for c in cells
            for step, loss in c.result["loss"]
        ],
        problems=_problems(store, spec, cells),
    )


def _cell_rows(cell: Cell) -> Iterable[CellRow]:
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


def _problems(store: Store, spec: StudySpec, cells: list[Cell]) -> list[ExplorerProblem]:
    """The first held-out problems of each length: gold in every format, and what the models of seed 0 wrote."""
    surface = get_surface(spec.surface)
    shown = [c for c in cells if (c.config.seed, c.config.order) == (spec.seeds[0], spec.orders[0])]
    shown = [c for c in shown if c.config.examples in (min(spec.examples), max(spec.examples))]
    written = {c.digest: read_completions(store.completions_path(c.digest, "test")) for c in shown}
    if not written:
        return []
    per_length = max(1, EXPLORED // len(spec.n_ops))
    problems = []
    for n_ops in spec.n_ops:
        keys = sorted({row["index"] for row in next(iter(written.values())) if row["n_ops"] == n_ops})[:per_length]
        sampler = SamplerConfig(n_ops=n_ops, modulus=spec.modulus, number_range=spec.number_range)
        batch = sample_batch(sampler, spec.split, keys)
        for place, index in enumerate(keys):
            problem = batch.problem(place)
            gold = []
            for fmt in spec.formats:
                text = surface.render(compress(problem, fmt, spec.orders[0]), batch.aliases(place))
                gold.append((fmt, text, count_pieces(text)))
            generated = []
            for cell in shown:
                row = next((r for r in written[cell.digest] if (r["n_ops"], r["index"]) == (n_ops, index)), None)
                if row is None:
                    continue
                verdict = verify(row["completion"], problem, spec.surface)
                texts = surface.sentences(row["completion"])
                generated.append(
                    ExplorerCompletion(
                        format=cell.config.format,
                        examples=cell.config.examples,
                        text=row["completion"],
                        answer_verdict=verdict.answer,
                        faithful=verdict.faithful,
                        steps=[
                            (text, step.verdict, step.granularity, step.form)
                            for text, step in zip(texts, verdict.steps, strict=True)
                        ],
                    )
                )
            problems.append(
                ExplorerProblem(
                    id=f"{spec.split}-{n_ops}-{index}",
                    n_ops=n_ops,
                    prompt=surface.render_problem(problem),
                    gold=gold,
                    generated=generated,
                )
            )
    return problems


def summary(store: Store, data: Measured) -> dict[str, Any]:
    """What ``study run --json`` prints: counts, verdicts, fits."""
    return {
        "study": store.spec.name,
        "cells": store.counts(),
        "findings": [asdict(finding) for finding in findings(data)],
        "curves": {fmt: {**fit.curve._asdict(), "r2": fit.r2} for fmt, fit in data.fits.items()},
    }
