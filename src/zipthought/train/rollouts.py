"""Rollouts of a step of RLVR: completions with their verdicts, and the metrics of a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from transformers import PreTrainedTokenizerBase

from ..core.verify import Verdict
from ..models.backends import Request
from ..models.generation import Completion
from .config import ROLLOUTS_AT_ONCE, RLVRConfig
from .prompts import RolloutPrompt
from .rewards import Attempt, Reward, scores_of


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion of a prompt of the step. It is verified once, for its reward and for the metrics."""

    prompt: int
    """The index of its prompt in the step."""
    ids: list[int]
    """Tokens, the end of sequence included unless truncated."""
    text: str
    truncated: bool
    logprobs: list[float]
    """Log-probability of each token at the time it was drawn; empty where another trainer keeps them."""
    verdict: Verdict | None
    """None if the gold answer cannot be read."""

    @classmethod
    def of(cls, prompts: Sequence[RolloutPrompt], index: int, completion: Completion) -> Rollout:
        """Verify a completion of ``prompts[index]``."""
        ids = completion.ids if completion.end is None else [*completion.ids, completion.end]
        verdict = prompts[index].verify(completion.text)
        return cls(index, ids, completion.text, completion.truncated, completion.logprobs or [], verdict)


def request_of(config: RLVRConfig, max_new_tokens: int, seed: int, *, logprobs: bool = False) -> Request:
    """How the completions of a step are sampled."""
    return Request(
        max_new_tokens=max_new_tokens,
        samples=config.group_size,
        temperature=config.temperature,
        seed=seed,
        batch_size=max(config.micro_batch, ROLLOUTS_AT_ONCE),
        logprobs=logprobs,
    )


def rewards_of(
    rollouts: Sequence[Rollout], prompts: Sequence[RolloutPrompt], reward: Reward, count: Callable[[str], int]
) -> list[float | None]:
    """The rewards of rollouts, in which those of a prompt are consecutive. `count` counts the tokens of a text."""
    scores: list[float | None] = []
    for prompt, group in groupby(rollouts, key=lambda rollout: rollout.prompt):
        record = prompts[prompt].record
        scores += scores_of(reward, [Attempt(r.text, len(r.ids), r.verdict, record, count) for r in group])
    return scores


def counter_of(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], int]:
    """Counts the tokens of a text, without those that a tokenizer adds around it."""
    return lambda text: len(tokenizer(text, add_special_tokens=False).input_ids)


def rollout_metrics(rollouts: Sequence[Rollout]) -> dict[str, float | None]:
    """Means over the rollouts of a step, whatever their rewards are. A mean over nothing is None."""
    verdicts = [r.verdict for r in rollouts if r.verdict is not None]
    sizes = [size for v in verdicts for size in v.shown]
    return {
        "faithful": sum(v.faithful for v in verdicts) / len(verdicts) if verdicts else None,
        "response_tokens": sum(len(r.ids) for r in rollouts) / len(rollouts),
        "truncated": sum(r.truncated for r in rollouts) / len(rollouts),
        "ops_per_step": sum(sizes) / len(sizes) if sizes else None,
        "single_op_share": sizes.count(1) / len(sizes) if sizes else None,
    }


__all__ = ["Rollout", "counter_of", "request_of", "rewards_of", "rollout_metrics"]
