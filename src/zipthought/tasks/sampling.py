"""The sampler: item i of (configuration, seed, split) is a pure function of those values.

The split of an item follows from its structure (`splits.split_of`): an item whose structure belongs to another split
is drawn again with the next attempt number.

    sample(n_ops=6, seed=0)                                        # one Problem
    sample_batch(SamplerConfig(n_ops=6), "train", range(1000))     # arrays, for speed

Shapes: B items, Q quantities that the target depends on, D the most distractors of an item.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.arithmetic import OPERATORS
from ..core.problem import Problem
from . import Task, parse_task
from .base import Skeletons
from .draws import Draws
from .names import N_ALIASES, alias_table, nouns
from .splits import SPLITS, in_split

MAX_ATTEMPTS = 400
"""Draws of one item before its split counts as empty; at a 10% split, 0.9**400 is 5e-19."""
MAX_RANGE = 10**9
"""The largest number_range: a draw has 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerConfig:
    """Which problems to draw."""

    n_ops: int
    """Operations from the start to the target, at least 1."""
    seed: int = 0
    """Any integer; neighbouring seeds share nothing."""
    task: str = "chain"
    """`chain`, or `tree` (two earlier quantities may be combined) with its settings, as in `tree:width=3,depth=2`."""
    modulus: int = 23
    """Residues are 0..modulus-1; at least 2."""
    number_range: int = 5
    """Constants are 1..number_range-1; those of `*` are 2..number_range-1."""
    operators: str = "+-*"
    """Which operators occur."""

    def __post_init__(self) -> None:
        if self.n_ops < 1:
            raise ValueError(f"n_ops must be at least 1, got {self.n_ops}")
        if self.modulus < 2:
            raise ValueError(f"modulus must be at least 2, got {self.modulus}")
        if not self.operators or set(self.operators) - set(OPERATORS) or len(set(self.operators)) < len(self.operators):
            raise ValueError(f"operators must be some of '+-*', each once, got {self.operators!r}")
        if self.number_range > MAX_RANGE:
            raise ValueError(f"number_range must be at most {MAX_RANGE}, got {self.number_range}")
        if self.number_range < 2:
            raise ValueError(f"number_range must be at least 2, got {self.number_range}: no constant fits")
        if self.number_range < 3 and "*" in self.operators:
            raise ValueError(
                f"number_range must be at least 3 with the operator '*' (its constants are 2..number_range-1), "
                f"got {self.number_range}; raise it or leave '*' out of the operators"
            )
        self.space.check(self)
        if self.max_names > len(nouns()) or self.n_quantities > N_ALIASES:
            quantities = self.space.n_quantities
            fitting = (n for n in range(self.n_ops, 0, -1) if quantities(n) <= N_ALIASES)
            most = next((n for n in fitting if quantities(n) + max(2, n) <= len(nouns())), 0)
            raise ValueError(
                f"n_ops={self.n_ops} needs {self.n_quantities} aliases of {N_ALIASES} and up to {self.max_names} names "
                f"of {len(nouns())}; use at most {most} operations with the task {self.task!r}"
            )

    @property
    def space(self) -> Task:
        """The task with its settings."""
        return parse_task(self.task)

    @property
    def max_distractors(self) -> int:
        """D: the number of distractors is uniform in 1..D."""
        return max(2, self.n_ops)

    @property
    def n_quantities(self) -> int:
        """Q: quantities that the target depends on, itself included."""
        return self.space.n_quantities(self.n_ops)

    @property
    def max_names(self) -> int:
        """The most names that a problem can need."""
        return self.n_quantities + self.max_distractors

    def key(self, split: str) -> np.uint64:
        """64 bits that name (configuration, seed, split)."""
        space = self.space
        parts = [space.NAME, self.seed, split, self.n_ops, self.modulus, self.number_range, self.operators]
        digest = hashlib.sha256("|".join(map(str, [*parts, *space.key()])).encode()).digest()
        return np.uint64(int.from_bytes(digest[:8], "big"))


class _Dressing(NamedTuple):
    """What is drawn around an item's structure, as in `ProblemBatch`."""

    distractors: np.ndarray
    distractor_constant: np.ndarray
    name: np.ndarray
    alias: np.ndarray
    sentence: np.ndarray


