"""The average of a run's weights, which serves as its result at any step.

A schedule that decays the learning rate fixes the length of a run before it starts. With a constant rate and averaged
weights, a run may end whenever a rule says so, and each of its measurements is that of a finished model. The average is
polynomial-decay averaging (Shamir & Zhang 2013): later weights count more, and the span of the average grows with the
run, so that it has no length of its own to choose.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel
from transformers import PreTrainedModel

DECAY = 8
"""The parameter eta of the average: after t steps it spans about the last t / (eta + 1) of them."""


class WeightAverage:
    """The average of the weights of a model in training."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._trained = model
        self._averaged = AveragedModel(model, multi_avg_fn=_polynomial)
        self.model: PreTrainedModel = self._averaged.module.eval()  # type: ignore[assignment]
        """The model with the averaged weights. It changes with every `update`."""

    def update(self) -> None:
        """Take in the weights after a step."""
        self._averaged.update_parameters(self._trained)

    def state(self) -> dict[str, Any]:
        """The average and the number of steps in it, for a checkpoint."""
        return self._averaged.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._averaged.load_state_dict(state)


Weights = tuple[torch.Tensor, ...] | list[torch.Tensor]


def _polynomial(average: Weights, current: Weights, count: torch.Tensor | int) -> None:
    """``average += (eta + 1) / (t + eta) (current - average)`` for step t = count + 1, in place."""
    weight = (DECAY + 1) / (float(count) + 1 + DECAY)
    torch._foreach_lerp_(list(average), list(current), weight)
