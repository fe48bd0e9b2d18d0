"""The type of the weights of a saved model. Training ends with float32 weights, whatever the precision of its
computation."""

from __future__ import annotations

import json
from pathlib import Path

from ..files.atomic import write_text

SAVE_DTYPES = ("auto", "float32", "bfloat16")


def resolve_dtype(name: str) -> str:
    """``float32`` for ``auto``. Raises `ValueError` for a type that is none of `SAVE_DTYPES`."""
    if name not in SAVE_DTYPES:
        raise ValueError(f"unknown save_dtype {name!r}; use {', '.join(SAVE_DTYPES)}")
    return "float32" if name == "auto" else name


def convert(directory: Path, dtype: str) -> None:
    """Convert the float32 weights of a saved model. The files are converted rather than the model, because its weights
    may be spread over many devices. ``float32`` changes nothing; adapters in a folder stay as they are."""
    if dtype == "float32":
        return
    import torch
    from safetensors.torch import load_file, save_file

    size = 0
    for path in sorted(directory.glob("*.safetensors")):
        tensors = {
            name: tensor.to(getattr(torch, dtype)) if tensor.dtype == torch.float32 else tensor
            for name, tensor in load_file(path).items()
        }
        size += sum(tensor.nbytes for tensor in tensors.values())
        temporary = path.with_suffix(".converted")  # The tensors may be views of the old file.
        save_file(tensors, temporary, metadata={"format": "pt"})
        temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
    for path in directory.glob("*.safetensors.index.json"):
        index = json.loads(path.read_text(encoding="utf-8"))
        index["metadata"]["total_size"] = size
        write_text(path, json.dumps(index, indent=2, sort_keys=True) + "\n")
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    write_text(directory / "config.json", json.dumps(config | {"dtype": dtype}, indent=2, sort_keys=True) + "\n")


__all__ = ["SAVE_DTYPES", "convert", "resolve_dtype"]
