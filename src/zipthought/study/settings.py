"""Settings of dataclasses from plain values, as TOML and JSON hold them."""

from __future__ import annotations

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
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if types[name] not in _TYPES:
            raise ValueError(f"{name} in {where} has the type {types[name]}; settings may be {', '.join(_TYPES)}")
        several = types[name].startswith("tuple")
        items = value if isinstance(value, list | tuple) else [value]
        if isinstance(value, list | tuple) != several or not all(type(item) in _TYPES[types[name]] for item in items):
            raise ValueError(f"{name} must be {types[name]}, got {value!r}")
        arguments[name] = tuple(value) if several else value
    return arguments


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
