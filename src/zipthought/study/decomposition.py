"""What becomes of compressed steps after SFT: RLVR, against more SFT from the same weights (F3).

A base -> SFT on a compressed format for a few updates -> three branches, each a cell:

    rlvr           GRPO on problems whose structures SFT never saw
    sft-updates    the same SFT goes on for as many updates
    sft-tokens     the same SFT goes on for as many tokens as RLVR read and wrote

Each is measured on held-out problems of the trained lengths and of longer ones while it runs, and sampled for pass@k
at its end. `excess` is the measure of decomposition: the share of single-operation steps beyond those that the format
itself leaves (the short last group), 0 for the format as trained and 1 for an explicit trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.methods import parse_method
from ..evaluation.evaluate import EvaluateConfig, Evaluation, evaluate
from ..evaluation.metrics import JudgedCompletion
from ..models.loading import load, save
from ..train.config import OptimizerConfig, RLVRConfig, SFTConfig
from ..train.grpo import grpo
from ..train.loop import LoopResult
from ..train.prompts import SampledPrompts
from .cells import BEFORE, DecompositionCell
from .sft import OnStep, sft_trainer, training_records
from .workspace import Workspace

KEPT = ("reward", "zero_variance", "kl", "entropy", "response_tokens", "truncated", "ops_per_step", "single_op_share")
"""Of the rollouts' metrics, what a result keeps."""
ROLLOUT_POINTS = 100
"""Steps of the rollouts that a result keeps, at most."""


def excess_counts(stated: Sequence[int], k: int, n_ops: int) -> tuple[int, int]:
    """Of a trace's steps (the operations that each states): single ones and all, less what the format leaves.

    Steps with wrong arithmetic count: nested ones fail more often, and leaving them out would look like decomposition.
    """
    left = int(n_ops % k == 1)
    return max(0, list(stated).count(1) - left), max(0, len(stated) - left)


def excess_share(rows: Iterable[JudgedCompletion], k: int) -> float | None:
    """`excess` over completions: their single steps over all their steps, both without those left over."""
    counts = [excess_counts(row.stated, k, row.n_ops) for row in rows]
    total = sum(steps for _, steps in counts)
    return sum(single for single, _ in counts) / total if total else None