@dataclass(frozen=True, slots=True)
class ProblemBatch:
    """B items as arrays."""

    config: SamplerConfig
    index: np.ndarray
    """(B,)"""
    op: np.ndarray
    """(B, Q) as in `Skeletons`."""
    left: np.ndarray
    """(B, Q) as in `Skeletons`."""
    right: np.ndarray
    """(B, Q) as in `Skeletons`."""
    constant: np.ndarray
    """(B, Q) as in `Skeletons`."""
    distractors: np.ndarray
    """(B,) how many distractors."""
    distractor_constant: np.ndarray
    """(B, D)"""
    name: np.ndarray
    """(B, Q + D) index in `nouns()`: quantities, then distractors."""
    alias: np.ndarray
    """(B, Q) index in `alias_table()`."""
    sentence: np.ndarray
    """(B, Q + D) the order of the sentences; only the first Q + distractors of a row count."""
    digest: np.ndarray
    """(B, 32) uint8, sha256 of each item's structure."""

    @property
    def structure(self) -> tuple[str, ...]:
        """(B,) the digests in 64 hex digits."""
        digits = self.digest.tobytes().hex()
        return tuple([digits[i : i + 64] for i in range(0, len(digits), 64)])

    def problem(self, row: int) -> Problem:
        """Row `row` as a Problem."""
        table = nouns()
        names = [table[i] for i in self.name[row].tolist()]
        skeletons = Skeletons(self.op, self.left, self.right, self.constant)
        definitions = skeletons.definitions(row, self.config.operators, names)
        quantities = len(definitions)
        definitions += self.distractor_constant[row].tolist()
        sentences = self.sentence[row, : quantities + int(self.distractors[row])].tolist()
        return Problem(self.config.modulus, {names[j]: definitions[j] for j in sentences}, names[quantities - 1])

    def aliases(self, row: int) -> dict[str, str]:
        """Name -> alias of the quantities of row `row` that the target depends on."""
        table, names = alias_table(), nouns()
        return {names[n]: table[a] for n, a in zip(self.name[row].tolist(), self.alias[row].tolist(), strict=False)}


def _dress(config: SamplerConfig, draws: Draws) -> _Dressing:
    quantities, most = config.n_quantities, config.max_distractors
    distractors = draws.integers("distractor_count", 1, 1, most + 1)[:, 0]
    shuffle = draws.bits("shuffle", quantities + most)
    unused = np.arange(quantities + most)[None, :] >= (quantities + distractors)[:, None]
    shuffle[unused] = np.iinfo(np.uint64).max  # Sorted to the end, where their order does not count.
    return _Dressing(
        distractors=distractors,
        distractor_constant=draws.integers("distractor", most, 1, config.number_range),
        name=draws.distinct("name", quantities + most, len(nouns())),
        alias=draws.distinct("alias", quantities, N_ALIASES),
        sentence=np.argsort(shuffle, axis=1),
    )


def sample_batch(config: SamplerConfig, split: str, indices: Sequence[int] | Iterable[int]) -> ProblemBatch:
    """The items of `split` with these indices.

    Raises `ValueError` for an unknown split, for an index out of range, and for a split that has no structures (as far
    as `MAX_ATTEMPTS` draws can tell).
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; use {', '.join(SPLITS)}")
    requested = list(indices)
    if requested and not 0 <= min(requested) <= max(requested) < 1 << 62:
        raise ValueError(f"an index must be at least 0 and below 2**62, got {min(requested)}..{max(requested)}")
    index = np.asarray(requested, dtype=np.int64)
    key, space = config.key(split), config.space

    def attempt_at(rows: np.ndarray, attempt: int) -> tuple[Skeletons, np.ndarray, np.ndarray]:
        """Skeletons of some items, their digests, and which of them are accepted."""
        skeletons = space.skeletons(config, Draws(key, index[rows], attempt))
        digests = space.digests(config, skeletons)
        return skeletons, digests, in_split(digests, split) & space.accepted(config, skeletons)

    skeletons, digests, accepted = attempt_at(np.arange(len(index)), 0)
    digests = digests.copy()
    pending = np.flatnonzero(~accepted)
    for attempt in range(1, MAX_ATTEMPTS):
        if not len(pending):
            break
        again, new_digests, accepted = attempt_at(pending, attempt)
        rows = pending[accepted]
        for whole, part in zip((*skeletons, digests), (*again, new_digests), strict=True):
            whole[rows] = part[accepted]
        pending = pending[~accepted]
    if len(pending):
        raise ValueError(
            f"no structure of split {split!r} found in {MAX_ATTEMPTS} draws with n_ops={config.n_ops}, modulus="
            f"{config.modulus}, number_range={config.number_range}, task={config.task}: the space is too small; raise "
            "n_ops or number_range, or loosen the task's settings"
        )
    batch = ProblemBatch(
        config=config,
        index=index,
        digest=digests,
        **skeletons._asdict(),
        **_dress(config, Draws(key, index, MAX_ATTEMPTS))._asdict(),
    )
    if len(index) and (found := batch.problem(0).n_ops) != config.n_ops:
        raise ValueError(f"the task {config.task!r} drew a problem of {found} operations for n_ops={config.n_ops}")
    return batch


def sample(config: SamplerConfig | None = None, split: str = "train", index: int = 0, **settings: object) -> Problem:
    """Item `index` of (seed, split, n_ops) as a Problem: ``sample(n_ops=6, seed=0, split="test", index=3)``."""
    config = config or SamplerConfig(**settings)  # type: ignore[arg-type]
    return sample_batch(config, split, [index]).problem(0)
