"""RLVR by GRPO (Shao et al. 2024, DeepSeekMath): groups of completions, their rewards against each other, no critic.

    zipthought train rlvr --model sft --n-ops 4 5 6 --output-dir rl

A step draws problems, samples a group of completions of each, rewards them by the verifier and raises the probability
of those above their group's mean. A prompt is read once for its whole group, in the rollouts and again in the update,
whose gradient flows through the shared keys and values. A completion whose advantage is 0 has no gradient, and without
a KL term leaves the update; the averages of the loss count it all the same, so that leaving it out changes only time.

Shapes: G groups, S completions of a group, B rows (completions), T tokens, N tokens with loss, W width, V vocabulary.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from ..core.verify import Verdict
from ..models.generation import generate, is_growable
from .config import RLVRConfig
from .loop import LoopResult, Update, Work, fingerprint, mixed_precision, train_loop
from .rewards import get_reward, judge
from .tasks import Task, Tasks

EPSILON = 1e-4
"""Added to a group's standard deviation, as TRL does."""
_KL_ROWS = 64
"""Completions on which the KL divergence is measured where it is no part of the loss."""


def group_advantages(rewards: torch.Tensor, kind: str = "grpo") -> torch.Tensor:
    """(G, S) rewards -> (G, S) advantages; 0 where all rewards of a group are equal (`RLVRConfig.advantage`)."""
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    centred = torch.where((rewards == rewards[:, :1]).all(dim=1, keepdim=True), torch.zeros_like(centred), centred)
    if kind == "dr-grpo" or not len(rewards):
        return centred
    return centred / (rewards.std(dim=1, keepdim=True) + EPSILON)


def token_weights(lengths: torch.Tensor, kind: str, max_new_tokens: int) -> torch.Tensor:
    """(B,) lengths of the step's completions -> (B,) weight of each of their tokens in the loss (`RLVRConfig.loss`)."""
    if kind == "token":
        return torch.full_like(lengths, 1.0, dtype=torch.float32) / lengths.sum()
    if kind == "sequence":
        return 1.0 / (lengths * len(lengths)).float()
    return torch.full_like(lengths, 1.0, dtype=torch.float32) / (len(lengths) * max_new_tokens)


