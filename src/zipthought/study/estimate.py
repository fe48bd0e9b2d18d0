"""What a study will take: cells, tokens, FLOPs, GPU hours, disk (``zipthought study run --dry-run``).

Each cell estimates its tokens (`Cell.work`). Training takes 6 FLOPs per parameter and token, generation 2 (Kaplan et
al. 2020). GPU hours assume the rates of a well-tuned job on one H100. Memory is that of the largest training cell
(`train.memory`). Disk is what the files of its cells take (`Disk`). They are estimates for planning, not measurements.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..models.names import resolve
from ..models.shapes import Shape, known_shape
from ..train.config import Execution
from ..train.memory import SPARE, STATE_BYTES, cache_bytes, fitting_tokens, token_bytes
from .cells import Cell, Work
from .models import count_parameters
from .spec import StudySpec

TRAINING_TFLOPS = 400.0
"""10^12 FLOPs a second in training: about 40% of an H100's dense bfloat16 rate."""
GENERATION_TFLOPS = 60.0
"""The same in batched generation, which is limited by memory bandwidth."""
GPU_MEMORY = 80e9
"""Bytes of an H100."""
WEIGHT_BYTES = 4
"""Bytes of a parameter in the weights that a cell keeps: float32."""
COMPLETION_BYTES = 4.0
"""Bytes on disk of a token of completions, prompts included. Cells of three studies had 1.1 to 2.8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The memory of a GPU that trains a cell, in bytes."""

    states: float
    """Weights, gradient and optimizer, and the weights of a frozen reference."""
    sequence: float
    """The activations of its longest text."""
    cache: float
    """The keys and values of its rollouts. They are gone when it trains."""
    tokens: int
    """Tokens of a training pass that fit beside the states."""
    longest: float
    """Tokens of its longest text."""

    @property
    def needed(self) -> float:
        """The least that the cell can be trained with."""
        return (self.states + max(self.sequence, self.cache)) / SPARE

    @classmethod
    def of(cls, cell: Cell, work: Work, shape: Shape, execution: Execution, available: float) -> Memory:
        """The memory of a cell on a GPU with `available` bytes."""
        is_native_rlvr = bool(work.cached) and cell.engine == "native"  # It cannot recompute (`train.config`).
        checkpointing = not is_native_rlvr and execution.checkpoints(shape.parameters, on_gpu=True)
        states = (STATE_BYTES + (4 if work.reference else 0)) * shape.parameters
        fitting = fitting_tokens(shape, checkpointing, available - states)
        return cls(
            states=states,
            sequence=work.longest * token_bytes(shape, checkpointing),
            cache=work.cached * cache_bytes(shape),
            tokens=max(0, min(execution.micro_tokens or fitting, fitting)),
            longest=work.longest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The disk that some cells take, in bytes."""

    weights: float
    """The weights that they keep for other cells. They stay."""
    completions: float
    """Their files of completions. They stay."""
    checkpoints: tuple[float, ...]
    """The checkpoint of each cell while it runs, the largest first. It is gone when the cell is done."""

    @property
    def checkpoint(self) -> float:
        """The largest checkpoint; 0 if no cell writes one."""
        return max(self.checkpoints, default=0.0)

    def peak(self, workers: int) -> float:
        """The most that they take at a time, if so many cells run at once. A checkpoint replaces the earlier one when
        it is written, so a running cell has two for a moment."""
        return self.weights + self.completions + 2 * sum(heapq.nlargest(workers, self.checkpoints))

    def plain(self) -> dict[str, float]:
        """The bytes as JSON values."""
        return {"weights": self.weights, "completions": self.completions, "checkpoint": self.checkpoint}

    @classmethod
    def of(cls, cells: Iterable[tuple[Cell, Work, int]]) -> Disk:
        """The disk of cells, each with its work and the parameters of its model."""
        weights = completions = 0.0
        checkpoints = []
        for cell, work, parameters in cells:
            weights += WEIGHT_BYTES * parameters if cell.keeps_weights else 0
            completions += COMPLETION_BYTES * work.written
            if work.trained:
                checkpoints.append(float(_checkpoint_bytes(cell, work) * parameters))
        return cls(weights=weights, completions=completions, checkpoints=tuple(sorted(checkpoints, reverse=True)))

    @classmethod
    def all_of(cls, parts: Iterable[Disk]) -> Disk:
        """The disk of several groups of cells."""
        parts = list(parts)
        return cls(
            weights=sum(part.weights for part in parts),
            completions=sum(part.completions for part in parts),
            checkpoints=tuple(sorted((size for part in parts for size in part.checkpoints), reverse=True)),
        )


def _checkpoint_bytes(cell: Cell, work: Work) -> int:
    """Bytes for each parameter: what training holds of it, less the gradient. A cell of TRL writes no checkpoint, but
    its trained weights."""
    if cell.engine != "native":
        return WEIGHT_BYTES
    return STATE_BYTES - WEIGHT_BYTES + WEIGHT_BYTES * work.copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The work of some cells."""

    cells: int
    trained_tokens: float
    generated_tokens: float
    """Prompts included."""
    training_flops: float
    generation_flops: float
    memory: Memory | None
    """Of the cell that needs the most; None if no cell trains, or the shape of the model is not known."""
    disk: Disk

    @property
    def gpu_hours(self) -> float:
        """Hours on one H100."""
        seconds = self.training_flops / TRAINING_TFLOPS + self.generation_flops / GENERATION_TFLOPS
        return seconds / 1e12 / 3600

    def plain(self) -> dict[str, Any]:
        """The estimate as JSON values."""
        return {**asdict(self), "disk": self.disk.plain(), "gpu_hours": self.gpu_hours}


def estimate(spec: StudySpec, gpu_memory: float = GPU_MEMORY) -> dict[str, Estimate]:
    """Experiment -> the work of its cells, on GPUs with this many bytes.

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
            estimates[name] = _estimate(fresh, spec, gpu_memory)
    return estimates


def require_fit(estimates: Mapping[str, Estimate], gpu_memory: float) -> None:
    """Raises `ValueError`, with remedies, if a cell cannot be trained on a GPU with this many bytes."""
    for name, part in estimates.items():
        if part.memory and part.memory.needed > gpu_memory:
            raise ValueError(
                f"cells of [{name}] need about {part.memory.needed / 1e9:.0f} GB, and the GPU has "
                f'{gpu_memory / 1e9:g}: use the engine native, gradient_checkpointing = "on" in [execution], a larger '
                "GPU (--gpu-memory), or a smaller model"
            )


def _estimate(cells: Sequence[Cell], spec: StudySpec, gpu_memory: float) -> Estimate:
    work, memories = [], []
    for cell in cells:
        parameters = count_parameters(cell.model) or spec.parameters
        if not parameters:
            raise ValueError(f"{cell.model} is not on this disk; state its `parameters` in the study's file")
        needed = cell.work()
        work.append((cell, needed, parameters))
        if needed.longest and (shape := known_shape(resolve(cell.model))):
            memories.append(Memory.of(cell, needed, shape, spec.execution, gpu_memory))
    return Estimate(
        cells=len(cells),
        trained_tokens=sum(w.trained for _, w, _ in work),
        generated_tokens=sum(w.generated for _, w, _ in work),
        training_flops=sum((6 * w.trained + 2 * w.reference) * n for _, w, n in work),
        generation_flops=sum(2 * w.generated * n for _, w, n in work),
        memory=max(memories, key=lambda memory: memory.needed, default=None),
        disk=Disk.of(work),
    )
