"""Cells of SFT: a base -> SFT on compressed traces -> accuracy on held-out and on training problems.

Everything a cell does follows from its config, so the same cell gives the same result wherever it runs (with the same
number of threads on the same kind of machine, to the last bit).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.problem import Problem
from ..evaluation.evaluate import (
    DecodingConfig,
    EvaluateConfig,
    Evaluation,
    distinct_problems,
    evaluate,
    evaluate_items,
)
from ..evaluation.memorization import edited_answers
from ..evaluation.metrics import Item
from ..models.loading import load
from ..records.schema import Record, make_record
from ..tasks.names import nouns
from ..tasks.sampling import SamplerConfig
from ..train.config import OptimizerConfig, SFTConfig
from ..train.sft import SFTResult, fine_tune
from .cells import Cell, SFTCell
from .workspace import Workspace

LOSS_POINTS = 60
"""Points of the training curve that a result keeps."""
OnStep = Callable[[dict[str, Any]], None]


class _Best(NamedTuple):
    """The measurement with the best validation accuracy so far, and the weights that it was made with."""

    point: dict[str, Any]
    evaluation: Evaluation
    weights: dict[str, Any]
    """Empty where the run's last weights are meant."""


def training_records(
    cell: Cell, examples: int, n_ops: Sequence[int], order: str = "forward", sentences: int = 0
) -> list[Record]:
    """`examples` training problems of a cell, spread evenly over `n_ops` and all of different structures, with their
    traces in the cell's format; `sentences` as in `with_more_sentences`.

    Raises `ValueError` where a length has too few structures.
    """
    return [
        make_record(problem, cell.format, order, cell.surface, "train", index)
        for index, problem in training_problems(cell, examples, n_ops, sentences)
    ]


def training_problems(cell: Cell, examples: int, n_ops: Sequence[int], sentences: int = 0) -> list[tuple[int, Problem]]:
    """(index, problem) of each of the `training_records`."""
    chosen = []
    base, extra = divmod(examples, len(n_ops))
    for place, n in enumerate(n_ops):
        config = SamplerConfig(n_ops=n, seed=cell.seed, modulus=cell.modulus, number_range=cell.number_range)
        wanted = base + (place < extra)
        problems = distinct_problems(config, "train", wanted)
        if len(problems) < wanted:
            raise ValueError(f"only {len(problems)} training structures of n_ops={n} for {wanted} examples")
        for index, problem in problems:
            if sentences:
                rng = np.random.default_rng([abs(cell.seed), n, index])
                problem = with_more_sentences(problem, sentences, cell.number_range, rng)
            chosen.append((index, problem))
    return chosen


def with_more_sentences(problem: Problem, most: int, number_range: int, rng: np.random.Generator) -> Problem:
    """The problem with quantities that nothing depends on added at random places, for a random number of sentences up
    to `most`. Its structure, and so its split, stays as it is."""
    told = list(problem.definitions.items())
    wanted = int(rng.integers(len(told), max(most, len(told)) + 1))
    names = iter(rng.permutation(len(nouns())).tolist())
    while len(told) < wanted:
        name = nouns()[next(names)]
        if name not in problem.definitions:
            told.insert(int(rng.integers(len(told) + 1)), (name, int(rng.integers(1, number_range))))
    return Problem(problem.modulus, dict(told), problem.target)


