"""The sampler: item i of (seed, split, n_ops) is a pure function of those values.

Every draw is a hash of (configuration and seed, split, index, attempt, purpose, place), computed with numpy for many
items at once, so that an item made alone, in a batch or in another process is the same. The split of an item follows
from its `structure` (`splits.split_of`): structures of another split are drawn again with the next attempt number.

    sample(n_ops=6, seed=0)                                        # one Problem
    sample_batch(SamplerConfig(n_ops=6), "train", range(1000))     # arrays, for speed
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from ..core.arithmetic import OPERATORS, BinOp, Expr
from ..core.problem import Problem, structure_digest
from .splits import SPLITS, in_split

MAX_ATTEMPTS = 400
"""Draws of one item before its split counts as empty; at a 10% split, 0.9**400 is 5e-19."""

MAX_RANGE = 10**9
"""Of number_range: a draw has 32 bits."""
GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""Of SplitMix64 (Steele, Lea & Flood 2014)."""
_PURPOSES = ("start", "op", "constant", "distractor_count", "distractor", "name", "alias", "shuffle", "tree")
N_ALIASES = 26 * 26


@lru_cache
def nouns() -> tuple[str, ...]:
    """The names of quantities, plural nouns of our own choosing."""
    return tuple(resources.files("zipthought.tasks").joinpath("nouns.txt").read_text("ascii").split())


@lru_cache
def alias_table() -> tuple[str, ...]:
    """All pairs of upper-case letters."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return tuple(a + b for a in letters for b in letters)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerConfig:
    """What problems to draw."""

    n_ops: int
    """Operations from the start to the target, at least 1."""
    seed: int = 0
    """Any integer; neighbouring seeds share nothing."""
    task: str = "chain"
    """`chain`, or `tree` (two earlier quantities may be combined)."""
    modulus: int = 23
    """Residues are 0..modulus-1; at least 2."""
    number_range: int = 5
    """Constants are 1..number_range-1; those of `*` are 2..number_range-1."""
    operators: str = "+-*"
    """Which operators occur."""
    width: int = 3
    """Trees only: how many constants the tree starts from, 2..n_ops+1."""
    depth: int = 0
    """Trees only: the most operations on one path to the target, 1..n_ops; 0: as it comes."""

    def __post_init__(self) -> None:
        if self.n_ops < 1:
            raise ValueError(f"n_ops must be at least 1, got {self.n_ops}")
        if self.task not in ("chain", "tree"):
            raise ValueError(f"unknown task {self.task!r}; use chain or tree")
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
        if self.task == "tree" and not 2 <= self.width <= self.n_ops + 1:
            raise ValueError(f"width must be 2..n_ops+1 ({self.n_ops + 1}), got {self.width}")
        if not 0 <= self.depth <= (self.n_ops if self.task == "tree" else 0):
            raise ValueError(f"depth is of trees, 1..n_ops ({self.n_ops}) or 0 for any, got {self.depth}")
        fewer = f"use at most {(len(nouns()) - 1) // 2} operations" if self.task == "chain" else "lower n_ops or width"
        if self.max_names > len(nouns()):
            raise ValueError(
                f"n_ops={self.n_ops} can need {self.max_names} names and there are {len(nouns())}; {fewer}"
            )
        if self.n_quantities > N_ALIASES:
            raise ValueError(f"n_ops={self.n_ops} needs {self.n_quantities} aliases and there are {N_ALIASES}; {fewer}")

    @property
    def max_distractors(self) -> int:
        return max(2, self.n_ops)

    @property
    def n_quantities(self) -> int:
        """Quantities that the target depends on, itself included."""
        return self.n_ops + (1 if self.task == "chain" else self.width)

    @property
    def max_names(self) -> int:
        return self.n_quantities + self.max_distractors

    @property
    def chain_structures(self) -> int:
        """How many structures chains have, in all splits."""
        constants = sum(self.number_range - 1 - (op == "*") for op in self.operators)
        return (self.number_range - 1) * constants**self.n_ops

    def key(self, split: str) -> np.uint64:
        """64 bits that name (configuration, seed, split)."""
        parts = [self.task, self.seed, split, self.n_ops, self.modulus, self.number_range, self.operators]
        if self.task == "tree":
            parts += [self.width, self.depth] if self.depth else [self.width]
        digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
        return np.uint64(int.from_bytes(digest[:8], "big"))


def first_counter(purpose: str) -> np.uint64:
    """The counter of the first draw for a purpose; those of the next places follow."""
    return np.uint64(_PURPOSES.index(purpose) + 1) << np.uint64(32)


def _mix(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64, elementwise on uint64."""
    x = x ^ (x >> np.uint64(30))
    x *= MIX[0]
    x ^= x >> np.uint64(27)
    x *= MIX[1]
    x ^= x >> np.uint64(31)
    return x


