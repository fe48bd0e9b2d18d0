"""The optimization loop of pretraining, SFT and RLVR, and the next-token loss of the first two.

The loop owns the optimizers, the schedule, ``metrics.jsonl`` and the checkpoint. A checkpoint holds everything that the
next step depends on, so a killed and resumed run ends in the same bytes. The caller's `Work` decides what a step does.

The decoder of the model runs on the whole batch, its output layer only on positions with loss.
Shapes: B batch, T time, N positions with loss, H width, V vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from .. import __version__
from .batches import TokenBatch
from .checkpoint import read_checkpoint, write_checkpoint
from .config import Execution, OptimizerConfig
from .fitting import Fitting, checkpoint_activations
from .optimizers import build_optimizers
from .output import CHECKPOINT, METRICS


def batch_loss(model: PreTrainedModel, batch: TokenBatch) -> torch.Tensor:
    """Mean cross-entropy over the batch's target positions (a scalar, nats per token)."""
    hidden = model.get_decoder()(
        input_ids=batch.ids, position_ids=batch.positions, use_cache=False
    ).last_hidden_state  # (B, T, H)
    predicted = hidden[:, :-1][batch.targets[:, 1:]]  # (N, H)
    logits = model.get_output_embeddings()(predicted)  # (N, V)
    return cross_entropy(logits.float(), batch.ids[:, 1:][batch.targets[:, 1:]])


