"""Backends that generate with a model in this process: `native` (`models.generation`), and `transformers`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..generation import Completion, Written, completions_of, end_of_sequence, generate
from ..halving import Halving
from ..loading import load
from .base import BACKENDS, Backend, LocalBackend, OnProgress, OnTokens, Request, TrainedBackend


class InProcess(LocalBackend, TrainedBackend):
    """A backend with a model in this process."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.positions = getattr(model.config, "max_position_embeddings", None)

    @classmethod
    def open(cls, model: str, device: str = "auto") -> Backend:
        return cls(*load(model, device))

    @classmethod
    def of(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, memory: float = 0.3) -> TrainedBackend:
        return cls(model, tokenizer)


@BACKENDS.register
class Native(InProcess):
    """Our own decoder (`models.generation`)."""

    NAME = "native"

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        request: Request,
        *,
        on_progress: OnProgress | None = None,
        on_tokens: OnTokens | None = None,
    ) -> list[list[Completion]]:
        with _counting(self.model, on_tokens):
            return generate(
                self.model,
                self.tokenizer,
                prompts,
                max_new_tokens=request.max_new_tokens,
                samples=request.samples,
                temperature=request.temperature,
                seed=request.seed,
                batch_size=request.batch_size,
                logprobs=request.logprobs,
                on_progress=on_progress,
            )


@BACKENDS.register
class Transformers(InProcess):
    """``generate`` of transformers, for architectures whose cache our own decoder does not know. Prompts are padded on
    the left, and all rows of a batch run until the longest ends."""

    NAME = "transformers"

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        request: Request,
        *,
        on_progress: OnProgress | None = None,
        on_tokens: OnTokens | None = None,
    ) -> list[list[Completion]]:
        self.check(prompts, request)
        ends = end_of_sequence(self.model, self.tokenizer)
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        size = max(1, request.batch_size // request.samples)
        made: dict[int, list[Completion]] = {}
        halving = Halving()
        for low in range(0, len(order), size):

            def batch(part: list[int]) -> list[Written]:
                return self._batch([prompts[i] for i in part], request, ends, request.seed_of(len(made)))

            for part, written in halving.run(order[low : low + size], batch):
                completions = completions_of(self.tokenizer, written, set(ends))
                for row, i in enumerate(part):
                    made[i] = completions[row * request.samples : (row + 1) * request.samples]
                if on_tokens:
                    on_tokens(sum(len(ids) for ids, _ in written))
                if on_progress:
                    on_progress(len(made) * request.samples, len(prompts) * request.samples)
        return [made[i] for i in range(len(prompts))]

    def _batch(self, prompts: list[Sequence[int]], request: Request, ends: list[int], seed: int) -> list[Written]:
        """The tokens of each row, with the end of sequence, and their log-probabilities if requested."""
        device, width = self.model.device, max(len(prompt) for prompt in prompts)
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else ends[0]
        ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts], device=device)  # (B, T)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        config = GenerationConfig(
            max_new_tokens=request.max_new_tokens,
            do_sample=bool(request.temperature),
            num_return_sequences=request.samples,
            eos_token_id=ends,
            pad_token_id=pad,
            return_dict_in_generate=True,
            output_logits=request.logprobs,
            **({"temperature": request.temperature, "top_k": 0, "top_p": 1.0} if request.temperature else {}),
        )
        devices = [device] if device.type == "cuda" else []
        with _without_defaults(self.model), torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            write: Any = self.model.generate  # Its type does not say that it can be called.
            output = write(input_ids=ids, attention_mask=mask, generation_config=config)
        new = output.sequences[:, width:]  # (B * samples, t)
        logs: list[list[float]] | None = None
        if request.logprobs:
            logits = torch.stack(output.logits, 1).double() / (request.temperature or 1.0)  # (B * samples, t, V)
            logs = logits.log_softmax(-1).gather(2, new[:, :, None])[:, :, 0].tolist()
        written = []
        for row, tokens in enumerate(new.tolist()):
            length = next((i + 1 for i, token in enumerate(tokens) if token in ends), len(tokens))
            written.append((tokens[:length], logs[row][:length] if logs is not None else None))
        return written


@contextmanager
def _without_defaults(model: PreTrainedModel) -> Iterator[None]:
    """While the block runs, the model has no generation configuration of its own. transformers would take settings
    from it that a request does not have, such as a penalty on repetition."""
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


@contextmanager
def _counting(model: PreTrainedModel, on_tokens: Callable[[int], None] | None) -> Iterator[None]:
    """While the block runs, `on_tokens` receives the rows of every step of decoding."""
    if on_tokens is None:
        yield
        return

    def count(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        on_tokens(kwargs["input_ids"].numel())

    hook = model.register_forward_hook(count, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def backend_of(model: PreTrainedModel | Backend, tokenizer: PreTrainedTokenizerBase) -> Backend:
    """The backend itself, or `Native` with a model in this process."""
    return model if isinstance(model, Backend) else Native(model, tokenizer)
