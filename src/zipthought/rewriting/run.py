"""Lets a model rewrite solutions: asks, judges, tells what is wrong, and asks again.

An attempt has its own random numbers, and from the second on the model sees its last answer with the reason why that
was refused. All answers are in the cache, and what is asked next is a function of them, so a stopped run asks nothing
twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..records.chat import Message
from ..sampling.cache import Answer, Cache
from ..sampling.config import SampleConfig
from ..sampling.sources import AnswerSource, Ask, Failed
from ..solutions.compress import ReadSolution
from ..solutions.rewrites import Rewrite
from ..solutions.solution import UnreadableError
from .judge import Judge, Original
from .prompts import fill, read_prompt

_AGAIN = "This was refused: {reason}. Write it again, as asked above, without this fault."


@dataclass(slots=True)
class Tally:
    """What was asked and accepted."""

    solutions: int = 0
    """Solutions to rewrite, once for each prompt."""
    answers: int = 0
    """Answers of the model, those in the cache included."""
    tokens: int = 0
    """Generated tokens of these."""
    estimated: int = 0
    """Answers whose tokens are an estimate."""
    accepted: Counter[int] = field(default_factory=Counter)
    """Attempt, from 1 -> solutions whose rewrite was accepted in it."""
    refused: Counter[str] = field(default_factory=Counter)
    """Reason -> answers that were refused."""
    failed: Counter[str] = field(default_factory=Counter)
    """Reason -> requests that failed in this run."""

    def summary(self) -> dict[str, Any]:
        """As `compress --json` prints it."""
        return {
            "solutions": self.solutions,
            "accepted": self.accepted.total(),
            "answers": self.answers,
            "tokens": self.tokens,
            "tokens_estimated": self.estimated,
            "accepted_in_attempt": {str(attempt): self.accepted[attempt] for attempt in sorted(self.accepted)},
            "refused": dict(self.refused.most_common()),
            "failed": dict(self.failed.most_common()),
        }


class _Draft:
    """A solution on its way to an accepted rewrite."""

    def __init__(self, original: Original, prompt: str) -> None:
        source, solution = original.read.source, original.solution
        text = fill(prompt, source.question, solution.whole, solution.notate(solution.statement))
        self.original = original
        self.first: list[Message] = [{"role": "user", "content": text}]
        self.turns = self.first
        self.result: str | UnreadableError = UnreadableError("rewrite: no_answer", "the model has not answered")
        self.is_open = True

    def take(self, answer: Answer | None, judge: Judge) -> bool:
        """Judge an answer; whether it is accepted. A request without an answer ends the attempts of this run."""
        if answer is None:
            self.is_open = False
            self.result = UnreadableError("rewrite: no_answer", "an answer is missing; the same command asks for it")
            return False
        try:
            if answer.truncated:
                raise UnreadableError("rewrite: truncated", "the rewrite reached the limit of tokens")
            self.result = judge.accept(self.original, answer.text)
        except UnreadableError as error:
            self.result = error
            again = _AGAIN.format(reason=str(error))
            told: list[Message] = [
                {"role": "assistant", "content": answer.text},
                {"role": "user", "content": again},
            ]
            self.turns = self.first if answer.truncated else [*self.first, *told]
            return False
        self.is_open = False
        return True


class ModelRewriter:
    """Rewrites solutions (`solutions.compress.Rewriter`)."""

    def __init__(
        self,
        config: SampleConfig,
        source: AnswerSource,
        cache: Cache,
        judge: Judge,
        *,
        attempts: int,
        budget: int = 0,
        on_progress: Callable[[Tally], None] | None = None,
    ) -> None:
        """`config` has one sample: an attempt is a sample of its own. `attempts` are for each solution. Nothing more is
        asked when `budget` tokens were generated, those in the cache included (0: no limit)."""
        self._config, self._source, self._cache, self._judge = config, source, cache, judge
        self._attempts, self._budget, self._on_progress = attempts, budget, on_progress
        self.tally = Tally()

    def __call__(self, method: Rewrite, found: Sequence[ReadSolution]) -> list[str | UnreadableError]:
        prompt = read_prompt(method.prompt)
        drafts = [_Draft(self._judge.original(read), prompt) for read in found]
        self.tally.solutions += len(drafts)
        for attempt in range(self._attempts):
            waiting = [draft for draft in drafts if draft.is_open]
            asks = [Ask(self._config.key(draft.turns, attempt), draft.turns, attempt) for draft in waiting]
            self._ask(asks)
            for draft, ask in zip(waiting, asks, strict=True):
                answer = self._cache.get(ask.key)
                if draft.take(answer, self._judge):
                    self.tally.accepted[attempt + 1] += 1
                elif answer is not None and isinstance(draft.result, UnreadableError):
                    self.tally.refused[draft.result.reason] += 1
        return [draft.result for draft in drafts]

    def _ask(self, asks: list[Ask]) -> None:
        """Ask for the answers that the cache does not have."""
        wanted = list({ask.key: ask for ask in asks}.values())
        for ask in wanted:
            if known := self._cache.get(ask.key):
                self._count(known)
        for found in self._source.answers(self._groups(wanted), self._is_spent):
            if isinstance(found, Failed):
                self.tally.failed[found.reason] += 1
            elif found[0].key not in self._cache:
                self._cache.put(found[0].key, found[1])
                self._count(found[1])

    def _groups(self, wanted: list[Ask]) -> Iterator[list[Ask]]:
        """Groups of the asks, without those whose answers are all there."""
        left = iter(wanted)
        while group := list(islice(left, self._source.questions_at_once)):
            if not all(ask.key in self._cache for ask in group):
                yield group

    def _is_spent(self) -> bool:
        return bool(self._budget) and self.tally.tokens >= self._budget

    def _count(self, answer: Answer) -> None:
        self.tally.answers += 1
        self.tally.tokens += answer.tokens
        self.tally.estimated += answer.estimated
        if self._on_progress:
            self._on_progress(self.tally)
