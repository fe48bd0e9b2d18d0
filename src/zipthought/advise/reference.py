"""What advice rests on: a small table of what a study measured, read from its store or from the file that ships."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.methods import parse_method
from .curves import Run

if TYPE_CHECKING:
    from ..study.store import Store

SHIPPED = "laptop"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRuns:
    """Runs of one format on problems of one set of lengths."""

    format: str
    runs: list[Run]
    response_tokens: float
    """Mean tokens of a completion at the largest N."""
    epochs: dict[int, float]
    """N -> passes over the examples that its runs made."""
    training_accuracy: float
    """On its own training problems, at the largest N."""

    @property
    def examples(self) -> tuple[int, int]:
        """The smallest and the largest N."""
        sizes = [run.examples for run in self.runs]
        return min(sizes), max(sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """What more epochs did to a format at a fixed N."""

    format: str
    examples: int
    model: str
    """The base."""
    n_ops: tuple[int, ...]
    """Lengths of the problems."""
    accuracy: dict[int, list[float]]
    """Epochs -> held-out accuracy of each seed."""
    memorized: dict[int, list[float]]
    """Epochs -> old answers that came back beyond the control, of each seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """What became of a format after SFT: state -> measure -> mean over seeds."""

    format: str
    sft_steps: int
    model: str
    """The base."""
    n_ops: tuple[int, ...]
    """Lengths of the problems."""
    states: dict[str, dict[str, float | None]]


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
    repetition: list[Repetition] = field(default_factory=list)
    branches: list[Branches] = field(default_factory=list)

    @property
    def examples(self) -> tuple[int, int]:
        """The smallest and the largest N."""
        low, high = zip(*(made.examples for made in self.formats), strict=True)
        return min(low), max(high)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def from_store(store: Store) -> Reference:
    """The measurements of a study's finished cells. Raises `ValueError` where it has no data-scaling grid that is
    finished in some format."""
    from ..study.cells import SFTCell
    from ..study.findings import decomposition, repetition

    spec, results = store.spec, store.results()
    if spec.scaling is None:
        raise ValueError(f"{store.directory} has no experiment 'scaling', on which advice rests")
    model = spec.scaling.model or spec.model
    runs: dict[str, list[Run]] = {}
    tokens: dict[str, tuple[int, list[float], list[float]]] = {}
    epochs: dict[str, dict[int, float]] = {}
    for cell in spec.scaling.cells(spec):
        result = results.get(cell.digest)
        if not isinstance(cell, SFTCell) or result is None or cell.model != model:
            continue
        if not parse_method(cell.format).faithful:  # Nobody would be advised to train on broken traces.
            continue
        test = result["splits"]["test"]
        runs.setdefault(cell.format, []).append(Run(cell.examples, round(test["accuracy"] * test["n"]), test["n"]))
        epochs.setdefault(cell.format, {})[cell.examples] = cell.steps * cell.batch_size / cell.examples
        largest, responses, trained = tokens.get(cell.format, (0, [], []))
        if cell.examples > largest:
            largest, responses, trained = cell.examples, [], []
        if cell.examples == largest:
            responses = [*responses, test["response_tokens"]]
            trained = [*trained, result["splits"]["train"]["accuracy"]]
        tokens[cell.format] = largest, responses, trained
    if not runs:
        raise ValueError(f"{store.directory} has no finished cell of the experiment 'scaling' yet")
    repeated = repetition.collect(store, spec.repetition) if spec.repetition else {}
    decomposed = decomposition.collect(store, spec.decomposition) if spec.decomposition else []
    return Reference(
        name=spec.name,
        model=model,
        surface=spec.surface,
        modulus=spec.modulus,
        number_range=spec.number_range,
        n_ops=spec.scaling.n_ops,
        formats=[
            FormatRuns(
                format=fmt,
                runs=made,
                response_tokens=_mean(tokens[fmt][1]),
                training_accuracy=_mean(tokens[fmt][2]),
                epochs=epochs[fmt],
            )
            for fmt, made in runs.items()
        ],
        repetition=[
            Repetition(
                format=fmt,
                examples=spec.repetition.examples,
                model=spec.repetition.model or spec.model,
                n_ops=spec.repetition.n_ops,
                accuracy={e: found.test[:, i].mean(axis=1).tolist() for i, e in enumerate(found.epochs)},
                memorized={
                    e: (found.old_train[:, i].mean(axis=1) - found.old_held_out[:, i].mean(axis=1)).tolist()
                    for i, e in enumerate(found.epochs)
                },
            )
            for fmt, found in repeated.items()
            if spec.repetition
        ],
        branches=[
            Branches(
                format=found.format,
                sft_steps=found.sft_steps,
                model=spec.decomposition.model or spec.model,
                n_ops=spec.decomposition.n_ops,
                states={
                    state: {
                        "accuracy": float(found.correct[state][:, found.trained].mean()),
                        **{k: found.shown[state][k] for k in ("response tokens", "operations a step")},
                    }
                    for state in found.correct
                },
            )
            for found in decomposed
            if spec.decomposition
        ],
    )


def load(study: Path | None) -> Reference:
    """Of a study's directory, of a file that ``study report --format reference`` wrote, or (None) the one that ships.

    Raises `ValueError` as `Store.open` and `from_store` do, and for a file that is no reference.
    """
    if study is None:
        text = resources.files("zipthought.advise").joinpath(f"{SHIPPED}.json").read_text("utf-8")
    elif study.is_file():
        text = study.read_text("utf-8")
    else:
        from ..study.store import Store

        return from_store(Store.open(study))
    try:
        return from_plain(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{study} is no reference that a study's report wrote") from error


def from_plain(value: Mapping[str, Any]) -> Reference:
    """From what `Reference.plain` made of it."""

    def numbered(mapping: Mapping[str, Any]) -> dict[int, Any]:
        return {int(key): item for key, item in mapping.items()}

    formats = [
        FormatRuns(**made | {"runs": [Run(*run) for run in made["runs"]], "epochs": numbered(made["epochs"])})
        for made in value["formats"]
    ]
    repetition = [
        Repetition(
            **made
            | {name: numbered(made[name]) for name in ("accuracy", "memorized")}
            | {"n_ops": tuple(made["n_ops"])}
        )
        for made in value["repetition"]
    ]
    branches = [Branches(**made | {"n_ops": tuple(made["n_ops"])}) for made in value["branches"]]
    rest = {"n_ops": tuple(value["n_ops"]), "formats": formats, "repetition": repetition, "branches": branches}
    return Reference(**dict(value) | rest)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
