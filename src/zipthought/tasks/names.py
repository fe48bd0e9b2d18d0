"""Names and aliases of quantities."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

N_ALIASES = 26 * 26


@lru_cache
def nouns() -> tuple[str, ...]:
    """The names of quantities: plural nouns of our own choice, each a run of lower-case letters."""
    return tuple(resources.files("zipthought.tasks").joinpath("nouns.txt").read_text("ascii").split())


@lru_cache
def alias_table() -> tuple[str, ...]:
    """All pairs of upper-case letters."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return tuple(first + second for first in letters for second in letters)
