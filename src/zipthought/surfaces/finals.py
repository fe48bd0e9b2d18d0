"""Final answers that a text claims anywhere, in any common notation: two different ones are `conflicting`."""

from __future__ import annotations

import re

# `answer` as a word, perhaps with `is`, a colon or an equals sign; or the notations of other data sets.
_CLAIM = re.compile(
    r"(?<![^\W_])answer(?![^\W_])(?:\s++is(?![^\W_]))?+\s*+(?P<sign>[:=]?+)\s*+(?P<said>\S*+)"
    r"|####\s*+(?P<marked>\S*+)|\\boxed\s*+\{(?P<boxed>[^{}\n]{0,80})",
    re.IGNORECASE,
)
_AROUND = ".,;:!?*`'\"()[]{}$ "


def may_claim(text: str) -> bool:
    """Whether `claims` could find anything in the text; a cheap look."""
    return "answer" in text.lower() or "####" in text or "\\boxed" in text


def claims(text: str) -> set[str]:
    """The values that the text claims as its answer, without punctuation around them.

    What follows `answer` is a claim if it has a digit of any script, or after a colon. Linear in the text.
    """
    found = set()
    for match in _CLAIM.finditer(text):
        value = match["said"] or match["marked"] or match["boxed"] or ""
        if match["sign"] == ":" or any(character.isnumeric() for character in value):
            found.add(value.strip(_AROUND))
    return found


__all__ = ["claims", "may_claim"]
