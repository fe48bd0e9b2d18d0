"""Real solutions: arithmetic in prose, the families of solutions, and the compression of files of them.

A family, whose problem is known by its question alone, is a module with ``NAME, SYSTEM, looks_like, read, judge`` (see
`text`); adding one is one file and its line in `FAMILIES`.
"""

from __future__ import annotations

from types import ModuleType

from . import countdown, gsm8k

FAMILIES: dict[str, ModuleType] = {module.NAME: module for module in (countdown, gsm8k)}
"""In the order in which they are asked whether a question is theirs."""


def get_family(name: str) -> ModuleType:
    """The family of solutions of that name. Raises `ValueError` naming those that exist."""
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}; use {', '.join(FAMILIES)}")
    return FAMILIES[name]


def detect_family(question: str) -> ModuleType:
    """The family that a question is of."""
    return next(family for family in FAMILIES.values() if family.looks_like(question))
