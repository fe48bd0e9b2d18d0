"""The decomposition experiment's section of the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....report.data import ExplorerProblem, Section
from ....report.figures import FigureGroup, Panel
from ....report.palette import Palette
from ...cells import BASE_STATE, RLVR_BASE, SFT_STATE, DecompositionResult
from ...explorer import explored, first_of_each_length, verified
from ...snapshot import Snapshot
from . import NAMES, Decomposition
from .measurements import Parts, complete_parts

if TYPE_CHECKING:
    import altair as alt

    from ...cells.decomposition import BranchPoint

MEASURES = {
    "single_op_coverage": "single_op_coverage",
    "accuracy": "held-out accuracy",
    "response_tokens": "mean response tokens",
}
"""Field of `ProfilePoint` -> the title of its axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePoint:
    """A measurement during a branch."""

    branch: str
    """The name of the branch, for example `RLVR`."""
    run: str
    """What the branch started from: an SFT, or the base."""
    seed: int
    """The seed of the run."""
    lengths: str
    """The measured problems: `trained` or `longer`."""
    tokens: int
    """Training tokens since then."""
    single_op_coverage: float | None
    """The share of the operations that are shown singly and validly, 0..1."""
    accuracy: float | None
    """The share of correct final answers, 0..1."""
    response_tokens: float | None
    """Mean tokens of a completion."""


def section_of(study: Snapshot, decomposition: Decomposition) -> Section:
    """The section of a study."""
    runs = complete_parts(study, decomposition)
    results = study.results(DecompositionResult)
    points = [point for parts in runs for point in _profile(parts, results)]
    return section(list(dict.fromkeys(points)), _problems(study, decomposition, runs))


def section(points: list[ProfilePoint], problems: Sequence[ExplorerProblem] = ()) -> Section:
    """The section of these rows."""
    return Section(
        experiment=Decomposition.NAME,
        tables={"profiles": points},
        figures=lambda palette: _figures(points, palette),
        names={point.branch for point in points},
        problems=list(problems),
    )


def _profile(parts: Parts, results: Mapping[str, DecompositionResult]) -> Iterator[ProfilePoint]:
    """The points of the branches of one SFT run, for trained and for longer lengths. Each branch starts with the
    measurement of the state that it started from. Runs share the points of states without SFT."""
    for branch, cell in parts.items():
        if branch == SFT_STATE:
            continue
        from_base = branch in (BASE_STATE, RLVR_BASE)
        start = parts.get(BASE_STATE if from_base else SFT_STATE)
        points = [(point.tokens, point) for point in results[cell.digest].points]
        if start and start != cell:
            points.insert(0, (0, results[start.digest].points[-1]))
        for tokens, point in points:
            for lengths, n_ops in (("trained", cell.settings.n_ops), ("longer", cell.settings.longer_n_ops)):
                if n_ops:
                    yield ProfilePoint(
                        branch=NAMES[branch],
                        run="the base" if from_base else f"{cell.format} after {cell.sft_steps} updates",
                        seed=cell.seed,
                        lengths=lengths,
                        tokens=tokens,
                        **{measure: _mean(point, n_ops, measure) for measure in MEASURES},
                    )


def _mean(point: BranchPoint, n_ops: Sequence[int], measure: str) -> float | None:
    """The mean over lengths; None if no length has a value."""
    values = [getattr(point.by_n_ops[n], measure) for n in n_ops]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _problems(study: Snapshot, decomposition: Decomposition, runs: Sequence[Parts]) -> list[ExplorerProblem]:
    """The first held-out problems of each length, with the completions of all states of the first seed."""
    spec = study.spec
    runs = [parts for parts in runs if parts[SFT_STATE].seed == decomposition.seeds_of(spec)[0]]
    if not runs:
        return []
    cells = {cell: parts[SFT_STATE].format for parts in runs for cell in parts.values()}
    written = [(cell.part, fmt, study.completions(cell.digest, cell.part)) for cell, fmt in cells.items()]
    formats = ["explicit", *dict.fromkeys(parts[SFT_STATE].format for parts in runs)]
    return [
        explored(
            spec,
            decomposition.NAME,
            n_ops,
            index,
            formats,
            [
                verified(spec, completion, fmt, decomposition.examples, NAMES[state])
                for state, fmt, completions in written
                for completion in completions
                if (completion.n_ops, completion.index) == (n_ops, index)
            ],
        )
        for n_ops, index in first_of_each_length(written[0][2])
    ]


