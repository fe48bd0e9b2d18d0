"""Surfaces: how traces and problems are written. Each module renders and parses side by side.

A surface is a module with ``NAME, looks_like, render_problem, parse_problem, render, parse, sentences``; adding one is
one file and its line in `SURFACES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from ..core.pieces import count_pieces
from ..core.problem import Problem
from ..core.trace import Trace
from ..core.verify import Verdict, check
from . import english, terse

SURFACES: dict[str, ModuleType] = {module.NAME: module for module in (english, terse)}


def get_surface(name: str) -> ModuleType:
    """The surface of that name. Raises `ValueError` naming those that exist."""
    if name not in SURFACES:
        raise ValueError(f"unknown surface {name!r}; use {', '.join(SURFACES)}")
    return SURFACES[name]


def detect_surface(solution: str) -> ModuleType:
    """The surface that a solution text is meant to be in; `english` where nothing tells."""
    return next((surface for surface in SURFACES.values() if surface.looks_like(solution)), english)


def render(trace: Trace, surface: str = "english", aliases: Mapping[str, str] | None = None) -> str:
    """The solution text of a trace."""
    return get_surface(surface).render(trace, aliases)


def render_problem(problem: Problem, surface: str = "english") -> str:
    """The prompt text of a problem."""
    return get_surface(surface).render_problem(problem)


def verify(text: str, problem: Problem, surface: str | None = None) -> Verdict:
    """The verdict on a solution text; raises on no text. `surface` is found from the text where none is given."""
    module = get_surface(surface) if surface else detect_surface(text)
    return check(module.parse(text), problem, text)


__all__ = [
    "SURFACES",
    "count_pieces",
    "detect_surface",
    "get_surface",
    "render",
    "render_problem",
    "verify",
]
