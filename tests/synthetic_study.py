"""Finished studies whose results were made up rather than trained, for tests and benchmarks of stores and reports.

Completions are gold traces or wrong answers, verified as a model's would be, and results are computed from them. So a
store is as valid as that of a trained study, and its cells take milliseconds.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np

from zipthought.core.compress import compress
from zipthought.evaluation.completions import write_completions
from zipthought.evaluation.metrics import EditedAnswer, Item, JudgedCompletion, judge_completion, summarize
from zipthought.study.cells import (
    SFT_STATE,
    Cell,
    DecompositionCell,
    DecompositionResult,
    Result,
    SFTCell,
    SFTCellResult,
    Step0Cell,
    Step0Result,
)
from zipthought.study.cells.decomposition import RLVR_STATES, BranchPoint, LengthMeasures, PassAt, Rollouts
from zipthought.study.cells.sft import Memorization, RunPoint
from zipthought.study.spec import StudySpec
from zipthought.study.store import Store
from zipthought.study.workspace import Workspace
from zipthought.surfaces import get_surface
from zipthought.tasks.sampling import sample_batch

WORKER = "made-up:1"
EASE = {"explicit": 1.0, "composed": 0.5, "implicit": 0.3}
"""How fast accuracy rises with the data, by method."""


def finished_study(directory: Path, spec: StudySpec, flat: bool = False) -> Store:
    """A study whose cells are all done. `flat`: accuracy does not depend on the data."""
    store = Store.create(directory, spec, {"command": "zipthought study run made-up"})
    while cell := store.claim(WORKER):
        assert store.finish(cell.digest, WORKER, made_up(cell, Workspace(directory), flat), 1.5)
    return store


def made_up(cell: Cell, workspace: Workspace, flat: bool = False) -> Result:
    """The result of a cell. Its files go to the workspace."""
    if isinstance(cell, SFTCell):
        return _sft(cell, workspace, flat)
    if isinstance(cell, Step0Cell):
        return _step0(cell, workspace)
    assert isinstance(cell, DecompositionCell)
    return _decomposition(cell, workspace)


def _sft(cell: SFTCell, workspace: Workspace, flat: bool) -> SFTCellResult:
    rng = np.random.default_rng(int(cell.digest, 16))
    rate = EASE.get(cell.format.partition(":")[0], 0.2)
    reached = 0.5 if flat else 1 - math.exp(-rate * cell.examples * cell.steps / 20_000)
    test = _completions(cell, cell.split, cell.format, cell.n_ops + cell.longer_n_ops, cell.test_count, reached, rng)
    train = _completions(cell, "train", cell.format, cell.n_ops, cell.train_count, 0.95, rng)
    write_completions(test, workspace.completions(cell.digest, "test"))
    write_completions(train, workspace.completions(cell.digest, "train"))
    tokens = cell.steps * cell.batch_size * 30
    correct = [c.correct for c in sorted(test, key=lambda c: (c.n_ops, c.index)) if c.n_ops in cell.n_ops]
    points = tuple(
        RunPoint(
            step=step,
            tokens=tokens * step // cell.steps,
            flops=6e5 * tokens * step / cell.steps,
            correct=tuple(right and rng.random() < step / cell.steps for right in correct),
            validation=reached if cell.points > 1 else None,
        )
        for step in cell.measured_at()
    )
    answers = tuple(EditedAnswer(old=bool(rng.random() < 0.1), right=False) for _ in range(cell.edited_count))
    return SFTCellResult(
        learning_rate=cell.learning_rates[0],
        points=points,
        step=cell.steps,
        tokens=tokens,
        flops=points[-1].flops,
        test=summarize(test),
        train=summarize(train),
        memorized=Memorization(train=answers, held_out=answers) if answers else None,
        parameters=100_000,
        distinct_tokens=cell.examples * 30,
        train_seconds=1.25,
        loss=tuple((step, 3.0 * math.exp(-step / 40) + 0.1) for step in range(1, cell.steps + 1))[:60],
    )


def _step0(cell: Step0Cell, workspace: Workspace) -> Step0Result:
    rng = np.random.default_rng(int(cell.digest, 16))
    test = _completions(cell, cell.split, "explicit", cell.n_ops, cell.test_count, 0.1, rng)
    write_completions(test, workspace.completions(cell.digest, "test"))
    return Step0Result(test=summarize(test))


def _decomposition(cell: DecompositionCell, workspace: Workspace) -> DecompositionResult:
    s = cell.settings
    rng = np.random.default_rng(int(cell.digest, 16))
    shown = "explicit" if cell.part in RLVR_STATES else cell.format or "composed:3"
    lengths = s.n_ops + s.longer_n_ops
    final = [c for n in lengths for c in _completions(cell, cell.split, shown, (n,), s.count, 0.7, rng)]
    write_completions(final, workspace.completions(cell.digest, cell.part))
    if cell.keeps_weights:
        with workspace.new_weights(cell.digest) as directory:
            (directory / "model.safetensors").write_bytes(rng.bytes(2000))
            (directory / "config.json").write_text("{}")
    of_length = {n: _length(summarize([c for c in final if c.n_ops == n])) for n in s.n_ops + s.longer_n_ops}
    ks = {1: 0.5, s.samples: 0.9}
    metrics = {"reward": 0.5, "zero_variance": 0.1, "kl": None, "entropy": None, "response_tokens": 20.0}
    metrics |= {"truncated": 0.0, "ops_per_step": 1.5, "single_op_share": 0.5}
    steps = range(s.measure_every, s.rl_steps + 1, s.measure_every)
    return DecompositionResult(
        points=tuple(BranchPoint(step=step, tokens=step * 500, by_n_ops=of_length) for step in steps),
        pass_at={n: PassAt(correct=ks, faithful=ks) for n in of_length} if s.samples > 1 else {},
        rollouts=tuple(Rollouts.of({"step": n, **metrics}) for n in range(1, 3)) if cell.part in RLVR_STATES else (),
        updates=cell.sft_steps if cell.part == SFT_STATE else s.rl_steps,
        tokens=500 * s.rl_steps,
        parameters=100_000,
        train_seconds=1.25,
    )


def _length(part) -> LengthMeasures:
    names = ("n", "correct", "faithful", "response_tokens", "truncated", "ops_per_step", "single_op_share")
    return LengthMeasures(**{name: getattr(part, name) for name in names}, single_op_coverage=0.1)


def _completions(cell, split, fmt, lengths, count, accuracy, rng) -> list[JudgedCompletion]:
    made = []
    for n_ops in lengths:
        for right, wrong in _texts(cell.sampler(n_ops), split, fmt, cell.surface, count):
            made.append(right if rng.random() < accuracy else wrong)
    return made


@lru_cache(maxsize=512)
def _texts(sampler, split, fmt, surface, count) -> list[tuple[JudgedCompletion, JudgedCompletion]]:
    """(a right completion, a wrong one) of each problem."""
    batch = sample_batch(sampler, split, range(count))
    pairs = []
    for row in range(count):
        problem = batch.problem(row)
        item = Item.of(problem, surface, row)
        right = get_surface(surface).render(compress(problem, fmt), batch.aliases(row))
        wrong = right.replace(str(problem.answer), str((problem.answer + 1) % problem.modulus))
        judged = [
            judge_completion(item, text, response_tokens=len(text.split()), truncated=False) for text in (right, wrong)
        ]
        pairs.append((judged[0], judged[1]))
    return pairs


def _judged(item, text) -> JudgedCompletion:
    return judge_completion(item, text, response_tokens=len(text.split()), truncated=False)
