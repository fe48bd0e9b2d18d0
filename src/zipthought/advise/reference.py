"""The measurements that advice is based on, read from a study's store or from the file that ships."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.methods import parse_method
from .curves import Run

if TYPE_CHECKING:
    from ..study.cells import SFTCell, SFTCellResult
    from ..study.experiments import Scaling
    from ..study.snapshot import Snapshot

SHIPPED = ("evening", "granularity", "laptop", "implicit")
"""The studies behind the reference that ships. They share the base and the problems, and no run."""
FITTED = 0.9
"""A lower accuracy on its own training problems may come from too few updates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRuns:
    """Runs of one format on problems of one set of lengths."""

    format: str
    runs: list[Run]
    response_tokens: float
    """Mean tokens of a completion at the largest N."""
    epochs: dict[int, float]
    """N -> passes over the examples."""
    training_accuracy: float
    """Mean accuracy on its own training problems at the largest N."""
    structures: dict[int, int] = field(default_factory=dict)
    """N -> distinct structures of the examples. A size without an entry has one structure for each example."""

    @property
    def examples(self) -> tuple[int, int]:
        """The smallest and the largest N."""
        sizes = [run.examples for run in self.runs]
        return min(sizes), max(sizes)

    def nearest(self, examples: int) -> int:
        """The measured N that is nearest, by ratio."""
        return min({run.examples for run in self.runs}, key=lambda n: (abs(math.log(n / examples)), n))

    def distinct(self, examples: int) -> int:
        """The distinct structures of a measured N."""
        return self.structures.get(examples, examples)

    def passes_at(self, examples: int) -> float:
        """Passes over so many examples, between measured N by straight lines over the logarithms."""
        return _between(examples, self.epochs)

    def structures_at(self, examples: int) -> float:
        """Distinct structures of so many examples, in the same way."""
        return _between(examples, {run.examples: self.distinct(run.examples) for run in self.runs})


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRun:
    """The base of the data-scaling grid before any training, on the same held-out problems."""

    solved: int
    n: int
    """Held-out problems measured."""
    response_tokens: float
    """Mean tokens of a completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionRuns:
    """Runs of one format over the same examples."""

    format: str
    examples: int
    """N."""
    model: str
    """The base."""
    n_ops: tuple[int, ...]
    """Lengths of the problems."""
    accuracy: dict[int, list[float]]
    """Epochs -> held-out accuracy of each seed."""
    memorized: dict[int, list[float]]
    """Epochs -> the memorization of each seed: returned old answers minus those of the control."""
    arms: dict[str, list[float]] = field(default_factory=dict)
    """`redress` (the same structures under new names) or `fresh` (new structures) -> held-out accuracy of each seed
    after the updates of the most epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """The models of one format after SFT and after its branches."""

    format: str
    sft_steps: int
    model: str
    """The base."""
    n_ops: tuple[int, ...]
    """Lengths of the problems."""
    states: dict[str, dict[str, float | None]]
    """State -> measure -> mean over seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The measurements of a study."""

    name: str
    model: str
    surface: str
    modulus: int
    number_range: int
    n_ops: tuple[int, ...]
    """Lengths of the problems of the data-scaling grid."""
    formats: list[FormatRuns]
    repetition: list[RepetitionRuns] = field(default_factory=list)
    branches: list[Branches] = field(default_factory=list)
    task: str = "chain"
    """The task of the problems."""
    parameters: int = 0
    """Parameters of the base; 0: unknown."""
    base: BaseRun | None = None
    """None: not measured."""

    @property
    def examples(self) -> tuple[int, int]:
        """The smallest and the largest N."""
        low, high = zip(*(runs.examples for runs in self.formats), strict=True)
        return min(low), max(high)

    def plain(self) -> dict[str, Any]:
        """The reference as JSON values."""
        return asdict(self)


