"""The Hugging Face Hub: datasets by name, and uploads.

Datasets are ``hf:org/name``, ``hf:org/name:config`` and ``hf:org/name:config:split``. They are read through the package
`datasets`, which keeps them in its cache and honours `HF_HUB_OFFLINE`. A name may be that of a directory, and a split
may be a slice (``hf:org/name::train[:100]``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from .parquet import BadRow, chosen_columns, rows_of

_PREFIX = "hf:"
_NAME = re.compile(r"hf:(?P<name>[^:]+)(?::(?P<config>[^:]*)(?::(?P<split>[^:\[]*(?:\[[^\]]*\])?))?)?")
_BATCH = 1000
_USUAL_SPLIT = "train"
_NOT_UPLOADED = ("checkpoint*", "**/checkpoint*", ".*", "**/.*")
"""Patterns of files that no upload has."""


def is_hub(path: Path) -> bool:
    """Whether a path is the name of a dataset of the hub."""
    return str(path).startswith(_PREFIX)


def on_disk(path: Path) -> Path:
    """The directory that is read for the name of a dataset, if there is one; else the path itself."""
    name = str(path).removeprefix(_PREFIX).partition(":")[0]
    return Path(name) if is_hub(path) and name and Path(name).is_dir() else path


def read_hub(path: Path, columns: Collection[str]) -> Iterator[dict[str, Any] | BadRow]:
    """The rows of a dataset, with `columns` alone, or all where none is named. Without a split this is `train`, or the
    only one.

    Raises `ValueError` where `datasets` is missing, and where the dataset, its configuration or its split cannot be
    loaded.
    """
    match = _NAME.fullmatch(str(path))
    if not match:
        raise ValueError(f"{path}: name a dataset as hf:org/name, hf:org/name:config or hf:org/name:config:split")
    name, config, split = match.groups(default="")
    try:
        import datasets
    except ImportError as error:
        raise ValueError(f"reading {path} needs the package datasets; install zipthought[hub]") from error
    try:
        data = datasets.load_dataset(name, config or None, split=split or None)
    except Exception as error:  # Of datasets, of its hub client, and of the client's own HTTP library.
        # The second line has the configurations that exist.
        reason = " ".join(" ".join(str(error).strip().splitlines()[:2]).split()) or type(error).__name__
        raise ValueError(
            f"{path} cannot be loaded: {reason:.300} (without a network, only datasets in the cache can be read)"
        ) from error
    if isinstance(data, dict):
        names = list(data)
        if _USUAL_SPLIT not in names and len(names) > 1:
            raise ValueError(f"{path} has the splits {', '.join(names)}; name one: hf:{name}:{config}:{names[0]}")
        data = data[_USUAL_SPLIT if _USUAL_SPLIT in names else names[0]]
    chosen = chosen_columns(path, data.column_names, columns)
    for table in data.select_columns(chosen).with_format("arrow").iter(batch_size=_BATCH):
        for batch in table.to_batches():
            yield from rows_of(batch)


def require_upload(repository: str) -> None:
    """Raise `ValueError` if nothing could be uploaded to a repository: its name is none, there is no token, or the
    network is turned off (``HF_HUB_OFFLINE``). The network is not tried."""
    from huggingface_hub import get_token, is_offline_mode
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ValueError(f"{repository!r} is no repository of the hub: {_reason(error)}; use org/name") from error
    if is_offline_mode():
        raise ValueError(f"HF_HUB_OFFLINE is set, so nothing can be pushed to {repository}; unset it")
    if not get_token():
        raise ValueError(
            f"no token of the hub, so nothing can be pushed to {repository}; run 'hf auth login', or set HF_TOKEN"
        )


def upload(directory: Path, repository: str, kind: str = "model", files: Sequence[str] = ()) -> str:
    """Upload a directory to a repository of the hub, a `model` or a `dataset`; returns the address. A new repository is
    private. `files` are the names below the directory that are uploaded, by default all but checkpoints and hidden
    files.

    The token is that of `huggingface_hub` (``hf auth login``, or `HF_TOKEN`); it is written nowhere. Raises
    `ValueError` with the reason of the hub or of the network.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        url = api.create_repo(repository, private=True, repo_type=kind, exist_ok=True)
        api.upload_folder(
            repo_id=str(url.repo_id),
            folder_path=directory,
            repo_type=kind,
            commit_message="Upload by zipthought",
            allow_patterns=[*files] or None,
            ignore_patterns=[*_NOT_UPLOADED],
        )
    except Exception as error:  # Of the hub's client, and of its own HTTP library.
        raise ValueError(f"cannot push to {repository}: {_reason(error)}") from error
    return str(url)


def _reason(error: Exception) -> str:
    """The message of an error on one line, without empty lines."""
    lines = [line.strip() for line in str(error).splitlines()]
    return f"{' '.join(line for line in lines if line) or type(error).__name__:.300}"