class _Draws:
    """Counter-based draws for a batch of B items."""

    def __init__(self, key: np.uint64, index: np.ndarray, attempt: int) -> None:
        self._state = _mix(_mix(index.astype(np.uint64) * GAMMA + key) + np.uint64(attempt) * GAMMA)

    def bits(self, purpose: str, count: int) -> np.ndarray:
        """(B, count) uint64."""
        counter = np.arange(count, dtype=np.uint64) + first_counter(purpose)
        return _mix(self._state[:, None] + counter[None, :] * GAMMA)

    def integers(self, purpose: str, count: int, low: int | np.ndarray, high: int | np.ndarray) -> np.ndarray:
        """(B, count) int64, uniform in low..high-1 (to within 2**-32 times the width)."""
        drawn = self.bits(purpose, count)
        drawn >>= np.uint64(32)
        drawn *= np.asarray(high - low, dtype=np.uint64)
        drawn >>= np.uint64(32)
        return drawn.view(np.int64) + low

    def distinct(self, purpose: str, count: int, population: int) -> np.ndarray:
        """(B, count) int64, distinct within a row: the first `count` places of a Fisher-Yates shuffle."""
        chosen = self.integers(purpose, count, np.arange(count), np.full(count, population))
        if count * count > 2 * population:
            return _shuffled(chosen, population)
        # Place i swaps with a place i or later, so a row of distinct choices is its own shuffle.
        places = np.ascontiguousarray(chosen.T, dtype=np.int16)
        repeats = np.zeros(len(chosen), dtype=bool)
        for place in range(1, count):
            repeats |= (places[:place] == places[place]).any(axis=0)
        again = np.flatnonzero(repeats)
        chosen[again] = _shuffled(chosen[again], population)
        return chosen


def _shuffled(chosen: np.ndarray, population: int) -> np.ndarray:
    """The first places of 0..population-1 after place i is swapped with place chosen[:, i], for each i in turn."""
    rows = np.arange(len(chosen))
    pool = np.tile(np.arange(population, dtype=np.int16), (len(chosen), 1))
    for place in range(chosen.shape[1]):
        pick = chosen[:, place]
        taken = pool[rows, pick]
        pool[rows, pick] = pool[:, place]
        pool[:, place] = taken
    return pool[:, : chosen.shape[1]].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Batch:
    """B items as arrays; Q quantities that the target depends on, D the most distractors.

    A chain's quantity j > 0 is quantity j-1 combined with a constant; `left` and `right_name` say it for trees.
    """

    config: SamplerConfig
    index: np.ndarray
    """(B,)"""
    op: np.ndarray
    """(B, Q) place in `config.operators`; -1 for a constant."""
    left: np.ndarray
    """(B, Q) place of the left operand; -1 for a constant."""
    right_name: np.ndarray
    """(B, Q) place of the right operand where that is a quantity, else -1."""
    constant: np.ndarray
    """(B, Q) the quantity's constant, or its right operand."""
    distractors: np.ndarray
    """(B,) how many distractors."""
    distractor_constant: np.ndarray
    """(B, D)"""
    name: np.ndarray
    """(B, Q + D) place in `nouns()`: quantities, then distractors."""
    alias: np.ndarray
    """(B, Q) place in `alias_table()`."""
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
        q = self.config.n_quantities
        definitions: list[Expr] = []
        for op, left, right, constant in zip(
            self.op[row].tolist(),
            self.left[row].tolist(),
            self.right_name[row].tolist(),
            self.constant[row].tolist(),
            strict=True,
        ):
            if op < 0:
                definitions.append(constant)
            else:
                definitions.append(
                    BinOp(self.config.operators[op], names[left], names[right] if right >= 0 else constant)
                )
        definitions += self.distractor_constant[row].tolist()
        told = self.sentence[row, : q + int(self.distractors[row])].tolist()
        return Problem(self.config.modulus, {names[j]: definitions[j] for j in told}, names[q - 1])

    def aliases(self, row: int) -> dict[str, str]:
        """Name -> alias of the quantities of row `row`."""
        table, names = alias_table(), nouns()
        q = self.config.n_quantities
        return {names[n]: table[a] for n, a in zip(self.name[row, :q].tolist(), self.alias[row].tolist(), strict=True)}


