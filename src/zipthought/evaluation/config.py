"""Settings of an evaluation. This module does not import torch: the command line builds its help from these classes."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.orders import ORDERS
from ..surfaces import SURFACES
from ..tasks import parse_task
from ..tasks.sampling import SamplerConfig
from ..tasks.splits import SPLITS


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingConfig:
    """How completions are generated."""

    samples: int = 1
    """Completions of each problem."""
    temperature: float = 0.0
    """0 is greedy. More than one sample requires a temperature above 0."""
    seed: int = 0
    """Seed of the samples, at least 0. Greedy decoding ignores it."""
    max_new_tokens: int | None = None
    """Limit of generated tokens. None: for each n_ops, 1.25 times the longest explicit gold completion (in tokens, end
    of sequence included, over all problems and `orders`), plus 16."""
    orders: tuple[str, ...] = ()
    """Orders of the gold completions in the rule above. Empty: every order that a problem has."""
    batch_size: int = 256
    """Maximal number of completions in one batch."""

    def __post_init__(self) -> None:
        if self.samples < 1 or self.batch_size < 1:
            raise ValueError(f"samples and batch_size must be at least 1, got {self.samples} and {self.batch_size}")
        if self.temperature < 0 or self.seed < 0:
            raise ValueError(f"temperature and seed must not be negative, got {self.temperature} and {self.seed}")
        if self.samples > 1 and not self.temperature:
            raise ValueError(f"{self.samples} greedy samples are all the same; set a temperature above 0, or samples=1")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        for order in self.orders:
            ORDERS.find(order)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """Which problems are evaluated, and how completions are generated."""

    split: str = "test"
    """`train`, `validation` or `test`."""
    n_ops: tuple[int, ...] = (2, 4, 6, 8)
    """Numbers of operations. Each is evaluated separately."""
    count: int = 200
    """Problems of each n_ops, all of distinct structures. Small n_ops may have fewer (see `distinct_problems`)."""
    seed: int = 0
    """Seed of the problems and of the samples, at least 0."""
    offset: int = 0
    """Index of the first item."""
    surface: str = "auto"
    """`english`, `terse`, or `auto`: `terse` for a tokenizer without the words of `english`."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    task: str = "chain"
    """Task with its parameters: `chain`, or `tree:width=3,depth=2`."""
    samples: int = 1
    """Completions of each problem."""
    temperature: float = 0.0
    """0 is greedy. More than one sample requires a temperature above 0."""
    max_new_tokens: int | None = None
    """Limit of generated tokens. None: the rule of `DecodingConfig`."""
    orders: tuple[str, ...] = ()
    """Orders of the gold completions in that rule. Empty: every order of the task."""
    batch_size: int = 256
    """Maximal number of completions in one batch."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"unknown split {self.split!r}; use {', '.join(SPLITS)}")
        if not self.n_ops or len(set(self.n_ops)) < len(self.n_ops):
            raise ValueError(f"n_ops must hold at least one number, each once, got {self.n_ops}")
        if self.count < 1 or self.offset < 0:
            raise ValueError(f"count must be at least 1 and offset at least 0, got {self.count} and {self.offset}")
        if self.surface != "auto" and self.surface not in SURFACES:
            raise ValueError(f"unknown surface {self.surface!r}; use auto, {', '.join(SURFACES)}")
        for n in self.n_ops:
            self.sampler(n)
        self.decoding()
        for order in self.orders:
            if order not in (usable := parse_task(self.task).orders):
                raise ValueError(f"task {self.task!r} has no order {order!r}; use {', '.join(usable)}")

    def sampler(self, n_ops: int) -> SamplerConfig:
        """The sampler of the problems of one n_ops. Raises `ValueError` as `SamplerConfig` does."""
        return SamplerConfig(
            n_ops=n_ops,
            seed=self.seed,
            task=self.task,
            modulus=self.modulus,
            number_range=self.number_range,
        )

    def decoding(self) -> DecodingConfig:
        """The part of the settings that `evaluate_items` needs."""
        return DecodingConfig(
            samples=self.samples,
            temperature=self.temperature,
            seed=self.seed,
            max_new_tokens=self.max_new_tokens,
            orders=self.orders,
            batch_size=self.batch_size,
        )
