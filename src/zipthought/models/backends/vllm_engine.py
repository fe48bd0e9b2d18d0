"""Backend `vllm`: vLLM's engine in this process, on a GPU. It needs the package vllm."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..generation import Completion, completions_of
from ..loading import load_tokenizer, save
from ..names import resolve, split_revision
from .base import BACKENDS, Backend, LocalBackend, OnProgress, OnTokens, Request, TrainedBackend

MEMORY = 0.9
"""Share of the memory of a GPU."""


@BACKENDS.register
class VLLM(LocalBackend):
    """vLLM (Kwon et al. 2023). Weights and computation are in bfloat16."""

    NAME = "vllm"

    def __init__(self, engine: Any, name: str) -> None:
        self._engine = engine
        self.tokenizer, self._ends = load_tokenizer(name)
        self.positions = engine.llm_engine.model_config.max_model_len

    @classmethod
    def open(cls, model: str, device: str = "auto") -> Backend:
        if device == "cpu":
            raise ValueError("the backend vllm runs on a GPU; leave --device out, or use another backend")
        source, pinned = split_revision(resolve(model))
        return cls(_engine(source, gpu_memory_utilization=MEMORY, **pinned), model)

    @classmethod
    def of(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, memory: float = 0.3) -> TrainedBackend:
        _vllm()
        return TrainedVLLM(model, tokenizer, memory)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        request: Request,
        *,
        on_progress: OnProgress | None = None,
        on_tokens: OnTokens | None = None,
    ) -> list[list[Completion]]:
        from vllm import SamplingParams

        self.check(prompts, request)
        made: list[list[Completion]] = []
        size = max(1, request.batch_size // request.samples)
        for low in range(0, len(prompts), size):
            part = range(low, min(low + size, len(prompts)))
            outputs = self._engine.generate(
                [{"prompt_token_ids": list(prompts[i])} for i in part],
                [
                    SamplingParams(
                        n=request.samples,
                        temperature=request.temperature,
                        seed=request.seed_of(i),
                        max_tokens=request.max_new_tokens,
                        stop_token_ids=self._ends,
                        logprobs=0 if request.logprobs else None,
                        detokenize=False,
                    )
                    for i in part
                ],
                use_tqdm=False,
            )
            made += [self._completions(output.outputs) for output in outputs]
            if on_tokens:
                on_tokens(sum(completion.n_tokens for samples in made[low:] for completion in samples))
            if on_progress:
                on_progress(len(made) * request.samples, len(prompts) * request.samples)
        return made

    def _completions(self, outputs: Sequence[Any]) -> list[Completion]:
        """The completions of a prompt."""
        written = []
        for output in outputs:
            ids = list(output.token_ids)
            if output.finish_reason == "stop" and (not ids or ids[-1] not in self._ends):
                ids.append(output.stop_reason if isinstance(output.stop_reason, int) else self._ends[0])
            logs = None
            if output.logprobs is not None:
                logs = [step[token].logprob for step, token in zip(output.logprobs, ids, strict=False)]
            written.append((ids, logs))
        return completions_of(self.tokenizer, written, set(self._ends))

    def reload(self) -> None:
        """Wake an engine that sleeps, and read the weights anew from its files."""
        self._engine.wake_up(tags=["weights"])
        self._engine.collective_rpc("reload_weights")
        self._engine.wake_up(tags=["kv_cache"])

    def sleep(self) -> None:
        """Free the memory of the GPU, without a copy of the weights, until `reload`."""
        self._engine.sleep(level=2)

    def close(self) -> None:
        import gc

        import torch

        del self._engine
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class TrainedVLLM(TrainedBackend):
    """vLLM beside the training of a model on the same GPU. It sleeps between two calls, and each call hands the weights
    over through files, in a temporary directory."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, memory: float) -> None:
        self.model, self.tokenizer, self._memory = model, tokenizer, memory
        self.positions = getattr(model.config, "max_position_embeddings", None)
        self._files = tempfile.TemporaryDirectory(prefix="zipthought-vllm-")
        self._inner: VLLM | None = None

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        request: Request,
        *,
        on_progress: OnProgress | None = None,
        on_tokens: OnTokens | None = None,
    ) -> list[list[Completion]]:
        self.check(prompts, request)
        save(self.model, self.tokenizer, Path(self._files.name))
        if self._inner:
            self._inner.reload()
        else:
            engine = _engine(self._files.name, gpu_memory_utilization=self._memory, enable_sleep_mode=True)
            self._inner = VLLM(engine, self._files.name)
        try:
            return self._inner.generate(prompts, request, on_progress=on_progress, on_tokens=on_tokens)
        finally:
            self._inner.sleep()

    def close(self) -> None:
        if self._inner:
            self._inner.close()
        self._files.cleanup()


def _vllm() -> Any:
    """The module `vllm`. Raises `ValueError` if it is missing."""
    try:
        import vllm
    except ImportError as error:
        raise ValueError("the backend vllm needs the package vllm; install it, or use another backend") from error
    return vllm


def _engine(source: str, **settings: Any) -> Any:
    """vLLM's engine for a model, with log-probabilities after the temperature, as the other backends have them."""
    return _vllm().LLM(model=source, dtype="bfloat16", logprobs_mode="processed_logprobs", seed=0, **settings)