@dataclass(slots=True)
class LoopResult:
    """The result of a finished loop."""

    steps: int
    tokens: int
    """Training tokens without padding, prompts included."""
    seconds: float
    """Wall time of all steps, including those before a resume."""
    history: list[dict[str, Any]]
    """The rows of ``metrics.jsonl``."""

    @property
    def final_loss(self) -> float:
        """Mean over the last tenth of the steps; NaN if none of them had a loss."""
        tail = [row["loss"] for row in self.history[-max(1, self.steps // 10) :] if row["loss"] is not None]
        return sum(tail) / len(tail) if tail else math.nan


Update = Callable[[], float]
"""Clips the accumulated gradient, steps the optimizers and clears the gradient. Returns the norm of the gradient."""
Work = Callable[[int, Update], dict[str, Any]]
"""``work(step, update)`` runs the forward and backward passes of a step, and calls `update` after each gradient.
Returns the metrics of the step, with `tokens`, its number of tokens without padding."""


OnStep = Callable[[dict[str, Any]], "bool | None"]
"""Receives the metrics of each finished step. True ends the run."""


def next_token(
    model: PreTrainedModel,
    batch_at: Callable[[int], TokenBatch],
    micro_batch: int = 0,
    execution: Execution = Execution(),  # noqa: B008
    precision: str = "auto",
) -> Work:
    """The work of pretraining and SFT: one update a step on the next-token loss of ``batch_at(step)``.

    The gradient accumulates over parts of `micro_batch` sequences (0: all at once), or fewer if `execution` or the
    memory of the device allows fewer.
    """
    device = model.device
    fitting = Fitting(model, execution, checkpointing=checkpoint_activations(model, execution))

    def work(step: int, update: Update) -> dict[str, Any]:
        batch = batch_at(step)
        total = batch.targets.sum().item()

        def passes(size: int) -> float:
            mean = 0.0
            for low in range(0, len(batch.ids), size):
                part = slice(low, low + size)
                positions = batch.positions[part].to(device) if batch.positions is not None else None
                piece = TokenBatch(batch.ids[part].to(device), batch.targets[part].to(device), 0, positions)
                with mixed_precision(device, precision):
                    loss = batch_loss(model, piece) * (piece.targets.sum().item() / total)
                loss.backward()
                mean += loss.item()
            return mean

        mean = fitting.run(passes, micro_batch or len(batch.ids), batch.ids.shape[1])
        norm = update()
        padding = 1 - batch.tokens / batch.ids.numel()
        return {"loss": mean, "gradient_norm": norm, "tokens": batch.tokens, "padding": padding}

    return work


def mixed_precision(device: torch.device, precision: str = "auto") -> torch.autocast:
    """The context of a computation in `precision` (`SFTConfig.precision`)."""
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" else "float32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@dataclass(slots=True)
class _State:
    """What the next step of a run depends on, apart from its configuration."""

    model: PreTrainedModel
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    """Finished steps."""
    tokens: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False
    """`on_step` has ended the run."""

    def content(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "history": self.history,
            "ended": self.ended,
            "identity": dict(identity),
        }

    def read(self, path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
        """The content of a checkpoint. Raises `ValueError` if it is damaged or has another identity."""
        content = read_checkpoint(path, next(self.model.parameters()).device)
        if content["identity"] != identity:
            raise ValueError(f"{path} belongs to another configuration; use another output directory, or delete it")
        return content

    def restore(self, content: Mapping[str, Any]) -> None:
        """Take over the content of a checkpoint."""
        self.model.load_state_dict(content["model"])
        for optimizer, saved in zip(self.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.tokens, self.seconds = content["step"], content["tokens"], content["seconds"]
        self.history, self.ended = content["history"], content.get("ended", False)


class Resumable(Protocol):
    """What a caller measures during a training, and checkpoints hold, too."""

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and strings, and lists, tuples and dictionaries of them."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, before the first step of a resumed run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedCheckpoint:
    """A checkpoint by time alone, for a caller that starts a killed run again in the same way. It holds the caller's
    state, too. One that is damaged or belongs to another run is ignored: the run starts from its beginning."""

    path: Path
    """The file. The caller deletes it when it has stored its result."""
    seconds: float = 60.0
    """Seconds between two checkpoints, or 50 times as long as one takes to write, if that is more. 0: one after every
    step."""
    watch: Resumable | None = None
    """What the caller measures."""


@dataclass(slots=True)
class _Checkpoints:
    """When a run writes its checkpoint: every `every` steps (0: never), after the last step, and when a minute has
    passed without one, or 50 times as long as one takes to write. With `timed`, by time alone."""

    path: Path | None
    every: int
    steps: int
    identity: Mapping[str, Any]
    timed: TimedCheckpoint | None
    _written: float = field(default_factory=lambda: time.monotonic())
    """When the last one was written."""
    _patience: float = 60.0
    """Seconds without one."""

    def __post_init__(self) -> None:
        if self.timed:
            self.path, self.every, self._patience = self.timed.path, 0, self.timed.seconds
            self.identity = {**self.identity, "version": __version__}  # Of the caller's state, too.

    def resume(self, state: _State) -> None:
        """Continue from the checkpoint, if there is one. Raises `ValueError` if it is damaged or of another identity,
        unless it is timed."""
        if not self.path or not self.path.exists():
            return
        if not self.timed:
            state.restore(state.read(self.path, self.identity))
            return
        content = None
        with suppress(ValueError):
            content = state.read(self.path, self.identity)
        if content:
            state.restore(content)
            if self.timed.watch:
                self.timed.watch.restore(content["caller"])

    def after(self, state: _State) -> None:
        """Write the checkpoint if it is due."""
        if not self.path or not (self.every or self.timed):
            return
        waited = time.monotonic() - self._written
        planned = self.every and (state.step % self.every == 0 or state.step == self.steps)
        if planned or waited > self._patience or not self._patience:
            began = time.monotonic()
            caller = {"caller": self.timed.watch.state()} if self.timed and self.timed.watch else {}
            write_checkpoint(self.path, state.content(self.identity) | caller)
            self._written = time.monotonic()
            if self._patience:
                self._patience = max(self._patience, 50 * (self._written - began))


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
    on_step: OnStep | None = None,
    timed: TimedCheckpoint | None = None,
) -> LoopResult:
    """Run `steps` steps of `work`, which change `model` in place, or fewer where `on_step` ends the run.

    `directory` receives ``metrics.jsonl`` and ``checkpoint.pt``: every `checkpoint_every` steps (0: never), after the
    last step, and once a minute. `resume` continues from that checkpoint if it exists; the caller deletes it when the
    trained model is saved. `identity` is what a checkpoint belongs to; resuming with another identity raises
    `ValueError`. `timed` takes the place of `directory`, and always resumes.
    """
    state = _State(model, build_optimizers(model, config))
    path = directory / CHECKPOINT if directory else None
    checkpoints = _Checkpoints(path, checkpoint_every, steps, identity or {}, timed)
    if resume or timed:
        checkpoints.resume(state)
    model.train()
    update = _updater(model, state.optimizers, config.gradient_clip)
    log = _MetricsLog(directory / METRICS if directory else None, state.history)
    for step in range(state.step, state.step if state.ended else steps):
        began = time.perf_counter()
        learning_rate = config.peak * config.factor(step, steps)
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        row = {"step": step + 1, **work(step, update), "learning_rate": learning_rate}
        state.step = step + 1
        state.tokens += row["tokens"]
        state.seconds += time.perf_counter() - began
        row |= {"tokens": state.tokens, "seconds": round(state.seconds, 3)}
        state.history.append(row)
        log.write(row)
        state.ended = bool(on_step(row)) if on_step else False
        checkpoints.after(state)
        if state.ended:
            break
    log.close()
    model.eval()
    return LoopResult(state.step, state.tokens, state.seconds, state.history)


def _updater(model: PreTrainedModel, optimizers: list[torch.optim.Optimizer], clip: float) -> Update:
    """The `Update` of these optimizers; `clip` 0 turns clipping off."""
    parameters = [p for p in model.parameters() if p.requires_grad]

    def update() -> float:
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip or math.inf)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm.item()

    return update


class _MetricsLog:
    """``metrics.jsonl``, one line a step. It starts with the rows that a resumed run already has."""

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
    """A digest of the weights."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
