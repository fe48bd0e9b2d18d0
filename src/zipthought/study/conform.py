"""Whether a dataclass holds values of the types that it declares. Results without a checksum need it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints


def conforms(value: Any, kind: Any = None) -> bool:
    """Whether `value` is of the type `kind`, by default that of its own class, and its fields and items of theirs.

    An int is a float, too; a bool is no number. Annotations other than classes, unions, tuples and dicts are not
    checked.
    """
    kind = type(value) if kind is None else kind
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(conforms(value, part) for part in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        several = len(arguments) == 2 and arguments[1] is Ellipsis
        parts = (arguments[0],) * len(value) if several else arguments
        return len(parts) == len(value) and all(map(conforms, value, parts))
    if origin is dict:
        return isinstance(value, Mapping) and all(
            conforms(key, arguments[0]) and conforms(item, arguments[1]) for key, item in value.items()
        )
    if not isinstance(kind, type):
        return True
    if kind is float:
        return type(value) in (int, float)
    if kind in (int, bool, str, types.NoneType):
        return type(value) is kind
    if not isinstance(value, kind):
        return False
    return not is_dataclass(kind) or all(conforms(getattr(value, name), hint) for name, hint in _hints(kind))


@cache
def _hints(kind: type) -> list[tuple[str, Any]]:
    try:
        hints = get_type_hints(kind)
    except NameError:  # Imported for type checkers only.
        return []
    return [(f.name, hints[f.name]) for f in fields(kind)]
