"""The contract of a family of real solutions: problems of one kind that exist as question text only.

A family is a module (or an object) with the members of `Family`, registered once:

    FAMILIES.register(my_family)

`compress` and `verify` then find it by name, and by its questions. The contract test is `tests/test_families.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from ..core.registry import Registry
from ..core.verify import Verdict
from .solution import Solution


class SolvedExample(NamedTuple):
    """A question with a correct solution, for the contract test and as documentation."""

    question: str
    solution: str
    answer: str
    """The final answer alone, as a record has it."""


class Family(Protocol):
    """A family of real solutions."""

    NAME: str
    """The name of the family; records have it in the field `surface`."""
    SYSTEM: str
    """The system message of its chat records. A family with several ways to state the final answer also has `SYSTEMS`,
    `Solution.notation` -> the message that asks for it. For exports by steps it also has
    ``step_offsets(question, text) -> list[int]``, the offset in `text` of each step of its verdict. One whose numbers
    are not written as in English has ``notate(text) -> str``, which changes between the two notations, both ways."""
    EXAMPLE: SolvedExample
    """A question of the family with a correct solution."""

    def looks_like(self, question: str) -> bool:
        """Whether the question belongs to the family. Must not raise, and must be False for other families' questions.

        Only the fallback of `detect_family` accepts every question.
        """

    def read(self, question: str, solution: str, answer: str | None = None) -> Solution:
        """The steps of a solution. `answer` is the final answer of a record whose solution does not state it.

        Raises `UnreadableError` with the reason if the solution cannot be read or does not verify, and nothing else.
        """

    def verify(self, question: str, text: str, gold: str) -> Verdict:
        """The verdict on any text as a solution of the question, where `gold` is the correct answer.

        Raises `ValueError` if the question or `gold` cannot be read, and never because of `text`.
        """


def system_message(family: Family, solution: Solution) -> str:
    """The system message that fits a solution of a family."""
    messages: Mapping[str, str] = getattr(family, "SYSTEMS", {})
    return messages.get(solution.notation, family.SYSTEM)


FAMILIES: Registry[Family] = Registry("family", ("SYSTEM", "EXAMPLE", "looks_like", "read", "verify"))
