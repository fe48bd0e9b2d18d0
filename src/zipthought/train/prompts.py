"""The prompts of RLVR: problems from the sampler, or the records of a file.

Both sources are a pure function of the step, so a resumed run uses the same prompts as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..core.problem import Problem
from ..core.verify import Verdict
from ..records.chat import Message, completion_ids, prompt_ids, prompt_messages, surface_of, token_budget
from ..records.reading import problem_of
from ..surfaces import SURFACES, get_surface, verify
from ..tasks.sampling import SamplerConfig, sample_batch
from .config import RLVRConfig
from .held_out import naming_record, numbered_training_records, require_text, turns_of
from .rewards import verdict_or_none

_REDRAWS = 50
"""At most this many draws of a prompt whose structure is excluded."""


@dataclass(frozen=True, slots=True)
class RolloutPrompt:
    """A prompt, and what its completions are verified against."""

    record: Mapping[str, Any]
    """The record for rewards of the user: at least `prompt`, `surface`, `modulus` and `answer`."""
    turns: list[Message]
    """The messages before the answer."""
    ids: list[int]
    """Their tokens."""
    problem: Problem | None
    """None for a record of a real solution, and for one whose problem cannot be read."""

    def verify(self, completion: str) -> Verdict | None:
        """The verdict on a completion; None if the gold answer cannot be read."""
        if self.problem is None:
            return verdict_or_none(completion, self.record)
        return verify(completion, self.problem, self.record.get("surface"))


class PromptSource(Protocol):
    """``source(step)`` returns the prompts of a step, and the limit of tokens of their completions."""

    def __call__(self, step: int) -> tuple[list[RolloutPrompt], int]: ...


class SampledPrompts:
    """Problems of the train split, different ones at every step, without the `excluded` structures.

    A call raises `ValueError` if no other structure is found.
    """

    def __init__(
        self, config: RLVRConfig, tokenizer: PreTrainedTokenizerBase, excluded: Collection[str] = frozenset()
    ) -> None:
        self._config, self._tokenizer, self.excluded = config, tokenizer, frozenset(excluded)
        self.surface = surface_of(tokenizer) if config.surface == "auto" else config.surface
        self._render = get_surface(self.surface).render_problem
        # The seed is far below zero. Neither `generate` with usual seeds nor pretraining draws the same problems.
        self._samplers = {
            n: SamplerConfig(
                n_ops=n,
                seed=-(1 << 32) - config.seed,
                task=config.task,
                modulus=config.modulus,
                number_range=config.number_range,
            )
            for n in config.n_ops
        }

    @cached_property
    def _budget(self) -> int:
        """One limit of tokens for the whole run, from the problems of its first step."""
        if self._config.max_new_tokens:
            return self._config.max_new_tokens
        return token_budget(self._tokenizer, ((problem, self.surface) for problem in self._draw(0)))

    def __call__(self, step: int) -> tuple[list[RolloutPrompt], int]:
        return [self._prompt(problem) for problem in self._draw(step)], self._budget

    def _draw(self, step: int) -> list[Problem]:
        """The problems of a step. An excluded structure is replaced by an item with a far greater index."""
        c = self._config
        first = step * c.prompts_per_step
        pending = {slot: first + slot for slot in range(c.prompts_per_step)}
        drawn: dict[int, Problem] = {}
        for _ in range(_REDRAWS):
            for n, sampler in self._samplers.items():
                slots = [slot for slot in pending if c.n_ops[(first + slot) % len(c.n_ops)] == n]
                batch = sample_batch(sampler, c.split, [pending[slot] for slot in slots])
                for row, (slot, structure) in enumerate(zip(slots, batch.structure, strict=True)):
                    if structure not in self.excluded:
                        drawn[slot] = batch.problem(row)
                        del pending[slot]
            if not pending:
                return [drawn[slot] for slot in range(c.prompts_per_step)]
            pending = {slot: index + (1 << 40) for slot, index in pending.items()}
        raise ValueError(
            f"SFT used every structure that was drawn for n_ops {', '.join(map(str, c.n_ops))}; raise n_ops"
        )

    def _prompt(self, problem: Problem) -> RolloutPrompt:
        text = self._render(problem)
        record = {
            "prompt": text,
            "surface": self.surface,
            "modulus": problem.modulus,
            "answer": str(problem.answer),
            "n_ops": problem.n_ops,
        }
        turns = prompt_messages(text, problem.modulus, self.surface)
        return RolloutPrompt(record, turns, prompt_ids(self._tokenizer, turns), problem)


class RecordPrompts:
    """The prompts of records, each once an epoch, in an order that depends on the seed.

    Held-out records and `excluded` structures are dropped. Raises `ValueError` if no record is left,
    and `RecordError` for a record without `messages`, or with text that the tokenizer does not know.
    """

    def __init__(
        self,
        config: RLVRConfig,
        tokenizer: PreTrainedTokenizerBase,
        records: Sequence[Mapping[str, Any]],
        excluded: Collection[str] = frozenset(),
    ) -> None:
        numbered, self.held_out = numbered_training_records(records)
        fresh = [(number, record) for number, record in numbered if record.get("structure") not in excluded]
        if not fresh:
            raise ValueError(
                f"no problem is left to train on: the structures of all {len(numbered)} records were used in SFT or "
                "are excluded; use other records, or --repeat-sft-problems for those of SFT"
                if numbered
                else "there are no problems to train on"
            )
        self.used = len(numbered) - len(fresh)
        """Records dropped because of an excluded structure."""
        numbered = fresh
        self.records = [record for _, record in numbered]
        """The records that are trained on, in the order given."""
        self._prompts, longest = [], 0
        for number, record in numbered:
            with naming_record(number):
                self._prompts.append(_prompt_of_record(tokenizer, record))
                longest = max(longest, len(completion_ids(tokenizer, require_text(record, "completion") or "")))
        self._config = config
        self._budget = config.max_new_tokens or longest * 5 // 4 + 16
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> list[int]:
        return np.random.default_rng([self._config.seed, epoch]).permutation(len(self._prompts)).tolist()

    def __call__(self, step: int) -> tuple[list[RolloutPrompt], int]:
        count = self._config.prompts_per_step
        slots = (divmod(i, len(self._prompts)) for i in range(step * count, (step + 1) * count))
        return [self._prompts[self._order(epoch)[slot]] for epoch, slot in slots], self._budget


def _prompt_of_record(tokenizer: PreTrainedTokenizerBase, record: Mapping[str, Any]) -> RolloutPrompt:
    """The prompt of a record, whose problem is parsed here once. Raises `ValueError` if it has none."""
    turns = turns_of(record)
    if turns and turns[-1]["role"] == "assistant":
        turns = turns[:-1]
    if not turns:
        raise ValueError("a record needs messages of {role, content} before the assistant's")
    name = record.get("surface")
    if record.get("modulus") is not None and isinstance(name, str) and name not in SURFACES:
        raise ValueError(f"there is no surface {name!r}; is a plugin missing?")
    try:
        problem = problem_of(record)
    except ValueError:
        problem = None
    return RolloutPrompt(record, turns, prompt_ids(tokenizer, turns), problem)


__all__ = [
    "PromptSource",
    "RecordPrompts",
    "RolloutPrompt",
    "SampledPrompts",
]
