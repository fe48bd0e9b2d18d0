"""What a study will take, before it is run: cells, tokens, FLOPs, GPU hours (``zipthought study run --dry-run``).

Tokens are those of sampled texts, by the model's tokenizer where that is on this disk and else by words and punctuation
marks. FLOPs are 6 per parameter and token of training and 2 of generation (Kaplan et al. 2020). Hours assume rates
that a well-set job reaches on one H100: an estimate to plan with, not a measurement.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ..models.names import resolve
from ..records.schema import make_record
from ..solutions.compress import token_counter
from ..tasks.sampling import SamplerConfig, sample_batch
from .cells import BEFORE, Cell, DecompositionCell, SFTCell
from .spec import StudySpec

TRAINING_TFLOPS = 400.0
"""10^12 operations a second: about 40% of an H100's dense bfloat16 rate."""
GENERATION_TFLOPS = 60.0
"""The same in batched generation, which memory bounds."""
SAMPLED = 64
"""Texts of each kind that are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of some cells."""

    cells: int
    trained_tokens: float
    generated_tokens: float
    """Prompts included."""
    training_flops: float
    generation_flops: float

    @property
    def gpu_hours(self) -> float:
        """On one H100."""
        seconds = self.training_flops / TRAINING_TFLOPS + self.generation_flops / GENERATION_TFLOPS
        return seconds / 1e12 / 3600

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "gpu_hours": self.gpu_hours}


def estimate(spec: StudySpec) -> dict[str, Estimate]:
    """Experiment -> what its cells take; cells that experiments share count where they come first, and `tuning` has
    those that choose a learning rate. Raises `ValueError` where the number of parameters is not known."""
    seen: set[str] = set()
    made = {}
    groups: dict[str, list[Cell]] = {name: e.cells(spec) for name, e in spec.experiments.items()}
    asked = {cell.digest for cells in groups.values() for cell in cells}
    groups["tuning"] = [cell for cell in spec.cells() if cell.digest not in asked]
    for name, cells in groups.items():
        fresh = [cell for cell in {c.digest: c for c in cells}.values() if cell.digest not in seen]
        seen |= {cell.digest for cell in fresh}
        work = [(*_work(cell), _parameters(cell.model) or spec.parameters) for cell in fresh]
        for cell, (*_, parameters) in zip(fresh, work, strict=True):
            if not parameters:
                raise ValueError(f"{cell.model} is not on this disk; state its `parameters` in the study's file")
        if fresh:
            made[name] = Estimate(
                cells=len(fresh),
                trained_tokens=sum(trained for trained, _, _, _ in work),
                generated_tokens=sum(generated for _, generated, _, _ in work),
                training_flops=sum((6 * trained + 2 * read) * n for trained, _, read, n in work),
                generation_flops=sum(2 * generated * n for _, generated, _, n in work),
            )
    return made


def _work(cell: Cell) -> tuple[float, float, float]:
    """Tokens trained on, tokens generated (with their prompts), and tokens read by a frozen reference."""
    if isinstance(cell, SFTCell):
        prompt, response = _tokens(cell, cell.format, cell.order, cell.n_ops)
        longer = cell.n_ops + cell.longer_n_ops
        measured = _tokens(cell, cell.format, cell.order, longer)
        held_out = cell.test_count * len(longer) + (cell.validation_count if cell.points > 1 else 0)
        asked = cell.points * held_out + cell.train_count * len(cell.n_ops) + 2 * cell.edited_count
        return cell.steps * cell.batch_size * (prompt + response), asked * sum(measured), 0.0
    s = cell.settings
    prompt, response = _tokens(cell, cell.format, "forward", s.n_ops)
    measured = _tokens(cell, cell.format, "forward", s.n_ops + s.longer_n_ops)
    points = 1 if cell.part == BEFORE else -(-s.rl_steps // s.measure_every)
    asked = len(s.n_ops + s.longer_n_ops) * (points * s.count + s.samples * s.sampled)
    evaluation = asked * sum(measured)
    rollouts = s.rl_steps * s.prompts_per_step * s.group_size * (prompt + response)
    if cell.part == "rlvr":
        return rollouts, rollouts + evaluation, rollouts if s.kl else 0.0
    updates = {BEFORE: cell.sft_steps, "sft-updates": s.rl_steps}.get(cell.part)
    trained = rollouts if updates is None else updates * s.sft_batch_size * (prompt + response)
    return trained, evaluation, 0.0


def _tokens(cell: SFTCell | DecompositionCell, fmt: str, order: str, n_ops: tuple[int, ...]) -> tuple[float, float]:
    """Mean tokens of a prompt and of a response."""
    world = (cell.model, cell.surface, cell.modulus, cell.number_range)
    lengths = [_lengths(*world, fmt, order, n) for n in n_ops]
    return sum(p for p, _ in lengths) / len(lengths), sum(r for _, r in lengths) / len(lengths)


@lru_cache(maxsize=1024)
def _lengths(
    model: str, surface: str, modulus: int, number_range: int, fmt: str, order: str, n_ops: int
) -> tuple[float, float]:
    file = Path(resolve(model)) / "tokenizer.json"
    count = token_counter(str(file) if file.exists() else "")
    config = SamplerConfig(n_ops=n_ops, modulus=modulus, number_range=number_range)
    batch = sample_batch(config, "train", range(SAMPLED))
    records = [make_record(batch.problem(row), fmt, order, surface) for row in range(SAMPLED)]
    prompts = sum(count(" ".join(m["content"] for m in r["messages"][:-1])) for r in records)
    return prompts / SAMPLED, sum(count(r["completion"]) for r in records) / SAMPLED


@cache
def _parameters(model: str) -> int:
    """Of a model on this disk; 0 for another one."""
    from safetensors import safe_open

    total = 0
    for path in Path(resolve(model)).glob("*.safetensors"):
        with safe_open(path, "numpy") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total