def run_part(cell: DecompositionCell, workspace: Workspace, on_step: OnStep | None = None) -> dict[str, Any]:
    """Train and measure a part; its greedy completions at the end go to the workspace under the part's name.

    The result: `points` (measurements: `step`, `tokens` since SFT, and by n_ops what `evaluation.metrics` says and
    `excess`), `pass_at` (n_ops -> `correct` or `faithful` -> k -> pass@k), `rollouts` (metrics of RLVR's steps,
    thinned; else empty), `updates`, `tokens`, `parameters`, `train_seconds`.
    """
    s = cell.settings
    before = cell.part == BEFORE
    start = cell.model if before else str(workspace.weights(cell.sibling(BEFORE).digest))
    model, tokenizer = load(start, training=True)
    records = training_records(cell, s.examples, s.n_ops)
    steps = _updates(cell, workspace)
    every = max(1, round(s.measure_every * steps / s.rl_steps))
    points: list[dict[str, Any]] = []
    rollouts: list[dict[str, Any]] = []

    def watch(row: dict[str, Any]) -> None:
        if cell.part == "rlvr":
            rollouts.append({"step": row["step"], **{name: row[name] for name in KEPT}})
        if row["step"] == steps or (not before and row["step"] % every == 0):
            path = workspace.completions(cell.digest, cell.part) if row["step"] == steps else None
            points.append(_measure(model, tokenizer, cell, row["step"], row["tokens"], path))
        if on_step:
            on_step(row)

    if cell.part == "rlvr":
        rlvr = _rlvr(cell)
        prompts = SampledPrompts(rlvr, tokenizer, {record["structure"] for record in records})
        loop = _rlvr_trainer(cell, workspace)(model, tokenizer, prompts, rlvr, on_step=watch)
    else:
        sft = _sft(cell, steps, constant=not before)
        loop = sft_trainer(cell, workspace)(model, tokenizer, records, sft, on_step=watch).loop
    if before:
        with workspace.new_weights(cell.digest) as directory:
            save(model, tokenizer, directory)
    return {
        "points": points,
        "pass_at": _pass_at(model, tokenizer, cell),
        "rollouts": rollouts[:: max(1, len(rollouts) // ROLLOUT_POINTS)],
        "updates": loop.steps,
        "tokens": loop.tokens,
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_seconds": loop.seconds,
    }


def _updates(cell: DecompositionCell, workspace: Workspace) -> int:
    """How many updates the part has: for `sft-tokens`, as many as read the tokens that RLVR read and wrote."""
    if cell.part == BEFORE:
        return cell.sft_steps
    if cell.part != "sft-tokens":
        return cell.settings.rl_steps
    sft, rlvr = (workspace.results[cell.sibling(part).digest] for part in (BEFORE, "rlvr"))
    return max(1, round(rlvr["tokens"] / (sft["tokens"] / sft["updates"])))


def _rlvr_trainer(cell: DecompositionCell, workspace: Workspace) -> Callable[..., LoopResult]:
    """The function that trains on rewards, of the cell's engine."""
    if cell.engine == "native":
        return grpo
    from ..train.trl_engine import rlvr_with_trl

    return partial(rlvr_with_trl, directory=workspace.scratch(cell.digest))


def _sft(cell: DecompositionCell, steps: int, *, constant: bool) -> SFTConfig:
    """The SFT before the branches, or the one that goes on, at a learning rate that no longer decays."""
    s = cell.settings
    optimizer = OptimizerConfig(learning_rate=s.sft_learning_rate, min_learning_rate_ratio=1.0 if constant else 0.1)
    return SFTConfig(
        steps=steps,
        batch_size=s.sft_batch_size,
        seed=cell.seed + constant,  # Another order of the data than before.
        checkpoint_every=0,
        engine=cell.engine,
        optimizer=optimizer,
    )


def _rlvr(cell: DecompositionCell) -> RLVRConfig:
    s = cell.settings
    default = RLVRConfig().optimizer
    return RLVRConfig(
        n_ops=s.n_ops,
        surface=cell.surface,
        modulus=cell.modulus,
        number_range=cell.number_range,
        steps=s.rl_steps,
        prompts_per_step=s.prompts_per_step,
        group_size=s.group_size,
        seed=cell.seed,
        kl=s.kl,
        checkpoint_every=0,
        engine=cell.engine,
        optimizer=OptimizerConfig(
            learning_rate=s.rl_learning_rate,
            min_learning_rate_ratio=default.min_learning_rate_ratio,
            warmup_ratio=default.warmup_ratio,
            weight_decay=default.weight_decay,
        ),
    )


def _evaluate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cell: DecompositionCell, count: int, samples: int
) -> Evaluation:
    s = cell.settings
    config = EvaluateConfig(
        split=cell.split,
        n_ops=s.n_ops + s.longer_n_ops,
        count=count,
        surface=cell.surface,
        modulus=cell.modulus,
        number_range=cell.number_range,
        samples=samples,
        temperature=1.0 if samples > 1 else 0.0,
        orders=("forward",),
    )
    return evaluate(model, tokenizer, config)


def _measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    cell: DecompositionCell,
    step: int,
    tokens: int,
    path: Path | None,
) -> dict[str, Any]:
    """A point of a branch; its completions go to `path` where one is given."""
    measured = _evaluate(model, tokenizer, cell, cell.settings.count, 1)
    if path:
        measured.write_completions(path)
    k = parse_method(cell.format).k
    by_n_ops = measured.summary().plain()["by_n_ops"]
    names = ("n", "accuracy", "faithful", "response_tokens", "truncated", "ops_per_step", "single_op_share")
    return {
        "step": step,
        "tokens": tokens,
        "by_n_ops": {
            n: {
                **{name: row[name] for name in names},
                "excess": excess_share((c for c in measured.completions if c.n_ops == int(n)), k),
            }
            for n, row in by_n_ops.items()
        },
    }


@torch.no_grad()
def _pass_at(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cell: DecompositionCell) -> dict[str, Any]:
    """n_ops -> `correct` or `faithful` -> k -> pass@k, at temperature 1."""
    s = cell.settings
    if s.samples == 1:
        return {}
    summary = _evaluate(model, tokenizer, cell, s.sampled, s.samples).summary().plain()
    return {n: {"correct": row["pass_at"], "faithful": row["faithful_at"]} for n, row in summary["by_n_ops"].items()}


__all__ = ["excess_counts", "excess_share", "run_part"]
