"""Checkpoint files: a line with the sha256 of the rest, then what ``torch.save`` wrote.

A checkpoint whose digest differs is damaged and never loaded: torch itself reads changed numbers without a complaint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any, cast

import torch

from ..files.atomic import atomic_open

_HEADER = b"zipthought checkpoint, sha256 %s\n"
_LENGTH = len(_HEADER % (b"0" * 64))


class _Hashing:
    """A file for ``torch.save`` that hashes what passes through it, and keeps the error that torch does not pass on."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically. Raises `OSError` if the disk is full."""
    with atomic_open(path) as file:
        file.write(_HEADER % (b"0" * 64))
        hashing = _Hashing(file)
        try:
            torch.save(dict(content), cast("IO[bytes]", hashing))
        except RuntimeError as error:
            raise (hashing.error or error) from None
        file.seek(0)
        file.write(_HEADER % hashing.digest.hexdigest().encode())


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The content of a checkpoint, with its tensors on `device`. Raises `ValueError` if it is damaged."""
    with path.open("rb") as file:
        header = file.read(_LENGTH)
        if header == _HEADER % hashlib.file_digest(file, "sha256").hexdigest().encode():
            file.seek(_LENGTH)
            try:
                return torch.load(file, map_location=device, weights_only=True)
            except UnpicklingError as error:
                raise ValueError(f"{path} holds other objects than tensors; delete it to start again") from error
    raise ValueError(f"{path} is damaged or of another version; delete it to start again")


__all__ = ["read_checkpoint", "write_checkpoint"]
