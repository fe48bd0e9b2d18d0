"""Cells: the units of work of a study, each keyed by the digest of everything that its result depends on.

A finished cell is never run again, a changed setting never reuses an old result, and cells that two experiments share
are run once. A cell may need others (`needs`): their results, and the weights that they keep.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

from ..evaluation.config import EvaluateConfig
from ..train.config import OptimizerConfig, RLVRConfig, SFTConfig

TUNING_SEED = 1000
"""Of the runs that choose a learning rate; no other cell may have it."""
BEFORE = "sft"
"""The state that the branches of a decomposition start from."""
BRANCHES = ("rlvr", "sft-updates", "sft-tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTCell:
    """One SFT run from a base, and how it is measured."""

    KIND: ClassVar[str] = "sft"

    model: str
    """`bundled`, `bundled-mixed`, `bundled-deep`, a directory or a hub id."""
    model_digest: str
    """`spec.model_digest`: of the model's files; `hub` for a model that is not on this disk."""
    engine: str
    """`native` or `trl`."""
    surface: str
    """How problems and traces are written."""
    modulus: int
    """Residues are 0..modulus-1."""
    number_range: int
    """Constants are 1..number_range-1."""
    split: str
    """The held-out split that is measured: `test`, or `validation` while settings are chosen."""
    seed: int
    """Of the training problems and their order."""
    format: str
    """`explicit`, `composed:k`, `implicit:k`, `answer-only` or `random-steps:p`."""
    order: str = "forward"
    """`forward`, `backward` or `hierarchical`."""
    n_ops: tuple[int, ...]
    """Operations of the training problems, in equal shares, and of the measured ones."""
    longer_n_ops: tuple[int, ...] = ()
    """Operations that are measured, too."""
    examples: int
    """Distinct training problems, spread evenly over `n_ops`."""
    steps: int
    """Updates."""
    batch_size: int
    """Sequences an update."""
    optimizer: str = "adamw"
    """`adamw` or `muon`."""
    learning_rates: tuple[float, ...]
    """The peak; of several, the one with the best validation accuracy at `tuning_examples` (see `tuning_cells`)."""
    tuning_examples: int = 0
    """Distinct problems of the runs that choose a learning rate; of no matter with one."""
    points: int = 1
    """Measurements on the way, evenly spaced; of several, the one with the best validation accuracy is the result."""
    positions: int = 0
    """Training positions are spread over this many by random gaps between sentences; 0: as they come."""
    sentences: int = 0
    """Unused quantities are added to training problems until they have a random number of sentences up to this; 0:
    none are added."""
    test_count: int = 100
    """Held-out problems measured, for each length."""
    validation_count: int = 100
    """Problems of the validation split at each of several `points`, over all of `n_ops`."""
    train_count: int = 50
    """Training problems measured, for each of `n_ops` (fewer where there are fewer)."""
    edited_count: int = 0
    """Training problems that are asked again with one constant changed (`evaluation.memorization`)."""

    @property
    def digest(self) -> str:
        """The identity of the cell, 16 hex digits."""
        return _digest(self)

    @property
    def label(self) -> str:
        """What tells it apart within its study, seeds aside."""
        spread = ", familiar positions" if self.positions else ""
        return f"{self.format}, {self.order}, {self.examples} examples x {self.steps} updates{spread}"

    @property
    def cost(self) -> float:
        """Roughly how long it takes, in sequences of one operation."""
        return self.steps * self.batch_size * (1 + max(self.n_ops))

    @property
    def keeps_weights(self) -> bool:
        """Whether other cells start from its model."""
        return False

    def tuning_cells(self) -> dict[float, SFTCell]:
        """Candidate learning rate -> the run that tries it: one seed, the validation split, nothing else measured. The
        same effort for every format and data size; empty where there is no choice."""
        if len(self.learning_rates) == 1:
            return {}
        return {
            rate: replace(
                self,
                split="validation",
                seed=TUNING_SEED,
                examples=self.tuning_examples,
                learning_rates=(rate,),
                tuning_examples=0,
                points=1,
                longer_n_ops=(),
                test_count=-(-self.validation_count // len(self.n_ops)),
                train_count=1,
                edited_count=0,
            )
            for rate in self.learning_rates
        }

    def needs(self) -> list[Cell]:
        """The cells that must be done before this one."""
        return list(self.tuning_cells().values())


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompositionSettings:
    """What is done after SFT on a compressed format, from the same weights: RLVR, and more SFT for as many updates and
    for as many tokens (F3)."""

    sft_learning_rate: float = 5e-4
    """Its peak, and that of the SFT that goes on."""
    sft_batch_size: int = 64
    """Sequences an update."""
    examples: int = 2048
    """Distinct training problems of SFT."""
    n_ops: tuple[int, ...] = (3, 4)
    """Operations of the problems of SFT and of RLVR."""
    longer_n_ops: tuple[int, ...] = (5, 6)
    """Operations that are measured, too."""
    rl_steps: int = 250
    """Batches of rollouts."""
    prompts_per_step: int = 32
    """Problems of a batch of rollouts."""
    group_size: int = 8
    """Rollouts of a problem."""
    rl_learning_rate: float = 2e-4
    """Constant after the warm-up."""
    kl: float = 0.0
    """Weight of the divergence from the model before RLVR."""
    measure_every: int = 50
    """Steps between measurements."""
    count: int = 100
    """Held-out problems of each n_ops."""
    samples: int = 64
    """Completions of a problem for pass@k, at temperature 1."""
    sampled: int = 50
    """Problems of each n_ops that are sampled."""

    def __post_init__(self) -> None:
        if set(self.n_ops) & set(self.longer_n_ops):
            raise ValueError(f"longer_n_ops must differ from n_ops, got {self.longer_n_ops} and {self.n_ops}")
        if min(self.measure_every, self.samples, self.sampled) < 1:
            raise ValueError("measure_every, samples and sampled must be at least 1")
        SFTConfig(batch_size=self.sft_batch_size, optimizer=OptimizerConfig(learning_rate=self.sft_learning_rate))
        EvaluateConfig(n_ops=self.n_ops + self.longer_n_ops, count=self.count)
        RLVRConfig(
            n_ops=self.n_ops,
            steps=self.rl_steps,
            prompts_per_step=self.prompts_per_step,
            group_size=self.group_size,
            kl=self.kl,
            optimizer=OptimizerConfig(learning_rate=self.rl_learning_rate),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompositionCell:
    """A short SFT on a compressed format, or one of the branches that go on from it."""

    KIND: ClassVar[str] = "decomposition"

    part: str
    """`sft`, whose weights are kept, or one of `BRANCHES`."""
    model: str
    """As in `SFTCell`."""
    model_digest: str
    """As in `SFTCell`."""
    engine: str
    """`native` or `trl`."""
    surface: str
    """How problems and traces are written."""
    modulus: int
    """Residues are 0..modulus-1."""
    number_range: int
    """Constants are 1..number_range-1."""
    split: str
    """The held-out split that is measured."""
    seed: int
    """Of the problems, their order and the rollouts."""
    format: str
    """Of the SFT."""
    sft_steps: int
    """Updates of the SFT."""
    settings: DecompositionSettings
    """The rest."""

    @property
    def digest(self) -> str:
        """The identity of the cell, 16 hex digits."""
        return _digest(self)

    @property
    def label(self) -> str:
        """What tells it apart within its study, seeds aside."""
        before = f"{self.format}, {self.sft_steps} updates of SFT"
        return before if self.part == BEFORE else f"{before}, then {self.part}"

    @property
    def cost(self) -> float:
        """As in `SFTCell`; RLVR's rollouts take several times what training on as many sequences does."""
        s = self.settings
        rollouts = 4 * s.rl_steps * s.prompts_per_step * s.group_size
        sequences = {BEFORE: self.sft_steps, "sft-updates": s.rl_steps}.get(self.part, 0) * s.sft_batch_size
        return (sequences or (rollouts if self.part == "rlvr" else rollouts / 4)) * (1 + max(s.n_ops))

    @property
    def keeps_weights(self) -> bool:
        """Whether other cells start from its model."""
        return self.part == BEFORE

    def sibling(self, part: str) -> DecompositionCell:
        """The cell of another part from the same SFT."""
        return replace(self, part=part)

    def needs(self) -> list[Cell]:
        """The cells that must be done before this one."""
        if self.part == BEFORE:
            return []
        # How many tokens are as many as RLVR's is known when RLVR is done.
        return [self.sibling(BEFORE), *([self.sibling("rlvr")] if self.part == "sft-tokens" else [])]


Cell = SFTCell | DecompositionCell
KINDS: dict[str, type[SFTCell] | type[DecompositionCell]] = {kind.KIND: kind for kind in (SFTCell, DecompositionCell)}


def plain(cell: Cell) -> dict[str, Any]:
    """The cell as JSON can hold it."""
    return {"kind": cell.KIND, **asdict(cell)}


def make_cell(settings: Mapping[str, Any]) -> Cell:
    """A cell from what `plain` made of it."""
    kind = KINDS[settings["kind"]]
    known = {f.name for f in fields(kind)}
    values: dict[str, Any] = {k: _tuples(v) for k, v in settings.items() if k in known}
    if "settings" in values:
        values["settings"] = DecompositionSettings(**{k: _tuples(v) for k, v in settings["settings"].items()})
    return kind(**values)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _digest(cell: Cell) -> str:
    text = json.dumps(plain(cell), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
