"""Backend of a server with the completions API of OpenAI, for example ``vllm serve``: its address is its name.

    zipthought evaluate --model Qwen/Qwen2.5-3B --backend http://localhost:8000/v1

The tokenizer of the model is loaded here, so that prompts are the tokens that training used. The package openai repeats
requests that fail for a moment. A key is read from the environment variable OPENAI_API_KEY.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from ..generation import Completion, completions_of
from ..loading import load_tokenizer
from .base import Backend, OnProgress, OnTokens, Request

if TYPE_CHECKING:
    from openai import OpenAI

CONNECTIONS = 64
"""The most requests at a time. A request is one prompt with all its samples."""
RETRIES = 8
"""Repetitions of a request that fails for a moment: no connection, too many requests, an error of the server."""
TIMEOUT = 600.0
"""Seconds that a request may take."""


class Server(Backend):
    """A server at an address. It is not in the registry: an address is no name."""

    def __init__(self, client: OpenAI, served: str, name: str, positions: int | None) -> None:
        self._client, self._served = client, served
        self.tokenizer, self._ends = load_tokenizer(name)
        self.positions = positions
        self._plain = False
        """Whether the server takes text and settings of OpenAI alone."""
        self._warned: set[str] = set()

    @classmethod
    def at(cls, address: str, model: str) -> Backend:
        """The server at an address such as ``http://localhost:8000/v1``. It must serve `model`, or one model only.

        A server that lists none is asked for `model`. Raises `ValueError` if it cannot be reached or refuses the key,
        and if it serves several others.
        """
        try:
            import openai
        except ImportError as error:
            raise ValueError("a server as backend needs the package openai; install zipthought[server]") from error
        address = address.rstrip("/")
        address = address if address.endswith("/v1") else f"{address}/v1"
        key = os.environ.get("OPENAI_API_KEY") or "none"
        client = openai.OpenAI(base_url=address, api_key=key, max_retries=RETRIES, timeout=TIMEOUT)
        try:
            offered = client.with_options(max_retries=1, timeout=10.0).models.list().data
        except (openai.APIConnectionError, openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise ValueError(f"the server {address} cannot be asked: {_line(error)}") from error
        except openai.OpenAIError:  # Some servers cannot list models.
            return cls(client, model, model, None)
        chosen = [one for one in offered if one.id == model] or (offered if len(offered) == 1 else [])
        if not chosen:
            names = ", ".join(one.id for one in offered) or "none"
            raise ValueError(f"the server {address} does not serve {model!r}; it has {names}")
        return cls(client, chosen[0].id, model, getattr(chosen[0], "max_model_len", None))

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        request: Request,
        *,
        on_progress: OnProgress | None = None,
        on_tokens: OnTokens | None = None,
    ) -> list[list[Completion]]:
        self.check(prompts, request)
        made: dict[int, list[Completion]] = {}
        workers = min(CONNECTIONS, max(1, request.batch_size // request.samples))
        with ThreadPoolExecutor(workers) as pool:
            waiting = {pool.submit(self._ask, list(prompts[i]), request, i): i for i in range(len(prompts))}
            try:
                for future in as_completed(waiting):
                    completions = made[waiting[future]] = future.result()
                    if on_tokens:
                        on_tokens(sum(completion.n_tokens for completion in completions))
                    if on_progress:
                        on_progress(len(made) * request.samples, len(prompts) * request.samples)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        return [made[i] for i in range(len(prompts))]

    def _ask(self, prompt: list[int], request: Request, index: int) -> list[Completion]:
        """The completions of one prompt. Raises `ValueError` for an answer that has not what was asked for."""
        import openai

        try:
            try:
                choices = (
                    self._plain_choices(prompt, request, index)
                    if self._plain
                    else self._choices(prompt, request, index)
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError):
                if self._plain or self._text(prompt) is None:
                    raise
                choices = self._plain_choices(prompt, request, index)
                self._plain = True
                self._warn(
                    "the server takes no token ids or no settings of vLLM; prompts go out as text, and what its own "
                    "settings cut from the distribution is not known"
                )
        except openai.OpenAIError as error:
            raise ValueError(f"the server at {self._client.base_url} failed: {_line(error)}") from error
        if len(choices) != request.samples:
            raise ValueError(
                f"the server at {self._client.base_url} returned {len(choices)} completions instead of "
                f"{request.samples}"
            )
        written = [self._written(choice, request) for choice in choices]
        return completions_of(self.tokenizer, written, set(self._ends))

    def _choices(self, prompt: list[int], request: Request, index: int) -> list[Any]:
        """All samples of a prompt of tokens, with the settings that vLLM knows."""
        # A configuration of the model may cut the distribution.
        settings = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
        answer: Any = self._client.completions.create(
            model=self._served,
            prompt=prompt,
            n=request.samples,
            temperature=request.temperature,
            seed=request.seed_of(index),
            max_tokens=request.max_new_tokens,
            logprobs=0 if request.logprobs else None,
            extra_body={"stop_token_ids": self._ends, "return_token_ids": True, **settings},
        )
        return sorted(answer.choices or (), key=lambda choice: choice.index)

    def _plain_choices(self, prompt: list[int], request: Request, index: int) -> list[Any]:
        """The same from a prompt of text, one sample after another, with settings of OpenAI alone. Raises `ValueError`
        for a prompt whose text has other tokens."""
        text = self._text(prompt)
        if text is None:
            raise ValueError("the server takes text alone, and the text of a prompt has other tokens than the prompt")
        answers: list[Any] = [
            self._client.completions.create(
                model=self._served,
                prompt=text,
                temperature=request.temperature,
                seed=(request.seed_of(index) + sample) % (1 << 31),
                max_tokens=request.max_new_tokens,
                logprobs=0 if request.logprobs else None,
            )
            for sample in range(request.samples)
        ]
        return [choice for answer in answers for choice in (answer.choices or ())]

    def _text(self, prompt: list[int]) -> str | None:
        """The text of a prompt; None if a server would read other tokens in it."""
        text = str(self.tokenizer.decode(prompt, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        return text if self.tokenizer(text)["input_ids"] == prompt else None

    def _written(self, choice: Any, request: Request) -> tuple[list[int], list[float] | None]:
        """The tokens of a completion with the end of sequence, and its log-probabilities if requested."""
        ids = getattr(choice, "token_ids", None)
        if ids is None:
            self._warn("the server returns no token ids (return_token_ids of vLLM); tokens are counted on its texts")
            ids = self.tokenizer(choice.text or "", add_special_tokens=False)["input_ids"]
        ids = list(ids)
        if choice.finish_reason == "stop" and (not ids or ids[-1] not in self._ends):
            reason = getattr(choice, "stop_reason", None)
            ids.append(reason if isinstance(reason, int) else self._ends[0])
        if not ids:
            raise ValueError(f"the server at {self._client.base_url} returned a completion without a token")
        if not request.logprobs:
            return ids, None
        logs = choice.logprobs.token_logprobs if choice.logprobs else None
        if not logs:
            raise ValueError(f"the server at {self._client.base_url} returned no log-probabilities")
        return ids, list(logs)[: len(ids)]

    def _warn(self, text: str) -> None:
        """Warn once."""
        if text not in self._warned:
            self._warned.add(text)
            warnings.warn(text, stacklevel=2)

    def close(self) -> None:
        self._client.close()


def _line(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__
