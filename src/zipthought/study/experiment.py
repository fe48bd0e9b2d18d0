"""The contract of an experiment: a table of a study's TOML file, its cells, its findings and its part of the report.

Adding an experiment is one module with a frozen dataclass that is a subclass of `Experiment`, and its registration:

    @EXPERIMENTS.register
    @dataclass(frozen=True, kw_only=True)
    class Widths(Experiment[list[Width]]):
        NAME = "widths"            # [widths] in the TOML file
        FINDINGS = ("W1",)
        widths: tuple[int, ...] = (3, 4)
        ...

The fields are the settings of the table: text, numbers, or tuples of them. A module outside this package is named in
``ZIPTHOUGHT_PLUGINS`` or as an entry point (`core.registry`), so that worker processes know it, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ..core.registry import Registry
from ..report.data import Finding, Section

if TYPE_CHECKING:
    from .cells import Cell
    from .snapshot import Snapshot
    from .spec import StudySpec

Measured = TypeVar("Measured")


@dataclass(frozen=True, kw_only=True)
class Experiment(ABC, Generic[Measured]):
    """The settings of one experiment. `Measured` is the type of its measurements."""

    NAME: ClassVar[str]
    """The name of its table."""
    FINDINGS: ClassVar[tuple[str, ...]]
    """The ids of its findings, in the order of `findings`. A study corrects its intervals for the number of findings
    of all its experiments."""
    TABLES: ClassVar[tuple[str, ...]] = ()
    """The names of the tables of its `section`."""

    ADDED: ClassVar[Mapping[str, Any]] = {}
    """Settings added after version 0.3 -> their values in a study that was stored or registered without them."""

    model: str = ""
    """The base; empty: that of the study."""
    seeds: tuple[int, ...] = ()
    """Each seed repeats the experiment with other training problems in another order; empty: those of the study."""

    def seeds_of(self, spec: StudySpec) -> tuple[int, ...]:
        """The seeds that the experiment runs with."""
        return self.seeds or spec.seeds

    @property
    def finding_ids(self) -> tuple[str, ...]:
        """The ids of the findings that its settings ask for: all of `FINDINGS`, unless a subclass leaves some out."""
        return self.FINDINGS

    def lengths(self) -> tuple[int, ...]:
        """The numbers of operations of its problems."""
        return ()

    def check(self, spec: StudySpec) -> None:
        """Raise `ValueError` for settings that the study does not allow. `__post_init__` checks all others."""

    @abstractmethod
    def cells(self, spec: StudySpec) -> Sequence[Cell]:
        """Its cells, in the order in which they run. Cells that these need are added by the study.

        Raises `ValueError` for cells that cannot run.
        """

    @abstractmethod
    def collect(self, study: Snapshot) -> Measured | None:
        """The measurements of its finished cells; None if there are none."""

    @abstractmethod
    def findings(self, measured: Measured | None, count: int, spec: StudySpec) -> list[Finding]:
        """The findings, one for each id of `finding_ids`. `count` is the number of findings of the study."""

    @abstractmethod
    def section(self, study: Snapshot, measured: Measured | None) -> Section:
        """Its part of the report: rows, figures, problems for the trace explorer."""

    @classmethod
    def summary(cls, measured: Measured | None) -> dict[str, Any]:
        """What ``zipthought study run --json`` prints besides the findings. `measured` is None for a study without the
        experiment."""
        return {}


EXPERIMENTS: Registry[type[Experiment[Any]]] = Registry(
    "experiment", ("FINDINGS", "cells", "collect", "findings", "section"), classes=True
)


def check_axis(experiment: Experiment[Any], axes: Iterable[str], ascending: bool = False) -> None:
    """Raise `ValueError` for an axis, a setting with several values, that has none or repeats one."""
    for axis in axes:
        values = list(getattr(experiment, axis))
        if not values or len(set(values)) < len(values):
            raise ValueError(f"{axis} must name at least one value, each once, got {values}")
        if ascending and values != sorted(values):
            raise ValueError(f"{axis} must ascend, got {values}")