def from_study(study: Snapshot) -> Reference:
    """The measurements of a study's finished cells. Raises `ValueError` if no format of its data-scaling grid has
    finished cells, and for a damaged study."""
    from ..study.experiments import Scaling

    if study.faults:
        raise ValueError(
            f"{study.directory} is damaged ({study.faults[0]}); 'zipthought study run' with its file or preset mends it"
        )
    spec = study.spec
    scaling = spec.experiment(Scaling)
    if scaling is None:
        raise ValueError(f"{study.directory} has no experiment 'scaling', which advice is based on")
    formats = _format_runs(study, scaling)
    if not formats:
        raise ValueError(f"{study.directory} has no finished cell of the experiment 'scaling' yet")
    return Reference(
        name=spec.name,
        model=scaling.model or spec.model,
        surface=spec.surface,
        modulus=spec.modulus,
        number_range=spec.number_range,
        n_ops=scaling.n_ops,
        formats=formats,
        repetition=_repetition(study),
        branches=_branches(study),
        task=spec.task,
        parameters=_parameters(study, scaling),
        base=_base(study, scaling),
    )


def _parameters(study: Snapshot, scaling: Scaling) -> int:
    from ..study.cells import SFTCellResult

    results = study.results(SFTCellResult)
    model = scaling.model or study.spec.model
    return next(results[cell.digest].parameters for cell in scaling.finished(study) if cell.model == model)


def _base(study: Snapshot, scaling: Scaling) -> BaseRun | None:
    """None for a study without the cell, as studies of earlier versions are."""
    for _, result in scaling.step0(study, scaling.model or study.spec.model):
        return BaseRun(
            solved=result.test.correct, n=result.test.n, response_tokens=_mean([result.test.response_tokens])
        )
    return None


def _format_runs(study: Snapshot, scaling: Scaling) -> list[FormatRuns]:
    """The runs of each faithful format from the grid's first base. Nobody should train on unfaithful traces."""
    from ..study.cells import SFTCellResult

    results = study.results(SFTCellResult)
    model = scaling.model or study.spec.model
    cells: dict[str, list[SFTCell]] = {}
    for cell in scaling.finished(study):
        if cell.model == model and parse_method(cell.format).faithful:
            cells.setdefault(cell.format, []).append(cell)
    runs = []
    for fmt, members in cells.items():
        largest = [results[c.digest] for c in members if c.examples == max(cell.examples for cell in members)]
        tests = [(c.examples, results[c.digest].test) for c in members]
        runs.append(
            FormatRuns(
                format=fmt,
                runs=[Run(examples, test.correct, test.n) for examples, test in tests],
                response_tokens=_mean([result.test.response_tokens for result in largest]),
                training_accuracy=_mean([result.fit for result in largest]),
                epochs=_passes(members, results),
                structures={c.examples: c.structures for c in members if c.structures},
            )
        )
    return runs


def _passes(cells: Sequence[SFTCell], results: Mapping[str, SFTCellResult]) -> dict[int, float]:
    """N -> mean passes over the examples at the chosen point. Runs may end before their most updates."""
    passes: dict[int, list[float]] = {}
    for c in cells:
        passes.setdefault(c.examples, []).append(results[c.digest].step * c.batch_size / c.examples)
    return {examples: sum(values) / len(values) for examples, values in passes.items()}


def _repetition(study: Snapshot) -> list[RepetitionRuns]:
    from ..study.experiments import Repetition

    experiment = study.spec.experiment(Repetition)
    return [
        RepetitionRuns(
            format=fmt,
            examples=experiment.examples,
            model=experiment.model or study.spec.model,
            n_ops=experiment.n_ops,
            accuracy={e: data.test[:, i].mean(axis=1).tolist() for i, e in enumerate(data.epochs)},
            memorized={
                e: (data.old_train[:, i].mean(axis=1) - data.old_held_out[:, i].mean(axis=1)).tolist()
                for i, e in enumerate(data.epochs)
            },
            arms={arm: solved[:, -1].mean(axis=1).tolist() for arm, solved in data.arms.items()},
        )
        for fmt, data in ((experiment.collect(study) or {}) if experiment else {}).items()
        if experiment
    ]


def _branches(study: Snapshot) -> list[Branches]:
    from ..study.experiments import Decomposition

    experiment = study.spec.experiment(Decomposition)
    return [
        Branches(
            format=data.format,
            sft_steps=data.sft_steps,
            model=experiment.model or study.spec.model,
            n_ops=experiment.n_ops,
            states={
                state: {
                    "accuracy": float(data.correct[state][:, data.trained].mean()),
                    **{name: data.shown[state][name] for name in ("response tokens", "operations a step")},
                }
                for state in data.correct
            },
        )
        for data in ((experiment.collect(study) or []) if experiment else [])
        if experiment
    ]