def run_sft(cell: SFTCell, workspace: Workspace, on_step: OnStep | None = None) -> dict[str, Any]:
    """Train and measure; the completions on `test` and `train` go to the workspace.

    The result: `learning_rate`; `points`, the measurements on the way (`step`, `tokens`, `flops`, `validation`,
    `accuracy` and `correct`, a 0 or 1 for each problem of n_ops, in order of n_ops and index); and of the chosen point
    `step`, `tokens`, `flops`, `splits` (test and train, each with `accuracy`, `by_n_ops`, ...), `memorized`
    (`evaluation.memorization`, on training and on held-out problems), besides `distinct_tokens`, `parameters`, `loss`
    (a thinned curve) and `train_seconds`. Training FLOPs are 6 per parameter and token (Kaplan et al. 2020), embeddings
    included since they are tied to the output layer.
    """
    rate = _learning_rate(cell, workspace)
    model, tokenizer = load(cell.model, training=True)
    parameters = sum(p.numel() for p in model.parameters())
    problems = training_problems(cell, cell.examples, cell.n_ops, cell.sentences)
    records = [make_record(problem, cell.format, cell.order, cell.surface, "train", i) for i, problem in problems]
    every = cell.steps / cell.points
    measured_at = {round(every * place) for place in range(1, cell.points + 1)}
    losses: list[tuple[int, float]] = []
    points: list[dict[str, Any]] = []
    best: _Best | None = None

    def watch(row: dict[str, Any]) -> None:
        nonlocal best
        losses.append((int(row["step"]), row["loss"]))
        if row["step"] in measured_at:
            evaluation = _held_out(model, tokenizer, cell)
            trained = [c for c in evaluation.completions if c.n_ops in cell.n_ops]
            point = {
                "step": int(row["step"]),
                "tokens": row["tokens"],
                "flops": 6 * parameters * row["tokens"],
                "accuracy": sum(c.correct for c in trained) / len(trained),
                "correct": _bits(evaluation, cell.n_ops),
                "validation": _validation(model, tokenizer, cell) if cell.points > 1 else None,
            }
            points.append(point)
            if best is None or point["validation"] > best.point["validation"]:
                best = _Best(point, evaluation, copy.deepcopy(model.state_dict()) if cell.points > 1 else {})
        if on_step:
            on_step(row)

    config = SFTConfig(
        steps=cell.steps,
        batch_size=cell.batch_size,
        seed=cell.seed,
        checkpoint_every=0,
        positions=cell.positions,
        engine=cell.engine,
        optimizer=OptimizerConfig(learning_rate=rate, optimizer=cell.optimizer),
    )
    trained = sft_trainer(cell, workspace)(model, tokenizer, records, config, on_step=watch)
    assert best is not None
    if best.weights:
        model.load_state_dict(best.weights)
    best.evaluation.write_completions(workspace.completions(cell.digest, "test"))
    decoding = DecodingConfig(orders=(cell.order,))
    seen = [Item.of(p, cell.surface, i) for i, p in enumerate(_first(problems, cell.n_ops, cell.train_count))]
    on_training = evaluate_items(model, tokenizer, seen, decoding)
    on_training.write_completions(workspace.completions(cell.digest, "train"))
    return {
        "learning_rate": rate,
        "points": points,
        **{name: best.point[name] for name in ("step", "tokens", "flops")},
        "splits": {"test": best.evaluation.summary().plain(), "train": on_training.summary().plain()},
        "memorized": _memorized(model, tokenizer, cell, problems, decoding) if cell.edited_count else None,
        "parameters": parameters,
        "distinct_tokens": trained.distinct_tokens,
        "train_seconds": trained.loop.seconds,
        "loss": losses[:: max(1, len(losses) // LOSS_POINTS)],
    }


def sft_trainer(cell: Cell, workspace: Workspace) -> Callable[..., SFTResult]:
    """The function that fine-tunes, of the cell's engine."""
    if cell.engine == "native":
        return fine_tune
    from ..train.trl_engine import sft_with_trl

    return partial(sft_with_trl, directory=workspace.scratch(cell.digest))


def _learning_rate(cell: SFTCell, workspace: Workspace) -> float:
    """The only one, or that of the candidates with the best validation accuracy; the first of equals."""
    tried = {rate: workspace.results[made.digest] for rate, made in cell.tuning_cells().items()}
    accuracy = {rate: result["splits"]["test"]["accuracy"] for rate, result in tried.items()}
    return max(accuracy, key=accuracy.__getitem__) if accuracy else cell.learning_rates[0]


def _held_out(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cell: SFTCell) -> Evaluation:
    return evaluate(model, tokenizer, _problems(cell, cell.split, cell.test_count, cell.n_ops + cell.longer_n_ops))


def _validation(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cell: SFTCell) -> float:
    # Not the first items of the split, which a study with split = "validation" measures.
    count = -(-cell.validation_count // len(cell.n_ops))
    config = _problems(cell, "validation", count, cell.n_ops, offset=1_000_000)
    accuracy = evaluate(model, tokenizer, config).summary().accuracy
    assert accuracy is not None
    return accuracy


def _problems(cell: SFTCell, split: str, count: int, n_ops: tuple[int, ...], offset: int = 0) -> EvaluateConfig:
    return EvaluateConfig(
        split=split,
        n_ops=n_ops,
        count=count,
        offset=offset,
        surface=cell.surface,
        modulus=cell.modulus,
        number_range=cell.number_range,
        orders=(cell.order,),
    )


def _bits(evaluation: Evaluation, n_ops: Sequence[int]) -> str:
    """A 0 or 1 for each problem of n_ops, in order of n_ops and index."""
    rows = sorted((c.n_ops, c.index, c.correct) for c in evaluation.completions if c.n_ops in n_ops)
    return "".join(str(int(correct)) for _, _, correct in rows)


def _first(problems: Sequence[tuple[int, Problem]], n_ops: Sequence[int], count: int) -> list[Problem]:
    """The first `count` problems of each of n_ops."""
    left = dict.fromkeys(n_ops, count)
    kept = []
    for _, problem in problems:
        if left[problem.n_ops]:
            left[problem.n_ops] -= 1
            kept.append(problem)
    return kept


def _memorized(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    cell: SFTCell,
    problems: Sequence[tuple[int, Problem]],
    decoding: DecodingConfig,
) -> dict[str, list[dict[str, bool]]]:
    """`evaluation.memorization.edited_answers` on training problems, and on held-out ones as the control."""
    count = -(-cell.edited_count // len(cell.n_ops))
    control = [
        problem
        for n in cell.n_ops
        for _, problem in distinct_problems(_problems(cell, cell.split, count, (n,)).sampler(n), cell.split, count)
    ]
    parts = {"train": _first(problems, cell.n_ops, count), "held_out": control}
    return {
        name: [
            asdict(answer)
            for answer in edited_answers(model, tokenizer, part, cell.surface, cell.number_range, decoding)
        ]
        for name, part in parts.items()
    }
