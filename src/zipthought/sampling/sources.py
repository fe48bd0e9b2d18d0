"""Where answers come from: an endpoint with the chat API of OpenAI, or a local model."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..records.chat import Message, prompt_ids
from .cache import Answer
from .config import SampleConfig

if TYPE_CHECKING:
    from ..models.backends import Backend
    from ..models.generation import Completion

RETRIES = 8
"""Repetitions of a request that fails for a moment, with growing pauses: no connection, a stalled or torn answer, too
many requests, an error of the server."""
MOST_FAILURES = 10
"""So many failed requests in a row end the run."""
CHARACTERS_PER_TOKEN = 4
"""Of an estimate, where an endpoint does not say how many tokens it generated."""


class Ask(NamedTuple):
    """One answer that is wanted."""

    key: str
    turns: list[Message]
    sample: int


class Failed(NamedTuple):
    """A request that failed for good."""

    ask: Ask
    reason: str


class AnswerSource(Protocol):
    """Answers what is asked."""

    questions_at_once: int
    """The questions of a group."""

    def answers(self, groups: Iterator[list[Ask]], stop: Callable[[], bool]) -> Iterator[tuple[Ask, Answer] | Failed]:
        """The answers to groups of asks, in the order in which they arrive. A group has all samples of its questions.
        `stop` is asked before more is asked for. Closing the iterator ends the work."""


class Endpoint:
    """An endpoint with the chat API of OpenAI. A key is read from the environment variable OPENAI_API_KEY, and written
    nowhere."""

    questions_at_once = 1

    def __init__(
        self, address: str, config: SampleConfig, has: Callable[[str], bool], concurrency: int, timeout: float
    ) -> None:
        """`has` says which keys have an answer already; these are not asked. Raises `ValueError` if the package openai
        is missing."""
        try:
            import openai
        except ImportError as error:
            raise ValueError("an endpoint needs the package openai; install zipthought[server]") from error
        self._config, self._has, self._concurrency = config, has, concurrency
        key = os.environ.get("OPENAI_API_KEY") or "none"
        self._client = openai.OpenAI(base_url=address, api_key=key, max_retries=RETRIES, timeout=timeout)
        self._failures, self._reason = 0, ""
        self._lock = threading.Lock()

    def answers(self, groups: Iterator[list[Ask]], stop: Callable[[], bool]) -> Iterator[tuple[Ask, Answer] | Failed]:
        asks = (ask for group in groups for ask in group if not self._has(ask.key))
        with ThreadPoolExecutor(self._concurrency) as pool:
            running: set[Future[tuple[Ask, Answer] | Failed]] = set()
            try:
                while True:
                    free = self._concurrency - len(running)
                    if not stop():
                        running |= {pool.submit(self._ask, ask) for ask in islice(asks, free)}
                    if not running:
                        return
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
                    if self._failures >= MOST_FAILURES:
                        raise ValueError(
                            f"{self._failures} requests in a row failed ({self._reason}); the answers so far are kept, "
                            "and the same command goes on"
                        )
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, ask: Ask) -> tuple[Ask, Answer] | Failed:
        import openai

        c = self._config
        try:
            reply: Any = self._client.chat.completions.create(
                model=c.model,
                messages=ask.turns,  # type: ignore[arg-type]
                temperature=c.temperature,
                max_tokens=c.max_new_tokens,
                seed=c.seed_of(ask.turns, ask.sample),
            )
            answer = answer_of(reply, c.max_new_tokens)
        except (openai.OpenAIError, ValueError) as error:
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            with self._lock:
                self._failures, self._reason = self._failures + 1, reason
            return Failed(ask, reason)
        with self._lock:
            self._failures = 0
        return ask, answer


def answer_of(reply: Any, limit: int) -> Answer:
    """The answer in a reply of the chat API. A train of thought of its own field stands before it in ``<think>``.

    Raises `ValueError` for a reply without text. Stated tokens that cannot be (none, fewer than one, more than the
    limit) are replaced by an estimate.
    """
    if not getattr(reply, "choices", None):
        raise ValueError("the endpoint returned no text")
    choice = reply.choices[0]
    text = getattr(choice.message, "content", None) or ""
    thoughts = getattr(choice.message, "reasoning_content", None) or getattr(choice.message, "reasoning", None)
    if isinstance(thoughts, str) and thoughts.strip():
        text = f"<think>\n{thoughts.strip()}\n</think>\n\n{text}"
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the endpoint returned no text")
    text = text.encode("utf-8", "replace").decode()  # Half of a surrogate pair cannot be written.
    stated = getattr(getattr(reply, "usage", None), "completion_tokens", None)
    truncated = choice.finish_reason == "length"
    if isinstance(stated, int) and 1 <= stated <= limit + 1:
        return Answer(text, stated, truncated)
    return Answer(text, min(limit, max(1, len(text) // CHARACTERS_PER_TOKEN)), truncated, estimated=True)


class Local:
    """A model behind a backend of generation. A group is generated as a whole: its random numbers depend on the group
    alone, so a stopped run goes on to the same answers."""

    def __init__(self, backend: Backend, config: SampleConfig, batch_size: int) -> None:
        self._backend, self._config, self._batch_size = backend, config, batch_size
        self.questions_at_once = max(1, batch_size // config.samples)

    def answers(self, groups: Iterator[list[Ask]], stop: Callable[[], bool]) -> Iterator[tuple[Ask, Answer] | Failed]:
        while group := [] if stop() else next(groups, []):
            fitting: list[list[Ask]] = []
            prompts: list[list[int]] = []
            for low in range(0, len(group), self._config.samples):
                of_question = group[low : low + self._config.samples]
                try:
                    prompts.append(self._prompt(of_question[0].turns))
                    fitting.append(of_question)
                except ValueError as error:
                    yield from (Failed(ask, str(error)) for ask in of_question)
            for of_question, made in zip(fitting, self._generate(group[0], prompts), strict=True):
                for ask, one in zip(of_question, made, strict=True):
                    yield ask, Answer(one.text, one.n_tokens, one.truncated)

    def _prompt(self, turns: list[Message]) -> list[int]:
        """The tokens of a question. Raises `ValueError` if the model cannot be given it."""
        ids = prompt_ids(self._backend.tokenizer, turns)
        positions, limit = self._backend.positions, self._config.max_new_tokens
        if positions and len(ids) + limit - 1 > positions:
            raise ValueError(f"a question of {len(ids)} tokens and {limit} new ones exceed {positions} positions")
        return ids

    def _generate(self, first: Ask, prompts: list[list[int]]) -> list[list[Completion]]:
        from ..models.backends import Request

        c = self._config
        request = Request(
            max_new_tokens=c.max_new_tokens,
            samples=c.samples,
            temperature=c.temperature,
            seed=c.seed_of(first.turns, first.sample),
            batch_size=self._batch_size,
        )
        return self._backend.generate(prompts, request) if prompts else []
