"""Methods of compression: which steps a trace shows. A **format** is a method with its parameter, as ``composed:2``.

    parse_method("composed:2").compress(problem, "forward")

Adding a method is one module with a subclass of `Method`, its line below, and nothing else; the contract test
(`tests/test_contracts.py`) covers whatever is registered. A method that needs a tokenizer or a model says so in
`needs`. It does not load one: what it keeps is a function of scores that a later room computes (`scored`).
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
from .scored import ScoredMethod, StepEntropy, TokenSurprisal
from .shares import ShareMethod
from .truncated import Truncated

METHODS: Registry[type[Method]] = Registry("format", ("parse", "steps", "faithful", "baseline", "needs"), classes=True)

_OURS = (Explicit, Composed, Implicit, AnswerOnly, RandomSteps, Last, Truncated, StepEntropy, TokenSurprisal)
for _method in _OURS:
    METHODS.register(_method)


def parse_method(text: str) -> Method:
    """The method that a format names: ``explicit``, ``composed:k``, ``implicit:k``, ``answer-only``,
    ``random-steps:p``, ``truncated:p``, ``steps:p``, ``tokens:p``, ``last:k`` or one that was added.

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
    "ScoredMethod",
    "ShareMethod",
    "StepEntropy",
    "TokenSurprisal",
    "Truncated",
    "is_baseline",
    "parse_method",
]
