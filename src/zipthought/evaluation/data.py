"""Evaluation on the records of a file: completions of a model, their verdicts, and a summary with intervals.

    questions = [q for q in read_questions(file, Reading(), modulus=23) if isinstance(q, Question)]
    evaluation = evaluate_questions(model, tokenizer, questions, DecodingConfig())
    evaluation.summary().accuracy

The model reads the messages that training uses. A record whose question does not fit the model is left out and counted;
no text is ever cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..models.backends import Backend, Request, backend_of
from ..records.chat import completion_ids, prompt_ids, token_budget
from .completions import write_completions
from .config import DecodingConfig
from .evaluate import Progress
from .questions import SKIPPED, Question, Skipped
from .summary import DataCompletion, DataSummary, summarize_data

USUAL_LIMIT = 1024
"""The limit of tokens where no record has a solution."""


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """The limit of tokens of a completion, and where it comes from."""

    tokens: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataEvaluation:
    """Judged completions of a model on questions."""

    completions: list[DataCompletion]
    """All samples of a question one after another, in the order of the questions."""
    skipped: list[Skipped]
    """The questions that the model could not be given."""
    limit: TokenLimit
    seconds: float
    """Of generation."""

    def summary(self) -> DataSummary:
        """The summary of all completions."""
        return summarize_data(self.completions)

    def write_completions(self, path: Path | str) -> None:
        """Write the completions to a file, as `completions.write_completions` does."""
        write_completions(self.completions, path)


def evaluate_questions(
    model: PreTrainedModel | Backend,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Question],
    decoding: DecodingConfig | None = None,
    *,
    on_progress: Progress | None = None,
    on_tokens: Callable[[int], None] | None = None,
) -> DataEvaluation:
    """Generate and judge completions of questions.

    `on_tokens` receives numbers of new tokens; with the backend `native` one number for each step of decoding, a token
    for every row of the batch.
    Raises `ValueError` if no question is left that the model can be given.
    """
    decoding = decoding or DecodingConfig()
    prompts, skipped = _prompts(tokenizer, questions)
    backend = backend_of(model, tokenizer)
    positions = backend.positions
    limit = token_limit(tokenizer, questions, [len(ids) for _, ids in prompts], positions, decoding)
    fitting = []
    for question, ids in prompts:
        if positions and len(ids) + limit.tokens - 1 > positions:
            detail = f"a question of {len(ids)} tokens and a completion of {limit.tokens} exceed {positions} positions"
            skipped.append(Skipped(question.number, "too_long", f"{detail}; lower --max-new-tokens"))
        else:
            fitting.append((question, ids))
    if not fitting:
        first = skipped[0] if skipped else None
        why = f"; {SKIPPED[first.reason]} (record {first.number}: {first.detail})" if first else ""
        raise ValueError(f"none of the {len(questions)} questions can be evaluated{why}")
    start = time.perf_counter()
    generated = backend.generate(
        [ids for _, ids in fitting],
        Request(
            max_new_tokens=limit.tokens,
            samples=decoding.samples,
            temperature=decoding.temperature,
            seed=decoding.seed,
            batch_size=decoding.batch_size,
        ),
        on_progress=on_progress,
        on_tokens=on_tokens,
    )
    seconds = time.perf_counter() - start
    completions = [
        DataCompletion.of(question, sample, completion.text, completion.n_tokens, completion.truncated)
        for (question, _), samples in zip(fitting, generated, strict=True)
        for sample, completion in enumerate(samples)
    ]
    return DataEvaluation(completions=completions, skipped=skipped, limit=limit, seconds=seconds)


def _prompts(
    tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question]
) -> tuple[list[tuple[Question, list[int]]], list[Skipped]]:
    """The questions with the tokens of their prompts, and those that the tokenizer or its chat template refuses."""
    prompts, skipped = [], []
    for question in questions:
        try:
            prompts.append((question, prompt_ids(tokenizer, question.turns)))
        except ValueError as error:
            skipped.append(Skipped(question.number, "not_tokenized", str(error)))
    return prompts, skipped


def token_limit(
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Question],
    lengths: Sequence[int],
    positions: int | None,
    decoding: DecodingConfig,
) -> TokenLimit:
    """The limit of tokens of a completion: `max_new_tokens`, or 1.25 x the longest solution + 16, or without solutions
    `USUAL_LIMIT`.

    If it is not given, it is lowered so that every prompt of at most half of the model's `positions` fits. `lengths`
    are the tokens of the prompts.
    """
    if decoding.max_new_tokens:
        return TokenLimit(decoding.max_new_tokens, "--max-new-tokens")
    tokens, reason = USUAL_LIMIT, "no record has a solution"
    problems = [(q.item.problem, q.item.surface) for q in questions if q.item]
    solutions = [q.solution for q in questions if q.solution]
    if problems or solutions:
        longest = max((len(completion_ids(tokenizer, text)) for text in solutions), default=0)
        of_problems = token_budget(tokenizer, problems, decoding.orders) if problems else 0
        tokens, reason = max(longest * 5 // 4 + 16, of_problems), "1.25 x the longest solution + 16"
    half = [length for length in lengths if positions and length <= positions // 2]
    room = positions - max(half) + 1 if positions and half else tokens
    return (
        TokenLimit(room, f"{reason}, lowered to the model's context") if room < tokens else TokenLimit(tokens, reason)
    )


__all__ = ["DataEvaluation", "TokenLimit", "evaluate_questions", "token_limit"]
