"""The decomposition experiment: does RLVR decompose compressed steps, and does more SFT (F3)?"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from ....core.methods import parse_method
from ....report.data import Finding, Section
from ...cells import BRANCHES, SFT_STATE, Cell, DecompositionCell, DecompositionSettings
from ...experiment import Experiment, check_axis
from ..sft import canonical

if TYPE_CHECKING:
    from ...snapshot import Snapshot
    from ...spec import StudySpec
    from .measurements import DecompositionMeasurements

STATES = (SFT_STATE, *BRANCHES)
"""The states of a model: after SFT, and after each branch."""


@dataclass(frozen=True, kw_only=True)
class Decomposition(DecompositionSettings, Experiment["list[DecompositionMeasurements]"]):
    """A short SFT on a compressed format, then RLVR against more SFT. Its measurements are one for each format and
    length of SFT."""

    NAME: ClassVar[str] = "decomposition"
    FINDINGS: ClassVar[tuple[str, ...]] = ("F3",)
    TABLES: ClassVar[tuple[str, ...]] = ("profiles",)

    formats: tuple[str, ...] = ("composed:2",)
    """The formats of the SFT."""
    sft_steps: tuple[int, ...] = (30,)
    """Updates of the SFT. The first decides the verdict; others show how it depends on SFT."""

    def __post_init__(self) -> None:
        DecompositionSettings.__post_init__(self)
        for fmt in self.formats:
            method = parse_method(fmt)
            if method.NAME not in ("composed", "implicit") or method.k == 1:
                raise ValueError(f"decomposition needs composed:k or implicit:k with k above 1, got {fmt!r}")
        check_axis(self, ("formats", "sft_steps", "n_ops"))
        if min(self.sft_steps) < 1:
            raise ValueError(f"sft_steps must be at least 1, got {self.sft_steps}")

    def lengths(self) -> tuple[int, ...]:
        return self.n_ops + self.longer_n_ops

    @property
    def settings(self) -> DecompositionSettings:
        """The settings of its cells."""
        return DecompositionSettings(**{f.name: getattr(self, f.name) for f in fields(DecompositionSettings)})

    def cells(self, spec: StudySpec) -> list[Cell]:
        """SFT and its branches, seed by seed."""
        shared, settings = spec.shared(self.model), self.settings
        return [
            DecompositionCell(part=part, format=fmt, sft_steps=sft_steps, seed=seed, settings=settings, **shared)
            for fmt in canonical(self.formats)
            for sft_steps in self.sft_steps
            for seed in self.seeds_of(spec)
            for part in STATES
        ]

    def collect(self, study: Snapshot) -> list[DecompositionMeasurements] | None:
        from .measurements import collect

        return collect(study, self)

    def findings(self, measured: list[DecompositionMeasurements] | None, count: int, spec: StudySpec) -> list[Finding]:
        from .f3 import f3

        return [f3(measured or [], count, spec.bootstrap)]

    def section(self, study: Snapshot, measured: list[DecompositionMeasurements] | None) -> Section:
        from .report import section_of

        return section_of(study, self)