def k3(new: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """The KL divergence of `new` from `reference`, token by token: unbiased where tokens were drawn from `new`, and
    never negative (Schulman 2020, "Approximating KL divergence"). Both are log-probabilities (N,)."""
    difference = reference - new
    return difference.exp() - difference - 1


def clipped_objective(
    new: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, clip: float, clip_high: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) log-probabilities, (N,) advantages -> (N,) losses, and (N,) whether the clip holds the token back
    (Schulman et al. 2017, eq. 7)."""
    ratio = (new - old).exp()
    free, held = ratio * advantages, ratio.clamp(1 - clip, 1 + clip_high) * advantages
    return -torch.minimum(free, held), held < free


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion of a step's problem."""

    task: int
    """The place of its problem in the step."""
    ids: list[int]
    """Tokens, the end of sequence included unless truncated."""
    text: str
    truncated: bool
    logprobs: list[float]
    """Of each token, when it was drawn."""


def token_logprobs(
    model: PreTrainedModel, prompts: Sequence[list[int]], rows: Sequence[tuple[int, list[int]]], temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities (N,) of the tokens of `rows`, (place of the prompt, completion), row after row, and the entropy
    (N,) of the distributions that they come from, without gradient. A prompt is read once for all its rows.

    A model whose cache cannot hold padding (sliding windows) reads prompt and completion of each row anew.
    """
    cache = DynamicCache(config=model.config)
    device = model.device
    longest = max(len(ids) for _, ids in rows)
    inside = torch.tensor([[t < len(ids) for t in range(longest)] for _, ids in rows], device=device)  # (B, T)
    wanted = torch.tensor([token for _, ids in rows for token in ids], device=device)  # (N,)
    decoder = model.get_decoder()
    width = max(len(prompt) for prompt in prompts) - 1
    if is_growable(cache) and width:
        lengths = [len(prompt) - 1 for prompt in prompts]
        decoder(input_ids=_padded([p[:-1] for p in prompts], device), past_key_values=cache, use_cache=True)
        places = torch.tensor([place for place, _ in rows], device=device)
        cache.batch_select_indices(places)
        start = torch.tensor(lengths, device=device)[places][:, None]  # (B, 1)
        mask = torch.ones(len(rows), width + longest, dtype=torch.long, device=device)
        mask[:, :width] = torch.arange(width, device=device) < start
        hidden = decoder(
            input_ids=_padded([[prompts[place][-1], *ids[:-1]] for place, ids in rows], device),
            past_key_values=cache,
            use_cache=True,
            attention_mask=mask,
            position_ids=start + torch.arange(longest, device=device),
        ).last_hidden_state  # (B, T, W)
        hidden = hidden[inside]  # (N, W)
    else:
        whole = [[*prompts[place], *ids[:-1]] for place, ids in rows]
        states = decoder(input_ids=_padded(whole, device), use_cache=False).last_hidden_state
        hidden = torch.cat(
            [
                state[len(ids) - len(answer) : len(ids)]
                for state, ids, (_, answer) in zip(states, whole, rows, strict=True)
            ]
        )
    logits = model.get_output_embeddings()(hidden).float() / temperature  # (N, V)
    logs = logits.log_softmax(-1)
    with torch.no_grad():
        entropy = -(logs.exp() * logs).sum(-1)
    return logs.gather(1, wanted[:, None])[:, 0], entropy


def _padded(sequences: list[list[int]], device: torch.device) -> torch.Tensor:
    """(B, T) tokens, padded on the right by 0, where causal attention does not look."""
    ids = np.zeros((len(sequences), max(map(len, sequences))), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
    return torch.from_numpy(ids).to(device)


def grpo(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Tasks,
    config: RLVRConfig,
    *,
    directory: Path | None = None,
    resume: bool = False,
    identity: dict[str, Any] | None = None,
    on_step: Callable[[dict[str, Any]], None] | None = None,
) -> LoopResult:
    """Train `model` in place on verifiable rewards. `identity` is what else the run depends on (the problems of a
    file); the rest is as for `train_loop`. Raises `ValueError` for a reward that does not exist.

    A row of metrics, the means over the step's rollouts: `reward` (of groups that have one), `zero_variance` (share of
    groups whose rewards are all equal) and `skipped` (groups without a reward), `faithful`, `response_tokens`,
    `truncated`, `ops_per_step`, `single_op_share` (as in evaluation), `tokens` (prompts counted for each completion);
    of the update `loss`, `entropy` (nats a token), `clipped` (share of tokens), `gradient_norm`, all None where no
    completion had an advantage; `kl`, None where it was not measured.
    """
    return train_loop(
        model,
        _work(model, tokenizer, tasks, config),
        config.steps,
        config.optimizer,
        directory=directory,
        resume=resume,
        checkpoint_every=config.checkpoint_every if directory else 0,
        identity={
            **asdict(config) | {"n_ops": list(config.n_ops)},
            **(identity or {}),
            "weights": fingerprint(model),
            "threads": torch.get_num_threads(),
        },
        on_step=on_step,
    )


def _work(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tasks: Tasks, config: RLVRConfig) -> Work:
    reward = get_reward(config.reward)
    reference = copy.deepcopy(model).eval().requires_grad_(False) if config.kl or config.kl_every else None
    clip_high = config.clip if config.clip_high is None else config.clip_high

    def work(step: int, update: Update) -> dict[str, Any]:
        asked, budget = tasks(step)
        with mixed_precision(model.device):
            answered = generate(
                model,
                tokenizer,
                [task.ids for task in asked],
                max_new_tokens=budget,
                samples=config.group_size,
                temperature=config.temperature,
                seed=_seed(config.seed, step),
                batch_size=max(config.micro_batch, 256),
                logprobs=True,
            )
        rollouts = [
            Rollout(place, c.ids if c.end is None else [*c.ids, c.end], c.text, c.truncated, c.logprobs or [])
            for place, completions in enumerate(answered)
            for c in completions
        ]
        scores = [reward(r.text, asked[r.task].record, len(r.ids)) for r in rollouts]
        rewards, scored = _grouped(scores, config.group_size)
        given = torch.zeros(len(asked), config.group_size)
        given[scored] = group_advantages(rewards, config.advantage)
        weights = token_weights(torch.tensor([len(r.ids) for r in rollouts]), config.loss, budget)
        kept = [
            i for i, a in enumerate(given.flatten().tolist()) if a or (config.kl and scored[i // config.group_size])
        ]
        parts = _micro_batches(kept, rollouts, asked, config.micro_batch)
        sums = {"loss": 0.0, "entropy": 0.0, "clipped": 0.0, "kl": 0.0}
        norms = []
        for _ in range(config.passes if kept else 0):
            for part in parts:
                _backward(model, reference, part, rollouts, asked, given.flatten(), weights, config, clip_high, sums)
            norms.append(update())
        trained = sum(len(rollouts[i].ids) for i in kept) * config.passes
        kl = sums["kl"] / trained if trained and config.kl else None
        if not config.kl and config.kl_every and (step + 1) % config.kl_every == 0:
            kl = _divergence(model, reference, rollouts[:_KL_ROWS], asked, config.temperature)
        return {
            "reward": rewards.mean().item() if len(rewards) else None,
            "zero_variance": sum(len(set(group)) == 1 for group in rewards.tolist()) / len(asked),
            "skipped": len(asked) - len(rewards),
            **shape(rollouts, [asked[r.task].record for r in rollouts]),
            "kl": kl,
            "loss": sums["loss"] / config.passes if kept else None,
            "entropy": sums["entropy"] / trained if trained else None,
            "clipped": sums["clipped"] / trained if trained else None,
            "gradient_norm": sum(norms) / len(norms) if norms else None,
            "tokens": sum(len(asked[r.task].ids) + len(r.ids) for r in rollouts),
        }

    return work


def _backward(
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    part: list[int],
    rollouts: list[Rollout],
    asked: list[Task],
    advantages: torch.Tensor,
    weights: torch.Tensor,
    config: RLVRConfig,
    clip_high: float,
    sums: dict[str, float],
) -> None:
    """The gradient of a micro-batch, gathered in the model; adds what is to be reported to `sums`."""
    device = model.device
    chosen = [rollouts[i] for i in part]
    prompts, rows = _shared(chosen, asked)
    sizes = torch.tensor([len(r.ids) for r in chosen])
    each = torch.repeat_interleave(torch.tensor(part), sizes)  # (N,) rollout of each token
    old = torch.tensor([value for r in chosen for value in r.logprobs], device=device)
    with mixed_precision(device):
        new, entropy = token_logprobs(model, prompts, rows, config.temperature)
        losses, clipped = clipped_objective(new, old, advantages[each].to(device), config.clip, clip_high)
        if config.kl and reference is not None:
            with torch.no_grad():
                before, _ = token_logprobs(reference, prompts, rows, config.temperature)
            divergence = k3(new, before)
            losses = losses + config.kl * divergence
            sums["kl"] += divergence.sum().item()
        loss = (losses * weights[each].to(device)).sum()
    loss.backward()
    sums["loss"] += loss.item()
    sums["entropy"] += entropy.sum().item()
    sums["clipped"] += clipped.sum().item()


@torch.no_grad()
def _divergence(
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    rollouts: list[Rollout],
    asked: list[Task],
    temperature: float,
) -> float | None:
    """The mean k3 a token of these completions."""
    if reference is None:
        return None
    prompts, rows = _shared(rollouts, asked)
    with mixed_precision(model.device):
        new, before = (token_logprobs(m, prompts, rows, temperature)[0] for m in (model, reference))
    return k3(new, before).mean().item()


def _shared(rollouts: list[Rollout], asked: list[Task]) -> tuple[list[list[int]], list[tuple[int, list[int]]]]:
    """The prompts of these rollouts, each once, and (place of its prompt, tokens) of each rollout."""
    places = {task: place for place, task in enumerate(dict.fromkeys(r.task for r in rollouts))}
    return [asked[task].ids for task in places], [(places[r.task], r.ids) for r in rollouts]


def _micro_batches(kept: list[int], rollouts: list[Rollout], asked: list[Task], size: int) -> list[list[int]]:
    """`kept`, cut into parts of `size`, groups of prompts of similar length together."""
    kept = sorted(kept, key=lambda i: (len(asked[rollouts[i].task].ids), rollouts[i].task))
    return [kept[i : i + size] for i in range(0, len(kept), size)]


def _grouped(scores: list[float | None], size: int) -> tuple[torch.Tensor, list[bool]]:
    """(G, S) rewards of the groups that have all of theirs, and which groups those are."""
    groups = [scores[i : i + size] for i in range(0, len(scores), size)]
    scored = [None not in group for group in groups]
    whole = [group for group, ok in zip(groups, scored, strict=True) if ok]
    return torch.tensor(whole, dtype=torch.float32).reshape(-1, size), scored


def shape(rollouts: list[Rollout], records: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """What the completions of these records' problems look like, whatever they earn."""
    pairs = zip(rollouts, records, strict=True)
    verdicts: list[Verdict] = [v for r, record in pairs if (v := judge(r.text, record)) is not None]
    sizes = [size for v in verdicts for size in v.shown]
    return {
        "faithful": sum(v.faithful for v in verdicts) / len(verdicts) if verdicts else None,
        "response_tokens": sum(len(r.ids) for r in rollouts) / len(rollouts),
        "truncated": sum(r.truncated for r in rollouts) / len(rollouts),
        "ops_per_step": sum(sizes) / len(sizes) if sizes else None,
        "single_op_share": sizes.count(1) / len(sizes) if sizes else None,
    }


def _seed(seed: int, step: int) -> int:
    """Of a step's rollouts."""
    return int.from_bytes(hashlib.sha256(f"rollouts|{seed}|{step}".encode()).digest()[:4], "big")


__all__ = ["clipped_objective", "group_advantages", "grpo", "k3", "token_logprobs", "token_weights"]
