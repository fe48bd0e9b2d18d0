"""Reward functions with the signatures of other trainers.

TRL         reward_funcs=[trl_reward("outcome")]
verl        custom_reward_function.path=reward.py, whose compute_score and compute_scores are those below; an advantage
            estimator with group_scores
verifiers   a vf.Task whose @vf.reward is verifiers_outcome(trace.last_reply, info); a vf.Env whose finalize records
            verifiers_scores
lm-eval     process_results: !function utils.process_results
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from ..core.pieces import count_pieces
from .rewards import Attempt, parse_reward, score_of, scores_of
from .rewards.length import GroupedLengthReward

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
    requires a number. Raises `ValueError` for a reward that compares the completions of a problem: here is one alone.
    """
    scoring = parse_reward(reward)
    if scoring.grouped:
        raise ValueError(
            f"the reward {scoring.NAME!r} compares the completions of a problem, and this function gets one at a time; "
            "for verl start run_grpo.sh (without of=thinking), for verifiers leave the environment of the export "
            "(no --env.id)"
        )
    attempt = _attempt(solution_str, ground_truth, extra_info, tokenizer)
    return _scored(attempt, score_of(scoring, attempt))


def compute_scores(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[str],
    extra_infos: Sequence[Mapping[str, Any] | None],
    reward: str = "outcome",
    tokenizer: str = "",
    **_: Any,
) -> list[dict[str, float]]:
    """The rewards of a whole batch, for verl's batch reward manager: any reward, the keys of `compute_score`.

    The completions of a problem may stand anywhere in the batch: those whose exported rows have the same `id` and the
    same problem. Gold that cannot be read is treated as in `compute_score`.
    """
    scoring = parse_reward(reward)
    attempts = [
        _attempt(solution, truth, info, tokenizer)
        for solution, truth, info in zip(solution_strs, ground_truths, extra_infos, strict=True)
    ]
    problems = [((info or {}).get("id"), *record_of(info or {}).values()) for info in extra_infos]
    scored: dict[int, dict[str, float]] = {}
    for places in _groups(problems):
        scores = scores_of(scoring, [attempts[place] for place in places])
        scored |= {place: _scored(attempts[place], score) for place, score in zip(places, scores, strict=True)}
    return [scored[place] for place in range(len(attempts))]


def group_scores(
    reward: str, problems: Sequence[Hashable], right: Sequence[bool], tokens: Sequence[float]
) -> list[float]:
    """The rewards of a batch by a price on length within each problem, where only this is known of a completion: its
    problem, whether it is right, and its tokens. Raises `ValueError` for a reward that reads more."""
    scoring = parse_reward(reward)
    if not isinstance(scoring, GroupedLengthReward) or scoring.of != "all":
        raise ValueError(
            f"the reward {reward!r} cannot be computed from lengths and outcomes of whole completions; "
            "use group-length or pass-rate-length with of=all"
        )
    scores = [0.0] * len(problems)
    for places in _groups(problems):
        values = scoring.values([right[place] for place in places], [tokens[place] for place in places])
        for place, value in zip(places, values, strict=True):
            scores[place] = value
    return scores


def _groups(problems: Iterable[Hashable]) -> Iterable[list[int]]:
    """The places of equal problems."""
    groups: dict[Hashable, list[int]] = {}
    for place, problem in enumerate(problems):
        groups.setdefault(problem, []).append(place)
    return groups.values()


def _attempt(solution: str, ground_truth: str, info: Mapping[str, Any] | None, tokenizer: str) -> Attempt:
    """A completion as verl gives it."""
    record = record_of(info or {})
    if record["answer"] is None:
        record["answer"] = ground_truth
    count = _counter(tokenizer)
    return Attempt.of_record(solution, record, count(solution), count)


def _scored(attempt: Attempt, score: float | None) -> dict[str, float]:
    """What verl logs of a completion."""
    verdict = attempt.verdict
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


def verifiers_scores(
    completions: Sequence[Any], info: Mapping[str, Any], reward: str = "outcome", tokenizer: str = ""
) -> list[dict[str, float]]:
    """The rewards (`score`) and `faithful` of several attempts at one problem, for verifiers."""
    truths = [str(info.get("answer"))] * len(completions)
    texts = [text_of(completion) for completion in completions]
    return compute_scores(["zipthought"] * len(texts), texts, truths, [info] * len(texts), reward, tokenizer)


def _verifiers(
    completion: Any, info: Mapping[str, Any], reward: str = "outcome", tokenizer: str = ""
) -> dict[str, float]:
    return compute_score("zipthought", text_of(completion), str(info.get("answer")), info, reward, tokenizer)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The metrics of one document for lm-eval."""
    score = compute_score("zipthought", results[0], str(doc.get("answer")), doc)
    return {"acc": score["score"], "faithful": score["faithful"]}
