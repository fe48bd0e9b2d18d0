"""RLVR by GRPO (Shao et al. 2024, DeepSeekMath): completions of a group compete by their rewards, without a critic.

    zipthought train rlvr --model sft --n-ops 4 5 6 --output-dir rl

A step takes prompts, samples a group of completions of each, scores them by the verifier, and raises the probability of
completions above the mean of their group. The model reads a prompt once for its whole group, in the rollouts and in the
update; the gradient flows through the shared keys and values. A completion with advantage 0 has no gradient. Without a
KL term the update skips it. The averages of the loss still count its tokens, so skipping saves time and changes nothing
else.

Shapes: B completions, N tokens.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..models.backends import Backend, Native
from .config import RLVRConfig, results_depend_on
from .fitting import Fitting
from .loop import LoopResult, TimedCheckpoint, Update, fingerprint, mixed_precision, train_loop
from .objective import clipped_objective, group_advantages, k3, token_weights
from .policy import Row, token_logprobs
from .prompts import PromptSource, RolloutPrompt
from .rates import with_rate
from .rewards import parse_reward
from .rollouts import Rollout, counter_of, request_of, rewards_of, rollout_metrics

_KL_ROWS = 64
"""Completions on which the KL divergence is measured if its weight in the loss is 0."""


def grpo(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: PromptSource,
    config: RLVRConfig,
    *,
    directory: Path | None = None,
    resume: bool = False,
    identity: dict[str, Any] | None = None,
    on_step: Callable[[dict[str, Any]], None] | None = None,
    timed: TimedCheckpoint | None = None,
    backend: Backend | None = None,
) -> LoopResult:
    """Train `model` in place on verifiable rewards.

    `identity` is what the run depends on besides the configuration, such as the problems of a file. `backend` generates
    the rollouts with this model, and must have its log-probabilities; None: our own decoder. The other arguments are
    those of `train_loop`. Raises `ValueError` for an unknown reward.

    A row of metrics holds means over the step's rollouts: `reward` (of groups that have one), `zero_variance` (share of
    groups with equal rewards), `skipped` (groups without a reward), `faithful`, `response_tokens`, `truncated`,
    `ops_per_step`, `single_op_share` (as in evaluation), and `tokens` (prompts counted for each completion). Of the
    update it holds `loss`, `entropy` (nats a token), `clipped` (share of tokens) and `gradient_norm`, all None if no
    completion had an advantage. `kl` is None if it was not measured.
    """
    config = with_rate(config, model.num_parameters())
    return train_loop(
        model,
        _GRPOStep(model, tokenizer, prompts, config, backend or Native(model, tokenizer)),
        config.steps,
        config.optimizer,
        directory=directory,
        resume=resume,
        checkpoint_every=config.checkpoint_every if directory else 0,
        identity={
            **results_depend_on(config),
            **(identity or {}),
            "weights": fingerprint(model),
            "threads": torch.get_num_threads(),
        },
        on_step=on_step,
        timed=timed,
    )


@dataclass(frozen=True, slots=True)
class _ScoredRollouts:
    """The rollouts of a step with what their loss needs."""

    prompts: list[RolloutPrompt]
    rollouts: list[Rollout]
    advantages: torch.Tensor
    """(B,)"""
    weights: torch.Tensor
    """(B,) weight of each token of a completion."""
    kept: list[int]
    """Indices of the rollouts with a gradient."""


@dataclass(slots=True)
class _Sums:
    """Sums over the tokens of a step's updates."""

    loss: float = 0.0
    entropy: float = 0.0
    clipped: float = 0.0
    kl: float = 0.0

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


