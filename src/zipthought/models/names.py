"""Names of models: bundled bases, directories, hub ids (``org/name``, or ``org/name@revision`` with a branch, a tag or
a commit). This module does not import torch."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

from . import smollm

BUNDLED = ("bundled", "bundled-deep", "bundled-mixed", "neutral", "neutral-2")
"""Names of the bases that ship with the package, under ``models/bases/``."""
PARTIAL = ".partial"
"""How the name of a directory ends in which a training run is not finished."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[^/@]+/[^/@]+(@[^@\s]+)?")


def absolute(name: str) -> str:
    """The name with the same meaning in every working directory: for a local model, its absolute path."""
    return str(Path(name).resolve()) if name not in BUNDLED and Path(name).is_dir() else name


def resolve(name: str) -> str:
    """The directory of a bundled base, of `smollm.NAME` or of a local model; a hub id is returned unchanged, with its
    revision (`split_revision`).

    Raises `ValueError` as `smollm_directory` does, for a path that does not exist or holds no model, also where a run
    has not finished it, and for a directory with a revision.
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
    repository, at, _ = name.partition("@")
    if at and (repository in (*BUNDLED, smollm.NAME) or Path(repository).is_dir()):
        raise ValueError(f"{name}: only a model of the hub has revisions; give {repository} without @")
    if path.is_absolute() or name.startswith(".") or not _HUB_ID.fullmatch(name):
        raise ValueError(
            f"no model at {name!r}; use {', '.join((*BUNDLED, smollm.NAME))}, a directory with a model, or a hub id "
            "like org/name or org/name@revision"
        )
    return name


def split_revision(source: str) -> tuple[str, dict[str, Any]]:
    """What `resolve` returned as `from_pretrained` takes it: a directory or a hub id, and the keyword `revision`, if
    there is one."""
    repository, _, revision = source.partition("@")
    if Path(source).is_dir() or not revision:
        return source, {}
    return repository, {"revision": revision}


def commit_of(name: str) -> str | None:
    """The commit of a hub model, without a network: the one that its name pins, or the one that the local cache of the
    hub has for its revision. None if it is not known, and for other models.

    Raises `ValueError` as `resolve` does.
    """
    source = resolve(name)
    if Path(source).is_dir():
        return None
    repository, pinned = split_revision(source)
    revision = str(pinned.get("revision", ""))
    if is_commit(revision):
        return revision
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        file = try_to_load_from_cache(repository, "config.json", **pinned)
    except HFValidationError:
        return None  # Loading the model gives the reason.
    folder = Path(file).parent.name if isinstance(file, str) else ""
    return folder if is_commit(folder) else None


def is_commit(text: str) -> bool:
    """Whether a text is the whole hash of a commit, 40 hex digits."""
    return bool(_COMMIT.fullmatch(text))


def at_commit(name: str, commit: str) -> str:
    """The name of a hub model at a commit, in place of its own revision. A text that is no commit changes nothing."""
    return f"{name.partition('@')[0]}@{commit}" if is_commit(commit) else name


def _refuse_unfinished(path: Path) -> None:
    """Raises `ValueError` if a training run works in the directory, or is to write it."""
    whole = path.absolute()
    for work in (whole, whole.parent / f"{whole.name}{PARTIAL}"):
        if work.name.endswith(PARTIAL) and work.is_dir():
            raise ValueError(f"the training run in {work} is not finished; continue it with --resume")
