"""The repetition experiment: what do more epochs over the same examples bring, and what is memorized (F2b)?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ....report.data import Finding, Section
from ...cells import Cell, SFTCell
from ...experiment import check_axis
from ..sft import SFTExperiment, canonical

if TYPE_CHECKING:
    from ...snapshot import Snapshot
    from ...spec import StudySpec
    from .findings import FormatMeasurements


@dataclass(frozen=True, kw_only=True)
class Repetition(SFTExperiment["dict[str, FormatMeasurements]"]):
    """SFT runs over the same examples, format x epochs. Its measurements are by format."""

    NAME: ClassVar[str] = "repetition"
    FINDINGS: ClassVar[tuple[str, ...]] = ("F2b",)
    TABLES: ClassVar[tuple[str, ...]] = ("repetition",)

    formats: tuple[str, ...] = ("explicit", "composed:2", "implicit:2")
    """The formats, for example `composed:2` or `random-steps:0.8`."""
    examples: int = 1024
    """Distinct training problems."""
    epochs: tuple[int, ...] = (1, 4, 16)
    """Passes over them. Each is a run of its own with its whole schedule."""
    edited_count: int = 100
    """Training problems, and held-out ones, that are answered again with one constant changed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axis(self, ("formats",))
        check_axis(self, ("epochs",), ascending=True)
        self.check_examples(self.examples)
        canonical(self.formats)
        if min(self.epochs) < 1 or self.edited_count < 1:
            raise ValueError(f"epochs and edited_count must be at least 1, got {self.epochs} and {self.edited_count}")

    def updates(self, epochs: int) -> int:
        """The updates of this many passes."""
        return -(-self.examples // self.batch_size) * epochs

    def cells(self, spec: StudySpec) -> list[Cell]:
        """Seed by seed, cells of few epochs first."""
        self.check_structures(spec, self.examples)
        return [
            SFTCell(
                **self.cell_settings(spec, self.examples, seed)
                | self.rate(fmt)
                | {"format": fmt, "steps": self.updates(epochs)}
            )
            for seed in self.seeds_of(spec)
            for epochs in self.epochs
            for fmt in canonical(self.formats)
        ]

    def collect(self, study: Snapshot) -> dict[str, FormatMeasurements] | None:
        from .findings import collect

        return collect(study, self)

    def findings(self, measured: dict[str, FormatMeasurements] | None, count: int, spec: StudySpec) -> list[Finding]:
        from .findings import f2b

        return [f2b(measured or {}, count, spec.bootstrap)]

    def section(self, study: Snapshot, measured: dict[str, FormatMeasurements] | None) -> Section:
        from .report import section_of

        return section_of(study, self, measured or {})
