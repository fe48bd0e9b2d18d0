"""The orders experiment's section of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ....report.data import CellRow, ExplorerProblem, Section
from ....report.figures import FigureGroup, Panel
from ....report.palette import Palette
from ...cells import SFTCell, SFTCellResult
from ...explorer import sft_problems
from ...rows import sft_rows
from ...snapshot import Snapshot
from . import Orders
from .measurements import OrderMeasurements
from .rows import LengthRow, length_rows

if TYPE_CHECKING:
    import altair as alt

STAGES = {"familiar": "order, familiar", "plain": "order"}
"""View -> the stage of its cells in the report."""


def section_of(study: Snapshot, orders: Orders, measured: Mapping[tuple[str, str], OrderMeasurements]) -> Section:
    """The section of a study."""
    cells = orders.finished(study)
    results = study.results(SFTCellResult)
    rows = orders.step0_rows(study, STAGES[orders.views[0]]) + [
        row
        for cell in cells
        for row in sft_rows(STAGES["familiar" if cell.positions else "plain"], cell, results[cell.digest])
    ]
    problems = sft_problems(study, orders.NAME, cells, orders.seeds_of(study.spec)[0], label=_label)
    return section(rows, length_rows(measured, study.spec.bootstrap), problems)


def _label(cell: SFTCell) -> str:
    return f"{cell.order}{', familiar positions' if cell.positions else ''}"


def section(
    cells: list[CellRow], lengths: Sequence[LengthRow] = (), problems: Sequence[ExplorerProblem] = ()
) -> Section:
    """The section of these cells, whose stages are those of `STAGES`."""
    table = Orders.TABLES[0]
    return Section(
        experiment=Orders.NAME,
        cells=cells,
        tables={table: list(lengths)},
        shown={"Orders by length": table} if lengths else {},
        figures=lambda palette: _figures(cells, palette),
        names={cell.order for cell in cells},
        problems=list(problems),
    )


def _figures(cells: Sequence[CellRow], palette: Palette) -> list[FigureGroup]:
    names = {cell.order for cell in cells}
    caption = (
        "Faint: one seed. Solid: mean of the seeds. Right of the line, problems are longer than any in training. "
        "Familiar: no position or distance of the longest problems was new. Plain: training problems are unchanged."
    )
    return [
        FigureGroup(
            title="Orders on longer problems",
            caption=caption,
            panels=[
                Panel("fig-orders", "familiar positions", chart(cells, "familiar", "accuracy", palette)),
                Panel("fig-orders-plain", "plain", chart(cells, "plain", "accuracy", palette)),
            ],
            names=names,
        ),
        FigureGroup(
            title="Faithful traces on longer problems",
            caption=f"The share of completions with a correct answer and only valid steps. {caption}",
            panels=[
                Panel("fig-orders-faithful", "familiar positions", chart(cells, "familiar", "faithful", palette)),
                Panel("fig-orders-faithful-plain", "plain", chart(cells, "plain", "faithful", palette)),
            ],
            names=names,
            detail=True,
        ),
    ]


MEASURES = {"accuracy": "test accuracy", "faithful": "faithful share"}
"""Field of `CellRow` -> the title of its axis."""


def chart(cells: Sequence[CellRow], view: str, measure: str, palette: Palette) -> alt.LayerChart | None:
    """A measure of test problems over n_ops by order, in one view. A vertical line marks the longest training
    problems."""
    import altair as alt

    from ....report import charts

    cells = [cell for cell in cells if cell.stage == STAGES[view] and cell.n_ops.isdecimal()]
    rows: list[dict[str, Any]] = [
        {"format": c.order, "seed": c.seed, "n_ops": int(c.n_ops), "value": getattr(c, measure)}
        for c in cells
        if c.split == "test" and getattr(c, measure) is not None
    ]
    lengths = sorted({row["n_ops"] for row in rows})
    x = alt.X(
        "n_ops:Q",
        title="operations in the problem",
        axis=alt.Axis(values=lengths, format="d"),
        scale=alt.Scale(domain=[min(lengths), max(lengths)] if rows else [0, 1], nice=False, padding=14),
    )
    trained = [int(c.n_ops) for c in cells if c.split == "train"]
    edge = charts.fixed([{"n_ops": max(trained) + 0.5}] if trained else [])
    rule = edge.mark_rule(strokeDash=[2, 4], color=palette.ink("muted")).encode(x="n_ops:Q")
    y = charts.accuracy_axis("value", MEASURES[measure])
    description = f"{MEASURES[measure].capitalize()} against the number of operations, by order."
    return charts.seeds_and_means(rows, "n_ops", (x, y), palette, description, [rule] if trained else [])