class Skeletons(NamedTuple):
    """Operations and constants of B items, as in `Batch`."""

    op: np.ndarray
    left: np.ndarray
    right_name: np.ndarray
    constant: np.ndarray


class Surroundings(NamedTuple):
    """What is drawn when an item's structure stands, as in `Batch`."""

    distractors: np.ndarray
    distractor_constant: np.ndarray
    name: np.ndarray
    alias: np.ndarray
    sentence: np.ndarray


def _skeletons(config: SamplerConfig, key: np.uint64, index: np.ndarray, attempt: int) -> Skeletons:
    draw = _chain_skeleton if config.task == "chain" else _tree_skeleton
    with np.errstate(over="ignore"):
        return draw(config, _Draws(key, index, attempt))


def _surroundings(config: SamplerConfig, key: np.uint64, index: np.ndarray, attempt: int) -> Surroundings:
    with np.errstate(over="ignore"):
        draws = _Draws(key, index, attempt)
        q, most = config.n_quantities, config.max_distractors
        distractors = draws.integers("distractor_count", 1, 1, most + 1)[:, 0]
        shuffle = draws.bits("shuffle", q + most)
        shuffle[np.arange(q + most)[None, :] >= (q + distractors)[:, None]] = np.iinfo(np.uint64).max
        return Surroundings(
            distractors=distractors,
            distractor_constant=draws.integers("distractor", most, 1, config.number_range),
            name=draws.distinct("name", q + most, len(nouns())),
            alias=draws.distinct("alias", q, N_ALIASES),
            sentence=np.argsort(shuffle, axis=1),  # The places beyond a row's sentences tie, and do not count.
        )


def _chain_skeleton(config: SamplerConfig, draws: _Draws) -> Skeletons:
    n, r = config.n_ops, config.number_range
    start = draws.integers("start", 1, 1, r)
    op = draws.integers("op", n, 0, len(config.operators))
    is_times = op == config.operators.find("*")
    constant = draws.integers("constant", n, 1 + is_times, r)
    op = np.concatenate([np.full_like(start, -1), op], axis=1)
    return chain_skeletons(op, np.concatenate([start, constant], axis=1))


def chain_skeletons(op: np.ndarray, constant: np.ndarray) -> Skeletons:
    """Those of chains: each quantity but the first is made from the one before it. op, constant: (B, n_ops + 1)."""
    left = np.tile(np.arange(-1, op.shape[1] - 1), (len(op), 1))
    return Skeletons(op, left, np.full_like(op, -1), constant)


def _tree_skeleton(config: SamplerConfig, draws: _Draws) -> Skeletons:
    """Random trees: of the n_ops operations, width-1 combine two open quantities, the others one and a constant.

    Which operations combine, and what, is drawn uniformly; each quantity is used once, so the target needs them all.
    """
    n, w, r = config.n_ops, config.width, config.number_range
    leaves = draws.integers("start", w, 1, r)
    op = draws.integers("op", n, 0, len(config.operators))
    constant = draws.integers("constant", n, 1 + (op == config.operators.find("*")), r)
    combine = np.argsort(draws.bits("tree", n), axis=1, kind="stable") < w - 1
    picks = draws.bits("tree", 3 * n)[:, n:]
    rows = len(op)
    left, right = np.full((rows, w + n), -1), np.full((rows, w + n), -1)
    for row in range(rows):
        pool = list(range(w))
        for j in range(n):
            pick_left, pick_right = int(picks[row, 2 * j]), int(picks[row, 2 * j + 1])
            left[row, w + j] = pool.pop(pick_left % len(pool))
            if combine[row, j]:
                right[row, w + j] = pool.pop(pick_right % len(pool))
            pool.append(w + j)
    full = np.full((rows, w), -1)
    return Skeletons(np.concatenate([full, op], axis=1), left, right, np.concatenate([leaves, constant], axis=1))


