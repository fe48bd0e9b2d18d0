"""Rewards for shorter right answers. A wrong answer never scores above a right one.

Each has the setting `of`: `all` counts the tokens of the whole completion, `thinking` those before ``</think>``.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Self

from .base import Attempt, Reward

PARTS = ("all", "thinking")


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthReward(Reward):
    """What these rewards share: settings as ``name=value``, of which the first may come without its name."""

    SYNTAX: ClassVar[str]
    """An example, for messages and tests."""

    of: str = "all"
    """The tokens that count: `all`, or `thinking`."""

    @classmethod
    def parse(cls, parameter: str | None) -> Self:
        own = [f for f in fields(cls) if f.name != "of"]
        values: dict[str, Any] = {}
        for number, part in enumerate((parameter or "").split(",") if parameter else ()):
            name, named, value = part.partition("=")
            if not named and number == 0:
                name, value = own[0].name, part
            if name in values or name not in ("of", *(f.name for f in own)):
                raise ValueError(f"the reward {cls.NAME!r} cannot read the setting {part!r}; {cls._usage()}")
            values[name] = value if name == "of" else cls._number(name, value)
        if missing := [f.name for f in own if f.default is MISSING and f.name not in values]:
            raise ValueError(f"the reward {cls.NAME!r} needs the setting {missing[0]}; {cls._usage()}")
        if values.get("of", PARTS[0]) not in PARTS:
            raise ValueError(f"of must be {' or '.join(PARTS)}, got {values['of']!r}")
        return cls(**values)

    @classmethod
    def _number(cls, name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{name} of the reward {cls.NAME!r} must be a number, got {text!r}; {cls._usage()}")
        return value

    @classmethod
    def _usage(cls) -> str:
        settings = [f.name if f.default is MISSING else f"{f.name}={f.default}" for f in fields(cls)]
        return f"write {cls.SYNTAX}; settings are {', '.join(settings)}"

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"the reward {self.NAME!r} needs {what}; {self._usage()}")

    def tokens(self, attempt: Attempt) -> float:
        """The tokens that count."""
        return attempt.thinking_tokens if self.of == "thinking" else attempt.tokens

    @abstractmethod
    def value(self, right: bool, tokens: float) -> float:
        """The reward of a right or a wrong answer of so many tokens."""

    def score(self, attempt: Attempt) -> float | None:
        if attempt.verdict is None:
            return None
        return self.value(attempt.verdict.answer == "correct", self.tokens(attempt))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeLength(LengthReward):
    """1 for the correct final answer, minus a cost for each token, at least 0; 0 for a wrong one."""

    NAME = "outcome+length"
    SYNTAX = "outcome+length:0.001"

    cost: float
    """Cost of a token, at least 0."""

    def __post_init__(self) -> None:
        self._require(self.cost >= 0, "a cost of at least 0")

    def value(self, right: bool, tokens: float) -> float:
        return max(0.0, 1.0 - self.cost * tokens) if right else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine(LengthReward):
    """A right answer falls from 1 to `longest` along half a cosine until `limit` tokens; a wrong one rises from `wrong`
    to 0, so that a model in doubt thinks longer (Yeo et al. 2025, arXiv 2502.03373, with other ends)."""

    NAME = "cosine"
    SYNTAX = "cosine:limit=512"

    limit: float
    """Tokens from which the reward stays as it is, above 0."""
    longest: float = 0.5
    """The reward of the longest right answers, above 0 and at most 1."""
    wrong: float = -0.5
    """The reward of the shortest wrong answers, at most 0."""

    def __post_init__(self) -> None:
        self._require(self.limit > 0, "a limit above 0")
        self._require(0 < self.longest <= 1 and self.wrong <= 0, "longest in 0..1, above 0, and wrong of at most 0")

    def value(self, right: bool, tokens: float) -> float:
        share = (1 + math.cos(math.pi * min(1.0, tokens / self.limit))) / 2  # From 1 to 0.
        return self.longest + (1 - self.longest) * share if right else self.wrong * share


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlong(LengthReward):
    """1 for a right and -1 for a wrong answer; beyond ``limit - buffer`` tokens both lose up to 1, in a straight line
    until `limit` (the soft overlong punishment of DAPO, Yu et al. 2025, arXiv 2503.14476)."""

    NAME = "overlong"
    SYNTAX = "overlong:limit=512,buffer=128"

    limit: float
    """Tokens at which the whole penalty is reached."""
    buffer: float
    """Tokens before `limit` at which the penalty starts, above 0 and at most `limit`."""

    def __post_init__(self) -> None:
        self._require(0 < self.buffer <= self.limit, "a buffer above 0 and at most the limit")

    def value(self, right: bool, tokens: float) -> float:
        return (1.0 if right else -1.0) - min(1.0, max(0.0, (tokens - self.limit + self.buffer) / self.buffer))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedLengthReward(LengthReward):
    """A reward that depends on the other completions of the problem."""

    grouped: ClassVar[bool] = True

    @abstractmethod
    def values(self, right: Sequence[bool], tokens: Sequence[float]) -> list[float]:
        """The rewards of a group: for each completion whether it is right, and its tokens."""

    def value(self, right: bool, tokens: float) -> float:
        return self.values([right], [tokens])[0]

    def score_group(self, attempts: Sequence[Attempt]) -> list[float | None]:
        judged = [attempt for attempt in attempts if attempt.verdict is not None]
        right = [attempt.verdict is not None and attempt.verdict.answer == "correct" for attempt in judged]
        values = iter(self.values(right, [self.tokens(attempt) for attempt in judged]))
        return [None if attempt.verdict is None else next(values) for attempt in attempts]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLength(GroupedLengthReward):
    """A right answer scores 1 minus `alpha` times the logistic function of its length, standardized among the right
    answers of the group; a wrong one 0 (Arora and Zanette 2025, arXiv 2502.04463)."""

    NAME = "group-length"
    SYNTAX = "group-length:alpha=0.2"

    alpha: float
    """The weight of the length, in 0..1, below 1."""

    def __post_init__(self) -> None:
        self._require(0 <= self.alpha < 1, "alpha in 0..1, below 1")

    def values(self, right: Sequence[bool], tokens: Sequence[float]) -> list[float]:
        lengths = [length for ok, length in zip(right, tokens, strict=True) if ok]
        mean = sum(lengths) / max(1, len(lengths))
        deviation = math.sqrt(sum((length - mean) ** 2 for length in lengths) / max(1, len(lengths)))

        def price(length: float) -> float:
            return self.alpha / (1 + math.exp((mean - length) / deviation)) if deviation else self.alpha / 2

        return [1 - price(length) if ok else 0.0 for ok, length in zip(right, tokens, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRateLength(GroupedLengthReward):
    """A right answer scores 1 minus a cost for each token, which is scaled by the share of right answers in the group,
    at least 0; a wrong one 0. So easy problems are to be short (after Xiang et al. 2025, arXiv 2506.05256, who price
    wrong answers, too)."""

    NAME = "pass-rate-length"
    SYNTAX = "pass-rate-length:cost=0.001"

    cost: float
    """Cost of a token where all answers are right, at least 0."""

    def __post_init__(self) -> None:
        self._require(self.cost >= 0, "a cost of at least 0")

    def values(self, right: Sequence[bool], tokens: Sequence[float]) -> list[float]:
        cost = self.cost * sum(right) / max(1, len(right))
        return [max(0.0, 1.0 - cost * length) if ok else 0.0 for ok, length in zip(right, tokens, strict=True)]
