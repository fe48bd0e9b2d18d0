"""From a file of questions to files of solutions and of pairs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..evaluation.questions import Question
from ..evaluation.summary import DataCompletion
from ..records.schema import Record, canonical_json, record_id
from ..tasks.splits import split_of
from .cache import Cache
from .config import SampleConfig
from .sources import AnswerSource, Ask, Failed

SAMPLED = "sampled"
"""The format of a solution that a model wrote."""


@dataclass(slots=True)
class Progress:
    """How far a run is."""

    wanted: int
    """Answers."""
    answered: int = 0
    """Of them, those in the cache, also from earlier runs."""
    tokens: int = 0
    """Generated tokens of these."""
    estimated: int = 0
    """Answers whose tokens are an estimate."""
    failures: Counter[str] = field(default_factory=Counter)
    """Reason -> answers that failed in this run."""


OnProgress = Callable[[Progress], None]


def ask(
    questions: Sequence[Question],
    config: SampleConfig,
    source: AnswerSource,
    cache: Cache,
    budget: int = 0,
    on_progress: OnProgress | None = None,
) -> Progress:
    """Ask for all answers that the cache does not have.

    `budget` is a limit of the generated tokens of all answers, earlier ones too (0: none); nothing more is asked when
    it is reached. Raises `ValueError` as the source does.
    """
    progress = Progress(wanted=len(questions) * config.samples)
    for question in questions:
        for sample in range(config.samples):
            if known := cache.get(config.key(question.turns, sample)):
                _count(progress, known.tokens, known.estimated)

    def spent() -> bool:
        return bool(budget) and progress.tokens >= budget

    if on_progress:
        on_progress(progress)
    for found in source.answers(_groups(questions, config, cache, source.questions_at_once), spent):
        if isinstance(found, Failed):
            progress.failures[found.reason] += 1
        else:
            wanted, answer = found
            if wanted.key not in cache:
                cache.put(wanted.key, answer)
                _count(progress, answer.tokens, answer.estimated)
        if on_progress:
            on_progress(progress)
    return progress


def _count(progress: Progress, tokens: int, estimated: bool) -> None:
    progress.answered += 1
    progress.tokens += tokens
    progress.estimated += estimated


def _groups(questions: Sequence[Question], config: SampleConfig, cache: Cache, size: int) -> Iterator[list[Ask]]:
    """All samples of `size` questions each, without the groups whose answers are all there."""
    left = iter(questions)
    while part := list(islice(left, size)):
        group = [Ask(config.key(q.turns, k), q.turns, k) for q in part for k in range(config.samples)]
        if not all(one.key in cache for one in group):
            yield group


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The judged solutions of a question, in the order of their samples."""

    question: Question
    solutions: list[DataCompletion]

    def kept(self, keep: str) -> list[DataCompletion]:
        """The distinct solutions that `keep`, one of `config.KEEP`, chooses. A truncated one is never right."""
        first = {one.completion: one for one in reversed(self.solutions)}
        distinct = sorted(first.values(), key=lambda one: one.sample)
        if keep == "all":
            return distinct
        if keep == "faithful":
            return [one for one in distinct if one.faithful and not one.truncated]
        right = [one for one in distinct if is_right(one)]
        return right if keep == "correct" else sorted(right, key=_length)[:1]

    def pair(self, kind: str) -> tuple[DataCompletion, DataCompletion] | None:
        """(chosen, rejected): the shortest right solution, and the longest right one (`short-long`) or the first wrong
        one (`right-wrong`). None if there are no such two, or if both right ones have the same length."""
        right = sorted(self.kept("correct"), key=_length)
        if not right:
            return None
        if kind == "short-long":
            longest = right[-1]
            return (right[0], longest) if longest.response_tokens > right[0].response_tokens else None
        wrong = [one for one in self.kept("all") if not one.correct]
        return (right[0], wrong[0]) if wrong else None


def is_right(one: DataCompletion) -> bool:
    """Whether a solution is whole and its answer is correct."""
    return one.correct and not one.truncated


def _length(one: DataCompletion) -> tuple[int, int]:
    return one.response_tokens, one.sample


def judged(questions: Iterable[Question], config: SampleConfig, cache: Cache) -> Iterator[Sampled]:
    """The judged solutions of each question that has any."""
    for question in questions:
        solutions = []
        for sample in range(config.samples):
            if answer := cache.get(config.key(question.turns, sample)):
                solutions.append(DataCompletion.of(question, sample, answer.text, answer.tokens, answer.truncated))
        if solutions:
            yield Sampled(question=question, solutions=solutions)


def record_of(question: Question, one: DataCompletion, model: str) -> Record:
    """The record of a solution. It has the fields of every record, and what is known of the solution."""
    first = next((turn["content"] for turn in question.turns if turn["role"] == "user"), question.text)
    structure = hashlib.sha256(" ".join(first.split()).encode()).hexdigest()
    if question.item:
        structure = question.item.problem.structure
    record: Record = {
        "id": "",
        "structure": structure,
        "split": split_of(structure),
        "index": question.number - 1,
        "n_ops": question.item.problem.n_ops if question.item else sum(one.granularity),
        "modulus": question.item.problem.modulus if question.item else None,
        "format": SAMPLED,
        "k": None,
        "order": "forward",
        "surface": question.surface,
        "prompt": question.text,
        "completion": one.completion,
        "answer": question.right,
        "messages": [*question.turns, {"role": "assistant", "content": one.completion}],
        "source_id": question.id,
        "sample": one.sample,
        "model": model,
        "tokens": one.response_tokens,
        "verdict": one.answer,
        "faithful": one.faithful,
        "truncated": one.truncated,
    }
    record["id"] = record_id(record)
    return record


def pair_of(sampled: Sampled, kind: str) -> dict[str, Any] | None:
    """The row of a preference pair, as TRL's DPO trainer reads it; None if the question has none."""
    found = sampled.pair(kind)
    if found is None:
        return None
    chosen, rejected = found
    return {
        "prompt": sampled.question.turns,
        "chosen": [{"role": "assistant", "content": chosen.completion}],
        "rejected": [{"role": "assistant", "content": rejected.completion}],
        "kind": kind,
        "source_id": sampled.question.id,
        "tokens_chosen": chosen.response_tokens,
        "tokens_rejected": rejected.response_tokens,
    }


def line(values: dict[str, Any]) -> bytes:
    """A line of an output file."""
    return f"{canonical_json(values)}\n".encode()


__all__ = ["Progress", "Sampled", "ask", "judged", "line", "pair_of", "record_of"]
