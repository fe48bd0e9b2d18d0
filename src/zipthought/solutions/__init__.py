"""Real solutions: arithmetic in prose, the families of solutions, and the compression of files of them.

`FAMILIES` has the families (`family.Family` is their contract) and `methods.WRITERS` the formats that they can be
written in.
"""

from __future__ import annotations

from . import comma, countdown, gsm8k
from .family import FAMILIES, Family, SolvedExample

for _family in (countdown, comma, gsm8k):
    FAMILIES.register(_family)


def detect_family(question: str) -> Family:
    """The family of a question: the first that recognizes it, or `gsm8k`, which reads any question, if none does."""
    for family in FAMILIES.values():
        if family is not gsm8k and family.looks_like(question):
            return family
    return gsm8k


__all__ = ["FAMILIES", "Family", "SolvedExample", "detect_family"]
