"""Rewards of the answer and of the steps, and functions of the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .base import Attempt, Reward


def _no_parameter(name: str, parameter: str | None) -> None:
    """Raises `ValueError` if there is a parameter."""
    if parameter is not None:
        raise ValueError(f"the reward {name!r} takes no parameter, got {parameter!r}; use {name!r}")


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