def load(study: Path | None) -> Reference:
    """Of a study's directory, of a file that ``study report --format reference`` wrote, or (None) the one that ships.

    Raises `ValueError` as `Store.open`, `Snapshot` and `from_study` do, and for a file that is no reference.
    """
    if study is None:
        files = resources.files("zipthought.advise")
        return reduce(joined, (from_plain(json.loads(files.joinpath(f"{n}.json").read_text("utf-8"))) for n in SHIPPED))
    if study.is_file():
        text = study.read_text("utf-8")
    else:
        from ..study.store import Store

        return from_study(Store.open(study).read())
    try:
        return from_plain(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{study} is no reference that a study's report wrote") from error


def joined(first: Reference, second: Reference) -> Reference:
    """The runs of two studies that share the base and the problems, and no run. All else is that of the first.

    Raises `ValueError` if the studies differ in what runs depend on.
    """
    same = ("model", "parameters", "surface", "modulus", "number_range", "n_ops", "task")
    if differ := [name for name in same if getattr(first, name) != getattr(second, name)]:
        raise ValueError(f"the studies {first.name} and {second.name} differ in {', '.join(differ)}")
    formats = {made.format: made for made in first.formats}
    for made in second.formats:
        formats[made.format] = _both(formats[made.format], made) if made.format in formats else made
    return replace(first, name=f"{first.name}, {second.name}", formats=list(formats.values()))


def _both(first: FormatRuns, second: FormatRuns) -> FormatRuns:
    """The runs of one format. Values at the largest N are those of the study that has it. Where both have it and one of
    them did not fit its training problems, its runs of this N are left out: they lack updates."""
    n = first.examples[1]
    if n == second.examples[1]:
        if first.training_accuracy < FITTED <= second.training_accuracy:
            first = _without(n, first)
        elif second.training_accuracy < FITTED <= first.training_accuracy:
            second = _without(n, second)
    largest = max(first, second, key=lambda made: made.examples[1])
    passes = {n: [made.epochs[n] for made in (first, second) if n in made.epochs] for n in first.epochs | second.epochs}
    return replace(
        largest,
        runs=[*first.runs, *second.runs],
        epochs={n: sum(values) / len(values) for n, values in passes.items()},
        structures=first.structures | second.structures,
    )


def _without(examples: int, runs: FormatRuns) -> FormatRuns:
    """The runs of the other N."""
    return replace(
        runs,
        runs=[run for run in runs.runs if run.examples != examples],
        epochs={n: passes for n, passes in runs.epochs.items() if n != examples},
        structures={n: count for n, count in runs.structures.items() if n != examples},
    )


def from_plain(value: Mapping[str, Any]) -> Reference:
    """The inverse of `Reference.plain`. It also reads references of earlier versions."""

    def numbered(mapping: Mapping[str, Any]) -> dict[int, Any]:
        return {int(key): item for key, item in mapping.items()}

    formats = [
        FormatRuns(
            **row
            | {
                "runs": [Run(*run) for run in row["runs"]],
                "epochs": numbered(row["epochs"]),
                "structures": numbered(row.get("structures", {})),
            }
        )
        for row in value["formats"]
    ]
    repetition = [
        RepetitionRuns(
            **row | {name: numbered(row[name]) for name in ("accuracy", "memorized")} | {"n_ops": tuple(row["n_ops"])}
        )
        for row in value["repetition"]
    ]
    branches = [Branches(**row | {"n_ops": tuple(row["n_ops"])}) for row in value["branches"]]
    base = BaseRun(**value["base"]) if value.get("base") else None
    rest: dict[str, Any] = {"formats": formats, "repetition": repetition, "branches": branches, "base": base}
    rest["n_ops"] = tuple(value["n_ops"])
    return Reference(**dict(value) | rest)


def _between(examples: int, values: Mapping[int, float]) -> float:
    sizes = sorted(values)
    return math.exp(np.interp(math.log(examples), np.log(sizes), np.log([values[n] for n in sizes])))


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)
