"""Parts of an update that fit into the memory of the device."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch
from transformers import PreTrainedModel

from ..models.shapes import Shape
from .config import Execution
from .memory import STATE_BYTES, fitting_tokens

T = TypeVar("T")


def checkpoint_activations(model: PreTrainedModel, execution: Execution) -> bool:
    """Turn gradient checkpointing on, if the settings say so for this model and device; whether it is on."""
    on = execution.checkpoints(model.num_parameters(), model.device.type == "cuda")
    if on:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Later versions of transformers have another name for it.
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return on


class Fitting:
    """Splits the sequences of an update into passes, and repeats it in smaller ones where memory runs out."""

    def __init__(self, model: PreTrainedModel, execution: Execution, *, checkpointing: bool = False) -> None:
        self._model = model
        # Its weights are there.
        self.limit = execution.micro_tokens or free_tokens(model, checkpointing, STATE_BYTES - 4, model.device)
        """Tokens in a pass; 0: no limit."""

    def run(self, attempt: Callable[[int], T], rows: int, width: int) -> T:
        """``attempt(size)``, which adds the gradient of an update to the model in passes of at most `size` sequences.

        A pass has at most `rows` sequences of at most `width` tokens. Where one runs out of memory, the gradient is
        cleared and the update is tried again with half as many. Raises `ValueError` if one sequence does not fit.
        """
        while True:
            size = max(1, min(rows, self.limit // width)) if self.limit else rows
            try:
                return attempt(size)
            except torch.OutOfMemoryError as error:
                if size == 1:
                    raise ValueError(
                        f"one sequence of {width} tokens does not fit into the memory of the device; use "
                        "--gradient-checkpointing on, a smaller --max-length, or a larger device"
                    ) from error
            # Outside of the handler, so that the tensors of the failed pass are free.
            self.limit = size // 2 * width
            self._model.zero_grad(set_to_none=True)
            if self._model.device.type == "cuda":
                torch.cuda.empty_cache()
            warnings.warn(
                f"a pass of {size} sequences of {width} tokens ran out of memory; the update is repeated in passes of "
                f"{size // 2}",
                stacklevel=2,
            )


def free_tokens(model: PreTrainedModel, checkpointing: bool, still_to_come: int, device: torch.device) -> int:
    """The tokens of a pass for which a GPU has memory, once it has `still_to_come` more bytes for each parameter of the
    model. 0 (no limit) on a CPU."""
    if device.type != "cuda":
        return 0
    shape = Shape.of(model.config.to_dict(), model.num_parameters())
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, fitting_tokens(shape, checkpointing, free - still_to_come * shape.parameters))
