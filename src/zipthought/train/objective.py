"""The numbers of GRPO: advantages, weights of tokens, the clipped objective, the KL estimator.

Shapes: G groups, S completions of a group, B completions, N tokens.
"""

from __future__ import annotations

import torch

EPSILON = 1e-4
"""Added to the standard deviation of a group, as TRL does."""


def group_advantages(rewards: torch.Tensor, kind: str = "grpo") -> torch.Tensor:
    """(G, S) rewards -> (G, S) advantages (`RLVRConfig.advantage`). A group with equal rewards has advantages of 0."""
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
    """(N,) log-probabilities -> (N,) estimates of the KL divergence of `new` from `reference`.

    The estimates are never negative, and unbiased for tokens drawn from `new` (Schulman 2020, "Approximating KL
    divergence").
    """
    difference = reference - new
    return difference.exp() - difference - 1


def clipped_objective(
    new: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, clip: float, clip_high: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) log-probabilities and advantages -> (N,) losses, and (N,) whether the clip limits the token (Schulman et al.
    2017, eq. 7)."""
    ratio = (new - old).exp()
    free, held = ratio * advantages, ratio.clamp(1 - clip, 1 + clip_high) * advantages
    return -torch.minimum(free, held), held < free


__all__ = ["clipped_objective", "group_advantages", "k3", "token_weights"]
