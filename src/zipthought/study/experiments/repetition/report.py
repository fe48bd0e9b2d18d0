"""The repetition experiment's section of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....report.data import CellRow, ExplorerProblem, Section
from ....report.figures import FigureGroup, Panel
from ....report.palette import Palette
from ...cells import SFTCellResult
from ...explorer import sft_problems
from ...rows import sft_rows
from ...snapshot import Snapshot
from . import Repetition
from .findings import FormatMeasurements

if TYPE_CHECKING:
    import altair as alt

STAGE = "repeat"
MEASURES = {
    "test": "held-out accuracy",
    "train": "training accuracy",
    "memorized": "old answers beyond the control",
}
"""Field of `RepetitionPoint` -> the title of its axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionPoint:
    """The measurements after some epochs over the same examples."""

    format: str
    """As in `CellRow`."""
    epochs: int
    """Passes over the examples."""
    seed: int
    """The number of the seed, from 0."""
    test: float
    """Accuracy on held-out problems, 0..1."""
    train: float
    """Accuracy on the training problems."""
    memorized: float
    """The share of training problems whose old answer returned after one constant was changed, minus that of held-out
    problems."""


def section_of(study: Snapshot, repetition: Repetition, measured: Mapping[str, FormatMeasurements]) -> Section:
    """The section of a study."""
    cells = repetition.finished(study)
    repeated = [cell for cell in cells if cell.examples == repetition.examples]
    results = study.results(SFTCellResult)
    first = repetition.seeds_of(study.spec)[0]
    return section(
        [
            RepetitionPoint(
                format=fmt,
                epochs=epochs,
                seed=seed,
                test=float(data.test[seed, i].mean()),
                train=float(data.train[seed, i].mean()),
                memorized=float(data.old_train[seed, i].mean() - data.old_held_out[seed, i].mean()),
            )
            for fmt, data in measured.items()
            for i, epochs in enumerate(data.epochs)
            for seed in range(data.seeds)
        ],
        [
            *repetition.step0_rows(study, STAGE),
            *(row for cell in cells for row in sft_rows(STAGE, cell, results[cell.digest])),
        ],
        sft_problems(study, repetition.NAME, repeated, first, label=lambda cell: f"{cell.steps} updates"),
    )


def section(
    points: list[RepetitionPoint], cells: Sequence[CellRow] = (), problems: Sequence[ExplorerProblem] = ()
) -> Section:
    """The section of these rows."""
    return Section(
        experiment=Repetition.NAME,
        cells=list(cells),
        tables={"repetition": points},
        figures=lambda palette: _figures(points, palette),
        names={point.format for point in points},
        problems=list(problems),
    )


def _figures(points: Sequence[RepetitionPoint], palette: Palette) -> list[FigureGroup]:
    return [
        FigureGroup(
            title="The same examples, again and again",
            caption="Faint: one seed. Solid: mean of the seeds. Memorized: how often the old answer returns after one "
            "constant of a training problem was changed, minus how often it does for problems outside the training "
            "data.",
            panels=[
                Panel("fig-repetition", "held-out accuracy", chart(points, "test", palette)),
                Panel("fig-repetition-train", "training accuracy", chart(points, "train", palette)),
                Panel("fig-repetition-memory", "memorized", chart(points, "memorized", palette)),
            ],
            names={point.format for point in points},
        )
    ]


def chart(points: Sequence[RepetitionPoint], measure: str, palette: Palette) -> alt.LayerChart | None:
    """A field of `MEASURES` over epochs: a faint line for each seed, a solid one for their mean."""
    import altair as alt

    from ....report import charts

    rows: list[dict[str, Any]] = [
        {"format": p.format, "seed": p.seed, "epochs": p.epochs, "value": getattr(p, measure)} for p in points
    ]
    title = MEASURES[measure]
    x = alt.X(
        "epochs:Q",
        title="epochs over the same examples (log)",
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(values=sorted({row["epochs"] for row in rows}), format="d"),
    )
    y = charts.accuracy_axis("value", title)
    if measure == "memorized":
        y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=True, nice=True))
    return charts.seeds_and_means(rows, "epochs", (x, y), palette, f"{title} against epochs, by format.")
