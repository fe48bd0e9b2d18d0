"""Running cells of the decomposition: SFT from a base, or a branch from the weights that SFT kept.

Held-out problems of the trained lengths and of longer ones are measured during each branch. The final model is sampled
for pass@k.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core.methods import parse_method
from ...evaluation.evaluate import EvaluateConfig, Evaluation, evaluate
from ...models.loading import load, save
from ...records.schema import make_record
from ...train.config import OptimizerConfig, RLVRConfig, SFTConfig
from ...train.grpo import grpo
from ...train.loop import LoopResult
from ...train.prompts import SampledPrompts
from ..excess import excess_counts, excess_share, short_steps
from ..problems import held_out_problem, training_problems
from ..workspace import Workspace
from .base import OnStep
from .decomposition import (
    SFT_STATE,
    BranchPoint,
    DecompositionCell,
    DecompositionResult,
    LengthMeasures,
    PassAt,
    Rollouts,
)
from .sft_run import sft_trainer

ROLLOUT_POINTS = 100
"""At most about this many updates of RLVR are kept."""
_COPIED = ("n", "correct", "faithful", "response_tokens", "truncated", "ops_per_step", "single_op_share")


def run_part(cell: DecompositionCell, workspace: Workspace, on_step: OnStep | None = None) -> DecompositionResult:
    """Train and measure a part. The final greedy completions go to the workspace under the name of the part."""
    s = cell.settings
    first = cell.part == SFT_STATE
    start = cell.model if first else str(workspace.weights(cell.sibling(SFT_STATE).digest))
    model, tokenizer = load(start, training=True)
    problems = training_problems([cell.sampler(n, cell.seed) for n in s.n_ops], s.examples)
    steps = _updates(cell, workspace)
    every = max(1, round(s.measure_every * steps / s.rl_steps))
    points: list[BranchPoint] = []
    rollouts: list[Rollouts] = []

    def watch(row: dict[str, Any]) -> None:
        if cell.part == "rlvr":
            rollouts.append(Rollouts.of(row))
        if row["step"] == steps or (not first and row["step"] % every == 0):
            path = workspace.completions(cell.digest, cell.part) if row["step"] == steps else None
            points.append(_measure(model, tokenizer, cell, row, path))
        if on_step:
            on_step(row)

    if cell.part == "rlvr":
        rlvr = _rlvr_config(cell)
        prompts = SampledPrompts(rlvr, tokenizer, {problem.structure for _, problem in problems})
        loop = _rlvr_trainer(cell, workspace)(model, tokenizer, prompts, rlvr, on_step=watch)
    else:
        sft = _sft_config(cell, steps)
        records = [make_record(problem, cell.format, surface=cell.surface, index=i) for i, problem in problems]
        loop = sft_trainer(cell, workspace)(model, tokenizer, records, sft, on_step=watch).loop
    if first:
        with workspace.new_weights(cell.digest) as directory:
            save(model, tokenizer, directory)
    return DecompositionResult(
        points=tuple(points),
        pass_at=_pass_at(model, tokenizer, cell),
        rollouts=tuple(rollouts[:: max(1, len(rollouts) // ROLLOUT_POINTS)]),
        updates=loop.steps,
        tokens=loop.tokens,
        parameters=sum(p.numel() for p in model.parameters()),
        train_seconds=loop.seconds,
    )


def _updates(cell: DecompositionCell, workspace: Workspace) -> int:
    """The number of updates. `sft-tokens` has as many as it takes to read the tokens of RLVR."""
    if cell.part == SFT_STATE:
        return cell.sft_steps
    if cell.part != "sft-tokens":
        return cell.settings.rl_steps
    sft, rlvr = (workspace.results[cell.sibling(part).digest] for part in (SFT_STATE, "rlvr"))
    assert isinstance(sft, DecompositionResult)
    assert isinstance(rlvr, DecompositionResult)
    return max(1, round(rlvr.tokens / (sft.tokens / sft.updates)))


def _rlvr_trainer(cell: DecompositionCell, workspace: Workspace) -> Callable[..., LoopResult]:
    """The RLVR function of the cell's engine."""
    if cell.engine == "native":
        return grpo
    from ...train.trl_engine import rlvr_with_trl

    return partial(rlvr_with_trl, directory=workspace.scratch(cell.digest))


def _sft_config(cell: DecompositionCell, steps: int) -> SFTConfig:
    """The configuration of the first SFT, or of a branch, whose learning rate does not decay."""
    s = cell.settings
    branch = cell.part != SFT_STATE
    optimizer = OptimizerConfig(learning_rate=s.sft_learning_rate, min_learning_rate_ratio=1.0 if branch else 0.1)
    return SFTConfig(
        steps=steps,
        batch_size=s.sft_batch_size,
        seed=cell.seed + branch,  # A branch reads the data in another order.
        checkpoint_every=0,
        engine=cell.engine,
        optimizer=optimizer,
    )


def _rlvr_config(cell: DecompositionCell) -> RLVRConfig:
    s = cell.settings
    default = RLVRConfig().optimizer
    return RLVRConfig(
        n_ops=s.n_ops,
        surface=cell.surface,
        task=cell.task,
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
        task=cell.task,
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
    row: dict[str, Any],
    path: Path | None,
) -> BranchPoint:
    """A point, after an update with the metrics `row`. The completions go to `path` if there is one."""
    evaluation = _evaluate(model, tokenizer, cell, cell.settings.count, 1)
    if path:
        evaluation.write_completions(path)
    k = parse_method(cell.format).k
    counts: dict[int, list[tuple[int, int]]] = {}
    for completion in evaluation.completions:
        problem, _ = held_out_problem(cell.sampler(completion.n_ops), cell.split, completion.index)
        pair = excess_counts(completion.stated, short_steps(problem, k), completion.valid)
        counts.setdefault(completion.n_ops, []).append(pair)
    summary = evaluation.summary()
    by_n_ops = {
        n: LengthMeasures(**{name: getattr(part, name) for name in _COPIED}, excess=excess_share(counts[n]))
        for n, part in summary.by_n_ops.items()
    }
    return BranchPoint(step=row["step"], tokens=row["tokens"], by_n_ops=by_n_ops)


@torch.no_grad()
def _pass_at(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cell: DecompositionCell) -> dict[int, PassAt]:
    """n_ops -> pass@k at temperature 1."""
    s = cell.settings
    if s.samples == 1:
        return {}
    summary = _evaluate(model, tokenizer, cell, s.sampled, s.samples).summary()
    return {n: PassAt(correct=part.pass_at, faithful=part.faithful_at) for n, part in summary.by_n_ops.items()}


__all__ = ["run_part"]
