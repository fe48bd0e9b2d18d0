"""The contract of a surface: how problems and traces are written as text, and read back.

A surface is a module (or an object) with these members. What it renders, it parses back to the same problem or trace;
its parsers raise on no solution text, run nothing and are linear in the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..core.problem import Problem
from ..core.trace import Trace


class Surface(Protocol):
    """A way to write problems and traces."""

    NAME: str
    """As in the field `surface` of a record."""
    VOCABULARY_SAMPLE: str
    """Text with the kinds of words that the surface writes. A tokenizer that turns none of it into unknown tokens can
    be trained on the surface."""

    def system_message(self, modulus: int) -> str:
        """What a model reads before the prompt: at least the modulus."""

    def looks_like(self, text: str) -> bool:
        """Whether a solution text is written in this surface, as far as a look can tell."""

    def render_problem(self, problem: Problem) -> str:
        """The prompt."""

    def parse_problem(self, text: str, modulus: int) -> Problem:
        """The problem that a prompt states. Raises `ValueError` naming the part that cannot be read."""

    def render(self, trace: Trace, aliases: Mapping[str, str] | None = None) -> str:
        """The solution text. `aliases` (name -> two upper-case letters) are for surfaces that write them."""

    def parse(self, text: str) -> Trace:
        """What a solution text claims. Raises nothing: a sentence that cannot be read is a step with a fault."""

    def sentences(self, text: str) -> list[str]:
        """The sentences of a solution text that `parse` reads as steps, one for each step."""
