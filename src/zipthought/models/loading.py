"""Loading causal language models: the bundled base, a directory, or a Hugging Face hub id."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from ..records.chat import folds_system
from .generation import declare_ends, ends_of
from .names import resolve, split_revision


def load(
    name: str, device: str = "auto", training: bool = False, attention: str = ""
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer. `attention` is the implementation of attention; empty: the one of transformers.

    Weights are float32 on the CPU and bfloat16 on a GPU. For training they are float32 everywhere: the loop computes in
    bfloat16 on a GPU, and float32 weights keep small updates. The model's generation configuration gets the token that
    ends a turn of the chat template. Warns if the template has no system role, so that the system message goes into the
    first user turn. Raises `ValueError` if the model or the device does not
    exist. A hub id may have a revision (`names`). The loader respects HF_HUB_OFFLINE.
    """
    source, pinned = split_revision(resolve(name))
    device = existing_device(device)
    dtype = torch.float32 if device == "cpu" or training else torch.bfloat16
    with _one_line(ValueError, f"cannot load the model {name!r}"):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **pinned)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # They are in the report, and refused below.
            output_loading_info=True,
            **pinned,
            **({"attn_implementation": attention} if attention else {}),
        )
        model, report = loaded
        _require_whole(model, tokenizer, {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
        declare_ends(model, tokenizer)
    if folds_system(tokenizer):
        warnings.warn(
            f"the chat template of {name!r} has no system role; system messages go into the first user turn",
            stacklevel=2,
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.to(device)
    return model.eval(), tokenizer


def existing_device(device: str) -> str:
    """The device, with `auto` resolved: `cuda` where torch finds a GPU, else `cpu`.

    Raises `ValueError` for a device that does not exist.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
        raise ValueError(f"device {device!r} does not exist here; use auto, cpu or, on a machine with a GPU, cuda")
    return device


def load_tokenizer(name: str) -> tuple[PreTrainedTokenizerBase, list[int]]:
    """The tokenizer of a model whose weights are elsewhere, and the tokens that end a completion
    (`generation.ends_of`). Raises `ValueError` as `load` does."""
    source, pinned = split_revision(resolve(name))
    with _one_line(ValueError, f"cannot load the tokenizer of {name!r}"):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **pinned)
        generation = None
        with suppress(OSError):  # Not every model has one.
            generation = GenerationConfig.from_pretrained(source, trust_remote_code=False, **pinned)
        return tokenizer, ends_of(tokenizer, generation)


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    """Save the model (safetensors) and its tokenizer in `directory`. Raises `OSError` if they cannot be written."""
    with _one_line(OSError, f"cannot write the model to {directory}"):
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    mode = (directory / "config.json").stat().st_mode
    for path in directory.glob("*.safetensors"):
        path.chmod(mode)  # The writer makes them readable by their owner only.


def _require_whole(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, lost: set[str]) -> None:
    """Raises `ValueError` if weights are lost, which transformers would replace by random ones, or if the model cannot
    read the special tokens of its tokenizer."""
    if lost:
        raise ValueError(f"its files lack {len(lost)} weights of the right shape, such as {min(lost)}")
    tokenizer("a")  # Fails here for a malformed configuration.
    known = model.get_input_embeddings().weight.shape[0]  # type: ignore[index]
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
        if token is not None and token >= known:
            raise ValueError(f"its tokenizer uses token {token}, but the model has only {known}")


@contextmanager
def _one_line(kind: type[Exception], what: str) -> Iterator[None]:
    """Raises `kind` with the first line of an error that malformed files or a full disk cause.

    transformers does not check the types in the files of a model, and tokenizers raises the bare `Exception`. The
    warnings and progress bars of transformers are off meanwhile.
    """
    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except Exception as error:
        if type(error) is not Exception and not isinstance(error, _FILE_ERRORS):
            raise
        reason = (str(error).splitlines() or [""])[0]
        raise kind(f"{what}: {reason or type(error).__name__}") from error
    finally:
        logging.set_verbosity(verbosity)


_FILE_ERRORS = (
    *(OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError),
    *(SafetensorError, StrictDataclassError, UnpicklingError),
)
