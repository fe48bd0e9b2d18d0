"""The experiments of a study: the tables of its TOML file, and the cells that each stands for.

    [scaling]         format x distinct examples, for as many updates each        F1, F2a
    [repetition]      format x epochs over the same examples                      F2b
    [decomposition]   a short SFT, then RLVR against more SFT                     F3
    [orders]          order x treatment of positions, lengths beyond training     F4

Adding an experiment is a class here, a module of `findings` and a test.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..core.methods import is_baseline, parse_method
from ..core.orders import ORDERS
from ..evaluation.config import EvaluateConfig
from ..tasks.sampling import SamplerConfig
from ..train.config import OptimizerConfig, SFTConfig
from .cells import BEFORE, BRANCHES, Cell, DecompositionCell, DecompositionSettings, SFTCell

if TYPE_CHECKING:
    from .spec import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class _SFTExperiment:
    """What every experiment of SFT runs is told."""

    model: str = ""
    """The base; empty: that of the study."""
    seeds: tuple[int, ...] = ()
    """Each repeats the experiment with other training problems in another order; none: those of the study."""
    n_ops: tuple[int, ...] = (5,)
    """Operations of the problems."""
    batch_size: int = 32
    """Sequences an update."""
    optimizer: str = "adamw"
    """`adamw` or `muon`."""
    learning_rates: tuple[float, ...] = (1e-3,)
    """The peak; of several, each format's (and order's) is the one with the best accuracy on the validation split, in
    one run each with a seed of its own."""
    test_count: int = 100
    """Held-out problems measured, for each length."""
    validation_count: int = 100
    """Problems of the validation split, where something is chosen on it."""
    train_count: int = 50
    """Training problems measured, for each of `n_ops`."""

    def _check(self, *axes: str) -> None:
        """Raises `ValueError` for what no cell could be made of."""
        for axis in ("n_ops", "learning_rates", *axes):
            values = getattr(self, axis)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{axis} must name at least one value, each once, got {list(values)}")
        for rate in self.learning_rates:
            OptimizerConfig(learning_rate=rate, optimizer=self.optimizer)
        SFTConfig(batch_size=self.batch_size)
        EvaluateConfig(n_ops=self.n_ops, count=self.test_count)
        if min(self.train_count, self.validation_count) < 1:
            raise ValueError("train_count and validation_count must be at least 1")

    def _check_ascending(self, axis: str) -> None:
        """What is measured from its first value to its last is told so."""
        values = list(getattr(self, axis))
        if values != sorted(values):
            raise ValueError(f"{axis} must ascend, got {values}")

    def _check_examples(self, *examples: int) -> None:
        if min(examples) < len(self.n_ops):
            raise ValueError(f"examples must be at least one for each of {len(self.n_ops)} n_ops, got {min(examples)}")

    def _check_structures(self, spec: StudySpec, most: int) -> None:
        """Raises `ValueError` where a length has fewer structures than `most` examples take."""
        for n in self.n_ops:
            config = SamplerConfig(n_ops=n, modulus=spec.modulus, number_range=spec.number_range)
            structures = config.space.count_structures(config)
            if structures is not None and most // len(self.n_ops) > structures:
                raise ValueError(f"{most} examples of n_ops {self.n_ops}: n_ops={n} has {structures} structures in all")

    def _shared(self, spec: StudySpec, most: int, model: str = "") -> dict[str, Any]:
        """Of the settings of its cells, those that are the same for all; `most` examples are what learning rates are
        chosen with."""
        own = {f.name: getattr(self, f.name) for f in fields(SFTCell) if hasattr(self, f.name)}
        tuning = {"tuning_examples": most if len(self.learning_rates) > 1 else 0}
        return own | tuning | spec.world(model or self.model)

    def seeds_of(self, spec: StudySpec) -> tuple[int, ...]:
        """The seeds that it runs with."""
        return self.seeds or spec.seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling(_SFTExperiment):
    """How much data does each format need (F1), and what does more data bring (F2a)?"""

    models: tuple[str, ...] = ()
    """Other bases that the grid is run from (baselines are not), after `model`, which bears the
    verdicts."""
    formats: tuple[str, ...] = ("explicit", "composed:2", "implicit:2")
    """`explicit`, `composed:k`, `implicit:k`, `answer-only`, or `random-steps:p` (see `core.compress`)."""
    examples: tuple[int, ...] = (64, 256, 1024)
    """Distinct training problems."""
    steps: int = 60
    """Updates of every cell; 0: as many as `epochs` says, fewer with fewer examples."""
    epochs: int = 1
    """Passes over the examples, where `steps` is 0 (the paper's way)."""
    points: int = 1
    """Measurements on the way, evenly spaced; the one with the best validation accuracy is the cell's result."""
    thresholds: tuple[float, ...] = (0.5, 0.9)
    """Accuracies whose N* is sought; the verdict is that of the first."""

    def __post_init__(self) -> None:
        self._check("formats", "examples", "thresholds")
        self._check_ascending("examples")
        self._check_examples(*self.examples)
        for fmt in self.formats:
            parse_method(fmt)
        fewest = self.updates(min(self.examples))
        if self.steps < 0 or self.epochs < 1 or not 1 <= self.points <= fewest:
            raise ValueError(
                f"steps must be at least 0, epochs at least 1 and points 1..{fewest} (the fewest updates), got "
                f"{self.steps}, {self.epochs} and {self.points}"
            )
        if not all(0 < value < 1 for value in self.thresholds):
            raise ValueError(f"thresholds must be in 0..1, got {self.thresholds}")
        if self.steps and max(self.examples) > self.steps * self.batch_size:
            raise ValueError(
                f"{self.steps} updates of {self.batch_size} see {self.steps * self.batch_size} examples, fewer than "
                f"the {max(self.examples)} of the largest cell; raise steps or batch_size"
            )

    def updates(self, examples: int) -> int:
        """Of a cell with that many examples."""
        return self.steps or -(-examples // self.batch_size) * self.epochs

    def cells(self, spec: StudySpec) -> list[Cell]:
        """Seed by seed, the cells of few examples first."""
        self._check_structures(spec, max(self.examples))
        return [
            SFTCell(
                **self._shared(spec, max(self.examples), model)
                | {"examples": examples, "steps": self.updates(examples)},
                format=fmt,
                seed=seed,
            )
            for model in (self.model, *self.models)
            for seed in self.seeds_of(spec)
            for examples in self.examples
            for fmt in map(str, map(parse_method, self.formats))
            if model == self.model or not is_baseline(fmt)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition(_SFTExperiment):
    """What do more epochs over the same examples bring, and what do they fix in memory (F2b)?"""

    formats: tuple[str, ...] = ("explicit", "composed:2", "implicit:2")
    """`explicit`, `composed:k`, `implicit:k`, `answer-only`, or `random-steps:p` (see `core.compress`)."""
    examples: int = 1024
    """Distinct training problems."""
    epochs: tuple[int, ...] = (1, 4, 16)
    """Passes over them, each a run of its own with its whole schedule."""
    edited_count: int = 100
    """Training problems, and held-out ones, that are asked again with one constant changed."""

    def __post_init__(self) -> None:
        self._check("formats", "epochs")
        self._check_ascending("epochs")
        self._check_examples(self.examples)
        for fmt in self.formats:
            parse_method(fmt)
        if min(self.epochs) < 1 or self.edited_count < 1:
            raise ValueError(f"epochs and edited_count must be at least 1, got {self.epochs} and {self.edited_count}")

    def updates(self, epochs: int) -> int:
        """Updates of that many passes."""
        return -(-self.examples // self.batch_size) * epochs

    def cells(self, spec: StudySpec) -> list[Cell]:
        """Seed by seed, the cells of few epochs first."""
        self._check_structures(spec, self.examples)
        return [
            SFTCell(**self._shared(spec, self.examples), format=fmt, seed=seed, steps=self.updates(epochs))
            for seed in self.seeds_of(spec)
            for epochs in self.epochs
            for fmt in map(str, map(parse_method, self.formats))
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders(_SFTExperiment):
    """Which order of the steps generalizes to problems longer than those of training (F4)?"""

    orders: tuple[str, ...] = ("forward", "backward", "hierarchical")
    """`forward`, `backward`, `hierarchical`."""
    format: str = "explicit"
    """Of the traces."""
    examples: int = 2048
    """Distinct training problems."""
    steps: int = 300
    """Updates of every cell."""
    longer_n_ops: tuple[int, ...] = (6, 7)
    """Operations of the problems that the verdict is about."""
    familiar: int = 384
    """Positions over which random gaps between sentences spread the training texts of the view `familiar`, so that no
    test position or distance is new; the same for every order."""
    views: tuple[str, ...] = ("familiar", "plain")
    """`familiar`: training prompts have as many sentences and positions as the longest test problems have; `plain`: as
    they come. The verdict is that of the first."""

    def __post_init__(self) -> None:
        self._check("orders", "longer_n_ops", "views")
        self._check_examples(self.examples)
        parse_method(self.format)
        for order in self.orders:
            ORDERS.find(order)
        for view in self.views:
            if view not in ("familiar", "plain"):
                raise ValueError(f"unknown view {view!r}; use familiar or plain")
        if min(self.longer_n_ops) <= max(self.n_ops):
            raise ValueError(f"longer_n_ops must all be above n_ops, got {self.longer_n_ops} and {self.n_ops}")
        if self.steps < 1 or self.familiar < 1:
            raise ValueError(f"steps and familiar must be at least 1, got {self.steps} and {self.familiar}")

    @property
    def sentences(self) -> int:
        """Sentences of the longest test problems: a chain of n operations has up to max(2, n) unused quantities."""
        longest = max(self.longer_n_ops)
        return longest + 1 + max(2, longest)

    def cells(self, spec: StudySpec) -> list[Cell]:
        """Seed by seed."""
        self._check_structures(spec, self.examples)
        shared = self._shared(spec, self.examples)
        spread = {"familiar": (self.familiar, self.sentences), "plain": (0, 0)}
        return [
            SFTCell(
                **shared | {"format": str(parse_method(self.format)), "sentences": spread[view][1]},
                order=order,
                seed=seed,
                positions=spread[view][0],
            )
            for seed in self.seeds_of(spec)
            for view in self.views
            for order in self.orders
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposition(DecompositionSettings):
    """What does RLVR make of compressed steps (F3)?"""

    model: str = ""
    """The base; empty: that of the study."""
    seeds: tuple[int, ...] = ()
    """None: those of the study."""
    formats: tuple[str, ...] = ("composed:2",)
    """Of the SFT."""
    sft_steps: tuple[int, ...] = (30,)
    """Updates of the SFT; the verdict is that of the first, the others show how it depends on SFT."""

    def __post_init__(self) -> None:
        DecompositionSettings.__post_init__(self)
        for fmt in self.formats:
            if parse_method(fmt).NAME not in ("composed", "implicit"):
                raise ValueError(f"decomposition is about composed:k and implicit:k, got {fmt!r}")
        for axis in ("formats", "sft_steps", "n_ops"):
            values = getattr(self, axis)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{axis} must name at least one value, each once, got {list(values)}")
        if min(self.sft_steps) < 1:
            raise ValueError(f"sft_steps must be at least 1, got {self.sft_steps}")

    def seeds_of(self, spec: StudySpec) -> tuple[int, ...]:
        """The seeds that it runs with."""
        return self.seeds or spec.seeds

    @property
    def settings(self) -> DecompositionSettings:
        """What each cell is told."""
        return DecompositionSettings(**{f.name: getattr(self, f.name) for f in fields(DecompositionSettings)})

    def cells(self, spec: StudySpec) -> list[Cell]:
        """SFT and its branches, seed by seed."""
        world, settings = spec.world(self.model), self.settings
        return [
            DecompositionCell(part=part, format=fmt, sft_steps=sft_steps, seed=seed, settings=settings, **world)
            for fmt in map(str, map(parse_method, self.formats))
            for sft_steps in self.sft_steps
            for seed in self.seeds_of(spec)
            for part in (BEFORE, *BRANCHES)
        ]


Experiment = Scaling | Repetition | Decomposition | Orders
EXPERIMENTS: dict[str, type[Experiment]] = {
    "scaling": Scaling,
    "repetition": Repetition,
    "decomposition": Decomposition,
    "orders": Orders,
}
"""Table of the TOML file -> its settings."""
