"""Rewards of RLVR: a number for each completion, from its verdict.

    outcome                 1 for the correct final answer, strictly read; else 0
    faithful                1 if also every step is valid and the chain is complete; else 0. The answer alone earns 1:
                            it has no step that could be wrong
    outcome+length:0.001    outcome minus this cost for each token of a correct response, at least 0
    package.module:name     a function of the user, ``f(completion, record, tokens) -> float | None``

A reward is None where the gold answer cannot be read. Such a completion is skipped and counted. It never scores 0 or 1.

Adding a reward is one module with a subclass of `Reward` and its registration. The contract test
(`tests/test_rewards.py`) covers everything that is registered.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from ..core.registry import Registry
from ..core.verify import Verdict
from ..records.reading import verdict_of


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

    @classmethod
    def of_record(cls, completion: str, record: Mapping[str, Any], tokens: int = 0) -> Attempt:
        """An attempt at the problem of a record, which is parsed here."""
        return cls(completion, tokens, verdict_or_none(completion, record), record)


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

    @abstractmethod
    def score(self, attempt: Attempt) -> float | None:
        """The reward of an attempt; None if it cannot be judged."""


REWARDS: Registry[type[Reward]] = Registry("reward", ("parse", "score"), classes=True)


def score_of(reward: Reward, attempt: Attempt) -> float | None:
    """The reward of an attempt. Raises `ValueError` for one that is no finite number, with which nothing can be
    trained."""
    value = reward.score(attempt)
    if value is None or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    raise ValueError(f"the reward {reward.NAME!r} gave {value!r}; it must give a finite number or None")


def _no_parameter(name: str, parameter: str | None) -> None:
    """Raises `ValueError` if there is a parameter."""
    if parameter is not None:
        raise ValueError(f"the reward {name!r} takes no parameter, got {parameter!r}; use {name!r}")


@REWARDS.register
@dataclass(frozen=True, slots=True)
class Outcome(Reward):
    """1.0 for the correct final answer, else 0.0."""

    NAME = "outcome"

    @classmethod
    def parse(cls, parameter: str | None) -> Outcome:
        _no_parameter(cls.NAME, parameter)
        return cls()

    def score(self, attempt: Attempt) -> float | None:
        return None if attempt.verdict is None else float(attempt.verdict.answer == "correct")


@REWARDS.register
@dataclass(frozen=True, slots=True)
class Faithful(Reward):
    """1.0 for the correct final answer by valid steps only, else 0.0."""

    NAME = "faithful"

    @classmethod
    def parse(cls, parameter: str | None) -> Faithful:
        _no_parameter(cls.NAME, parameter)
        return cls()

    def score(self, attempt: Attempt) -> float | None:
        return None if attempt.verdict is None else float(attempt.verdict.faithful)


@REWARDS.register
@dataclass(frozen=True, slots=True)
class OutcomeLength(Reward):
    """`Outcome` minus a cost for each token. It is never below 0, so no wrong answer beats a long correct one."""

    NAME = "outcome+length"
    SYNTAX = "outcome+length:0.001"

    cost: float
    """Cost of a token, at least 0."""

    @classmethod
    def parse(cls, parameter: str | None) -> OutcomeLength:
        try:
            cost = float(parameter or "")
        except ValueError:
            cost = math.nan
        if not 0 <= cost < math.inf:
            raise ValueError(
                f"the reward {cls.NAME!r} needs the cost of a token, a number of at least 0, got {parameter!r}; "
                f"write {cls.NAME}:0.001"
            )
        return cls(cost)

    def score(self, attempt: Attempt) -> float | None:
        if attempt.verdict is None:
            return None
        return max(0.0, 1.0 - self.cost * attempt.tokens) if attempt.verdict.answer == "correct" else 0.0


@dataclass(frozen=True, slots=True)
class FunctionReward(Reward):
    """A function of the user, ``f(completion, record, tokens) -> float | None``, named by ``package.module:name``."""

    NAME = "package.module:name"

    function: Callable[[str, Mapping[str, Any], int], float | None]

    @classmethod
    def parse(cls, parameter: str | None) -> FunctionReward:
        module, _, name = (parameter or "").partition(":")
        try:
            function = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"cannot import the reward {parameter!r}: {error}") from error
        if not callable(function):
            raise ValueError(f"the reward {parameter!r} is not a function")
        return cls(function)

    def score(self, attempt: Attempt) -> float | None:
        return self.function(attempt.completion, attempt.record, attempt.tokens)


def parse_reward(text: str) -> Reward:
    """The reward that a text names.

    Raises `ValueError` for an unknown reward, a wrong parameter, and a function that cannot be imported.
    """
    name, colon, parameter = text.partition(":")
    if name in REWARDS:
        return REWARDS.find(name).parse(parameter if colon else None)
    choices = ", ".join(getattr(kind, "SYNTAX", name) for name, kind in REWARDS.items())
    if not parameter or "+" in name:
        raise ValueError(f"unknown reward {text!r}; use {choices} or {FunctionReward.NAME}")
    try:
        return FunctionReward.parse(text)
    except ValueError as error:
        raise ValueError(f"{error}; rewards by name are {choices}") from error


__all__ = [
    "REWARDS",
    "Attempt",
    "Faithful",
    "Outcome",
    "OutcomeLength",
    "Reward",
    "parse_reward",
    "score_of",
    "verdict_or_none",
]
