"""Loading causal language models: the bundled base, a directory, or a Hugging Face hub id."""

from __future__ import annotations

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
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"cannot load the model {name!r}: {str(error).splitlines()[0]}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.to(device)  # type: ignore[arg-type]
    return model.eval(), tokenizer


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    """Save the model (safetensors) and its tokenizer in `directory`."""
    model.save_pretrained(directory)
    for path in directory.glob("*.safetensors"):
        path.chmod(0o644)  # The writer makes them readable by their owner only.
    tokenizer.save_pretrained(directory)
