"""Completions on the records of a file with their verdicts, and their summary with 95% intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..core.verify import ANSWERS, STEP_VERDICTS
from .intervals import Estimate, bootstrap, share_of
from .passk import ks_for, pass_at_k
from .questions import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCompletion:
    """A completion and its verdict. The fields are the columns of the files of completions, in this order."""

    id: str
    """`Question.id`."""
    number: int
    """The number of the record's line or row, from 1."""
    sample: int
    """The number of the sample, from 0."""
    prompt: str
    """The question."""
    completion: str
    gold: str
    """The right answer."""
    answer_read: str | None
    """The final answer that the completion states, as written; None if it states none, or two."""
    answer: str
    """The verdict on the answer, one of `core.verify.ANSWERS`."""
    correct: bool
    faithful: bool
    """A correct answer, every step valid, and the chain complete."""
    response_tokens: int
    """Generated tokens, the end of sequence included."""
    truncated: bool
    """Whether the completion reached the limit of tokens before an end of sequence."""
    granularity: list[int]
    """Operations of each valid step that works out at least one."""
    steps: list[str]
    """The verdict on each step, each one of `core.verify.STEP_VERDICTS`."""

    @classmethod
    def of(cls, question: Question, sample: int, text: str, tokens: int, truncated: bool) -> DataCompletion:
        """Verify a completion of a question. `tokens` are those that were generated."""
        verdict = question.judge(text)
        return cls(
            id=question.id,
            number=question.number,
            sample=sample,
            prompt=question.text,
            completion=text,
            gold=question.right,
            answer_read=question.answer_read(text),
            answer=verdict.answer,
            correct=verdict.answer == "correct",
            faithful=verdict.faithful,
            response_tokens=tokens,
            truncated=truncated,
            granularity=list(verdict.shown),
            steps=[step.verdict for step in verdict.steps],
        )

    def plain(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Tokens of some completions, the end of sequence included. None where there are no such completions."""

    mean: Estimate | None
    median: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSummary:
    """Metrics of many completions. Every `Estimate` has a 95% interval over questions."""

    n: int
    """Questions."""
    completions: int
    accuracy: Estimate
    """The share of completions with a correct answer."""
    faithful: Estimate
    """The share with a correct answer, only valid steps and a complete chain."""
    unread_answers: Estimate
    """The share whose answer is `missing`, `malformed` or `conflicting`."""
    truncated: Estimate
    """The share that reached the limit of tokens."""
    tokens_right: TokenCounts
    """Of completions with a correct answer."""
    tokens_wrong: TokenCounts
    """Of all others."""
    pass_at: dict[int, Estimate]
    """k -> pass@k; empty for one sample of each question."""
    faithful_at: dict[int, Estimate]
    """The same for faithful completions."""
    answers: dict[str, int]
    """Completions by verdict on the answer."""
    steps: dict[str, int]
    """Steps by verdict."""
    tokens: int
    """Of all completions."""

    def plain(self) -> dict[str, Any]:
        """The summary as JSON values: an estimate is ``{"value", "low", "high"}``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("accuracy", "faithful", "unread_answers", "truncated"):
            values[name] = values[name]._asdict()
        for name in ("tokens_right", "tokens_wrong"):
            pair = (("mean", values[name].mean), ("median", values[name].median))
            values[name] = {key: estimate._asdict() if estimate else None for key, estimate in pair}
        for name in ("pass_at", "faithful_at"):
            values[name] = {str(k): estimate._asdict() for k, estimate in values[name].items()}
        return values


def summarize_data(completions: Sequence[DataCompletion]) -> DataSummary:
    """The summary of completions, which have the same number of samples for each question.

    Raises `ValueError` for no completions.
    """
    if not completions:
        raise ValueError("there are no completions to summarize")
    groups: dict[tuple[int, str], list[DataCompletion]] = {}
    for c in completions:
        groups.setdefault((c.number, c.id), []).append(c)
    questions = list(groups.values())
    samples = len(questions[0])

    def share(passes: Callable[[DataCompletion], bool]) -> Estimate:
        return share_of([sum(map(passes, group)) / samples for group in questions], samples)

    def at(k: int, passes: Callable[[DataCompletion], bool]) -> Estimate:
        return share_of([pass_at_k(samples, sum(map(passes, group)), k) for group in questions], samples)

    def tokens(correct: bool) -> TokenCounts:
        rows = [[c.response_tokens for c in group if c.correct is correct] for group in questions]
        return TokenCounts(mean=bootstrap(rows, np.mean), median=bootstrap(rows, np.median))

    ks = ks_for(samples) if samples > 1 else []
    answers = Counter(c.answer for c in completions)
    steps = Counter(step for c in completions for step in c.steps)
    return DataSummary(
        n=len(questions),
        completions=len(completions),
        accuracy=share(lambda c: c.correct),
        faithful=share(lambda c: c.faithful),
        unread_answers=share(lambda c: c.answer in ("missing", "malformed", "conflicting")),
        truncated=share(lambda c: c.truncated),
        tokens_right=tokens(True),
        tokens_wrong=tokens(False),
        pass_at={k: at(k, lambda c: c.correct) for k in ks},
        faithful_at={k: at(k, lambda c: c.faithful) for k in ks},
        answers={verdict: answers[verdict] for verdict in ANSWERS},
        steps={verdict: steps[verdict] for verdict in STEP_VERDICTS},
        tokens=sum(c.response_tokens for c in completions),
    )


__all__ = ["DataCompletion", "DataSummary", "TokenCounts", "summarize_data"]
