"""The files of base models: their digest and their number of parameters."""

from __future__ import annotations

import hashlib
import math
from functools import cache, lru_cache
from pathlib import Path

from ..models.names import commit_of, is_commit, resolve

_FILES = (
    *("*.safetensors", "*.bin", "config.json", "generation_config.json"),
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "chat_template*"),
)


HUB = "hub"
"""The digest of a hub model whose commit is not known."""


@lru_cache
def model_digest(model: str) -> str:
    """The first 16 hex digits of a sha256 over the names and bytes of a local model's files (weights, configuration,
    tokenizer). For a hub model its commit (`models.names.commit_of`), or `HUB` where that is not known."""
    directory = Path(resolve(model))
    files = sorted({file for pattern in _FILES for file in directory.glob(pattern)})
    if not files:
        return commit_of(model) or HUB
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def kept_digest(recorded: str, now: str) -> str:
    """The digest of a base that has a recorded one. The commit of a hub model may have been unknown when it was
    recorded, or may be unknown now; then the recorded one stays."""
    return recorded if HUB in (recorded, now) and is_of_hub(recorded) and is_of_hub(now) else now


def is_of_hub(digest: object) -> bool:
    """Whether this is the digest of a hub model."""
    return isinstance(digest, str) and (digest == HUB or is_commit(digest))


@cache
def count_parameters(model: str) -> int:
    """The parameters of a model on this disk; 0 for other models."""
    from safetensors import safe_open

    total = 0
    for path in Path(resolve(model)).glob("*.safetensors"):
        with safe_open(path, "numpy") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total
