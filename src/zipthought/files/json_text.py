"""JSON of unknown origin: whatever is wrong with it is a `ValueError` of one line, and no key may occur twice."""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from typing import Any


class DuplicateKeyError(ValueError):
    """An object with two values for one key. Which of them counts, nobody can know."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise DuplicateKeyError(f"the key {reprlib.repr(twice)} occurs twice in an object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises `DuplicateKeyError`, and `ValueError` for anything else that is wrong."""
    try:
        return _DECODER.decode(text)
    except DuplicateKeyError:
        raise
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:  # Of an integer of more digits than Python converts.
        raise ValueError("an integer of more than 4,300 digits") from error