def _depths(config: SamplerConfig, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(B,) the depth of each tree; left, right: (B, Q) places of operands, -1 for none."""
    rows = np.arange(len(left))
    depth = np.zeros((len(left), config.n_quantities + 1), dtype=np.int64)  # The last column is that of no operand.
    for j in range(config.width, config.n_quantities):
        depth[:, j] = 1 + np.maximum(depth[rows, left[:, j]], depth[rows, right[:, j]])
    return depth[:, -2]


def _single_digit_digests(config: SamplerConfig, op: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """`structure_digest` of chains whose constants are single digits, so that all texts have the same length.

    op, constant: (B, n_ops + 1). Returns (B, 32) uint8.
    """
    n = config.n_ops
    before = '{"constants":['
    between = f'],"modulus":{config.modulus},"ops":"'
    text = f'{before}{",".join("0" * n)}{between}{"+" * n}","start":0}}'
    first_op = len(before) + 2 * n - 1 + len(between)
    texts = np.tile(np.frombuffer(text.encode(), dtype=np.uint8), (len(op), 1))
    texts[:, len(before) : len(before) + 2 * n : 2] = constant[:, 1:] + ord("0")
    texts[:, first_op : first_op + n] = np.frombuffer(config.operators.encode(), dtype=np.uint8)[op[:, 1:]]
    texts[:, -2] = constant[:, 0] + ord("0")
    sha256 = hashlib.sha256
    digests = b"".join([sha256(text).digest() for text in texts.view(f"S{len(text)}").ravel().tolist()])
    return np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32)


def _digests(config: SamplerConfig, skeletons: Skeletons) -> np.ndarray:
    """(B, 32) uint8: the sha256 of each item's structure."""
    if config.task == "chain" and config.number_range <= 10:
        return _single_digit_digests(config, skeletons.op, skeletons.constant)
    digests = []
    for op, left, right, constant in zip(*(part.tolist() for part in skeletons), strict=True):
        if config.task == "chain":
            symbols = [config.operators[i] for i in op[1:]]
            digests.append(structure_digest(config.modulus, constant[0], symbols, constant[1:]))
            continue
        definitions: dict[str, Expr] = {
            f"q{j}": constant[j]
            if op[j] < 0
            else BinOp(config.operators[op[j]], f"q{left[j]}", f"q{right[j]}" if right[j] >= 0 else constant[j])
            for j in range(len(op))
        }
        digests.append(Problem(config.modulus, definitions, f"q{len(op) - 1}").structure)
    return np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, 32)


def _accepted(config: SamplerConfig, split: str, skeletons: Skeletons, digests: np.ndarray) -> np.ndarray:
    """(B,) bool: which of these are in the split, and as deep as they are to be."""
    accepted = in_split(digests, split)
    if config.depth:
        accepted &= _depths(config, skeletons.left, skeletons.right_name) == config.depth
    return accepted


def sample_batch(config: SamplerConfig, split: str, indices: Sequence[int] | Iterable[int]) -> Batch:
    """The items of `split` with these indices.

    Raises `ValueError` for an unknown split and for one that (as far as `MAX_ATTEMPTS` draws tell) has no structures.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; use {', '.join(SPLITS)}")
    wanted = list(indices)
    if wanted and not 0 <= min(wanted) <= max(wanted) < 1 << 62:
        raise ValueError(f"an index must be at least 0 and below 2**62, got {min(wanted)}..{max(wanted)}")
    index = np.asarray(wanted, dtype=np.int64)
    key = config.key(split)
    skeletons = _skeletons(config, key, index, 0)
    digests = _digests(config, skeletons).copy()
    pending = np.flatnonzero(~_accepted(config, split, skeletons, digests))
    for attempt in range(1, MAX_ATTEMPTS):
        if not len(pending):
            break
        again = _skeletons(config, key, index[pending], attempt)
        drawn = _digests(config, again)
        accepted = _accepted(config, split, again, drawn)
        rows = pending[accepted]
        for whole, part in zip((*skeletons, digests), (*again, drawn), strict=True):
            whole[rows] = part[accepted]
        pending = pending[~accepted]
    if len(pending):
        raise ValueError(
            f"no structure of split {split!r} found in {MAX_ATTEMPTS} draws with n_ops={config.n_ops}, modulus="
            f"{config.modulus}, number_range={config.number_range}{f', depth={config.depth}' if config.depth else ''}: "
            f"the space is too small; raise n_ops or number_range{', or leave depth out' if config.depth else ''}"
        )
    return Batch(
        config=config,
        index=index,
        digest=digests,
        **skeletons._asdict(),
        **_surroundings(config, key, index, MAX_ATTEMPTS)._asdict(),
    )


def sample(config: SamplerConfig | None = None, split: str = "train", index: int = 0, **settings: object) -> Problem:
    """Item `index` of (seed, split, n_ops) as a Problem: ``sample(n_ops=6, seed=0, split="test", index=3)``."""
    config = config or SamplerConfig(**settings)  # type: ignore[arg-type]
    return sample_batch(config, split, [index]).problem(0)
