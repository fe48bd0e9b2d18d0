"""Running cells of the decomposition: the base alone, SFT or RLVR from it, or a branch from the weights that SFT kept.

Held-out problems of the trained lengths and of longer ones are measured during each branch. The final model is sampled
for pass@k. A cell that was killed goes on from its last checkpoint, which holds its measurements, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...evaluation.evaluate import EvaluateConfig, Evaluation, evaluate
from ...models.backends import TrainedBackend
from ...models.loading import load, save
from ...records.schema import make_record
from ...train.config import OptimizerConfig, RLVRConfig, SFTConfig
from ...train.grpo import grpo
from ...train.loop import LoopResult, Resumable
from ...train.prompts import SampledPrompts
from ...train.rejection import correct_samples
from ...train.sft import encode
from ...train.trl_config import OF_RLVR, OF_SFT
from ..execution import CellExecution
from ..problems import training_problems
from ..single_op_coverage import single_op_coverage
from ..workspace import Workspace
from .base import OnStep
from .decomposition import (
    BASE_STATE,
    PRICED_BRANCHES,
    RLVR_BASE,
    RLVR_PRICED,
    RLVR_STATES,
    SFT_STATE,
    BranchPoint,
    DecompositionCell,
    DecompositionResult,
    LengthMeasures,
    PassAt,
    Rollouts,
)
from .sft_run import checkpoint_every, sft_trainer, timed_checkpoint

ROLLOUT_POINTS = 100
"""At most about this many updates of RLVR are kept."""
SECOND_RLVR = 1000
"""What is added to the seed of a second RLVR, which has other problems and rollouts than the first."""
_COPIED = ("n", "correct", "faithful", "response_tokens", "truncated", "ops_per_step", "single_op_share")


def run_part(cell: DecompositionCell, workspace: Workspace, on_step: OnStep | None = None) -> DecompositionResult:
    """Train and measure a state. The final greedy completions go to the workspace under the name of the part."""
    before = "rlvr" if cell.part == RLVR_PRICED else SFT_STATE
    is_first = cell.part in (BASE_STATE, SFT_STATE, RLVR_BASE)
    start = cell.source if is_first else str(workspace.weights(cell.sibling(before).digest))
    model, tokenizer = load(start, training=True, attention=workspace.execution.attention)
    with workspace.execution.backend(model, tokenizer) as backend:
        run = _Run(cell, workspace, backend, on_step)
        loop = run.train()
        if cell.keeps_weights:
            with workspace.new_weights(cell.digest) as directory:
                save(model, tokenizer, directory)
        final = _measure(backend, cell, loop.steps, loop.tokens, workspace.completions(cell.digest, cell.part))
        pass_at = _pass_at(backend, cell)
    rollouts = [Rollouts.of(row) for row in loop.history] if cell.part in RLVR_STATES else []
    return DecompositionResult(
        points=(*run.points, final),
        pass_at=pass_at,
        rollouts=tuple(rollouts[:: max(1, len(rollouts) // ROLLOUT_POINTS)]),
        updates=loop.steps,
        tokens=loop.tokens,
        parameters=sum(p.numel() for p in model.parameters()),
        train_seconds=loop.seconds,
    )


class _Run:
    """The training of a cell, and its measurements before the last update."""

    def __init__(
        self,
        cell: DecompositionCell,
        workspace: Workspace,
        backend: TrainedBackend,
        on_step: OnStep | None,
    ) -> None:
        self._cell, self._workspace, self._backend, self._on_step = cell, workspace, backend, on_step
        self._model, self._tokenizer = backend.model, backend.tokenizer
        self._steps = 0
        self._sampled = 0  # Tokens before the first update.
        self.points: list[BranchPoint] = []

    def train(self) -> LoopResult:
        """Train the model in place."""
        cell, s = self._cell, self._cell.settings
        if cell.part == BASE_STATE:
            return LoopResult(0, 0, 0.0, [])
        problems = training_problems([cell.sampler(n, cell.seed) for n in s.n_ops], s.examples)
        rlvr = _rlvr_config(cell, self._workspace.execution)
        prompts = SampledPrompts(rlvr, self._tokenizer, {problem.structure for _, problem in problems})
        if cell.part in RLVR_STATES:
            self._steps = s.rl_steps
            trainer = _rlvr_trainer(cell, self._workspace, self, self._backend)
            return trainer(self._model, self._tokenizer, prompts, rlvr, on_step=self._watch)
        if cell.part == "rejection":
            return self._reject(prompts, rlvr)
        records = [make_record(problem, cell.format, surface=cell.surface, index=i) for i, problem in problems]
        return self._fine_tune(records, _updates(cell, self._workspace))

    def _reject(self, prompts: SampledPrompts, config: RLVRConfig) -> LoopResult:
        """Half of RLVR's tokens are sampled, the others trained on. Without a correct sample nothing is trained."""
        began = time.perf_counter()
        budget = _needed(self._cell, self._workspace, "rlvr").tokens
        records, self._sampled = correct_samples(self._backend, prompts, config, budget // 2)
        seconds = time.perf_counter() - began
        if not records:
            return LoopResult(0, self._sampled, seconds, [])
        epoch = sum(len(encode(self._tokenizer, record).ids) for record in records)
        updates_per_epoch = -(-len(records) // self._cell.settings.sft_batch_size)
        steps = max(1, round((budget - self._sampled) / (epoch / updates_per_epoch)))
        loop = self._fine_tune(records, steps)
        return LoopResult(loop.steps, self._sampled + loop.tokens, seconds + loop.seconds, loop.history)

    def _fine_tune(self, records: Sequence[Mapping[str, Any]], steps: int) -> LoopResult:
        self._steps = steps
        trainer = sft_trainer(self._cell, self._workspace, self)
        config = _sft_config(self._cell, steps, self._workspace.execution)
        return trainer(self._model, self._tokenizer, records, config, on_step=self._watch).loop

    def _watch(self, row: dict[str, Any]) -> None:
        cell, s = self._cell, self._cell.settings
        every = max(1, round(s.measure_every * self._steps / s.rl_steps))
        if cell.part != SFT_STATE and row["step"] < self._steps and row["step"] % every == 0:
            tokens = self._sampled + row["tokens"]
            self.points.append(_measure(self._backend, cell, row["step"], tokens))
        if self._on_step:
            self._on_step({**row, "steps": self._steps})

    def state(self) -> dict[str, Any]:
        """The measurements so far, for a checkpoint."""
        return {"points": [point.plain() for point in self.points]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.points = [BranchPoint.from_plain(point) for point in state["points"]]


def _needed(cell: DecompositionCell, workspace: Workspace, part: str) -> DecompositionResult:
    """The result of another state of the same run, which the cell needs."""
    result = workspace.results[cell.sibling(part).digest]
    assert isinstance(result, DecompositionResult)
    return result


def _updates(cell: DecompositionCell, workspace: Workspace) -> int:
    """The number of updates of SFT. `sft-tokens` has as many as it takes to read the tokens of RLVR."""
    if cell.part == SFT_STATE:
        return cell.sft_steps
    if cell.part == "sft-updates":
        return cell.settings.rl_steps
    sft, rlvr = (_needed(cell, workspace, part) for part in (SFT_STATE, "rlvr"))
    return max(1, round(rlvr.tokens / (sft.tokens / sft.updates)))


def _rlvr_trainer(
    cell: DecompositionCell, workspace: Workspace, watch: Resumable, backend: TrainedBackend
) -> Callable[..., LoopResult]:
    """The RLVR function of the cell's engine, as `sft_trainer`."""
    if cell.engine == "native":
        return partial(grpo, timed=timed_checkpoint(cell, workspace, watch), backend=backend)
    if launch := workspace.execution.launch:
        return partial(launch.rlvr, directory=workspace.scratch(cell.digest))
    from ...train.trl_engine import rlvr_with_trl

    return partial(rlvr_with_trl, directory=workspace.scratch(cell.digest), resume=True, watch=watch)


def _sft_config(cell: DecompositionCell, steps: int, execution: CellExecution) -> SFTConfig:
    """The configuration of the first SFT, or of a branch, whose learning rate does not decay."""
    s = cell.settings
    branch = cell.part != SFT_STATE
    return SFTConfig(
        steps=steps,
        batch_size=s.sft_batch_size,
        seed=cell.seed + branch,  # A branch reads the data in another order.
        checkpoint_every=checkpoint_every(cell, steps),
        engine=cell.engine,
        execution=execution,
        precision=cell.precision,
        trl=execution.trl_of(cell).without(OF_RLVR),
        optimizer=OptimizerConfig(
            learning_rate=s.sft_learning_rate,
            min_learning_rate_ratio=1.0 if branch else s.sft_min_learning_rate_ratio,
            optimizer=s.sft_optimizer,
        ),
    )


def _rlvr_config(cell: DecompositionCell, execution: CellExecution) -> RLVRConfig:
    s = cell.settings
    if cell.engine == "native":  # Its RLVR cannot recompute activations (`RLVRConfig`).
        execution = replace(execution, gradient_checkpointing="off")
    default = RLVRConfig()
    return RLVRConfig(
        n_ops=s.n_ops,
        surface=cell.surface,
        task=cell.task,
        modulus=cell.modulus,
        number_range=cell.number_range,
        steps=s.rl_steps,
        prompts_per_step=s.prompts_per_step,
        group_size=s.group_size,
        seed=cell.seed + (SECOND_RLVR if cell.part == RLVR_PRICED else 0),
        kl=s.kl,
        reward=s.priced_reward if cell.part in PRICED_BRANCHES else default.reward,
        checkpoint_every=checkpoint_every(cell, s.rl_steps),
        engine=cell.engine,
        execution=execution,
        precision=cell.precision,
        trl=execution.trl_of(cell).without(OF_SFT),
        optimizer=OptimizerConfig(
            learning_rate=s.rl_learning_rate,
            min_learning_rate_ratio=default.optimizer.min_learning_rate_ratio,
            warmup_ratio=default.optimizer.warmup_ratio,
            weight_decay=default.optimizer.weight_decay,
        ),
    )


def _evaluate(backend: TrainedBackend, cell: DecompositionCell, count: int, samples: int) -> Evaluation:
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
    return evaluate(backend, backend.tokenizer, config)


def _measure(
    backend: TrainedBackend,
    cell: DecompositionCell,
    step: int,
    tokens: int,
    path: Path | None = None,
) -> BranchPoint:
    """A point after this many updates and tokens. The completions go to `path` if there is one."""
    evaluation = _evaluate(backend, cell, cell.settings.count, 1)
    if path:
        evaluation.write_completions(path)
    coverage: dict[int, list[float]] = {}
    for completion in evaluation.completions:
        coverage.setdefault(completion.n_ops, []).append(single_op_coverage(completion))
    by_n_ops = {
        n: LengthMeasures(
            **{name: getattr(part, name) for name in _COPIED},
            single_op_coverage=sum(coverage[n]) / len(coverage[n]),
        )
        for n, part in evaluation.summary().by_n_ops.items()
    }
    return BranchPoint(step=step, tokens=tokens, by_n_ops=by_n_ops)


@torch.no_grad()
def _pass_at(backend: TrainedBackend, cell: DecompositionCell) -> dict[int, PassAt]:
    """n_ops -> pass@k at temperature 1."""
    s = cell.settings
    if s.samples == 1:
        return {}
    summary = _evaluate(backend, cell, s.sampled, s.samples).summary()
    return {n: PassAt(correct=part.pass_at, faithful=part.faithful_at) for n, part in summary.by_n_ops.items()}


__all__ = ["run_part"]
