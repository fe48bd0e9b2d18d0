"""SFT on each file from the same base, on the same budget of training tokens, and the answers to the same questions.

A run has the number of updates after which the tokens seen, prompts included and padding excluded, come closest to the
budget. So files of short solutions see more examples, or the same ones more often.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..evaluation.config import DecodingConfig
from ..evaluation.data import evaluate_questions
from ..evaluation.questions import Question, Skipped, read_questions
from ..mixing.examples import Example, structure_of
from ..mixing.overlap import EvaluationQuestions
from ..models.loading import load
from ..models.names import at_commit, commit_of, resolve
from ..records.reading import place
from ..solutions.layouts import Reading
from ..train.batches import EpochBatches
from ..train.held_out import RecordError
from ..train.loop import TimedCheckpoint
from ..train.rates import with_rate
from ..train.sft import fine_tune, training_set
from .config import TrainOptions
from .results import Cell, Results, key_of
from .rows import FileRow

SIMILAR = 0.5
"""Jaccard index of word shingles from which two questions with the same numbers count as one (`mixing.overlap`)."""
BATCH = 64
"""Answers that are generated at the same time."""
OnRun = Callable[[int, int, str], None]
"""Receives the finished runs, all of them, and what is done now."""


@dataclass(frozen=True, slots=True)
class TestSet:
    """The questions that measure every model."""

    file: Path
    questions: list[Question]
    skipped: list[Skipped]
    sha256: str
    """Of the questions, their messages and their right answers."""

    __test__ = False  # For pytest.

    def guard(self) -> EvaluationQuestions:
        """What finds a record of one of the questions."""
        found = EvaluationQuestions(SIMILAR)
        for question in self.questions:
            structure = question.item.problem.structure if question.item else ""
            found.add(question.text, structure, place(self.file, question.number))
        return found


def read_test(file: Path, reading: Reading, limit: int) -> TestSet:
    """The questions of a file. Raises `ValueError` if there are none, and as `read_questions` does."""
    questions, skipped = [], []
    for one in read_questions(file, reading, 23, limit):
        if isinstance(one, Skipped):
            skipped.append(one)
        else:
            questions.append(one)
    if not questions:
        why = f"; {place(file, skipped[0].number)}: {skipped[0].detail}" if skipped else ""
        raise ValueError(f"no record of {file} can be asked{why}")
    content = [[question.turns, question.right] for question in questions]
    return TestSet(file, questions, skipped, hashlib.sha256(json.dumps(content).encode()).hexdigest())


def without_test(examples: Sequence[Example], guard: EvaluationQuestions) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The records to train on, and how many are left out because their question is in the test file: reason -> records
    (`mixing.overlap.Overlap`)."""
    records, left_out = [], Counter[str]()
    for example in examples:
        overlap = guard.find(example.question, example.structure or structure_of(example.record))
        if overlap:
            left_out[overlap.reason] += 1
        else:
            records.append(example.record)
    return records, left_out


def updates_for(batches: EpochBatches, lengths: Sequence[int], budget: int) -> tuple[int, int]:
    """(updates, tokens) of the run whose tokens are closest to the budget; at least one update."""
    updates = tokens = 0
    while True:
        more = sum(lengths[index] for index in batches.indices(updates))
        if updates and abs(tokens + more - budget) >= abs(tokens - budget):
            return updates, tokens
        updates, tokens = updates + 1, tokens + more


def identity_of(model: str) -> str:
    """What a model is, wherever it lies: the digest of its files, or a hub id, at its commit where that is known."""
    source = resolve(model)
    if not Path(source).is_dir():
        return at_commit(model, commit_of(model) or "")
    whole = hashlib.sha256()
    for path in sorted([*Path(source).glob("*.safetensors"), *Path(source).glob("tokenizer.json")]):
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


