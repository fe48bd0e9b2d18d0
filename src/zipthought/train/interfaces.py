"""The reward functions that other trainers call, with their signatures (ECOSYSTEM.md, "Interfaces").

TRL         reward_funcs=[trl_reward("outcome")]
verl        custom_reward_function.path=reward.py, whose compute_score is ours
verifiers   vf.Rubric(funcs=[verifiers_outcome, verifiers_faithful])
lm-eval     process_results: !function utils.process_results
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .rewards import get_reward, judge

COLUMNS = ("question", "surface", "modulus", "answer")
"""What the exported rows carry for the rewards; `question` is the `prompt` of a record."""


def text_of(completion: Any) -> str:
    """The text of a completion: a string, or the last of a list of messages."""
    if isinstance(completion, str):
        return completion
    return str(completion[-1]["content"]) if completion else ""


def record_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a record that `judge` needs, from the columns of an exported row."""
    return {"prompt": columns.get("question"), **{name: columns.get(name) for name in COLUMNS[1:]}}


def trl_reward(name: str) -> Callable[..., list[float | None]]:
    """A reward for TRL's GRPOTrainer; None, which TRL leaves out, where the gold of a row cannot be read."""
    reward = get_reward(name)

    def score(
        prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Sequence[Any] = (), **columns: Any
    ) -> list[float | None]:
        given = [columns.get(column) or [None] * len(completions) for column in COLUMNS]
        rows = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*given, strict=True)]
        lengths = [len(ids) for ids in completion_ids] or [0] * len(completions)
        return [
            reward(text_of(completion), record_of(row), length)
            for completion, row, length in zip(completions, rows, lengths, strict=True)
        ]

    score.__name__ = name.partition(":")[0].replace("+", "_and_")
    return score


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> dict[str, float]:
    """The reward for verl: `score` is 1.0 for the correct final answer, and the same keys come every time.

    `skipped` is 1.0 where the gold cannot be read; verl needs a number all the same, and gets 0.0.
    """
    record = record_of(extra_info or {})
    if record["answer"] is None:
        record["answer"] = ground_truth
    verdict = judge(solution_str, record)
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
    """A metric for verifiers: 1.0 where every step is valid, too."""
    return _verifiers(completion, info)["faithful"]


def _verifiers(completion: Any, info: Mapping[str, Any]) -> dict[str, float]:
    return compute_score("zipthought", text_of(completion), str(info.get("answer")), info)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The metrics of one document for lm-eval."""
    score = compute_score("zipthought", results[0], str(doc.get("answer")), doc)
    return {"acc": score["score"], "faithful": score["faithful"]}
