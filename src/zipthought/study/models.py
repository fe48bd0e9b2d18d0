"""The files of base models: their digest and their number of parameters."""

from __future__ import annotations

import hashlib
import math
from functools import cache, lru_cache
from pathlib import Path

from ..models.names import resolve

_FILES = (
    *("*.safetensors", "*.bin", "config.json", "generation_config.json"),
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "chat_template*"),
)


@lru_cache
def model_digest(model: str) -> str:
    """The first 16 hex digits of a sha256 over the names and bytes of a local model's files (weights, configuration,
    tokenizer); `hub` for a model that is not on this disk."""
    directory = Path(resolve(model))
    files = sorted({file for pattern in _FILES for file in directory.glob(pattern)})
    if not files:
        return "hub"
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def count_parameters(model: str) -> int:
    """The parameters of a model on this disk; 0 for other models."""
    from safetensors import safe_open

    total = 0
    for path in Path(resolve(model)).glob("*.safetensors"):
        with safe_open(path, "numpy") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total