def _figures(points: Sequence[ProfilePoint], palette: Palette) -> list[FigureGroup]:
    return [
        FigureGroup(
            title="After SFT: RLVR against more SFT and the base",
            caption="Greedy completions of held-out problems of the trained lengths. Faint: one seed. Solid: mean of "
            "the seeds. Single operations: single_op_coverage, the share of the problem's operations that valid steps "
            "work out one at a time; 1 is an explicit trace.",
            panels=[
                Panel("fig-profile", "single operations", chart(points, "single_op_coverage", palette)),
                Panel("fig-profile-accuracy", "accuracy", chart(points, "accuracy", palette)),
                Panel("fig-profile-tokens", "response tokens", chart(points, "response_tokens", palette)),
            ],
            names={point.branch for point in points},
        )
    ]


def chart(points: Sequence[ProfilePoint], measure: str, palette: Palette) -> alt.LayerChart | None:
    """A field of `MEASURES` over training tokens since the start of the branch, on trained lengths: a faint line for
    each seed, a solid one for the mean over the seeds at each measurement."""
    import altair as alt

    from ....report import charts

    rows, means = _lines(points, measure)
    if not rows:
        return None
    title = MEASURES[measure]
    y = charts.accuracy_axis("value", title)
    if measure == "response_tokens":
        y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False, nice=True))
    x = alt.X("at:Q", title="training tokens since the start of the branch", axis=alt.Axis(format="~s", tickCount=6))
    tips = [
        alt.Tooltip("format:N", title="branch"),
        alt.Tooltip("run:N", title="from"),
        alt.Tooltip("at:Q", title="tokens", format=",.0f"),
        alt.Tooltip("value:Q", title=title, format=".3f"),
    ]
    color = charts.color(palette)
    dash = charts.dash_by("run", sorted({row["run"] for row in rows}), "from")
    faint = charts.switched(rows).mark_line(strokeWidth=1, opacity=0.4)
    solid = charts.switched(means).encode(x=x, y=y, color=color, detail="line:N", tooltip=tips)
    layers = [
        faint.encode(x=x, y=y, color=color, detail="line:N"),
        solid.mark_line(strokeWidth=2.25).encode(strokeDash=dash),
        solid.mark_point(filled=True, size=60, opacity=1).encode(shape=charts.shape(palette)),
    ]
    return charts.finish(layers, palette, f"{title} against training tokens since the start of the branch.")


def _lines(points: Sequence[ProfilePoint], measure: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the seeds, and their means at the same number of the measurement."""
    runs: defaultdict[tuple[str, str, int], list[ProfilePoint]] = defaultdict(list)
    for p in points:
        if p.lengths == "trained" and getattr(p, measure) is not None:
            runs[p.branch, p.run, p.seed].append(p)
    rows: list[dict[str, Any]] = []
    groups: defaultdict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for (branch, run, seed), members in runs.items():
        for number, p in enumerate(sorted(members, key=lambda p: p.tokens)):
            row = {"format": branch, "run": run, "seed": seed, "at": p.tokens, "value": getattr(p, measure)}
            rows.append(row | {"line": f"{branch}/{run}/{seed}"})
            groups[branch, run, number].append(row)
    means = [
        {"format": branch, "run": run, "line": f"{branch}/{run}"}
        | {field: sum(row[field] for row in group) / len(group) for field in ("at", "value")}
        for (branch, run, _), group in groups.items()
    ]
    return rows, means
