"""The contract of a cell, the unit of work of a study.

A cell is a frozen dataclass of all settings that its result depends on, and the digest of these settings is its
identity. So a finished cell never runs again, a changed setting never reuses an old result, and a cell that two
experiments share runs once. A cell may need other cells: their results, and the weights that they keep.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ...core.registry import Registry
from ...models.names import at_commit
from ...tasks.sampling import SamplerConfig

if TYPE_CHECKING:
    from ..workspace import Workspace

OnStep = Callable[[dict[str, Any]], "bool | None"]
"""Receives the metrics of each training step. True ends the training."""
TUNING_SEED = 1000
"""The seed of runs that choose a learning rate. No other cell may have it."""


class Result(ABC):
    """What a finished cell measured. Subclasses are frozen dataclasses; the store holds them as JSON."""

    @abstractmethod
    def plain(self) -> dict[str, Any]:
        """The result as JSON values."""

    @classmethod
    @abstractmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Result:
        """The inverse of `plain`. It also reads results that earlier versions wrote."""


class Work(NamedTuple):
    """What a cell is expected to take, in tokens."""

    trained: float
    """Tokens of training batches, prompts included."""
    generated: float
    """Tokens of generation, prompts included."""
    reference: float = 0.0
    """Tokens that a frozen reference model reads."""
    longest: float = 0.0
    """Tokens of the longest training text; 0 without training."""
    cached: float = 0.0
    """Tokens of the rollouts that are generated at the same time; 0 without RLVR."""
    written: float = 0.0
    """Tokens of the completions that it keeps in files, prompts included."""
    copies: int = 0
    """Copies of the weights that its checkpoints hold besides those in training."""


@dataclass(frozen=True, kw_only=True)  # No slots, so that an instance can keep its digest.
class Cell(ABC):
    """One run: settings in, files and a result out. Equal cells give equal results."""

    NAME: ClassVar[str]
    """The kind of cell, as the store names it."""
    RESULT: ClassVar[type[Result]]
    """The class of its results."""
    ADDED: ClassVar[Mapping[str, Any]] = {"task": "chain", "precision": "auto", "lora_rank": 0}
    """Fields added after version 0.1, with their defaults. A digest leaves out a field at this default, so that
    digests of version 0.1 stay."""

    model: str
    """The base: `neutral`, `neutral-2`, `bundled`, `bundled-mixed`, `bundled-deep`, a directory or a hub id."""
    model_digest: str
    """The digest of the base's files, or the commit of a hub model (`study.models.model_digest`)."""
    engine: str
    """The trainer: `native` or `trl`."""
    precision: str = "auto"
    """The precision of training (`train.config.SFTConfig.precision`)."""
    lora_rank: int = 0
    """Rank of LoRA adapters, for the engine `trl`. 0: all weights are trained."""
    surface: str
    """The surface of prompts and traces."""
    task: str = "chain"
    """The task that problems are drawn from."""
    modulus: int
    """Residues are 0..modulus-1."""
    number_range: int
    """Constants are 1..number_range-1."""
    split: str
    """The held-out split that is measured: `test`, or `validation` while settings are chosen."""
    seed: int
    """The seed of the training problems, their order and any rollouts."""

    @cached_property
    def digest(self) -> str:
        """The identity of the cell, 16 hex digits."""
        values = {k: v for k, v in self.plain().items() if k not in self.ADDED or v != self.ADDED[k]}
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def source(self) -> str:
        """The base as it is loaded: a hub model at its commit, if that is known."""
        return at_commit(self.model, self.model_digest)

    @property
    @abstractmethod
    def label(self) -> str:
        """The name of the cell within its study, without its seed."""

    @property
    @abstractmethod
    def cost(self) -> float:
        """A rough duration, in sequences of one operation. `study status` compares cells of one kind by it."""

    @property
    def keeps_weights(self) -> bool:
        """Whether the cell keeps its weights for cells that need it."""
        return False

    def completion_names(self) -> tuple[str, ...]:
        """The names of its files of completions (`Workspace.completions`)."""
        return ()

    def needs(self) -> list[Cell]:
        """The cells that must finish before this one."""
        return []

    @abstractmethod
    def work(self) -> Work:
        """An estimate of its tokens, for ``zipthought study run --dry-run``."""

    @abstractmethod
    def run(self, workspace: Workspace, on_step: OnStep | None = None) -> Result:
        """Compute the result and write the cell's files to the workspace. Import torch here, not at module level."""

    def sampler(self, n_ops: int, seed: int = 0) -> SamplerConfig:
        """The sampler of the cell's problems of `n_ops` operations. Held-out problems have seed 0."""
        return SamplerConfig(
            n_ops=n_ops, seed=seed, task=self.task, modulus=self.modulus, number_range=self.number_range
        )

    def plain(self) -> dict[str, Any]:
        """The cell as JSON values."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        # `asdict` of the whole would copy every value, which takes seconds for thousands of cells.
        return {
            "kind": self.NAME,
            **{name: asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for name, v in values},
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Cell:
        """The inverse of `plain`. Fields that `values` lack have their defaults."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: as_tuple(value) for name, value in values.items() if name in known})


CELLS: Registry[type[Cell]] = Registry("kind of cell", ("RESULT", "label", "cost", "work", "run"), classes=True)


def make_cell(values: Mapping[str, Any]) -> Cell:
    """The cell that `Cell.plain` wrote. Raises `ValueError` for an unknown kind."""
    return CELLS.find(values["kind"]).from_plain(values)


def as_tuple(value: Any) -> Any:
    """JSON lists as tuples; other values unchanged."""
    return tuple(value) if isinstance(value, list) else value
