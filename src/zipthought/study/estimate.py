"""What a study will take: cells, tokens, FLOPs, GPU hours (``zipthought study run --dry-run``).

Each cell estimates its tokens (`Cell.work`). Training takes 6 FLOPs per parameter and token, generation 2 (Kaplan et
al. 2020). GPU hours assume the rates of a well-tuned job on one H100. They are estimates for planning, not
measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .cells import Cell
from .models import count_parameters
from .spec import StudySpec

TRAINING_TFLOPS = 400.0
"""10^12 FLOPs a second in training: about 40% of an H100's dense bfloat16 rate."""
GENERATION_TFLOPS = 60.0
"""The same in batched generation, which is limited by memory bandwidth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The work of some cells."""

    cells: int
    trained_tokens: float
    generated_tokens: float
    """Prompts included."""
    training_flops: float
    generation_flops: float

    @property
    def gpu_hours(self) -> float:
        """Hours on one H100."""
        seconds = self.training_flops / TRAINING_TFLOPS + self.generation_flops / GENERATION_TFLOPS
        return seconds / 1e12 / 3600

    def plain(self) -> dict[str, Any]:
        """The estimate as JSON values."""
        return {**asdict(self), "gpu_hours": self.gpu_hours}


def estimate(spec: StudySpec) -> dict[str, Estimate]:
    """Experiment -> the work of its cells.

    Cells that experiments share count in the first of them. `tuning` holds the cells that choose a learning rate.
    Raises `ValueError` if the number of parameters is not known.
    """
    groups: dict[str, Sequence[Cell]] = {name: e.cells(spec) for name, e in spec.experiments.items()}
    own = {cell.digest for cells in groups.values() for cell in cells}
    groups["tuning"] = [cell for cell in spec.cells() if cell.digest not in own]
    counted: set[str] = set()
    estimates = {}
    for name, cells in groups.items():
        fresh = [cell for digest, cell in {c.digest: c for c in cells}.items() if digest not in counted]
        counted |= {cell.digest for cell in fresh}
        if fresh:
            estimates[name] = _estimate(fresh, spec)
    return estimates


def _estimate(cells: Sequence[Cell], spec: StudySpec) -> Estimate:
    work = []
    for cell in cells:
        parameters = count_parameters(cell.model) or spec.parameters
        if not parameters:
            raise ValueError(f"{cell.model} is not on this disk; state its `parameters` in the study's file")
        work.append((cell.work(), parameters))
    return Estimate(
        cells=len(cells),
        trained_tokens=sum(w.trained for w, _ in work),
        generated_tokens=sum(w.generated for w, _ in work),
        training_flops=sum((6 * w.trained + 2 * w.reference) * n for w, n in work),
        generation_flops=sum(2 * w.generated * n for w, n in work),
    )
