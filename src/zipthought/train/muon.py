"""Muon in float32: the momentum of each matrix is orthogonalized before the step (Jordan et al. 2024).

`torch.optim.Muon` iterates in bfloat16, which CPUs without bfloat16 units emulate. On two cores a step of the tiny base
took 0.9 s with it and takes 0.35 s here. Matrices of the same shape are orthogonalized in one batched call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """(K, M, N) -> (K, M, N): move the singular values of each matrix close to 1, by Newton-Schulz iterations."""
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Orthogonalized Nesterov momentum, scaled to the usual update size of AdamW (0.2 root mean square)."""

    def __init__(
        self, params: Iterable[torch.Tensor], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                updates = []
                for parameter in parameters:
                    gradient = parameter.grad
                    assert gradient is not None
                    state = self.state[parameter]
                    if not state:
                        state["momentum"] = torch.zeros_like(parameter)
                    average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    updates.append(gradient.lerp(average, group["momentum"]))
                scale = 0.2 * max(shape) ** 0.5 * group["lr"]
                for parameter, update in zip(parameters, orthogonalize(torch.stack(updates)), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-scale)
