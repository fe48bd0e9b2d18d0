"""One cell of the grid: base model -> SFT on compressed traces -> accuracy on held-out and on training problems.

Everything a cell does follows from its config, so the same cell gives the same result wherever it runs (with the same
number of threads on the same kind of machine, to the last bit).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..data.records import make_record
from ..data.sampling import SamplerConfig
from ..evaluation.evaluate import DecodingConfig, EvaluateConfig, distinct_problems, evaluate, evaluate_records
from ..models.loading import load
from ..train.config import OptimizerConfig, SFTConfig
from ..train.sft import fine_tune
from .spec import AnyCell, CellConfig

LOSS_POINTS = 60
"""Points of the training curve that a result keeps."""


def training_records(
    cell: AnyCell, examples: int, n_ops: Sequence[int], order: str = "forward"
) -> list[dict[str, Any]]:
    """`examples` training problems of a cell, spread evenly over `n_ops` and all of different structures, with their
    traces in the cell's format.

    Raises `ValueError` where a length has too few structures.
    """
    records = []
    base, extra = divmod(examples, len(n_ops))
    for place, n in enumerate(n_ops):
        config = SamplerConfig(n_ops=n, seed=cell.seed, modulus=cell.modulus, number_range=cell.number_range)
        wanted = base + (place < extra)
        problems = distinct_problems(config, "train", wanted)
        if len(problems) < wanted:
            raise ValueError(f"only {len(problems)} training structures of n_ops={n} for {wanted} examples")
        for index, problem in problems:
            records.append(make_record(problem, cell.format, order, cell.surface, "train", index))
    return records


def run_cell(
    cell: CellConfig,
    completions: Callable[[str], Path],
    on_step: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train and measure; the completions on `test` and `train` go where `completions` says (Parquet).

    The result: `splits` (test and train, each with `accuracy`, `by_n_ops`, ...), training `tokens`, `flops`,
    `distinct_tokens`, `parameters`, `loss` (a thinned curve) and `train_seconds`. Training FLOPs are 6 per parameter
    and token (Kaplan et al. 2020), embeddings included since they are tied to the output layer.
    """
    model, tokenizer = load(cell.model)
    records = training_records(cell, cell.examples, cell.n_ops, cell.order)
    losses: list[tuple[int, float]] = []

    def keep(row: dict[str, float]) -> None:
        losses.append((int(row["step"]), row["loss"]))
        if on_step:
            on_step(row)

    config = SFTConfig(
        steps=cell.steps,
        batch_size=cell.batch_size,
        seed=cell.seed,
        checkpoint_every=0,
        optimizer=OptimizerConfig(learning_rate=cell.learning_rate, optimizer=cell.optimizer),
    )
    trained = fine_tune(model, tokenizer, records, config, on_step=keep)
    held_out = evaluate(
        model,
        tokenizer,
        EvaluateConfig(
            split=cell.split,
            n_ops=cell.n_ops,
            count=cell.test_count,
            surface=cell.surface,
            modulus=cell.modulus,
            number_range=cell.number_range,
            orders=(cell.order,),
        ),
    )
    per_length: dict[int, int] = dict.fromkeys(cell.n_ops, 0)
    seen = []
    for record in records:
        if per_length[record["n_ops"]] < cell.train_count:
            per_length[record["n_ops"]] += 1
            seen.append(record)
    on_training = evaluate_records(model, tokenizer, seen, DecodingConfig(orders=(cell.order,)))
    held_out.write_completions(completions("test"))
    on_training.write_completions(completions("train"))
    parameters = sum(p.numel() for p in model.parameters())
    every = max(1, len(losses) // LOSS_POINTS)
    return {
        "splits": {"test": held_out.summary(), "train": on_training.summary()},
        "parameters": parameters,
        "tokens": trained.loop.tokens,
        "distinct_tokens": trained.distinct_tokens,
        "flops": 6 * parameters * trained.loop.tokens,
        "train_seconds": trained.loop.seconds,
        "loss": losses[::every],
    }
