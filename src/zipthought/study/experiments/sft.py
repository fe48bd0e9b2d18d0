"""What the experiments of SFT runs share: settings, their checks, and the settings of their cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from ...core.methods import ScoredMethod, parse_method
from ...evaluation.config import EvaluateConfig
from ...tasks.distinct import count_distinct
from ...tasks.splits import TRAINING_SHARE
from ...train.config import OptimizerConfig, SFTConfig
from ..cells import TUNING_SEED, SFTCell, SFTCellResult, Step0Cell, Step0Result
from ..experiment import Experiment, Measured, check_axis
from ..problems import even
from ..rows import step0_rows

if TYPE_CHECKING:
    from ...report.data import CellRow
    from ..snapshot import Snapshot
    from ..spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class SFTExperiment(Experiment[Measured]):
    """An experiment whose cells are SFT runs."""

    n_ops: tuple[int, ...] = (5,)
    """Operations of the problems."""
    batch_size: int = 32
    """Sequences in an update."""
    optimizer: str = "adamw"
    """`adamw` or `muon`."""
    learning_rates: tuple[float, ...] = (1e-3,)
    """The peak. Of several, each format, order and number of examples takes the one with the best accuracy on the
    validation split, from one run each with a seed of its own."""
    rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Peaks that were chosen before, in place of `learning_rates`: a format (or an order, where orders are compared)
    -> one for each data size, or one for all."""
    min_learning_rate_ratio: float = 0.1
    """The learning rate of the last update over the peak; unused with `converge`."""
    structures: int = 0
    """The most distinct structures of the training problems of a run. More examples are structures dressed anew, with
    other names, unused quantities and order of the sentences. 0: each example has a structure of its own."""
    parts: int = 1
    """The structures of the train split fall into this many parts, and seed s trains on part s mod `parts`. With as
    many parts as seeds, seeds share no structure."""
    converge: bool = False
    """Runs end by the common rule of convergence (`cells.sft.SFTCell.converge`), after at most the given updates."""
    points: int = 1
    """Measurements during a run, evenly spaced or, with `converge`, at doubling numbers of updates. The result is the
    one with the best validation accuracy."""
    before: bool = True
    """Measure every base before any training, too."""
    test_count: int = 100
    """Measured held-out problems of each length."""
    validation_count: int = 100
    """Problems of the validation split, for choices that are made on it."""
    train_count: int = 50
    """Measured training problems of each of `n_ops`."""

    def __post_init__(self) -> None:
        check_axis(self, ("n_ops", "learning_rates"))
        for rate in (*self.learning_rates, *(rate for rates in self.rates.values() for rate in rates)):
            OptimizerConfig(
                learning_rate=rate,
                optimizer=self.optimizer,
                min_learning_rate_ratio=self.min_learning_rate_ratio,
            )
        if self.parts < 1 or self.structures < 0:
            raise ValueError(f"parts must be at least 1 and structures at least 0, got {self.parts}, {self.structures}")
        if self.points < 1 or (self.converge and self.points < 2):
            raise ValueError(f"points must be at least 1, and 2 with converge, got {self.points}")
        self._check_rates()
        SFTConfig(batch_size=self.batch_size)
        EvaluateConfig(n_ops=self.n_ops, count=self.test_count)
        if min(self.train_count, self.validation_count) < 1:
            raise ValueError(
                f"train_count and validation_count must be at least 1, got {self.train_count} and "
                f"{self.validation_count}"
            )

    def _check_rates(self) -> None:
        """Raise `ValueError` for rates of a format (or an order) that the experiment does not have, and for a number of
        rates that fits no axis."""
        if not self.rates:
            return
        formats = getattr(self, "formats", ()) + getattr(self, "further_formats", ())
        names = list(getattr(self, "orders", ())) or canonical(formats)
        examples = getattr(self, "examples", ())
        sizes = len(examples) if isinstance(examples, tuple) else 1
        for name, rates in self.rates.items():
            if name not in names:
                raise ValueError(f"unknown name {name!r} in rates; use {', '.join(names)}")
            if len(rates) not in (1, sizes):
                sizes_too = f", or {sizes}, one for each of examples" if sizes > 1 else ""
                raise ValueError(f"rates of {name} must be 1{sizes_too}; got {len(rates)}")

    def check(self, spec: StudySpec) -> None:
        if spec.engine == "trl" and (self.converge or self.points > 1):
            raise ValueError(
                "the engine trl measures at the end only and has no rule of convergence; use points = 1, no converge"
            )

    def lengths(self) -> tuple[int, ...]:
        return self.n_ops

    def check_examples(self, fewest: int) -> None:
        """Raise `ValueError` if some length would have no example."""
        if fewest < len(self.n_ops):
            raise ValueError(f"examples must be at least one for each of {len(self.n_ops)} n_ops, got {fewest}")

    def check_structures(self, spec: StudySpec, most: int) -> None:
        """Raise `ValueError` if `most` examples of some seed have too few training structures. A space that is more
        than four times as large as needed is not searched."""
        for n, needed in zip(self.n_ops, even(self.distinct(most), len(self.n_ops)), strict=True):
            structures = count_structures(spec, n)
            if structures is not None and structures * TRAINING_SHARE / self.parts > 4 * needed:
                continue
            parts = {seed: seed % self.parts for seed in self.seeds_of(spec)}
            tuned = {(TUNING_SEED, part) for part in parts.values()} if len(self.learning_rates) > 1 else set()
            for seed, part in [*parts.items(), *sorted(tuned)]:
                sampler = replace(spec.sampler(n), seed=seed)
                found = count_distinct(sampler, "train", needed, (part, self.parts))
                if found < needed:
                    share = f" in part {part} of {self.parts}" if self.parts > 1 else ""
                    raise ValueError(
                        f"{most} examples of n_ops {self.n_ops}: n_ops={n} has {found} training structures{share}; "
                        "lower examples, or set structures"
                    )

    def distinct(self, examples: int) -> int:
        """The distinct structures of so many examples."""
        return min(self.structures or examples, examples)

    def cell_settings(self, spec: StudySpec, examples: int, seed: int, model: str = "") -> dict[str, Any]:
        """The fields that its cells with so many examples share. `model` is the base; empty: that of the experiment."""
        own = {f.name: getattr(self, f.name) for f in fields(SFTCell) if hasattr(self, f.name)}
        shared = {
            "examples": examples,
            "seed": seed,
            "part": seed % self.parts,
            "structures": self.structures if self.structures < examples else 0,
            "tuning_examples": examples if len(self.learning_rates) > 1 else 0,
        }
        return own | shared | spec.shared(model or self.model)

    def rate(self, name: str, index: int = 0) -> dict[str, Any]:
        """The learning rate of a format or an order at the data size of this index, as a field of its cells; empty if
        `rates` does not have it."""
        rates = self.rates.get(name, ())
        if not rates:
            return {}
        return {"learning_rates": (rates[min(index, len(rates) - 1)],), "tuning_examples": 0}

    def step0_cells(self, spec: StudySpec) -> list[Step0Cell]:
        """The cells of the bases before any training; none without `before`."""
        if not self.before:
            return []
        return [Step0Cell(**spec.shared(self.model), seed=0, n_ops=self.lengths(), test_count=self.test_count)]

    def step0(self, study: Snapshot, model: str) -> list[tuple[Step0Cell, Step0Result]]:
        """The finished measurement of a base before any training; empty where there is none."""
        results = study.results(Step0Result)
        cells = [cell for cell in self.step0_cells(study.spec) if cell.model == model and cell.digest in results]
        return [(cell, results[cell.digest]) for cell in cells]

    def step0_rows(self, study: Snapshot, stage: str) -> list[CellRow]:
        """The rows of its bases before any training, for the table of cells."""
        models = [cell.model for cell in self.step0_cells(study.spec)]
        return [
            row
            for model in models
            for cell, result in self.step0(study, model)
            for row in step0_rows(stage, cell, result)
        ]

    def finished(self, study: Snapshot) -> list[SFTCell]:
        """Its finished cells, in the order of `cells`."""
        results = study.results(SFTCellResult)
        return [c for c in self.cells(study.spec) if isinstance(c, SFTCell) and c.digest in results]


def canonical(formats: tuple[str, ...]) -> list[str]:
    """Formats in their canonical spelling, each once.

    Raises `ValueError` as `parse_method` does, and for a format that needs something else than the model of a cell.
    """
    methods = [parse_method(fmt) for fmt in formats]
    for method in methods:
        if method.needs and not isinstance(method, ScoredMethod):
            raise ValueError(f"format {method} needs a {' and a '.join(method.needs)}; problems of a task have none")
    return list(dict.fromkeys(map(str, methods)))


def count_structures(spec: StudySpec, n_ops: int) -> int | None:
    """The structures of a study's problems of one length, in all splits; None for a task that cannot count them."""
    sampler = spec.sampler(n_ops)
    return sampler.space.count_structures(sampler)
