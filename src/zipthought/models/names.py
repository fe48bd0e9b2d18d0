"""Names of models: bundled bases, directories, hub ids. This module does not import torch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

BUNDLED = ("bundled", "bundled-deep", "bundled-mixed")
"""Names of the bases that ship with the package, under ``models/bases/``."""


def absolute(name: str) -> str:
    """The name with the same meaning in every working directory: for a local model, its absolute path."""
    return str(Path(name).resolve()) if name not in BUNDLED and Path(name).is_dir() else name


def resolve(name: str) -> str:
    """The directory of a bundled base or a local model; a hub id is returned unchanged.

    Raises `ValueError` for a path that does not exist or holds no model.
    """
    if name in BUNDLED:
        return str(resources.files("zipthought.models").joinpath("bases", name))
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ValueError(f"{name} holds no model (no config.json); give a directory that save_pretrained wrote")
        return name
    if path.is_absolute() or name.startswith(".") or name.count("/") != 1:
        raise ValueError(
            f"no model at {name!r}; use {', '.join(BUNDLED)}, a directory with a model, or a hub id like org/name"
        )
    return name
