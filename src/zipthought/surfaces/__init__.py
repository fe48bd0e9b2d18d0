"""Surfaces: how traces and problems are written. Each module renders and parses side by side.

A surface is a module with ``NAME, looks_like, render_problem, parse_problem, render, parse, sentences``; adding one is
one file and its line in `SURFACES`. A family of real solutions, whose problem is known by its question alone, is a
module with ``NAME, SYSTEM, looks_like, read, judge`` (see `solutions`); adding one is one file and its line in
`FAMILIES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType

from ..core.problem import Problem
from ..core.trace import Trace
from ..core.verify import Verdict, check
from . import countdown, english, gsm8k, terse

SURFACES: dict[str, ModuleType] = {module.NAME: module for module in (english, terse)}

FAMILIES: dict[str, ModuleType] = {module.NAME: module for module in (countdown, gsm8k)}
"""In the order in which they are asked whether a question is theirs."""

# The same for ASCII text, several times as fast: runs of word characters, and characters that are punctuation.
_ASCII = [chr(code) for code in range(128)]
_BLANK = "_ \t\n\r\f\v\x1c\x1d\x1e\x1f"
_WORDS_ONLY = bytes(code if (code < 128 and _ASCII[code].isalnum()) or code == ord("_") else 32 for code in range(256))
_NO_PIECE = bytes(code for code in range(128) if _ASCII[code].isalnum() or _ASCII[code] in _BLANK)
_PIECE = re.compile(r"\w+|[^\w\s]")


def get_surface(name: str) -> ModuleType:
    """The surface of that name. Raises `ValueError` naming those that exist."""
    if name not in SURFACES:
        raise ValueError(f"unknown surface {name!r}; use {', '.join(SURFACES)}")
    return SURFACES[name]


def detect_surface(solution: str) -> ModuleType:
    """The surface that a solution text is meant to be in; `english` where nothing tells."""
    return next((surface for surface in SURFACES.values() if surface.looks_like(solution)), english)


def get_family(name: str) -> ModuleType:
    """The family of solutions of that name. Raises `ValueError` naming those that exist."""
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}; use {', '.join(FAMILIES)}")
    return FAMILIES[name]


def detect_family(question: str) -> ModuleType:
    """The family that a question is of."""
    return next(family for family in FAMILIES.values() if family.looks_like(question))


def count_pieces(text: str) -> int:
    """Word and punctuation pieces: a token count that needs no tokenizer."""
    if not text.isascii():
        return len(_PIECE.findall(text))
    data = text.encode()
    return len(data.translate(_WORDS_ONLY).split()) + len(data.translate(None, _NO_PIECE))


def render(trace: Trace, surface: str = "english", aliases: Mapping[str, str] | None = None) -> str:
    """The solution text of a trace."""
    return get_surface(surface).render(trace, aliases)


def render_problem(problem: Problem, surface: str = "english") -> str:
    """The prompt text of a problem."""
    return get_surface(surface).render_problem(problem)


def verify(text: str, problem: Problem, surface: str | None = None) -> Verdict:
    """The verdict on a solution text; raises on no text. `surface` is found from the text where none is given."""
    module = get_surface(surface) if surface else detect_surface(text)
    return check(module.parse(text), problem)
