"""Methods of compression: which steps a trace shows. A **format** is a method with its parameter, as ``composed:2``.

    parse_method("composed:2").compress(problem, "forward")

Adding a method is one module with a subclass of `Method`, its line below, and nothing else; the contract test
(`tests/test_contracts.py`) covers whatever is registered. A method that needs a tokenizer or a model lives in a later
room, registers there and says so in `needs`.
"""

from __future__ import annotations

from ..registry import Registry
from .answer_only import AnswerOnly
from .base import FixedMethod, GroupingMethod, Method
from .composed import Composed
from .explicit import Explicit
from .implicit import Implicit
from .last import Last
from .random_steps import RandomSteps

METHODS: Registry[type[Method]] = Registry("format", ("parse", "steps", "faithful", "baseline", "needs"), classes=True)

for _method in (Explicit, Composed, Implicit, AnswerOnly, RandomSteps, Last):
    METHODS.register(_method)


def parse_method(text: str) -> Method:
    """The method that a format names: ``explicit``, ``composed:k``, ``implicit:k``, ``answer-only``,
    ``random-steps:p``, ``last:k`` or one that was added.

    Raises `ValueError` with the formats that exist, or with what is wrong with the parameter.
    """
    name, colon, parameter = text.partition(":")
    return METHODS.find(name).parse(parameter if colon else None)


def is_baseline(text: str) -> bool:
    """Whether a format stands beside the others for comparison only. Raises `ValueError` as `parse_method` does."""
    return parse_method(text).baseline


__all__ = [
    "METHODS",
    "AnswerOnly",
    "Composed",
    "Explicit",
    "FixedMethod",
    "GroupingMethod",
    "Implicit",
    "Last",
    "Method",
    "RandomSteps",
    "is_baseline",
    "parse_method",
]
