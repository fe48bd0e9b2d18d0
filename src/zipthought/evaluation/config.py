"""What an evaluation is told. No torch here: the command line reads these classes to build its help."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.orders import ORDERS
from ..surfaces import SURFACES
from ..tasks.sampling import SamplerConfig
from ..tasks.splits import SPLITS


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingConfig:
    """How completions are made."""

    samples: int = 1
    """Completions of each problem."""
    temperature: float = 0.0
    """0 is greedy; more than one sample needs more."""
    seed: int = 0
    """Of the samples, at least 0; of no matter when greedy."""
    max_new_tokens: int | None = None
    """None: for each n_ops, 1.25 x the longest explicit gold completion in tokens (end of sequence included), over its
    problems and `orders`, + 16."""
    orders: tuple[str, ...] = ()
    """Orders in which the rule above writes the gold completions; none named: all that a problem has."""
    batch_size: int = 256
    """Most completions at once."""

    def __post_init__(self) -> None:
        if self.samples < 1 or self.batch_size < 1:
            raise ValueError(f"samples and batch_size must be at least 1, got {self.samples} and {self.batch_size}")
        if self.temperature < 0 or self.seed < 0:
            raise ValueError(f"temperature and seed must not be negative, got {self.temperature} and {self.seed}")
        if self.samples > 1 and not self.temperature:
            raise ValueError(f"{self.samples} greedy samples are all the same; set a temperature above 0 or samples=1")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        for order in self.orders:
            ORDERS.find(order)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """Which problems, and how completions are made."""

    split: str = "test"
    """`train`, `validation` or `test`."""
    n_ops: tuple[int, ...] = (2, 4, 6, 8)
    """Operations, each evaluated apart."""
    count: int = 200
    """Problems of each n_ops, of distinct structures; fewer where there are not so many (see `distinct_problems`)."""
    seed: int = 0
    """Of the problems and, with n_ops, of the samples; at least 0."""
    offset: int = 0
    """The index of the first item that is looked at."""
    surface: str = "auto"
    """`english`, `terse`, or `auto`: `terse` for a tokenizer without the words of `english`."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    task: str = "chain"
    """`chain`, or `tree` with its settings, as in `tree:width=3,depth=2`."""
    samples: int = 1
    """Completions of each problem."""
    temperature: float = 0.0
    """0 is greedy; more than one sample needs more."""
    max_new_tokens: int | None = None
    """None: the rule of `DecodingConfig`."""
    orders: tuple[str, ...] = ()
    """Orders that the rule provides for; none named: all that the task has."""
    batch_size: int = 256
    """Most completions at once."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"unknown split {self.split!r}; use {', '.join(SPLITS)}")
        if not self.n_ops or len(set(self.n_ops)) < len(self.n_ops):
            raise ValueError(f"n_ops must be one or more numbers, each once, got {self.n_ops}")
        if self.count < 1 or self.offset < 0:
            raise ValueError(f"count must be at least 1 and offset at least 0, got {self.count} and {self.offset}")
        if self.surface not in ("auto", *SURFACES):
            raise ValueError(f"unknown surface {self.surface!r}; use auto, {', '.join(SURFACES)}")
        for n in self.n_ops:
            self.sampler(n)
        self.decoding()

    def sampler(self, n_ops: int) -> SamplerConfig:
        """Where the problems of one n_ops come from. Raises `ValueError` as `SamplerConfig` does."""
        return SamplerConfig(
            n_ops=n_ops,
            seed=self.seed,
            task=self.task,
            modulus=self.modulus,
            number_range=self.number_range,
        )

    def decoding(self) -> DecodingConfig:
        """How completions are made."""
        return DecodingConfig(
            samples=self.samples,
            temperature=self.temperature,
            seed=self.seed,
            max_new_tokens=self.max_new_tokens,
            orders=self.orders,
            batch_size=self.batch_size,
        )
