"""Surfaces: how problems and traces are written as text. Each module renders and parses side by side.

Adding a surface is one module with the members of `base.Surface`, its line below, and nothing else; the contract test
(`tests/test_contracts.py`) covers whatever is registered.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..core.pieces import count_pieces
from ..core.problem import Problem
from ..core.registry import Registry
from ..core.trace import Trace
from ..core.verify import Verdict, check
from . import english, terse
from .base import Surface

SURFACES: Registry[Surface] = Registry(
    "surface",
    (
        "VOCABULARY_SAMPLE",
        "system_message",
        "looks_like",
        "render_problem",
        "parse_problem",
        "render",
        "parse",
        "sentences",
    ),
)

for _surface in (english, terse):
    SURFACES.register(_surface)


def get_surface(name: str) -> Surface:
    """The surface of that name. Raises `ValueError` naming those that exist."""
    return SURFACES.find(name)


def detect_surface(solution: str) -> Surface:
    """The surface of a solution text; `english` where none is recognized."""
    return next((surface for surface in SURFACES.values() if surface.looks_like(solution)), SURFACES["english"])


def render(trace: Trace, surface: str = "english", aliases: Mapping[str, str] | None = None) -> str:
    """The solution text of a trace. Raises `ValueError` for an unknown surface."""
    return get_surface(surface).render(trace, aliases)


def render_problem(problem: Problem, surface: str = "english") -> str:
    """The prompt text of a problem. Raises `ValueError` for an unknown surface."""
    return get_surface(surface).render_problem(problem)


def verify(text: str, problem: Problem, surface: str | None = None) -> Verdict:
    """The verdict on a solution text of a problem. Without `surface`, it is recognized from the text.

    Raises nothing, whatever the text says; `ValueError` for an unknown surface.
    """
    reader = get_surface(surface) if surface else detect_surface(text)
    return check(reader.parse(text), problem, text)


__all__ = [
    "SURFACES",
    "Surface",
    "count_pieces",
    "detect_surface",
    "get_surface",
    "render",
    "render_problem",
    "verify",
]
