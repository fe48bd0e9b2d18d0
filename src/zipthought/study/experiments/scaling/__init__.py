"""The scaling experiment: how much data does each format need (F1), and what does more data bring (F2a)?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ....core.methods import is_baseline
from ....report.data import Finding, Section
from ...cells import Cell, SFTCell, Step0Cell
from ...experiment import check_axis
from ..sft import SFTExperiment, canonical

if TYPE_CHECKING:
    from ...snapshot import Snapshot
    from ...spec import StudySpec
    from .measurements import ScalingMeasurements


@dataclass(frozen=True, kw_only=True)
class Scaling(SFTExperiment["list[ScalingMeasurements]"]):
    """A grid of SFT runs, format x distinct examples, with equal updates. Its measurements are one grid for each
    base."""

    NAME: ClassVar[str] = "scaling"
    FINDINGS: ClassVar[tuple[str, ...]] = ("F1", "F2a")
    TABLES: ClassVar[tuple[str, ...]] = ("curves", "thresholds", "formats", "training", "paths")
    ADDED: ClassVar[Mapping[str, Any]] = {"before": False, "tune_each": False, "min_learning_rate_ratio": 0.1}

    models: tuple[str, ...] = ()
    """Further bases of the grid, without its baselines. `model` decides the verdicts."""
    formats: tuple[str, ...] = ("explicit", "composed:2", "implicit:2")
    """The formats, for example `composed:2` or `random-steps:0.8`."""
    further_formats: tuple[str, ...] = ()
    """Further formats, which stand beside the others and decide no verdict."""
    further_seeds: int = 2
    """How many seeds they have, the first of the experiment."""
    tune_each: bool = True
    """Whether each number of examples has its own choice of `learning_rates`. False: the runs that choose have the most
    examples, and all take their choice."""
    examples: tuple[int, ...] = (64, 256, 1024)
    """Distinct training prompts."""
    steps: int = 60
    """Updates of every cell; with `converge`, the most. 0: `epochs` decides, so that fewer examples have fewer
    updates."""
    epochs: int = 1
    """Passes over the examples with `steps` 0, as in the paper."""
    thresholds: tuple[float, ...] = (0.5, 0.9)
    """Accuracies for which N* is estimated. The first decides the verdict."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axis(self, ("formats", "thresholds"))
        check_axis(self, ("examples",), ascending=True)
        self.check_examples(min(self.examples))
        both = canonical(self.formats + self.further_formats)
        if len(both) < len(canonical(self.formats)) + len(canonical(self.further_formats)):
            raise ValueError(f"formats and further_formats must differ, got {self.formats} and {self.further_formats}")
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
        """The updates of a cell with this many examples."""
        return self.steps or -(-examples // self.batch_size) * self.epochs

    def cells(self, spec: StudySpec) -> list[Cell]:
        """Seed by seed, cells of few examples first."""
        self.check_structures(spec, max(self.examples))
        tuned = {} if self.tune_each or len(self.learning_rates) == 1 else {"tuning_examples": max(self.examples)}
        return [
            *self.step0_cells(spec),
            *(
                SFTCell(
                    **self.cell_settings(spec, examples, seed, model)
                    | tuned
                    | self.rate(fmt, index)
                    | {"steps": self.updates(examples), "format": fmt}
                )
                for model in (self.model, *self.models)
                for seed in self.seeds_of(spec)
                for index, examples in enumerate(self.examples)
                for fmt in self._formats(spec, seed, model)
            ),
        ]

    def _formats(self, spec: StudySpec, seed: int, model: str) -> list[str]:
        """The formats of a seed from a base."""
        own = canonical(self.formats)
        if model != self.model:
            return [fmt for fmt in own if not is_baseline(fmt)]
        return own + (canonical(self.further_formats) if seed in self.seeds_of(spec)[: self.further_seeds] else [])

    def step0_cells(self, spec: StudySpec) -> list[Step0Cell]:
        cells = super().step0_cells(spec)
        return [replace(cell, **spec.shared(model)) for cell in cells for model in (self.model, *self.models)]

    def collect(self, study: Snapshot) -> list[ScalingMeasurements] | None:
        from .measurements import collect

        return collect(study, self)

    def findings(self, measured: list[ScalingMeasurements] | None, count: int, spec: StudySpec) -> list[Finding]:
        from .f1 import f1
        from .f2a import f2a

        return [f1(measured or [], count), f2a(measured or [], count)]

    def section(self, study: Snapshot, measured: list[ScalingMeasurements] | None) -> Section:
        from .report import section_of

        return section_of(study, self, measured)

    @classmethod
    def summary(cls, measured: list[ScalingMeasurements] | None) -> dict[str, Any]:
        """The fitted curves of the first base."""
        fits = measured[0].fits if measured else {}
        return {"curves": {fmt: {**fit.curve._asdict(), "r2": fit.r2} for fmt, fit in fits.items()}}
