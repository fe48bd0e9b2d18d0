"""Loading causal language models: the bundled base, a directory, or a Hugging Face hub id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from .names import resolve


def load(name: str, device: str = "auto", training: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer.

    Weights are float32 on the CPU and bfloat16 on a GPU. For training they are float32 everywhere: the loop computes in
    bfloat16 on a GPU, and float32 weights keep small updates. Raises `ValueError` if the model or the device does not
    exist. The loader respects HF_HUB_OFFLINE.
    """
    source = resolve(name)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
        raise ValueError(f"device {device!r} does not exist here; use auto, cpu or, on a machine with a GPU, cuda")
    dtype = torch.float32 if device == "cpu" or training else torch.bfloat16
    disable_progress_bar()
    with _native_errors(ValueError, f"cannot load the model {name!r}"):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.to(device)  # type: ignore[arg-type]
    return model.eval(), tokenizer


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    """Save the model (safetensors) and its tokenizer in `directory`. Raises `OSError` if they cannot be written."""
    with _native_errors(OSError, f"cannot write the model to {directory}"):
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    mode = (directory / "config.json").stat().st_mode
    for path in directory.glob("*.safetensors"):
        path.chmod(mode)  # The writer makes them readable by their owner only.


@contextmanager
def _native_errors(kind: type[Exception], what: str) -> Iterator[None]:
    """Raises `kind` in one line for the errors of transformers, and of the native code of safetensors and
    tokenizers, which raises the bare `Exception`."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError, SafetensorError)):
            raise
        raise kind(f"{what}: {(str(error).splitlines() or [type(error).__name__])[0]}") from error
