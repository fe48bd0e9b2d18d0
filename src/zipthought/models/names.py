"""Names of models: bundled bases, directories, hub ids. This module does not import torch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from . import smollm

BUNDLED = ("bundled", "bundled-deep", "bundled-mixed", "neutral")
"""Names of the bases that ship with the package, under ``models/bases/``."""
PARTIAL = ".partial"
"""How the name of a directory ends in which a training run is not finished."""


def absolute(name: str) -> str:
    """The name with the same meaning in every working directory: for a local model, its absolute path."""
    return str(Path(name).resolve()) if name not in BUNDLED and Path(name).is_dir() else name


def resolve(name: str) -> str:
    """The directory of a bundled base, of `smollm.NAME` or of a local model; a hub id is returned unchanged.

    Raises `ValueError` as `smollm_directory` does, and for a path that does not exist or holds no model, also where a
    run has not finished it.
    """
    if name in BUNDLED:
        return str(resources.files("zipthought.models").joinpath("bases", name))
    if name == smollm.NAME:
        return str(smollm.smollm_directory())
    path = Path(name)
    if not (path / "config.json").exists():
        _refuse_unfinished(path)
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ValueError(f"{name} holds no model (no config.json); give a directory that save_pretrained wrote")
        return name
    if path.is_absolute() or name.startswith(".") or name.count("/") != 1:
        raise ValueError(
            f"no model at {name!r}; use {', '.join((*BUNDLED, smollm.NAME))}, a directory with a model, or a hub id "
            "like org/name"
        )
    return name


def _refuse_unfinished(path: Path) -> None:
    """Raises `ValueError` if a training run works in the directory, or is to write it."""
    whole = path.absolute()
    for work in (whole, whole.parent / f"{whole.name}{PARTIAL}"):
        if work.name.endswith(PARTIAL) and work.is_dir():
            raise ValueError(f"the training run in {work} is not finished; continue it with --resume")
