"""The repetition experiment: what do more epochs over the same examples bring, what is memorized (F2b), and what would
new names or new structures bring instead (F6)?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ....report.data import Finding, Section
from ...cells import Cell, SFTCell
from ...experiment import check_axis
from ..sft import SFTExperiment, canonical

if TYPE_CHECKING:
    from ...snapshot import Snapshot
    from ...spec import StudySpec
    from .findings import FormatMeasurements


ARMS = ("repeat", "redress", "fresh")
"""What the updates after the first epoch show: the same prompts again, their structures dressed anew, or new
structures."""


@dataclass(frozen=True, kw_only=True)
class Repetition(SFTExperiment["dict[str, FormatMeasurements]"]):
    """SFT runs over the same examples, format x epochs, and runs of as many updates on other data. Its measurements are
    by format."""

    NAME: ClassVar[str] = "repetition"
    FINDINGS: ClassVar[tuple[str, ...]] = ("F2b", "F6")
    TABLES: ClassVar[tuple[str, ...]] = ("repetition",)
    ADDED: ClassVar[Mapping[str, Any]] = {"arms": ("repeat",), "before": False, "min_learning_rate_ratio": 0.1}

    formats: tuple[str, ...] = ("explicit", "composed:2", "implicit:2")
    """The formats, for example `composed:2` or `random-steps:0.8`."""
    examples: int = 1024
    """Distinct training problems."""
    epochs: tuple[int, ...] = (1, 4, 16)
    """Passes over them. Each is a run of its own with its whole schedule."""
    arms: tuple[str, ...] = ARMS
    """`repeat`, and what is compared with it at equal updates (`ARMS`)."""
    edited_count: int = 100
    """Training problems, and held-out ones, that are answered again with one constant changed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axis(self, ("formats", "arms"))
        for arm in self.arms:
            if arm not in ARMS:
                raise ValueError(f"unknown arm {arm!r}; use {', '.join(ARMS)}")
        if "repeat" not in self.arms:
            raise ValueError(f"arms must have repeat, which the others are compared with, got {self.arms}")
        check_axis(self, ("epochs",), ascending=True)
        self.check_examples(self.examples)
        canonical(self.formats)
        if "fresh" in self.arms and self.distinct(most := self.examples * max(self.epochs)) < most:
            raise ValueError(
                f"the arm fresh shows {most} structures, got structures = {self.structures}; raise it or leave out "
                "fresh"
            )
        if min(self.epochs) < 1 or self.edited_count < 1:
            raise ValueError(f"epochs and edited_count must be at least 1, got {self.epochs} and {self.edited_count}")

    def updates(self, epochs: int) -> int:
        """The updates of this many passes."""
        return -(-self.examples // self.batch_size) * epochs

    @property
    def finding_ids(self) -> tuple[str, ...]:
        asked = {"F2b": len(self.epochs) > 1, "F6": "redress" in self.arms}
        return tuple(each for each in self.FINDINGS if asked[each])

    def cells(self, spec: StudySpec) -> list[Cell]:
        """Seed by seed, cells of few epochs first."""
        self.check_structures(spec, self.examples * (max(self.epochs) if "fresh" in self.arms else 1))
        runs = [
            self.cell(spec, fmt, seed, epochs, arm)
            for seed in self.seeds_of(spec)
            for epochs in self.epochs
            for arm in (self.arms if epochs > 1 else ("repeat",))
            for fmt in canonical(self.formats)
        ]
        return [*self.step0_cells(spec), *runs]

    def cell(self, spec: StudySpec, fmt: str, seed: int, epochs: int, arm: str) -> SFTCell:
        """The cell of an arm with the updates of so many epochs. After one epoch all arms are the same cell."""
        examples = self.examples if arm == "repeat" else self.examples * epochs
        structures = {"structures": self.distinct(self.examples)} if arm == "redress" and epochs > 1 else {}
        return SFTCell(
            **self.cell_settings(spec, examples, seed)
            | self.rate(fmt)
            | structures
            | {"format": fmt, "steps": self.updates(epochs)}
        )

    def collect(self, study: Snapshot) -> dict[str, FormatMeasurements] | None:
        from .findings import collect

        return collect(study, self)

    def findings(self, measured: dict[str, FormatMeasurements] | None, count: int, spec: StudySpec) -> list[Finding]:
        from .f6 import f6
        from .findings import f2b

        made = {"F2b": f2b, "F6": f6}
        return [made[each](measured or {}, count, spec.bootstrap) for each in self.finding_ids]

    def section(self, study: Snapshot, measured: dict[str, FormatMeasurements] | None) -> Section:
        from .report import section_of

        return section_of(study, self, measured or {})
