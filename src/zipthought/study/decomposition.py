"""What becomes of compressed steps after SFT: RLVR, against more SFT from the same weights (F3).

One cell is a base -> SFT on a compressed format for a few updates -> three branches:

    rlvr           GRPO on problems whose structures SFT never saw
    sft-updates    the same SFT goes on for as many updates
    sft-tokens     the same SFT goes on for as many tokens as RLVR read and wrote

Each is measured on held-out problems of the trained lengths and of longer ones while it runs, and sampled for pass@k
at its end. `excess` is the measure of decomposition: the share of single-operation steps beyond those that the format
itself leaves (the short last group), 0 for the format as trained and 1 for an explicit trace.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.formats import parse_format
from ..evaluation.evaluate import EvaluateConfig, Evaluation, evaluate
from ..evaluation.metrics import Row
from ..models.loading import load
from ..train.config import OptimizerConfig, RLVRConfig, SFTConfig
from ..train.grpo import grpo
from ..train.sft import fine_tune
from ..train.tasks import SampledTasks
from .cells import training_records
from .spec import DecompositionCell

BRANCHES = ("rlvr", "sft-updates", "sft-tokens")
BEFORE = "sft"
"""The state that the branches start from."""
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


def excess_share(rows: Iterable[Row], k: int) -> float | None:
    """`excess` over completions: their single steps over all their steps, both without those left over."""
    counts = [excess_counts(row["stated"], k, row["n_ops"]) for row in rows]
    total = sum(steps for _, steps in counts)
    return sum(single for single, _ in counts) / total if total else None


def run_decomposition(
    cell: DecompositionCell,
    completions: Callable[[str], Path],
    on_step: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train and measure; the greedy completions of `sft` and of each branch's end go where `completions` says.

    The result: `points` (branch -> measurements: `step`, `tokens` since SFT, and by n_ops what `evaluation.metrics`
    says and `excess`), `pass_at` (state -> n_ops -> `correct` or `faithful` -> k -> pass@k), `rollouts` (metrics of
    RLVR's steps, thinned), `updates` and `tokens` of every branch, `parameters`, `train_seconds`.
    """
    s = cell.settings
    model, tokenizer = load(cell.model, training=True)
    records = training_records(cell, s.examples, s.n_ops)
    sft = fine_tune(model, tokenizer, records, _sft(cell, cell.sft_steps, constant=False), on_step=on_step)
    start = copy.deepcopy(model.state_dict())
    points: dict[str, list[dict[str, Any]]] = {}
    pass_at: dict[str, Any] = {BEFORE: _pass_at(model, tokenizer, cell)}
    before = _measure(model, tokenizer, cell, 0, 0, completions(BEFORE))
    per_step = sft.loop.tokens / sft.loop.steps  # Tokens of an SFT update.
    spent: dict[str, int] = {}
    updates: dict[str, int] = {}
    seconds = sft.loop.seconds
    rollouts: list[dict[str, Any]] = []
    for branch in BRANCHES:
        model.load_state_dict(start)
        points[branch] = [before]
        steps = s.rl_steps if branch != "sft-tokens" else max(1, round(spent["rlvr"] / per_step))
        every = max(1, round(s.measure_every * steps / s.rl_steps))

        def watch(row: dict[str, Any], branch: str = branch, steps: int = steps, every: int = every) -> None:
            if branch == "rlvr":
                rollouts.append({"step": row["step"], **{name: row[name] for name in KEPT}})
            if row["step"] == steps or row["step"] % every == 0:
                path = completions(branch) if row["step"] == steps else None
                points[branch].append(_measure(model, tokenizer, cell, row["step"], row["tokens"], path))
            if on_step:
                on_step(row)

        if branch == "rlvr":
            tasks = SampledTasks(config := _rlvr(cell), tokenizer, {record["structure"] for record in records})
            loop = grpo(model, tokenizer, tasks, config, on_step=watch)
        else:
            loop = fine_tune(model, tokenizer, records, _sft(cell, steps, constant=True), on_step=watch).loop
        spent[branch], updates[branch] = loop.tokens, loop.steps
        seconds += loop.seconds
        pass_at[branch] = _pass_at(model, tokenizer, cell)
    thinned = rollouts[:: max(1, len(rollouts) // ROLLOUT_POINTS)]
    return {
        "points": points,
        "pass_at": pass_at,
        "rollouts": thinned,
        "updates": {BEFORE: sft.loop.steps, **updates},
        "tokens": {BEFORE: sft.loop.tokens, **spent},
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_seconds": seconds,
    }


def _sft(cell: DecompositionCell, steps: int, *, constant: bool) -> SFTConfig:
    """The SFT before the branches, or the one that goes on, at a learning rate that no longer decays."""
    s = cell.settings
    optimizer = OptimizerConfig(learning_rate=s.sft_learning_rate, min_learning_rate_ratio=1.0 if constant else 0.1)
    return SFTConfig(
        steps=steps,
        batch_size=s.sft_batch_size,
        seed=cell.seed + constant,  # Another order of the data than before.
        checkpoint_every=0,
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
        checkpoint_every=0,
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
    k = parse_format(cell.format).k
    by_n_ops = measured.summary()["by_n_ops"]
    names = ("n", "accuracy", "faithful", "response_tokens", "truncated", "ops_per_step", "single_op_share")
    return {
        "step": step,
        "tokens": tokens,
        "by_n_ops": {
            n: {
                **{name: row[name] for name in names},
                "excess": excess_share((r for r in measured.rows if r["n_ops"] == int(n)), k),
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
    summary = _evaluate(model, tokenizer, cell, s.sampled, s.samples).summary()
    return {n: {"correct": row["pass_at"], "faithful": row["faithful_at"]} for n, row in summary["by_n_ops"].items()}


__all__ = ["BEFORE", "BRANCHES", "excess_counts", "excess_share", "run_decomposition"]
