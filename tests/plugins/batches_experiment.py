"""An experiment, as a stranger would add it: is a larger batch better with equal updates?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zipthought.report.data import Finding, Section
from zipthought.report.figures import FigureGroup, Panel
from zipthought.study.cells import SFTCell, SFTCellResult
from zipthought.study.experiment import EXPERIMENTS, Experiment


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """What one batch size reached."""

    batch_size: int
    accuracy: float


@EXPERIMENTS.register
@dataclass(frozen=True, kw_only=True)
class Batches(Experiment[list[BatchRow]]):
    """One run for each batch size."""

    NAME: ClassVar[str] = "batches"
    FINDINGS: ClassVar[tuple[str, ...]] = ("B1",)
    TABLES: ClassVar[tuple[str, ...]] = ("batches",)

    batch_sizes: tuple[int, ...] = (2, 4)
    """Sequences in an update."""

    def cells(self, spec):
        settings = {"format": "explicit", "n_ops": (2,), "examples": 4, "steps": 1, "learning_rates": (1e-3,)}
        counts = {"test_count": 3, "train_count": 2}
        return [
            SFTCell(**spec.shared(self.model), **settings, **counts, seed=seed, batch_size=size)
            for seed in self.seeds_of(spec)
            for size in self.batch_sizes
        ]

    def collect(self, store):
        results = store.results(SFTCellResult)
        cells = [cell for cell in self.cells(store.spec) if cell.digest in results]
        return [BatchRow(batch_size=c.batch_size, accuracy=results[c.digest].test.accuracy) for c in cells] or None

    def findings(self, measured, count, spec):
        rule = f"Supported if the largest batch is best, among {count} findings."
        summary = f"{len(measured or [])} runs were measured."
        rows = [{"batch size": row.batch_size, "accuracy": row.accuracy} for row in measured or []]
        claim = "Larger batches are better."
        return [Finding(id="B1", claim=claim, verdict="inconclusive", rule=rule, summary=summary, rows=rows)]

    def section(self, store, measured):
        rows = measured or []
        return Section(
            experiment=self.NAME,
            tables={"batches": rows},
            shown={"Accuracy by batch size": "batches"},
            figures=lambda palette: [
                FigureGroup(
                    title="Batches",
                    caption="One point for each run.",
                    panels=[Panel("fig-batches", "", _chart(rows, palette))],
                    names={"batches"},
                )
            ],
            names={"batches"},
        )


def _chart(rows, palette):
    import altair as alt

    from zipthought.report import charts

    points = charts.switched([{"format": "batches", "size": r.batch_size, "accuracy": r.accuracy} for r in rows])
    y = charts.accuracy_axis("accuracy", "test accuracy")
    layer = points.mark_point().encode(x=alt.X("size:Q"), y=y, color=charts.color(palette))
    return charts.finish([layer], palette, "Test accuracy against batch size.")
