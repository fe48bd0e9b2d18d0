"""Rewards: thin adapters of the verifier, for our GRPO and for the trainers of others (ECOSYSTEM.md, "Interfaces").

    outcome                 1 for the correct final answer, strictly read, else 0
    faithful                1 where also every step is valid and the chain complete, else 0
    outcome+length:0.001    outcome, less so much a token of a correct response (at least 0)
    package.module:name     a function of yours, ``f(completion, record, tokens) -> float | None``

A reward is None where the record's own gold cannot be read: such an item is skipped and counted, never scored 0 or 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ..core.verify import Verdict
from ..records.reading import verdict_of

Reward = Callable[[str, Mapping[str, Any], int], float | None]
"""``f(completion, record, tokens) -> float | None``: the text, the record that asked for it, its length in tokens."""

BUILT_IN = ("outcome", "faithful", "outcome+length")


def judge(completion: str, record: Mapping[str, Any]) -> Verdict | None:
    """The verdict on a completion of a record; None where the record's problem or right answer cannot be read.

    A record needs `prompt`, `surface` and `modulus`; of a real solution `prompt`, `surface` and `answer`.
    """
    try:
        return verdict_of(record, completion)
    except ValueError:
        return None


def outcome(completion: str, record: Mapping[str, Any], tokens: int = 0) -> float | None:
    """1.0 for the correct final answer, else 0.0."""
    verdict = judge(completion, record)
    return None if verdict is None else float(verdict.answer == "correct")


def faithful(completion: str, record: Mapping[str, Any], tokens: int = 0) -> float | None:
    """1.0 for the correct final answer by valid steps only, else 0.0."""
    verdict = judge(completion, record)
    return None if verdict is None else float(verdict.faithful)


def length_priced(cost: float) -> Reward:
    """`outcome`, less `cost` a token; never below 0, so that no wrong answer is worth more than a long correct one."""

    def outcome_less_length(completion: str, record: Mapping[str, Any], tokens: int = 0) -> float | None:
        value = outcome(completion, record)
        return value if not value else max(0.0, value - cost * tokens)

    return outcome_less_length


def get_reward(name: str) -> Reward:
    """The reward of that name. Raises `ValueError` for one that does not exist or cannot be imported."""
    if name in ("outcome", "faithful"):
        return outcome if name == "outcome" else faithful
    if match := re.fullmatch(r"outcome\+length:([0-9.eE+-]+)", name):
        try:
            cost = float(match[1])
        except ValueError:
            cost = math.nan
        if not 0 <= cost < math.inf:
            raise ValueError(f"the cost a token must be a number of at least 0, got {match[1]!r}")
        return length_priced(cost)
    module, _, function = name.partition(":")
    if not function or "+" in name:
        raise ValueError(f"unknown reward {name!r}; use outcome, faithful, outcome+length:0.001 or package.module:name")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot import the reward {name!r}: {error}") from error
    if not callable(found):
        raise ValueError(f"the reward {name!r} is not a function")
    return found