class _GRPOStep:
    """The work of a step, for `train_loop`."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompts: PromptSource,
        config: RLVRConfig,
        backend: Backend,
    ) -> None:
        self._model, self._prompts, self._config, self._backend = model, prompts, config, backend
        self._reward, self._count = parse_reward(config.reward), counter_of(tokenizer)
        needs_reference = config.kl or config.kl_every
        self._reference = copy.deepcopy(model).eval().requires_grad_(False) if needs_reference else None
        self._fitting = Fitting(model, config.execution)  # What the reference leaves of the memory.

    def __call__(self, step: int, update: Update) -> dict[str, Any]:
        c = self._config
        prompts, budget = self._prompts(step)
        rollouts = self._generate(step, prompts, budget)
        rewards, scored = _grouped(rewards_of(rollouts, prompts, self._reward, self._count), c.group_size)
        advantages = torch.zeros(len(prompts), c.group_size)
        advantages[scored] = group_advantages(rewards, c.advantage)
        weights = token_weights(torch.tensor([len(r.ids) for r in rollouts]), c.loss, budget)
        flat = advantages.flatten()
        kept = [i for i, a in enumerate(flat.tolist()) if a or (c.kl and scored[i // c.group_size])]
        return {
            "reward": rewards.mean().item() if len(rewards) else None,
            "zero_variance": sum(len(set(group)) == 1 for group in rewards.tolist()) / len(prompts),
            "skipped": len(prompts) - len(rewards),
            **rollout_metrics(rollouts),
            **self._train(step, _ScoredRollouts(prompts, rollouts, flat, weights, kept), update),
            "tokens": sum(len(prompts[r.prompt].ids) + len(r.ids) for r in rollouts),
        }

    def _generate(self, step: int, prompts: list[RolloutPrompt], budget: int) -> list[Rollout]:
        """The verified completions of a step, group after group."""
        c = self._config
        with mixed_precision(self._model.device, self._config.precision):
            generated = self._backend.generate(
                [prompt.ids for prompt in prompts],
                request_of(c, budget, _rollout_seed(c.seed, step), logprobs=True),
            )
        return [Rollout.of(prompts, index, c) for index, group in enumerate(generated) for c in group]

    def _train(self, step: int, batch: _ScoredRollouts, update: Update) -> dict[str, float | None]:
        """The updates of a step, and their metrics."""
        c = self._config
        kept, sums, norms = batch.kept, _Sums(), []
        width = max(
            (len(batch.prompts[batch.rollouts[i].prompt].ids) + len(batch.rollouts[i].ids) for i in kept), default=0
        )

        def passes(size: int) -> _Sums:
            of_update = _Sums()
            for part in _micro_batches(batch, size):
                self._backward(batch, part, of_update)
            return of_update

        for _ in range(c.passes if kept else 0):
            sums += self._fitting.run(passes, c.micro_batch, width)
            norms.append(update())
        trained = sum(len(batch.rollouts[i].ids) for i in kept) * c.passes
        kl = sums.kl / trained if trained and c.kl else None
        if not c.kl and c.kl_every and (step + 1) % c.kl_every == 0:
            kl = self._divergence(batch)
        return {
            "kl": kl,
            "loss": sums.loss / c.passes if kept else None,
            "entropy": sums.entropy / trained if trained else None,
            "clipped": sums.clipped / trained if trained else None,
            "gradient_norm": sum(norms) / len(norms) if norms else None,
        }

    def _backward(self, batch: _ScoredRollouts, part: list[int], sums: _Sums) -> None:
        """Add the gradient of a micro-batch to the model's, and its metrics to `sums`."""
        c, device = self._config, self._model.device
        chosen = [batch.rollouts[i] for i in part]
        prompts, rows = _rows(chosen, batch.prompts)
        sizes = torch.tensor([len(r.ids) for r in chosen])
        each = torch.repeat_interleave(torch.tensor(part), sizes)  # (N,) rollout of each token
        old = torch.tensor([value for r in chosen for value in r.logprobs], device=device)
        clip_high = c.clip if c.clip_high is None else c.clip_high
        with mixed_precision(device, c.precision):
            new, entropy = token_logprobs(self._model, prompts, rows, c.temperature)
            losses, clipped = clipped_objective(new, old, batch.advantages[each].to(device), c.clip, clip_high)
            if c.kl and self._reference is not None:
                with torch.no_grad():
                    before, _ = token_logprobs(self._reference, prompts, rows, c.temperature)
                divergence = k3(new, before)
                losses = losses + c.kl * divergence
                sums.kl += divergence.sum().item()
            loss = (losses * batch.weights[each].to(device)).sum()
        loss.backward()
        sums.loss += loss.item()
        sums.entropy += entropy.sum().item()
        sums.clipped += clipped.sum().item()

    @torch.no_grad()
    def _divergence(self, batch: _ScoredRollouts) -> float | None:
        """The mean k3 over the tokens of some completions."""
        if self._reference is None:
            return None
        prompts, rows = _rows(batch.rollouts[:_KL_ROWS], batch.prompts)
        models = (self._model, self._reference)
        with mixed_precision(self._model.device, self._config.precision):
            new, before = (token_logprobs(m, prompts, rows, self._config.temperature)[0] for m in models)
        return k3(new, before).mean().item()


def _rows(rollouts: list[Rollout], prompts: list[RolloutPrompt]) -> tuple[list[list[int]], list[Row]]:
    """The tokens of these rollouts' prompts, each prompt once, and the row of each rollout."""
    number = {prompt: i for i, prompt in enumerate(dict.fromkeys(r.prompt for r in rollouts))}
    return [prompts[prompt].ids for prompt in number], [(number[r.prompt], r.ids) for r in rollouts]


def _micro_batches(batch: _ScoredRollouts, size: int) -> list[list[int]]:
    """The kept rollouts in parts of `size`. Prompts of similar length are in the same part."""

    def key(i: int) -> tuple[int, int]:
        prompt = batch.rollouts[i].prompt
        return len(batch.prompts[prompt].ids), prompt

    kept = sorted(batch.kept, key=key)
    return [kept[i : i + size] for i in range(0, len(kept), size)]


def _grouped(scores: list[float | None], size: int) -> tuple[torch.Tensor, list[bool]]:
    """(G, S) rewards of the groups in which every completion has one, and which groups these are."""
    groups = [scores[i : i + size] for i in range(0, len(scores), size)]
    scored = [None not in group for group in groups]
    whole = [group for group, ok in zip(groups, scored, strict=True) if ok]
    return torch.tensor(whole, dtype=torch.float32).reshape(-1, size), scored


def _rollout_seed(seed: int, step: int) -> int:
    """The seed of a step's rollouts."""
    return int.from_bytes(hashlib.sha256(f"rollouts|{seed}|{step}".encode()).digest()[:4], "big")


__all__ = ["grpo"]
