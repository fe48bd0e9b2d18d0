"""Rewards of RLVR: a number for each completion, from its verdict.

    outcome                 1 for the correct final answer, strictly read; else 0
    faithful                1 if also every step is valid and the chain is complete; else 0. The answer alone earns 1:
                            it has no step that could be wrong
    outcome+length:0.001, cosine:limit=512, overlong:limit=512,buffer=128, group-length:alpha=0.2,
    pass-rate-length:cost=0.001
                            more for shorter right answers (`length`)
    package.module:name     a function of the user, ``f(completion, record, tokens) -> float | None``

A reward is None where the gold answer cannot be read. Such a completion is skipped and counted. It never scores 0 or 1.
Rewards can be pickled, since some trainers score in other processes.

Adding a reward is one module with a subclass of `Reward` and its registration. The contract test
(`tests/test_rewards.py`) covers everything that is registered.
"""

from __future__ import annotations

from .base import REWARDS, Attempt, Reward, score_of, scores_of, verdict_or_none
from .length import Cosine, GroupLength, OutcomeLength, Overlong, PassRateLength
from .outcome import Faithful, FunctionReward, Outcome

for _kind in (Outcome, Faithful, OutcomeLength, Cosine, Overlong, GroupLength, PassRateLength):
    REWARDS.register(_kind)


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
    "Cosine",
    "Faithful",
    "FunctionReward",
    "GroupLength",
    "Outcome",
    "OutcomeLength",
    "Overlong",
    "PassRateLength",
    "Reward",
    "parse_reward",
    "score_of",
    "scores_of",
    "verdict_or_none",
]
