"""The problems that RLVR trains on: drawn from the sampler, or the records of a file.

Both are a pure function of the step, so that a resumed run asks what the undisturbed one would have asked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..core.problem import Problem
from ..records.chat import Message, completion_ids, prompt_ids, prompt_messages, surface_of, token_budget
from ..records.reading import BadLine, read_records
from ..surfaces import get_surface
from ..tasks.sampling import SamplerConfig, sample_batch
from .config import RLVRConfig


def structures_of(path: Path) -> set[str]:
    """The structures of a file of records. Raises `OSError` and `ValueError` as `read_records` does."""
    return {r["structure"] for r in read_records(path) if not isinstance(r, BadLine) and r.get("structure")}


def seen_in_training(model: str) -> tuple[set[str], list[Path]]:
    """The structures that a model saw in our SFT, and what is not there any more to tell: files of it, or a model.

    A directory that `train sft` or `train rlvr` wrote names its data and the model that it went on from.
    """
    seen: set[str] = set()
    missing = []
    visited: set[Path] = set()
    while (card := (Path(model) / "run.json").resolve()).is_file() and card not in visited:
        visited.add(card)
        run = json.loads(card.read_text(encoding="utf-8"))
        if run.get("data"):
            data = Path(run["data"])
            if data.is_file():
                seen |= structures_of(data)
            else:
                missing.append(data)
        model = run["base"]
    if Path(model).is_absolute() and not Path(model).is_dir():
        missing.append(Path(model))
    return seen, missing


_REDRAWS = 50
"""Draws of a problem whose structure is excluded, at most."""


@dataclass(frozen=True, slots=True)
class Task:
    """One problem to answer."""

    record: Mapping[str, Any]
    """What the reward is told of it: `prompt`, `surface`, `modulus`, `answer`."""
    turns: list[Message]
    """The messages before the answer."""
    ids: list[int]
    """Their tokens."""


def _task(tokenizer: PreTrainedTokenizerBase, record: Mapping[str, Any], turns: list[Message]) -> Task:
    return Task(record, turns, prompt_ids(tokenizer, turns))


class Tasks(Protocol):
    """``tasks(step)``: the problems of a step, and the most tokens that an answer may have."""

    def __call__(self, step: int) -> tuple[list[Task], int]: ...


class SampledTasks:
    """Problems of the train split that no step repeats, of structures that are not `excluded`.

    Raises `ValueError` at a step for which no such structure is found.
    """

    def __init__(
        self, config: RLVRConfig, tokenizer: PreTrainedTokenizerBase, excluded: Collection[str] = frozenset()
    ) -> None:
        self._config, self._tokenizer, self._excluded = config, tokenizer, frozenset(excluded)
        self.surface = surface_of(tokenizer) if config.surface == "auto" else config.surface
        self._render = get_surface(self.surface).render_problem
        # Far below zero, so that neither `generate` with a usual seed nor pretraining draws the same items.
        self._samplers = {
            n: SamplerConfig(
                n_ops=n, seed=-(1 << 32) - config.seed, modulus=config.modulus, number_range=config.number_range
            )
            for n in config.n_ops
        }

    @cached_property
    def _budget(self) -> int:
        """One limit for the whole run, from the problems of its first step."""
        problems = self._draw(0)[1]
        return self._config.max_new_tokens or token_budget(self._tokenizer, ((p, self.surface) for p in problems))

    def __call__(self, step: int) -> tuple[list[Task], int]:
        return self._draw(step)[0], self._budget

    def _draw(self, step: int) -> tuple[list[Task], list[Problem]]:
        c = self._config
        first = step * c.prompts_per_step
        pending = {place: first + place for place in range(c.prompts_per_step)}
        found: dict[int, tuple[Task, Problem]] = {}
        for _ in range(_REDRAWS):
            for n, sampler in self._samplers.items():
                places = [place for place in pending if c.n_ops[(first + place) % len(c.n_ops)] == n]
                batch = sample_batch(sampler, c.split, [pending[place] for place in places])
                for row, (place, structure) in enumerate(zip(places, batch.structure, strict=True)):
                    if structure not in self._excluded:
                        found[place] = self._task(batch.problem(row))
                        del pending[place]
            if not pending:
                break
            pending = {place: index + (1 << 40) for place, index in pending.items()}
        else:
            raise ValueError(
                f"no structure of n_ops {', '.join(map(str, c.n_ops))} is left that SFT has not seen; raise n_ops"
            )
        tasks, problems = zip(*(found[place] for place in range(c.prompts_per_step)), strict=True)
        return list(tasks), list(problems)

    def _task(self, problem: Problem) -> tuple[Task, Problem]:
        prompt = self._render(problem)
        record = {
            "prompt": prompt,
            "surface": self.surface,
            "modulus": problem.modulus,
            "answer": str(problem.answer),
            "n_ops": problem.n_ops,
        }
        turns = prompt_messages(prompt, problem.modulus, self.surface)
        return _task(self._tokenizer, record, turns), problem


class RecordTasks:
    """The problems of records, each once an epoch, in an order that the seed decides.

    Raises `ValueError` where there are none, and for a record without `messages`.
    """

    def __init__(
        self, config: RLVRConfig, tokenizer: PreTrainedTokenizerBase, records: Sequence[Mapping[str, Any]]
    ) -> None:
        if not records:
            raise ValueError("there are no problems to train on")
        self._config = config
        self._tasks, longest = [], 0
        for place, record in enumerate(records, 1):
            turns = record.get("messages") or []
            if turns and turns[-1]["role"] == "assistant":
                turns = turns[:-1]
            if not turns:
                raise ValueError(f"record {place}: it needs messages of {{role, content}} before the assistant's")
            self._tasks.append(_task(tokenizer, record, turns))
            longest = max(longest, len(completion_ids(tokenizer, record.get("completion") or "")))
        self._budget = config.max_new_tokens or longest * 5 // 4 + 16
        self._order = lru_cache(maxsize=2)(self._make_order)

    def _make_order(self, epoch: int) -> list[int]:
        return np.random.default_rng([self._config.seed, epoch]).permutation(len(self._tasks)).tolist()

    def __call__(self, step: int) -> tuple[list[Task], int]:
        count = self._config.prompts_per_step
        places = (divmod(i, len(self._tasks)) for i in range(step * count, (step + 1) * count))
        return [self._tasks[self._order(epoch)[place]] for epoch, place in places], self._budget
