"""The experiment on orders: which order of the steps generalizes to longer problems (F4)?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ....core.methods import parse_method
from ....core.orders import ORDERS
from ....report.data import Finding, Section
from ....tasks import parse_task
from ...cells import Cell, SFTCell
from ...experiment import check_axis
from ..sft import SFTExperiment

if TYPE_CHECKING:
    from ...snapshot import Snapshot
    from ...spec import StudySpec
    from .measurements import OrderMeasurements


@dataclass(frozen=True, kw_only=True)
class Orders(SFTExperiment["dict[tuple[str, str], OrderMeasurements]"]):
    """SFT runs in each order, measured on longer problems. Its measurements are by (view, order)."""

    NAME: ClassVar[str] = "orders"
    FINDINGS: ClassVar[tuple[str, ...]] = ("F4",)
    ADDED: ClassVar[Mapping[str, Any]] = {"before": False, "min_learning_rate_ratio": 0.1}
    TABLES: ClassVar[tuple[str, ...]] = ("orders_by_length",)

    n_ops: tuple[int, ...] = (3, 4, 5, 6)
    """Operations of the training problems."""
    orders: tuple[str, ...] = ("forward", "backward", "hierarchical")
    """The orders of the steps. `hierarchical` is a text of zipthought, not of the paper."""
    format: str = "explicit"
    """The format of the traces."""
    examples: int = 2048
    """Distinct training problems."""
    steps: int = 300
    """Updates of every cell."""
    longer_n_ops: tuple[int, ...] = (7, 8, 9, 10, 11, 12)
    """Operations of the problems that decide the verdict."""
    familiar: int = 512
    """In the view `familiar`, random gaps between sentences spread training texts over this many positions, so that no
    test position or distance is new. It is the same for every order."""
    views: tuple[str, ...] = ("familiar", "plain")
    """`familiar`: training prompts have as many sentences and positions as the longest test problems. `plain`: training
    problems are unchanged. The first view decides the verdict."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axis(self, ("orders", "longer_n_ops", "views"))
        self.check_examples(self.examples)
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

    def lengths(self) -> tuple[int, ...]:
        return self.n_ops + self.longer_n_ops

    def check(self, spec: StudySpec) -> None:
        possible = parse_task(spec.task).orders
        if missing := [order for order in self.orders if order not in possible]:
            raise ValueError(
                f"task {spec.task!r} has no order {missing[0]!r}; its orders are {', '.join(possible)}, and the "
                "experiment 'orders' compares several"
            )
        super().check(spec)
        if spec.engine == "trl" and "familiar" in self.views:
            raise ValueError("the engine trl does not spread positions; use views = ['plain']")

    @property
    def sentences(self) -> int:
        """Sentences of the longest test problems: a chain of n operations has up to max(2, n) unused quantities."""
        longest = max(self.longer_n_ops)
        return longest + 1 + max(2, longest)

    def cells(self, spec: StudySpec) -> list[Cell]:
        """Seed by seed."""
        self.check_structures(spec, self.examples)
        spread = {"familiar": (self.familiar, self.sentences), "plain": (0, 0)}
        return [
            *self.step0_cells(spec),
            *(
                SFTCell(
                    **self.cell_settings(spec, self.examples, seed)
                    | self.rate(order)
                    | {"format": str(parse_method(self.format)), "sentences": spread[view][1]},
                    order=order,
                    positions=spread[view][0],
                )
                for seed in self.seeds_of(spec)
                for view in self.views
                for order in self.orders
            ),
        ]

    def collect(self, study: Snapshot) -> dict[tuple[str, str], OrderMeasurements] | None:
        from .measurements import collect

        return collect(study, self)

    def findings(
        self, measured: dict[tuple[str, str], OrderMeasurements] | None, count: int, spec: StudySpec
    ) -> list[Finding]:
        from .findings import Precision, f4

        precision = Precision(findings=count, draws=spec.bootstrap)
        return [f4(measured or {}, precision, spec.modulus, len(self.seeds_of(spec)), self.views[0])]

    def section(self, study: Snapshot, measured: dict[tuple[str, str], OrderMeasurements] | None) -> Section:
        from .report import section_of

        return section_of(study, self, measured or {})
