"""What generates completions: our own decoder, transformers, vLLM in this process, or a server.

with open_backend("vllm", "Qwen/Qwen2.5-3B") as backend:
    completions = backend.generate(prompts, Request(max_new_tokens=512))
"""

from __future__ import annotations

from . import in_process, vllm_engine  # noqa: F401
from .base import BACKENDS, Backend, Request, TrainedBackend
from .in_process import Native, Transformers, backend_of
from .server import Server


def open_backend(name: str, model: str, device: str = "auto") -> Backend:
    """The backend of a name, or of the address of a server (``http://...``), with a model.

    Raises `ValueError` for an unknown name, and as `Backend.open` and `Server.at` do.
    """
    if name.startswith(("http://", "https://")):
        return Server.at(name, model)
    return BACKENDS.find(name).open(model, device)


__all__ = [
    "BACKENDS",
    "Backend",
    "Native",
    "Request",
    "Server",
    "TrainedBackend",
    "Transformers",
    "backend_of",
    "open_backend",
]
