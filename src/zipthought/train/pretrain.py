"""Pretraining of the tiny base: single facts, look-ups, walks and short chains in `terse`, never repeated.

The base learns the language of the task and exact single operations. It learns no compressed format, so that all
compression comes from post-training. With a `granularity` mix such as `1 0.75 2 0.25`, each step of a chain covers one
or two operations with these probabilities; such a base is less tied to explicit steps.

    zipthought pretrain --output-dir base      # the first run of the bundled base; `make base` has all runs
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.arithmetic import BinOp, Expr, evaluate
from ..core.orders import settle
from ..core.problem import Problem
from ..core.trace import Trace, solve
from ..models.loading import existing_device, load
from ..models.tiny import build_tiny, grow, tiny_config
from ..models.tokenizer import MAX_NUMBER, build_tokenizer
from ..records.chat import completion_ids, prompt_ids, prompt_messages
from ..surfaces import terse
from ..surfaces.expressions import write
from ..tasks.names import nouns
from ..tasks.sampling import SamplerConfig, sample_batch
from ..tasks.splits import split_of
from .batches import Example, TokenBatch, collate, spread_positions
from .config import PretrainConfig
from .loop import LoopResult, fingerprint, next_token, train_loop
from .primitives import Primitives


def mixed_trace(problem: Problem, granularity: Sequence[tuple[int, float]], rng: np.random.Generator) -> Trace:
    """A forward trace of a chain whose operations per step are drawn from `granularity`."""
    end, ends = 0, []
    while end < problem.n_ops:
        end = min(problem.n_ops, end + _draw(granularity, rng))
        ends.append(problem.order[end])
    return Trace(settle(problem, ends), str(problem.answer), problem=problem)


def _draw(mix: Sequence[tuple[int, float]], rng: np.random.Generator) -> int:
    """A number drawn from (number, probability) pairs. A single pair uses no randomness."""
    numbers, weights = zip(*mix, strict=True)
    return numbers[0] if len(numbers) == 1 else int(rng.choice(numbers, p=weights))


class PretrainStream:
    """``stream(step)``: the batch of an update, a pure function of (config, step).

    A window of `WINDOW` updates is built at once and sorted by length, which keeps padding low.
    """

    WINDOW = 32

    def __init__(self, config: PretrainConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        if config.modulus > MAX_NUMBER:
            raise ValueError(
                f"modulus must be at most {MAX_NUMBER}, got {config.modulus}; greater residues have no token"
            )
        self._config, self._tokenizer = config, tokenizer
        self._sizes, self._weights = zip(*config.n_ops, strict=True)
        vocabulary = tokenizer.get_vocab()
        self._encode = lambda text: [vocabulary[word] for word in text.split()]
        self._head = prompt_ids(tokenizer, prompt_messages("", config.modulus, "terse"))
        self._tail = completion_ids(tokenizer, "")
        self._stop = vocabulary["."]
        self._window = lru_cache(maxsize=2)(self._build_window)

    def _example(self, prompt: str, completion: str) -> Example:
        before = self._head + self._encode(prompt)
        return Example(before + self._encode(completion) + self._tail, len(before))

    def _first_step(self, example: Example) -> Example:
        """The example cut after its first step."""
        end = example.ids.index(self._stop, example.prompt_length) + 1
        return Example(example.ids[:end], example.prompt_length)

    def _fact(self, rng: np.random.Generator) -> tuple[str, str]:
        c = self._config
        fact: Expr = -1
        for i in range(_draw(c.fact_ops, rng)):
            op = "+-*"[rng.integers(3)]
            left = int(rng.integers(c.modulus)) if i == 0 else fact
            fact = BinOp(op, left, int(rng.integers(1 + (op == "*"), c.number_range)))
        prompt = " ".join(write(fact, str))
        return prompt, f"{prompt} = {evaluate(fact, {}, c.modulus)} ."

    def _lookup(self, rng: np.random.Generator) -> tuple[str, str]:
        c = self._config
        count = int(rng.integers(2, 2 + max(c.n_ops)[0]))
        names = [nouns()[i] for i in rng.choice(len(nouns()), size=count, replace=False)]
        values = rng.integers(c.modulus, size=count).tolist()
        target = names[int(rng.integers(count))]
        problem = Problem(c.modulus, dict(zip(names, values, strict=True)), target)
        return terse.render_problem(problem), terse.render(solve(problem))

    def _walk(self, rng: np.random.Generator) -> tuple[str, str]:
        while True:
            problem, start = self._draw_walk(rng)
            if split_of(problem.structure) == "train":
                break
        prompt = terse.render_problem(Problem(problem.modulus, problem.definitions, start))
        return prompt, terse.render(mixed_trace(problem, self._config.granularity, rng))

    def _draw_walk(self, rng: np.random.Generator) -> tuple[Problem, str]:
        """A problem with several chains whose target is the end of one, and the start of that chain."""
        c = self._config
        lengths = rng.choice(self._sizes, p=self._weights, size=int(rng.integers(2, 4))).tolist()
        names = iter(rng.choice(len(nouns()), size=sum(lengths) + len(lengths), replace=False).tolist())
        sentences: dict[str, Expr] = {}
        ends: list[tuple[str, str]] = []
        for length in lengths:
            start = end = nouns()[next(names)]
            sentences[start] = int(rng.integers(c.modulus))
            for _ in range(length):
                op, before, end = "+-*"[rng.integers(3)], end, nouns()[next(names)]
                sentences[end] = BinOp(op, before, int(rng.integers(1 + (op == "*"), c.number_range)))
            ends.append((start, end))
        shuffled = {name: sentences[name] for name in rng.permutation(list(sentences)).tolist()}
        start, end = ends[rng.integers(len(ends))]
        return Problem(c.modulus, shuffled, end), start

    def _build_window(self, window: int) -> list[list[Example]]:
        size = self._config.batch_size
        rng = np.random.default_rng([self._config.seed, window])
        examples = sorted(self._draw(window, rng), key=lambda e: len(e.ids))
        batches = [examples[i : i + size] for i in range(0, len(examples), size)]
        return [batches[i] for i in rng.permutation(len(batches))]

    def _draw(self, window: int, rng: np.random.Generator) -> list[Example]:
        """The examples of a window."""
        c = self._config
        count = self.WINDOW * c.batch_size
        *others, starts, chains = rng.multinomial(count, [c.facts, c.lookups, c.walks, c.starts, c.chains])
        lengths = rng.multinomial(starts + chains, self._weights)
        first_step_only = iter(rng.permutation(starts + chains) < starts)
        examples = [
            self._example(*draw(rng))
            for draw, number in zip((self._fact, self._lookup, self._walk), others, strict=True)
            for _ in range(number)
        ]
        sampler_seed = -1 - c.seed  # Studies use seeds of at least 0 and draw other items.
        for n_ops, number in zip(self._sizes, lengths.tolist(), strict=True):
            sampler = SamplerConfig(n_ops=n_ops, seed=sampler_seed, modulus=c.modulus, number_range=c.number_range)
            batch = sample_batch(sampler, "train", range(window * count, window * count + number))
            for row in range(number):
                problem = batch.problem(row)
                trace = mixed_trace(problem, c.granularity, rng)
                example = self._example(terse.render_problem(problem), terse.render(trace))
                examples.append(self._first_step(example) if next(first_step_only) else example)
        return examples

    def __call__(self, step: int) -> TokenBatch:
        window, index = divmod(step, self.WINDOW)
        return collate(self._window(window)[index], self._tokenizer.pad_token_id)


class PrimitiveStream(PretrainStream):
    """``stream(step)`` of a neutral base: primitives in their shares, a pure function of (config, step)."""

    def __init__(self, config: PretrainConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(config, tokenizer)
        self._names, self._shares = zip(*config.primitives, strict=True)
        self._primitives = Primitives.of(config)

    def _draw(self, window: int, rng: np.random.Generator) -> list[Example]:
        counts = rng.multinomial(self.WINDOW * self._config.batch_size, self._shares)
        return [
            self._example(*self._primitives.draw(name, rng))
            for name, count in zip(self._names, counts.tolist(), strict=True)
            for _ in range(count)
        ]

    def __call__(self, step: int) -> TokenBatch:
        window, index = divmod(step, self.WINDOW)
        examples, limit = self._window(window)[index], self._config.positions
        if not limit:
            return collate(examples, self._tokenizer.pad_token_id)
        rng = np.random.default_rng([self._config.seed, step, limit])
        spread = [
            spread_positions(e.ids, frozenset({self._stop}), limit if i % 2 else 0, rng) for i, e in enumerate(examples)
        ]
        return collate(examples, self._tokenizer.pad_token_id, spread)


def pretrain(
    config: PretrainConfig,
    *,
    device: str = "cpu",
    directory: Path | None = None,
    resume: bool = False,
    on_step: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, LoopResult]:
    """Train a tiny model by the recipe in float32, from fresh weights or from `init`, on a device as in `load`. It
    comes back on the CPU. The other arguments are those of `train_loop`."""
    tokenizer = build_tokenizer()
    stream = PrimitiveStream if config.primitives else PretrainStream
    if config.init:
        model, _ = load(config.init, "cpu")
        if config.grow:
            model = grow(model, config.grow, config.seed)
    else:
        special = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
        model = build_tiny(tiny_config(config.family, config.size, len(tokenizer), *special), config.seed)
    torch.nn.Module.to(model, existing_device(device))
    result = train_loop(
        model,
        next_token(model, stream(config, tokenizer), precision="float32"),
        config.steps,
        config.optimizer,
        directory=directory,
        resume=resume,
        checkpoint_every=250 if directory else 0,
        identity={
            **json.loads(json.dumps(asdict(config))),
            "weights": fingerprint(model),
            "threads": torch.get_num_threads(),
            "device": str(model.device),
        },
        on_step=on_step,
    )
    torch.nn.Module.to(model, "cpu")
    return model, tokenizer, result
