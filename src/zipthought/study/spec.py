"""Study specs: a preset or a TOML file, with a table for each experiment of the study."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..surfaces import get_surface
from ..tasks import parse_task
from ..tasks.sampling import SamplerConfig
from ..train.config import ENGINES, check_precision
from .cells import TUNING_SEED, Cell
from .execution import CellExecution
from .experiments import EXPERIMENTS, Experiment
from .models import is_of_hub, kept_digest, model_digest
from .settings import read_settings

PRESETS = (
    *("quick", "laptop", "evening", "granularity", "implicit", "orders", "redress", "decomposition", "baselines"),
    *("real", "smollm2", "paper-small", "paper"),
)
EXECUTION = "execution"
"""The table of a study's file that says how its cells run."""
_NO_SETTINGS = (EXECUTION, "experiments", "digests")
Kind = TypeVar("Kind", bound=Experiment[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """The settings that all experiments share, and the experiments."""

    ADDED: ClassVar[Mapping[str, Any]] = {"precision": "auto", "lora_rank": 0}
    """As `Experiment.ADDED`."""

    name: str
    """The name of the study, for the report."""
    model: str = "bundled"
    """The base: `neutral`, `neutral-2`, `bundled`, `bundled-mixed`, `bundled-deep`, a directory or a hub id, also with
    a revision (`org/name@v1`)."""
    parameters: int = 0
    """The parameters of a model that is not on this disk; ``--dry-run`` needs them."""
    engine: str = "native"
    """The trainer of the cells: `native` or `trl` (see `zipthought train sft --help`)."""
    seeds: tuple[int, ...] = (0,)
    """Each seed repeats an experiment with other training problems in another order."""
    precision: str = "auto"
    """The precision of training: `auto` (`bfloat16` on a GPU, `float32` on a CPU), `float32` or `bfloat16`."""
    lora_rank: int = 0
    """Rank of LoRA adapters that are trained in place of all weights, by the engine `trl`. 0: all weights."""
    surface: str = "terse"
    """The surface of prompts and traces."""
    task: str = "chain"
    """The task that problems are drawn from, for example `tree:width=3`."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    split: str = "test"
    """The held-out split that is measured. Choose settings on `validation`."""
    bootstrap: int = 1000
    """Draws of the hierarchical bootstrap."""
    execution: CellExecution = field(default_factory=CellExecution, compare=False)
    """How its cells run, the table `[execution]`. It is no part of the study: no cell, no registration and no store
    has it, so the same study may go on with other settings, on another machine."""
    experiments: Mapping[str, Experiment[Any]] = field(default_factory=dict)
    """Table -> experiment."""
    digests: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Not a user setting. Model -> its `model_digest` when the store was created, so that a study opens after its
    models moved. Other models are read from this disk."""

    def __post_init__(self) -> None:
        if not self.experiments:
            raise ValueError(f"a study needs at least one experiment, a table {' or '.join(EXPERIMENTS)}")
        if self.split not in ("test", "validation"):
            raise ValueError(f"split must be test or validation, got {self.split!r}")
        if self.engine not in ENGINES:
            raise ValueError(f"unknown engine {self.engine!r}; use {', '.join(ENGINES)}")
        check_precision(self.precision)
        self.execution.trl(self.lora_rank)
        e = self.execution
        if self.engine != "trl" and (self.lora_rank or e.vllm or e.padding_free or e.processes > 1):
            raise ValueError(
                'lora_rank, vllm, padding_free and processes are options of the engine trl; set engine = "trl", or '
                "leave them out"
            )
        get_surface(self.surface)
        if self.bootstrap < 1:
            raise ValueError(f"bootstrap must be at least 1, got {self.bootstrap}")
        _check_distinct([name for kind in EXPERIMENTS.values() for name in kind.FINDINGS], "finding")
        for experiment in self.experiments.values():
            _check_seeds(experiment.seeds_of(self))
            for n_ops in experiment.lengths():
                self.sampler(n_ops)
            experiment.check(self)

    def experiment(self, kind: type[Kind]) -> Kind | None:
        """The experiment of a class; None if the study has none."""
        experiment = self.experiments.get(kind.NAME)
        return experiment if isinstance(experiment, kind) else None

    def sampler(self, n_ops: int) -> SamplerConfig:
        """The sampler of its held-out problems of `n_ops` operations. Raises `ValueError` as `SamplerConfig` does."""
        return SamplerConfig(n_ops=n_ops, task=self.task, modulus=self.modulus, number_range=self.number_range)

    def shared(self, model: str) -> dict[str, Any]:
        """The fields that every `Cell` has, except the seed. `model` is the base; empty: that of the study."""
        model = model or self.model
        names = ("engine", "precision", "lora_rank", "surface", "modulus", "number_range", "split")
        return {
            "model": model,
            "model_digest": self._digest(model),
            "task": str(parse_task(self.task)),
            **{name: getattr(self, name) for name in names},
        }

    def _digest(self, model: str) -> str:
        return self.digests.get(model) or model_digest(model)

    def keeping(self, recorded: Mapping[str, str]) -> StudySpec:
        """The study with the recorded digests of its bases, by model, where the commit of a hub model is known in one
        of the two alone (`models.kept_digest`). So a study goes on after its first cell has downloaded its base."""
        of_hub = {model: digest for model, digest in recorded.items() if is_of_hub(digest)}
        kept = {model: kept_digest(digest, self._digest(model)) for model, digest in of_hub.items()}
        return replace(self, digests={**self.digests, **kept}) if kept else self

    def plain(self) -> dict[str, Any]:
        """The settings as JSON values, in the layout of the TOML file."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NO_SETTINGS}
        return own | {name: asdict(experiment) for name, experiment in self.experiments.items()}

    def cells(self) -> list[Cell]:
        """All cells, each once, and each after the cells that it needs."""
        cells: dict[str, Cell] = {}

        def add(cell: Cell) -> None:
            for needed in cell.needs():
                add(needed)
            cells.setdefault(cell.digest, cell)

        for experiment in self.experiments.values():
            for cell in experiment.cells(self):
                add(cell)
        return list(cells.values())


def _check_distinct(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two experiments have the {what} {name!r}; choose another name")


def _check_seeds(seeds: tuple[int, ...]) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must name at least one value, each once, got {list(seeds)}")
    if min(seeds) < 0:
        raise ValueError(f"seeds must be at least 0, got {min(seeds)}")
    if TUNING_SEED in seeds:
        raise ValueError(f"seed {TUNING_SEED} is kept for choosing learning rates; use another")


def load_spec(name: str, overrides: Mapping[str, Any] | None = None) -> StudySpec:
    """The spec of a preset or of a TOML file.

    Raises `ValueError` for an unknown preset, a missing file, invalid TOML, and unknown or invalid settings.
    """
    if name in PRESETS:
        text = resources.files("zipthought.study").joinpath("presets", f"{name}.toml").read_text("utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text("utf-8")
    else:
        raise ValueError(f"no study {name!r}; use a preset ({', '.join(PRESETS)}) or the path of a TOML file")
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name} is not valid TOML: {error}") from error
    return make_spec(settings | dict(overrides or {}))


def stored_spec(settings: Mapping[str, Any], digests: Mapping[str, str]) -> StudySpec:
    """The spec that a store recorded."""
    return make_spec(with_added(settings), digests)


def with_added(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded settings, with those that the version which wrote them did not have, as that version behaved."""
    tables = {
        name: {**kind.ADDED, **table}
        for name, kind in EXPERIMENTS.items()
        if isinstance(table := settings.get(name), Mapping)
    }
    return {**StudySpec.ADDED, **settings, **tables}


def make_spec(settings: Mapping[str, Any], digests: Mapping[str, str] | None = None) -> StudySpec:
    """A spec from plain settings, and the digests that its store recorded. Lists become tuples, and tables experiments.

    Raises `ValueError` for unknown and for invalid settings. A table that is None is ignored: stores of version 0.1
    have one for each experiment that the study does not make.
    """
    if "name" not in settings:
        raise ValueError("a study needs a name")
    own = {f.name for f in fields(StudySpec)} - set(_NO_SETTINGS)
    if taken := sorted((own | {EXECUTION}) & set(EXPERIMENTS)):
        raise ValueError(f"the experiment {taken[0]!r} has the name of a setting of studies; choose another name")
    if unknown := sorted(set(settings) - own - {EXECUTION, *EXPERIMENTS}):
        what = "table" if isinstance(settings[unknown[0]], Mapping) else "setting"
        raise ValueError(
            f"unknown {what} {unknown[0]!r} in a study; tables are {', '.join((*EXPERIMENTS, EXECUTION))}; settings "
            f"are {', '.join(sorted(own))}"
        )
    values = read_settings(StudySpec, {k: v for k, v in settings.items() if k in own}, "a study", _NO_SETTINGS)
    execution = CellExecution(**read_settings(CellExecution, settings.get(EXECUTION, {}), f"[{EXECUTION}]"))
    experiments: dict[str, Experiment[Any]] = {}
    for name, kind in EXPERIMENTS.items():
        if (table := settings.get(name)) is not None:
            if not isinstance(table, Mapping):
                raise ValueError(f"{name} must be a table, got {table!r}")
            experiments[name] = kind(**read_settings(kind, table, f"[{name}]"))
    return StudySpec(**values, execution=execution, experiments=experiments, digests=digests or {})


__all__ = ["PRESETS", "StudySpec", "load_spec", "make_spec", "stored_spec", "with_added"]
