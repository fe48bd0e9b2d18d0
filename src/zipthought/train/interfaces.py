"""Reward functions with the signatures of other trainers.

TRL         reward_funcs=[trl_reward("outcome")]
verl        custom_reward_function.path=reward.py, whose compute_score is the one below
verifiers   a vf.Task whose @vf.reward is verifiers_outcome(trace.last_reply, info)
lm-eval     process_results: !function utils.process_results
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .rewards import Attempt, parse_reward, score_of, verdict_or_none

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


def trl_reward(name: str) -> Callable[..., list[float | None]]:
    """A reward for TRL's GRPOTrainer. Rows whose gold answer cannot be read score None, which TRL ignores."""
    reward = parse_reward(name)

    def score(
        prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Sequence[Any] = (), **columns: Any
    ) -> list[float | None]:
        given = [columns.get(column) or [None] * len(completions) for column in COLUMNS]
        rows = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*given, strict=True)]
        lengths = [len(ids) for ids in completion_ids] or [0] * len(completions)
        return [
            score_of(reward, Attempt.of_record(text_of(completion), record_of(row), length))
            for completion, row, length in zip(completions, rows, lengths, strict=True)
        ]

    score.__name__ = name.partition(":")[0].replace("+", "_and_")
    return score


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> dict[str, float]:
    """The reward for verl: `score` is 1.0 for the correct final answer. The keys are always the same.

    If the gold answer cannot be read, `skipped` is 1.0 and `score` is 0.0, because verl requires a number.
    """
    record = record_of(extra_info or {})
    if record["answer"] is None:
        record["answer"] = ground_truth
    verdict = verdict_or_none(solution_str, record)
    if verdict is None:
        return {"score": 0.0, "faithful": 0.0, "parsed": 0.0, "skipped": 1.0}
    return {
        "score": float(verdict.answer == "correct"),
        "faithful": float(verdict.faithful),
        "parsed": float(verdict.answer in ("correct", "wrong")),
        "skipped": 0.0,
    }


def verifiers_outcome(completion: Any, info: Mapping[str, Any], **_: Any) -> float:
    """The reward for verifiers: 1.0 for the correct final answer."""
    return _verifiers(completion, info)["score"]


def verifiers_faithful(completion: Any, info: Mapping[str, Any], **_: Any) -> float:
    """A metric for verifiers: 1.0 if also every step is valid."""
    return _verifiers(completion, info)["faithful"]


def _verifiers(completion: Any, info: Mapping[str, Any]) -> dict[str, float]:
    return compute_score("zipthought", text_of(completion), str(info.get("answer")), info)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The metrics of one document for lm-eval."""
    score = compute_score("zipthought", results[0], str(doc.get("answer")), doc)
    return {"acc": score["score"], "faithful": score["faithful"]}