class Trainer:
    """Trains and measures, and keeps every result in a file."""

    def __init__(self, options: TrainOptions, test: TestSet, results: Results, checkpoint: Path) -> None:
        """`checkpoint` is the file of the run in progress."""
        if options.threads:
            torch.set_num_threads(options.threads)
        self._options, self._test, self._results, self._checkpoint = options, test, results, checkpoint
        self._guard = test.guard()
        self._common = {"model": identity_of(options.model), "test": test.sha256, **options.recipe()}

    def run(self, rows: Sequence[FileRow], on_run: OnRun) -> tuple[Cell, dict[str, list[Cell]]]:
        """The result of the base without training, and the name of a row -> its results, by seed. Runs that are in the
        file of results are not repeated. Raises `ValueError` as `fine_tune` does, with the file, and as
        `evaluate_questions` does."""
        total, done = len(rows) * len(self._options.seeds), 0
        on_run(0, total, "base")
        base = self._base()
        cells: dict[str, list[Cell]] = {row.name: [] for row in rows}
        for seed in self._options.seeds:  # All rows have a first seed before one has a second.
            for row in rows:
                note = f"{row.name}, seed {seed}"
                on_run(done, total, note)
                finished, say = done, lambda text, at=done, note=note: on_run(at, total, f"{note}: {text}")
                cells[row.name].append(self._cell(row, seed, say))
                done = finished + 1
        on_run(done, total, "")
        self._checkpoint.unlink(missing_ok=True)  # Of a run that this command no longer has.
        return base, cells

    def _base(self) -> Cell:
        key = key_of({name: self._common[name] for name in ("model", "test", "max_new_tokens")} | {"base": True})
        found = self._results.get(key)
        if found is None:
            model, tokenizer = load(self._options.model, self._options.device)
            found = {"row": "base", "version": __version__, **self._answers(model, tokenizer)}
            self._results.put(key, found)
        return found

    def _cell(self, row: FileRow, seed: int, say: Callable[[str], None]) -> Cell:
        key = key_of({**self._common, "data": row.sha256, "seed": seed})
        found = self._results.get(key)
        if found is None:
            try:
                found = self._train(row, seed, say)
            except RecordError as error:
                raise ValueError(f"{row.file}, record {error.number}: {error.reason}") from error
            self._results.put(key, found)
            self._checkpoint.unlink(missing_ok=True)
        return found

    def _train(self, row: FileRow, seed: int, say: Callable[[str], None]) -> Cell:
        options = self._options
        records, left_out = without_test(row.examples, self._guard)
        if not records:
            raise ValueError(f"{row.file}: every question is in {self._test.file}, so nothing is left to train on")
        model, tokenizer = load(options.model, options.device, training=True)
        data = training_set(tokenizer, records, options.max_length)
        lengths = [len(example.ids) for example in data.examples]
        batches = EpochBatches(data.examples, options.batch_size, seed, tokenizer.pad_token_id or 0)
        updates, tokens = updates_for(batches, lengths, options.budget_tokens)
        seen = sum(len(batches.indices(step)) for step in range(updates))
        config = with_rate(options.sft(updates, seed), model.num_parameters())
        trained = fine_tune(
            model,
            tokenizer,
            records,
            config,
            on_step=lambda row: say(f"{row['step']}/{updates}"),
            timed=TimedCheckpoint(path=self._checkpoint),
        )
        if trained.loop.tokens != tokens:
            raise RuntimeError(f"the run saw {trained.loop.tokens} tokens, planned were {tokens}")
        say("answers")
        return {
            "row": row.name,
            "seed": seed,
            "version": __version__,
            "device": model.device.type,
            "learning_rate": config.optimizer.peak,
            "parameters": model.num_parameters(),
            "examples": len(data.examples),
            "epochs": round(seen / len(data.examples), 4),
            "updates": updates,
            "tokens": tokens,
            "left_out": dict(left_out),
            "held_out": data.held_out,
            "too_long": data.too_long,
            "final_loss": trained.loop.final_loss,
            **self._answers(model, tokenizer),
        }

    def _answers(self, model: Any, tokenizer: Any) -> Cell:
        """What a model answers, greedily."""
        decoding = DecodingConfig(max_new_tokens=self._options.max_new_tokens, batch_size=BATCH)
        answered = evaluate_questions(model, tokenizer, self._test.questions, decoding)
        completions = answered.completions
        tokens = [completion.response_tokens for completion in completions]
        return {
            "correct": "".join(str(int(completion.correct)) for completion in completions),
            "faithful": "".join(str(int(completion.faithful)) for completion in completions),
            "response_tokens": sum(tokens) / len(tokens),
            "truncated": sum(completion.truncated for completion in completions) / len(completions),
            "limit": answered.limit.tokens,
            "not_asked": len(answered.skipped) + len(self._test.skipped),
        }


__all__ = ["TestSet", "Trainer", "identity_of", "read_test", "updates_for", "without_test"]
