"""Settings of dataclasses from plain values, as TOML and JSON hold them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "tuple[str, ...]": (str,),
    "tuple[int, ...]": (int,),
    "tuple[float, ...]": (int, float),
}


def read_settings(kind: type, values: Mapping[str, Any], where: str, skip: Collection[str] = ()) -> dict[str, Any]:
    """The arguments of the dataclass `kind`; lists become tuples. `where` names the table in messages.

    Raises `ValueError` for a name that is no field (or one of `skip`), and for a value of another type.
    """
    types = {f.name: _type_name(f.type) for f in fields(kind) if f.name not in skip}
    if unknown := sorted(set(values) - set(types)):
        raise ValueError(f"unknown setting {unknown[0]!r} in {where}; settings are {', '.join(sorted(types))}")
    return {name: _read(name, value, types[name], where) for name, value in values.items()}


def _read(name: str, value: Any, kind: str, where: str) -> Any:
    """A setting of the type that `kind` names."""
    if inner := re.fullmatch(r"Mapping\[str, (.*)\]", kind):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be a table in {where}, got {value!r}")
        return {key: _read(f"{name}.{key}", each, inner[1], where) for key, each in value.items()}
    if kind not in _TYPES:
        raise ValueError(f"{name} in {where} has the type {kind}; settings may be {', '.join(_TYPES)}, or a table")
    several = kind.startswith("tuple")
    items = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, list | tuple) != several or not all(type(item) in _TYPES[kind] for item in items):
        raise ValueError(f"{name} must be {kind}, got {value!r}")
    return tuple(value) if several else value


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
