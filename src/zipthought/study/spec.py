"""Study specs: a TOML file or a preset, with a table for each experiment that the study makes."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from ..models.names import resolve
from ..surfaces import SURFACES
from ..tasks.sampling import SamplerConfig
from ..train.config import ENGINES
from .cells import TUNING_SEED, Cell
from .experiments import EXPERIMENTS, Decomposition, Experiment, Orders, Repetition, Scaling

PRESETS = ("quick", "laptop", "decomposition", "paper")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """What all experiments share, and the experiments."""

    name: str
    """Of the study, for the report."""
    model: str = "bundled"
    """`bundled`, `bundled-mixed`, `bundled-deep`, a directory or a hub id."""
    parameters: int = 0
    """Of a model that is not on this disk, for the estimate of ``--dry-run``."""
    engine: str = "native"
    """Which trainer runs the cells: `native` or `trl` (see `zipthought train sft --help`)."""
    seeds: tuple[int, ...] = (0,)
    """Each repeats an experiment with other training problems in another order."""
    surface: str = "terse"
    """How problems and traces are written."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    split: str = "test"
    """The held-out split that is measured; choose settings on `validation`."""
    bootstrap: int = 1000
    """Draws of the hierarchical bootstrap."""
    scaling: Scaling | None = None
    """How much data each format needs (F1), and what more brings (F2a)."""
    repetition: Repetition | None = None
    """What repetition brings, and what it fixes in memory (F2b)."""
    decomposition: Decomposition | None = None
    """What RLVR makes of compressed steps (F3)."""
    orders: Orders | None = None
    """Which order generalizes to longer problems (F4)."""
    digests: Mapping[str, str] = field(default_factory=dict, compare=False)
    """No setting: model -> its `model_digest` when the study's store was made, so that a store is read as it is, also
    where its models are elsewhere by now. Of other models, that of the files on this disk."""

    def __post_init__(self) -> None:
        if not self.experiments:
            raise ValueError(f"a study needs at least one experiment, a table {' or '.join(EXPERIMENTS)}")
        for experiment in self.experiments.values():
            seeds = experiment.seeds_of(self)
            if not seeds or len(set(seeds)) < len(seeds):
                raise ValueError(f"seeds must name at least one value, each once, got {list(seeds)}")
            if min(seeds) < 0:
                raise ValueError(f"seeds must be at least 0, got {min(seeds)}")
            if TUNING_SEED in seeds:
                raise ValueError(f"seed {TUNING_SEED} is kept for choosing learning rates; use another")
            lengths = (*experiment.n_ops, *getattr(experiment, "longer_n_ops", ()))
            for n_ops in lengths:
                SamplerConfig(n_ops=n_ops, modulus=self.modulus, number_range=self.number_range)
        if self.split not in ("test", "validation"):
            raise ValueError(f"split must be test or validation, got {self.split!r}")
        if self.engine not in ENGINES:
            raise ValueError(f"unknown engine {self.engine!r}; use {', '.join(ENGINES)}")
        if self.engine == "trl":
            if any(getattr(e, "points", 1) > 1 for e in self.experiments.values()):
                raise ValueError("the engine trl measures at the end only; use points = 1")
            if self.orders and "familiar" in self.orders.views:
                raise ValueError("the engine trl does not spread positions; use views = ['plain']")
        if self.surface not in SURFACES:
            raise ValueError(f"unknown surface {self.surface!r}; use {', '.join(SURFACES)}")
        if self.bootstrap < 1:
            raise ValueError(f"bootstrap must be at least 1, got {self.bootstrap}")

    @property
    def experiments(self) -> dict[str, Experiment]:
        """Name -> settings of the experiments that the study makes."""
        return {name: made for name in EXPERIMENTS if (made := getattr(self, name)) is not None}

    def world(self, model: str) -> dict[str, Any]:
        """The settings of every cell: of the model (empty: the study's) and of the problems."""
        model = model or self.model
        return {
            "model": model,
            "model_digest": self.digests.get(model) or model_digest(model),
            **{name: getattr(self, name) for name in ("engine", "surface", "modulus", "number_range", "split")},
        }

    def plain(self) -> dict[str, Any]:
        """Its settings as JSON can hold them."""
        return {name: value for name, value in asdict(self).items() if name != "digests"}

    def cells(self) -> list[Cell]:
        """All cells, each once, after those that it needs."""
        found: dict[str, Cell] = {}

        def add(cell: Cell) -> None:
            for needed in cell.needs():
                add(needed)
            found.setdefault(cell.digest, cell)

        for experiment in self.experiments.values():
            for cell in experiment.cells(self):
                add(cell)
        return list(found.values())


@lru_cache
def model_digest(model: str) -> str:
    """sha256 of the names and bytes of a local model's files (weights, configuration, tokenizer), first 16 hex digits;
    `hub` for one that is not on this disk."""
    directory = Path(resolve(model))
    files = sorted({file for pattern in _MODEL_FILES for file in directory.glob(pattern)})
    if not files:
        return "hub"
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


_MODEL_FILES = (
    *("*.safetensors", "*.bin", "config.json", "generation_config.json"),
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "chat_template*"),
)


def load_spec(name: str, overrides: Mapping[str, Any] | None = None) -> StudySpec:
    """The spec of a preset or of a TOML file.

    Raises `ValueError` for a preset or file that is not there, TOML that cannot be read, and settings that do not
    exist.
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


def make_spec(settings: Mapping[str, Any], digests: Mapping[str, str] | None = None) -> StudySpec:
    """A spec from plain settings (lists become tuples, tables experiments) and the digests that a store has recorded.
    Raises `ValueError` naming what does not exist or does not fit."""
    if "name" not in settings:
        raise ValueError("a study needs a name")
    values = {name: value for name, value in settings.items() if name not in EXPERIMENTS}
    made = _plain(StudySpec, values, "a study")
    for name, kind in EXPERIMENTS.items():
        if (table := settings.get(name)) is not None:
            if not isinstance(table, Mapping):
                raise ValueError(f"{name} must be a table, got {table!r}")
            made[name] = kind(**_plain(kind, table, f"[{name}]"))
    return StudySpec(**made, digests=digests or {})


def _plain(kind: type, settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings of a dataclass, lists as tuples."""
    tables = (*EXPERIMENTS, "digests") if kind is StudySpec else ()
    known = {f.name: str(f.type) for f in fields(kind) if f.name not in tables}
    if unknown := sorted(set(settings) - set(known)):
        raise ValueError(f"unknown setting {unknown[0]!r} in {where}; use {', '.join(sorted(known))}")
    plain: dict[str, Any] = {}
    for name, value in settings.items():
        many = known[name].startswith("tuple")
        items = value if isinstance(value, list | tuple) else [value]
        if isinstance(value, list | tuple) != many or not all(type(item) in _KINDS[known[name]] for item in items):
            raise ValueError(f"{name} must be {known[name]}, got {value!r}")
        plain[name] = tuple(value) if many else value
    return plain


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "tuple[str, ...]": (str,),
    "tuple[int, ...]": (int,),
    "tuple[float, ...]": (int, float),
}
