"""The interface of generation: prompts in, completions out, whatever generates them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core.registry import Registry
from ..generation import Completion, check_prompts

OnProgress = Callable[[int, int], None]
"""Receives the number of finished completions and the total."""
OnTokens = Callable[[int], None]
"""Receives the number of new tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How completions are generated."""

    max_new_tokens: int
    """Limit of the tokens of a completion."""
    samples: int = 1
    """Completions of each prompt."""
    temperature: float = 0.0
    """0 is greedy. No backend cuts the distribution (top-k, top-p) or penalizes repetition."""
    seed: int = 0
    """The same seed gives the same samples with the same backend, and others with another backend."""
    batch_size: int = 256
    """Completions at the same time."""
    logprobs: bool = False
    """Whether completions have their log-probabilities, under the sampling distribution."""

    def __post_init__(self) -> None:
        if min(self.max_new_tokens, self.samples, self.batch_size) < 1:
            raise ValueError(
                f"max_new_tokens, samples and batch_size must be at least 1, got {self.max_new_tokens}, {self.samples} "
                f"and {self.batch_size}"
            )
        if self.temperature < 0 or self.seed < 0:
            raise ValueError(f"temperature and seed must not be negative, got {self.temperature} and {self.seed}")

    def seed_of(self, prompt: int) -> int:
        """The seed of the samples of a prompt (its index), for backends that take one for each."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}|{prompt}".encode()).digest()[:4], "big")


class Backend(ABC):
    """A model that generates. It is a context manager; its end frees what it holds."""

    tokenizer: PreTrainedTokenizerBase
    positions: int | None = None
    """The most tokens of a prompt and its completion together; None if there is no limit."""

    @abstractmethod
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        request: Request,
        *,
        on_progress: OnProgress | None = None,
        on_tokens: OnTokens | None = None,
    ) -> list[list[Completion]]:
        """`request.samples` completions of each prompt (token ids), in the order of the prompts.

        Raises `ValueError` for an empty prompt and for one that exceeds the model's positions together with
        `request.max_new_tokens`.
        """

    def check(self, prompts: Sequence[Sequence[int]], request: Request) -> None:
        """Raise `ValueError` as `generate` does."""
        check_prompts(prompts, self.positions, request.max_new_tokens)

    def close(self) -> None:  # noqa: B027
        """Free what the backend holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class TrainedBackend(Backend):
    """A backend whose completions are those of a model of this process, with its weights of the moment."""

    model: PreTrainedModel
    """Another model of the same shape may take its place."""


class LocalBackend(Backend):
    """A backend that loads a model on this machine."""

    NAME: ClassVar[str]
    """The name in ``zipthought evaluate --backend``."""

    @classmethod
    @abstractmethod
    def open(cls, model: str, device: str = "auto") -> Backend:
        """Load a model by its name. Raises `ValueError` if it, the device or a package does not exist."""

    @classmethod
    @abstractmethod
    def of(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, memory: float = 0.3) -> TrainedBackend:
        """A backend for a model of this process, whose weights may change from one call of `generate` to the next.

        `memory` is the share of a GPU's memory for what the backend needs beside the model. Raises `ValueError` if a
        package or a GPU is missing.
        """


BACKENDS: Registry[type[LocalBackend]] = Registry("backend", ("open", "generate"), classes=True)
