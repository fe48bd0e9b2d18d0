"""The optimization loop that pretraining, SFT and RLVR share, and the next-token loss of the first two.

The loop owns the optimizers, the schedule, ``metrics.jsonl`` and the checkpoint, which holds all that the next step
depends on, so that a killed and resumed run ends in the same bytes. What a step does is the caller's `Work`.

The model's decoder runs on the whole batch, its output layer only on the positions that carry loss.
Shapes: B batch, T time, N positions with loss, H width, V vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from ..files.atomic import atomic_open
from .batches import Batch
from .config import OptimizerConfig
from .muon import Muon


def make_optimizers(model: PreTrainedModel, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """The optimizers for the model's parameters, at the peak learning rate."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    outer = ("embed", "wte", "wpe", "lm_head")
    hidden = [p for n, p in named if p.ndim == 2 and not any(word in n for word in outer)]
    taken = {id(p) for p in hidden} if config.optimizer == "muon" else set()
    rest = [p for _, p in named if id(p) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)
    if config.optimizer == "adamw":
        return [adamw]
    return [adamw, Muon(hidden, lr=config.learning_rate, weight_decay=config.weight_decay)]


def batch_loss(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy over the batch's target positions (a scalar, nats per token)."""
    hidden = model.get_decoder()(
        input_ids=batch.ids, position_ids=batch.positions, use_cache=False
    ).last_hidden_state  # (B, T, H)
    predicted = hidden[:, :-1][batch.targets[:, 1:]]  # (N, H)
    logits = model.get_output_embeddings()(predicted)  # (N, V)
    return cross_entropy(logits.float(), batch.ids[:, 1:][batch.targets[:, 1:]])


@dataclass(slots=True)
class LoopResult:
    """What a finished loop reports."""

    steps: int
    tokens: int
    """Training tokens that are not padding, prompts included."""
    seconds: float
    """Wall time of the steps, all runs of a resumed loop together."""
    history: list[dict[str, Any]]
    """The rows of ``metrics.jsonl``."""

    @property
    def final_loss(self) -> float:
        """Mean over the last tenth of the steps; not a number where none of them had a loss."""
        tail = [row["loss"] for row in self.history[-max(1, self.steps // 10) :] if row["loss"] is not None]
        return sum(tail) / len(tail) if tail else math.nan


Update = Callable[[], float]
"""Clips the gradients that were gathered, steps the optimizers, clears the gradients; returns the gradient's norm."""
Work = Callable[[int, Update], dict[str, Any]]
"""``work(step, update)``: the forward and backward passes of a step, with a call of `update` after each gradient.
Returns the step's metrics, `tokens` (those of this step that are no padding) among them."""


def next_token(model: PreTrainedModel, batch_at: Callable[[int], Batch], micro_batch: int = 0) -> Work:
    """The work of pretraining and SFT: the next-token loss of ``batch_at(step)``, one update a step, its gradient
    gathered over parts of `micro_batch` sequences (0: all at once)."""
    device = next(model.parameters()).device

    def work(step: int, update: Update) -> dict[str, Any]:
        batch = batch_at(step)
        size, total = micro_batch or len(batch.ids), batch.targets.sum().item()
        mean = 0.0
        for low in range(0, len(batch.ids), size):
            part = slice(low, low + size)
            placed = batch.positions[part].to(device) if batch.positions is not None else None
            piece = Batch(batch.ids[part].to(device), batch.targets[part].to(device), 0, placed)
            with mixed_precision(device):
                loss = batch_loss(model, piece) * (piece.targets.sum().item() / total)
            loss.backward()
            mean += loss.item()
        norm = update()
        padding = 1 - batch.tokens / batch.ids.numel()
        return {"loss": mean, "gradient_norm": norm, "tokens": batch.tokens, "padding": padding}

    return work


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU, float32 on the CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def train_loop(
    model: PreTrainedModel,
    work: Work,
    steps: int,
    config: OptimizerConfig,
    *,
    directory: Path | None = None,
    resume: bool = False,
    checkpoint_every: int = 0,
    identity: dict[str, Any] | None = None,
    on_step: Callable[[dict[str, Any]], None] | None = None,
) -> LoopResult:
    """`steps` steps of `work`, which change `model` in place.

    `directory` receives ``metrics.jsonl`` and, every `checkpoint_every` steps (0: never), ``checkpoint.pt``; `resume`
    continues from it where it exists. Whoever has saved the trained model calls `drop_checkpoint`. `identity` is what a
    checkpoint must have been made for: a resumed run with another raises `ValueError`.
    """
    optimizers = make_optimizers(model, config)
    device = next(model.parameters()).device
    history: list[dict[str, Any]] = []
    first, tokens, seconds = 0, 0, 0.0
    checkpoint = directory / "checkpoint.pt" if directory else None
    if resume and checkpoint and checkpoint.exists():
        try:
            state = torch.load(checkpoint, map_location=device, weights_only=True)
        except (RuntimeError, EOFError, UnpicklingError) as error:
            raise ValueError(f"{checkpoint} is torn; delete it to start again") from error
        if state["identity"] != (identity or {}):
            raise ValueError(f"{checkpoint} belongs to another configuration; use another output directory")
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, tokens, seconds, history = state["step"], state["tokens"], state["seconds"], state["history"]
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    log = _MetricsLog(directory / "metrics.jsonl" if directory else None, history)

    def update() -> float:
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.gradient_clip or math.inf)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm.item()

    for step in range(first, steps):
        began = time.perf_counter()
        learning_rate = config.learning_rate * config.factor(step, steps)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        row = {"step": step + 1, **work(step, update), "learning_rate": learning_rate}
        tokens += row["tokens"]
        seconds += time.perf_counter() - began
        row |= {"tokens": tokens, "seconds": round(seconds, 3)}
        history.append(row)
        log.write(row)
        if on_step:
            on_step(row)
        if checkpoint and checkpoint_every and (step + 1) % checkpoint_every == 0 and step + 1 < steps:
            _save(checkpoint, model, optimizers, step + 1, tokens, seconds, history, identity or {})
    log.close()
    model.eval()
    return LoopResult(steps, tokens, seconds, history)


class _MetricsLog:
    """``metrics.jsonl``, a line a step, begun anew with the steps that a resumed run already has."""

    def __init__(self, path: Path | None, history: list[dict[str, Any]]) -> None:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8", buffering=1) if path else None
        for row in history:
            self.write(row)

    def write(self, row: dict[str, Any]) -> None:
        if self._file:
            self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        if self._file:
            self._file.close()


def fingerprint(model: PreTrainedModel) -> str:
    """A digest of the weights that a run starts from."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def require_free(directory: Path, resume: bool) -> None:
    """Raises `ValueError` where a run would write over a finished model, or over a checkpoint that it does not go on
    from."""
    if (directory / "checkpoint.pt").exists():
        if not resume:
            raise ValueError(
                f"{directory} holds a checkpoint; go on from it with --resume, or use another --output-dir"
            )
    elif (directory / "config.json").exists():
        raise ValueError(f"{directory} holds a finished model; use another --output-dir")


def drop_checkpoint(directory: Path) -> None:
    """Remove the checkpoint of a run whose model is saved."""
    (directory / "checkpoint.pt").unlink(missing_ok=True)


def _save(
    path: Path,
    model: PreTrainedModel,
    optimizers: list[torch.optim.Optimizer],
    step: int,
    tokens: int,
    seconds: float,
    history: list[dict[str, Any]],
    identity: dict[str, Any],
) -> None:
    with atomic_open(path) as file:
        torch.save(
            {
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "step": step,
                "tokens": tokens,
                "seconds": seconds,
                "history": history,
                "identity": identity,
            },
            file,
        )
