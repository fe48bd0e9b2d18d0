"""Rollouts of a step of RLVR: completions with their verdicts, and the metrics of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.verify import Verdict
from ..models.generation import Completion
from .prompts import RolloutPrompt
from .rewards import Attempt, Reward, score_of


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

    def score(self, prompts: Sequence[RolloutPrompt], reward: Reward) -> float | None:
        """The reward of this completion."""
        return score_of(reward, Attempt(self.text, len(self.ids), self.verdict, prompts[self.prompt].record))


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


__all__ = ["Rollout", "rollout_metrics"]
