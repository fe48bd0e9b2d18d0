"""The contract of a reward, and what it scores."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...core.registry import Registry
from ...core.verify import Verdict
from ...records.reading import verdict_of

END_OF_THINKING = "</think>"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A completion with its verdict."""

    completion: str
    tokens: int
    """Length of the completion, the end of sequence included."""
    verdict: Verdict | None
    """None if the problem or its gold answer cannot be read."""
    record: Mapping[str, Any]
    """The record of the problem: at least `prompt`, `surface`, `modulus` and `answer`."""
    count: Callable[[str], int] | None = None
    """Counts the tokens of a text as the model does; None where no tokenizer is at hand."""

    @classmethod
    def of_record(
        cls,
        completion: str,
        record: Mapping[str, Any],
        tokens: int = 0,
        count: Callable[[str], int] | None = None,
    ) -> Attempt:
        """An attempt at the problem of a record, which is parsed here."""
        return cls(completion, tokens, verdict_or_none(completion, record), record, count)

    @property
    def thinking_tokens(self) -> float:
        """Tokens before the end of the thinking part, ``</think>``; all of them without this mark. Without `count` they
        are estimated by the part's share of the characters."""
        end = self.completion.find(END_OF_THINKING)
        if end < 0:
            return self.tokens
        if self.count is None:
            return self.tokens * end / len(self.completion)
        return min(self.tokens, self.count(self.completion[:end]))


def verdict_or_none(completion: str, record: Mapping[str, Any]) -> Verdict | None:
    """The verdict on a completion; None if the record's problem or gold answer cannot be read.

    A record needs `prompt`, `surface` and `modulus`. A record of a real solution needs `prompt`, `surface` and
    `answer`.
    """
    try:
        return verdict_of(record, completion)
    except ValueError:
        return None


class Reward(ABC):
    """The contract of a reward. Subclasses are frozen dataclasses of their parameter."""

    NAME: ClassVar[str]
    """The part of a reward's text before the colon."""

    @classmethod
    @abstractmethod
    def parse(cls, parameter: str | None) -> Reward:
        """The reward with the parameter after the colon, or None if there is no colon. Raises `ValueError`."""

    grouped: ClassVar[bool] = False
    """Whether the reward of a completion depends on the others of its problem."""

    @abstractmethod
    def score(self, attempt: Attempt) -> float | None:
        """The reward of an attempt; None if it cannot be judged."""

    def score_group(self, attempts: Sequence[Attempt]) -> list[float | None]:
        """The rewards of the completions of one problem."""
        return [self.score(attempt) for attempt in attempts]


REWARDS: Registry[type[Reward]] = Registry("reward", ("parse", "score"), classes=True)


def score_of(reward: Reward, attempt: Attempt) -> float | None:
    """The reward of an attempt, without others of its problem. Raises `ValueError` as `scores_of` does."""
    return scores_of(reward, [attempt])[0]


def scores_of(reward: Reward, attempts: Sequence[Attempt]) -> list[float | None]:
    """The rewards of the completions of one problem. Raises `ValueError` for one that is no finite number, with which
    nothing can be trained."""
    values = reward.score_group(attempts)
    for value in values:
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise ValueError(f"the reward {reward.NAME!r} gave {value!r}; it must give a finite number or None")
    return values
