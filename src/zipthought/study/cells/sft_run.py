"""Running SFT cells: base, SFT on compressed traces, accuracy on held-out and on training problems.

Everything follows from the cell's settings. So a cell gives the same result wherever it runs; with the same number of
threads on the same kind of machine it is the same to the last bit. A cell that was killed goes on from its last
checkpoint, which holds what `_Watch` has measured, too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ...core.problem import Problem
from ...evaluation.evaluate import (
    DecodingConfig,
    EvaluateConfig,
    Evaluation,
    evaluate,
    evaluate_items,
)
from ...evaluation.memorization import edited_answers
from ...evaluation.metrics import EditedAnswer, Item, JudgedCompletion
from ...models.backends import TrainedBackend
from ...models.loading import load
from ...models.scoring import Scorer
from ...records.pruned import make_records
from ...tasks.distinct import distinct_problems
from ...train.averaging import WeightAverage
from ...train.config import OptimizerConfig, SFTConfig
from ...train.loop import Resumable, TimedCheckpoint
from ...train.output import CHECKPOINT
from ...train.sft import SFTResult, fine_tune
from ...train.trl_config import OF_RLVR
from ..problems import training_problems
from ..workspace import Workspace
from .base import Cell, OnStep
from .sft import FIT, RISE, Memorization, RunPoint, SFTCell, SFTCellResult

TRL_CHECKPOINTS = 4
"""Checkpoints of a cell that TRL trains; the last one is at its end."""
LOSS_POINTS = 60
"""At most about this many points of the training curve are kept."""


def run_sft(cell: SFTCell, workspace: Workspace, on_step: OnStep | None = None) -> SFTCellResult:
    """Train and measure. The completions of held-out and of training problems go to the workspace."""
    rate = _learning_rate(cell, workspace)
    model, tokenizer = load(cell.source, training=True, attention=workspace.execution.attention)
    problems = sft_problems(cell)
    first = [Item.of(p, cell.surface, i) for i, p in enumerate(_first(problems, cell.n_ops, cell.train_count))]
    # A format that needs a model has the base of the cell, before any training.
    scorer = Scorer(model, tokenizer)
    records = make_records(problems, cell.format, cell.order, cell.surface, scorer=scorer)
    with workspace.execution.backend(model, tokenizer) as backend:
        watch = _Watch(cell, backend, first, on_step)
        config = _config(cell, workspace, rate)
        trained = sft_trainer(cell, workspace, watch)(model, tokenizer, records, config, on_step=watch)
        point, held_out = watch.restore_best()
        if cell.longer_n_ops:
            longer = evaluate(backend, tokenizer, _problems(cell, cell.split, cell.test_count, cell.longer_n_ops))
            held_out = Evaluation([*held_out.completions, *longer.completions])
        held_out.write_completions(workspace.completions(cell.digest, "test"))
        decoding = DecodingConfig(orders=(cell.order,))
        on_training = evaluate_items(backend, tokenizer, first, decoding)
        on_training.write_completions(workspace.completions(cell.digest, "train"))
        memorized = _memorized(backend, cell, problems, decoding) if cell.edited_count else None
    history = trained.loop.history
    return SFTCellResult(
        learning_rate=rate,
        points=tuple(watch.points),
        step=point.step,
        tokens=point.tokens,
        flops=point.flops,
        test=held_out.summary(),
        train=on_training.summary(),
        memorized=memorized,
        parameters=watch.parameters,
        distinct_tokens=trained.distinct_tokens,
        train_seconds=trained.loop.seconds,
        loss=tuple((int(row["step"]), row["loss"]) for row in history[:: max(1, len(history) // LOSS_POINTS)]),
    )


def _config(cell: SFTCell, workspace: Workspace, rate: float) -> SFTConfig:
    return SFTConfig(
        steps=cell.steps,
        batch_size=cell.batch_size,
        seed=cell.seed,
        checkpoint_every=checkpoint_every(cell, cell.steps),
        positions=cell.positions,
        engine=cell.engine,
        execution=workspace.execution,
        precision=cell.precision,
        trl=workspace.execution.trl_of(cell).without(OF_RLVR),
        optimizer=OptimizerConfig(
            learning_rate=rate,
            optimizer=cell.optimizer,
            min_learning_rate_ratio=1.0 if cell.converge else cell.min_learning_rate_ratio,
        ),
    )


class _Watch:
    """Called after each update: measures the model at the cell's points and keeps the best of them. It ends a run by
    the rule of convergence (`SFTCell.converge`)."""

    def __init__(
        self,
        cell: SFTCell,
        backend: TrainedBackend,
        training: Sequence[Item],
        on_step: OnStep | None,
    ) -> None:
        self._cell, self._backend, self._training, self._on_step = cell, backend, training, on_step
        self._model = model = backend.model
        self._average = WeightAverage(model) if cell.converge else None
        self._measured_at = set(cell.measured_at())
        self.parameters = sum(p.numel() for p in model.parameters())  # Embeddings included; the output layer is tied.
        self.points: list[RunPoint] = []
        self._best: tuple[RunPoint, Evaluation, dict[str, Any]] | None = None

    def __call__(self, row: dict[str, Any]) -> bool:
        if self._average:
            self._average.update()
        ended = row["step"] in self._measured_at and self._measure(row)
        if self._on_step:
            self._on_step({**row, "steps": self._cell.steps})
        return ended

    def state(self) -> dict[str, Any]:
        """The measurements so far and the averaged weights, for a checkpoint."""
        best = None
        if self._best:
            point, evaluation, weights = self._best
            best = (point.plain(), [completion.plain() for completion in evaluation.completions], weights)
        average = self._average.state() if self._average else None
        return {"points": [point.plain() for point in self.points], "best": best, "average": average}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.points = [RunPoint.from_plain(point) for point in state["points"]]
        if state["best"]:
            point, completions, weights = state["best"]
            evaluation = Evaluation([JudgedCompletion.from_plain(completion) for completion in completions])
            self._best = RunPoint.from_plain(point), evaluation, weights
        if self._average:
            self._average.restore(state["average"])

    def _measure(self, row: dict[str, Any]) -> bool:
        """Measure the model; whether it has converged."""
        cell, backend = self._cell, self._backend
        model = backend.model = self._average.model if self._average else self._model
        problems = _problems(cell, cell.split, cell.test_count, cell.n_ops)
        evaluation = evaluate(backend, backend.tokenizer, problems)
        trained = sorted((r.n_ops, r.index, r.correct) for r in evaluation.completions)
        point = RunPoint(
            step=int(row["step"]),
            tokens=row["tokens"],
            flops=6 * self.parameters * row["tokens"],
            correct=tuple(correct for _, _, correct in trained),
            validation=_validation(backend, cell) if cell.points > 1 else None,
            train=self._fit() if cell.converge else None,
        )
        before = self.points[-1] if self.points else None
        self.points.append(point)
        if self._best is None or (point.validation or 0.0) > (self._best[0].validation or 0.0):
            # With one point, the best weights are the last ones: no copy.
            weights = copy.deepcopy(model.state_dict()) if cell.points > 1 or self._average else {}
            self._best = point, evaluation, weights
        return bool(
            cell.converge
            and before
            and (point.train or 0.0) >= FIT
            and (point.validation or 0.0) <= (before.validation or 0.0) + RISE
        )

    def _fit(self) -> float:
        """Accuracy on training problems."""
        decoding, backend = DecodingConfig(orders=(self._cell.order,)), self._backend
        accuracy = evaluate_items(backend, backend.tokenizer, self._training, decoding).summary().accuracy
        assert accuracy is not None, "a cell has training problems"
        return accuracy

    def restore_best(self) -> tuple[RunPoint, Evaluation]:
        """Load the weights of the best point into the model; the point and its held-out evaluation."""
        assert self._best is not None, "the last update is a point"
        point, evaluation, weights = self._best
        if weights:
            self._model.load_state_dict(weights)
        self._backend.model = self._model
        return point, evaluation


def sft_problems(cell: SFTCell) -> list[tuple[int, Problem]]:
    """(index, problem) of the training prompts of a cell."""
    samplers = [cell.sampler(n, cell.seed) for n in cell.n_ops]
    part = (cell.part, cell.parts)
    return training_problems(samplers, cell.examples, cell.structures, part, cell.sentences)


def timed_checkpoint(cell: Cell, workspace: Workspace, watch: Resumable) -> TimedCheckpoint:
    """The checkpoint of a cell, in its scratch directory, with the state of what watches its training."""
    return TimedCheckpoint(
        path=workspace.scratch(cell.digest) / CHECKPOINT,
        seconds=workspace.checkpoint_seconds,
        watch=watch,
    )


def sft_trainer(cell: Cell, workspace: Workspace, watch: Resumable) -> Callable[..., SFTResult]:
    """The SFT function of the cell's engine. It resumes a killed cell: with TRL, from the checkpoints of
    `checkpoint_every`."""
    if cell.engine == "native":
        return partial(fine_tune, timed=timed_checkpoint(cell, workspace, watch))
    if launch := workspace.execution.launch:
        return partial(launch.sft, directory=workspace.scratch(cell.digest))
    from ...train.trl_engine import sft_with_trl

    return partial(sft_with_trl, directory=workspace.scratch(cell.digest), resume=True, watch=watch)


def checkpoint_every(cell: Cell, steps: int) -> int:
    """The updates between checkpoints of a training by TRL, which has none by time. The engine native has those of
    `timed_checkpoint`."""
    return -(-steps // TRL_CHECKPOINTS) if cell.engine == "trl" else 0


def _learning_rate(cell: SFTCell, workspace: Workspace) -> float:
    """The learning rate with the best validation accuracy; of equals, the first."""
    accuracy: dict[float, float] = {}
    for rate, candidate in cell.tuning_cells().items():
        result = workspace.results[candidate.digest]
        assert isinstance(result, SFTCellResult)
        assert result.test.accuracy is not None, "every length has test problems"
        accuracy[rate] = result.test.accuracy
    return max(accuracy, key=accuracy.__getitem__) if accuracy else cell.learning_rates[0]


def _validation(backend: TrainedBackend, cell: SFTCell) -> float:
    # The offset avoids the first items of the split, which a study with split = "validation" measures.
    count = -(-cell.validation_count // len(cell.n_ops))
    config = _problems(cell, "validation", count, cell.n_ops, offset=1_000_000)
    accuracy = evaluate(backend, backend.tokenizer, config).summary().accuracy
    assert accuracy is not None, "every length has validation problems"
    return accuracy


def _problems(cell: SFTCell, split: str, count: int, n_ops: tuple[int, ...], offset: int = 0) -> EvaluateConfig:
    return EvaluateConfig(
        split=split,
        n_ops=n_ops,
        count=count,
        offset=offset,
        surface=cell.surface,
        task=cell.task,
        modulus=cell.modulus,
        number_range=cell.number_range,
        orders=(cell.order,),
    )


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
    backend: TrainedBackend, cell: SFTCell, problems: Sequence[tuple[int, Problem]], decoding: DecodingConfig
) -> Memorization:
    """Answers to edited training problems, and to edited held-out problems as the control."""
    count = -(-cell.edited_count // len(cell.n_ops))
    control = [problem for n in cell.n_ops for _, problem in distinct_problems(cell.sampler(n), cell.split, count)]

    def answers(of: list[Problem]) -> tuple[EditedAnswer, ...]:
        return tuple(edited_answers(backend, backend.tokenizer, of, cell.surface, cell.number_range, decoding))

    return Memorization(train=answers(_first(problems, cell.n_ops, count)), held_out=answers(control))
