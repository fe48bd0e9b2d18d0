"""Reward functions with the signatures of other trainers.

TRL         reward_funcs=[trl_reward("outcome")]
verl        custom_reward_function.path=reward.py, whose compute_score is the one below
verifiers   a vf.Task whose @vf.reward is verifiers_outcome(trace.last_reply, info)
lm-eval     process_results: !function utils.process_results
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from ..core.pieces import count_pieces
from .rewards import Attempt, parse_reward, score_of, scores_of

COLUMNS = ("question", "surface", "modulus", "answer")
"""Columns of exported rows that rewards read; `question` is the `prompt` of a record."""


def text_of(completion: Any) -> str:
    """The text of a completion, which is a string or a list of messages whose last one counts."""
    if isinstance(completion, str):
        return completion
    return str(completion[-1]["content"]) if completion else ""


def record_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a record that the verifier needs, from the columns of an exported row."""
    return {"prompt": columns.get("question"), **{name: columns.get(name) for name in COLUMNS[1:]}}


@dataclass(frozen=True)
class TRLReward:
    """A reward function for TRL's trainers. It can be pickled, as asynchronous GRPO needs it."""

    name: str
    """The reward, as `parse_reward` reads it."""

    def __post_init__(self) -> None:
        parse_reward(self.name)  # Raises for an unknown one.

    @property
    def __name__(self) -> str:
        """The name of its metrics."""
        return self.name.partition(":")[0].replace("+", "_and_").replace("-", "_")

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Sequence[Any] = (), **columns: Any
    ) -> list[float | None]:
        """The rewards of completions; those of a problem are consecutive."""
        reward = parse_reward(self.name)
        given = [columns.get(column) or [None] * len(completions) for column in COLUMNS]
        rows = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*given, strict=True)]
        lengths = [len(ids) for ids in completion_ids] or [0] * len(completions)
        scores: list[float | None] = []
        for _, group in groupby(zip(completions, rows, lengths, strict=True), key=lambda item: item[1]):
            scores += scores_of(
                reward, [Attempt.of_record(text_of(text), record_of(row), length) for text, row, length in group]
            )
        return scores


def trl_reward(name: str) -> TRLReward:
    """A reward for TRL's GRPOTrainer. Rows whose gold answer cannot be read score None, which TRL ignores."""
    return TRLReward(name)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    reward: str = "outcome",
    tokenizer: str = "",
    **_: Any,
) -> dict[str, float]:
    """The reward for verl, as `score`. The keys are always the same.

    `reward` is as `parse_reward` reads it. A price on length counts the tokens of `tokenizer` (a directory or a hub id;
    empty: words and marks). If the gold answer cannot be read, `skipped` is 1.0 and `score` is 0.0, because verl
    requires a number. Raises `ValueError` for a reward that compares the completions of a problem: verl gives one
    completion at a time.
    """
    scoring = parse_reward(reward)
    if scoring.grouped:
        raise ValueError(
            f"the reward {scoring.NAME!r} compares the completions of a problem, of which this trainer gives one at a "
            "time; use another reward, or TRL"
        )
    record = record_of(extra_info or {})
    if record["answer"] is None:
        record["answer"] = ground_truth
    count = _counter(tokenizer)
    attempt = Attempt.of_record(solution_str, record, count(solution_str), count)
    score, verdict = score_of(scoring, attempt), attempt.verdict
    if verdict is None or score is None:
        return {"score": 0.0, "faithful": 0.0, "parsed": 0.0, "skipped": 1.0}
    return {
        "score": float(score),
        "faithful": float(verdict.faithful),
        "parsed": float(verdict.answer in ("correct", "wrong")),
        "skipped": 0.0,
    }


@lru_cache(maxsize=4)
def _counter(tokenizer: str) -> Callable[[str], int]:
    """Counts the tokens of a text."""
    if not tokenizer:
        return count_pieces
    from transformers import AutoTokenizer

    from .rollouts import counter_of

    return counter_of(AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False))


def verifiers_outcome(
    completion: Any, info: Mapping[str, Any], reward: str = "outcome", tokenizer: str = "", **_: Any
) -> float:
    """The reward for verifiers: by default 1.0 for the correct final answer. `reward` and `tokenizer` are those of
    `compute_score`."""
    return _verifiers(completion, info, reward, tokenizer)["score"]


def verifiers_faithful(completion: Any, info: Mapping[str, Any], **_: Any) -> float:
    """A metric for verifiers: 1.0 if also every step is valid."""
    return _verifiers(completion, info)["faithful"]


def _verifiers(
    completion: Any, info: Mapping[str, Any], reward: str = "outcome", tokenizer: str = ""
) -> dict[str, float]:
    return compute_score("zipthought", text_of(completion), str(info.get("answer")), info, reward, tokenizer)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The metrics of one document for lm-eval."""
    score = compute_score("zipthought", results[0], str(doc.get("answer")), doc)
    return {"acc": score["score"], "faithful": score["faithful"]}
