"""Study specs: a TOML file or a preset, and the cells that it stands for.

A cell is one training run with its evaluation, or one SFT run with what goes on from it. It is keyed by the digest of
everything that its result depends on, so a finished cell is never run again and a changed setting never reuses an old
result.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from ..core.formats import parse_format
from ..core.orders import ORDERS
from ..evaluation.config import EvaluateConfig
from ..train.config import OptimizerConfig, RLVRConfig, SFTConfig

PRESETS = ("quick", "decomposition")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellConfig:
    """One training run from the base, and how it is measured."""

    model: str
    """`bundled`, a directory or a hub id."""
    model_digest: str
    """sha256 of the model's weights file, first 16 hex digits; `hub` for a model that is not on this disk."""
    format: str
    """`explicit`, `composed:k`, `implicit:k` or `answer-only`."""
    order: str
    """`forward`, `backward` or `hierarchical`."""
    examples: int
    """Distinct training problems, spread evenly over `n_ops`."""
    seed: int
    """Of the training problems and their order."""
    n_ops: tuple[int, ...]
    """Operations of the training and the test problems."""
    steps: int
    """Updates."""
    batch_size: int
    """Sequences an update."""
    learning_rate: float
    """The peak."""
    optimizer: str
    """`adamw` or `muon`."""
    surface: str
    """How problems and traces are written."""
    modulus: int
    """Residues are 0..modulus-1."""
    number_range: int
    """Constants are 1..number_range-1."""
    split: str
    """The held-out split that is measured: `test`, or `validation` while settings are chosen."""
    test_count: int
    """Held-out problems measured, for each of `n_ops`."""
    train_count: int
    """Training problems measured, for each of `n_ops` (fewer where there are fewer)."""

    @property
    def digest(self) -> str:
        """The identity of the cell, 16 hex digits."""
        return _digest(self)

    @property
    def label(self) -> str:
        """What tells it apart within its study, seeds aside."""
        return f"{self.format}, {self.order}, {self.examples} examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompositionSpec:
    """What is done after SFT on a compressed format, from the same weights: RLVR, and more SFT for as many updates and
    for as many tokens (F3)."""

    formats: tuple[str, ...] = ("composed:2",)
    """Of the SFT."""
    sft_steps: tuple[int, ...] = (30,)
    """Updates of the SFT; the verdict is that of the first, the others show how it depends on SFT."""
    sft_learning_rate: float = 5e-4
    """Its peak, and that of the SFT that goes on."""
    sft_batch_size: int = 64
    """Sequences an update."""
    examples: int = 2048
    """Distinct training problems of SFT."""
    n_ops: tuple[int, ...] = (3, 4)
    """Operations of the problems of SFT and of RLVR."""
    longer_n_ops: tuple[int, ...] = (5, 6)
    """Operations that are measured, too."""
    rl_steps: int = 250
    """Batches of rollouts."""
    prompts_per_step: int = 32
    """Problems of a batch of rollouts."""
    group_size: int = 8
    """Rollouts of a problem."""
    rl_learning_rate: float = 2e-4
    """Constant after the warm-up."""
    measure_every: int = 50
    """Steps between measurements."""
    count: int = 100
    """Held-out problems of each n_ops."""
    samples: int = 64
    """Completions of a problem for pass@k, at temperature 1."""
    sampled: int = 50
    """Problems of each n_ops that are sampled."""

    def __post_init__(self) -> None:
        for fmt in self.formats:
            if parse_format(fmt).name not in ("composed", "implicit"):
                raise ValueError(f"decomposition is about composed:k and implicit:k, got {fmt!r}")
        for axis in ("formats", "sft_steps", "n_ops"):
            values = getattr(self, axis)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{axis} must name at least one value, each once, got {list(values)}")
        if set(self.n_ops) & set(self.longer_n_ops):
            raise ValueError(f"longer_n_ops must differ from n_ops, got {self.longer_n_ops} and {self.n_ops}")
        if min(*self.sft_steps, self.measure_every, self.samples, self.sampled) < 1:
            raise ValueError("sft_steps, measure_every, samples and sampled must be at least 1")
        SFTConfig(batch_size=self.sft_batch_size, optimizer=OptimizerConfig(learning_rate=self.sft_learning_rate))
        EvaluateConfig(n_ops=self.n_ops + self.longer_n_ops, count=self.count)
        RLVRConfig(
            n_ops=self.n_ops,
            steps=self.rl_steps,
            prompts_per_step=self.prompts_per_step,
            group_size=self.group_size,
            optimizer=OptimizerConfig(learning_rate=self.rl_learning_rate),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompositionCell:
    """One SFT run, what goes on from it, and how it is measured."""

    model: str
    """`bundled`, `bundled-mixed`, a directory or a hub id."""
    model_digest: str
    """As in `CellConfig`."""
    format: str
    """Of the SFT."""
    sft_steps: int
    """Updates of the SFT."""
    seed: int
    """Of the problems, their order and the rollouts."""
    surface: str
    """How problems and traces are written."""
    modulus: int
    """Residues are 0..modulus-1."""
    number_range: int
    """Constants are 1..number_range-1."""
    split: str
    """The held-out split that is measured."""
    settings: DecompositionSpec
    """The rest."""

    @property
    def digest(self) -> str:
        """The identity of the cell, 16 hex digits: of what this cell does, whatever else the study has."""
        return _digest(replace(self, settings=replace(self.settings, formats=(self.format,), sft_steps=(1,))))

    @property
    def label(self) -> str:
        """What tells it apart within its study, seeds aside."""
        return f"{self.format}, {self.sft_steps} updates of SFT, then RLVR and more SFT"


AnyCell = CellConfig | DecompositionCell


def _digest(cell: AnyCell) -> str:
    text = json.dumps(asdict(cell), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """The axes of a study; cells are their product, and those of `decomposition` where it is given."""

    name: str
    """Of the study, for the report."""
    model: str = "bundled"
    """`bundled`, a directory or a hub id."""
    formats: tuple[str, ...] = ("explicit", "composed:2", "implicit:2")
    """`explicit`, `composed:k`, `implicit:k`, `answer-only`; none where only `decomposition` is studied."""
    orders: tuple[str, ...] = ("forward",)
    """`forward`, `backward`, `hierarchical`."""
    examples: tuple[int, ...] = (64, 256, 1024)
    """Distinct training problems."""
    seeds: tuple[int, ...] = (0,)
    """Each repeats the whole grid with other training problems in another order."""
    n_ops: tuple[int, ...] = (5, 6)
    """Operations of the problems."""
    steps: int = 60
    """Updates of every cell."""
    batch_size: int = 32
    """Sequences an update."""
    learning_rate: float = 1e-3
    """The peak."""
    optimizer: str = "adamw"
    """`adamw` or `muon`."""
    surface: str = "terse"
    """How problems and traces are written."""
    modulus: int = 23
    """Residues are 0..modulus-1."""
    number_range: int = 5
    """Constants are 1..number_range-1."""
    split: str = "test"
    """The held-out split that is measured; choose settings on `validation`."""
    test_count: int = 100
    """Held-out problems measured, for each of `n_ops`."""
    train_count: int = 50
    """Training problems measured, for each of `n_ops`."""
    bootstrap: int = 1000
    """Draws of the hierarchical bootstrap."""
    decomposition: DecompositionSpec | None = None
    """What is done after SFT (F3)."""

    def __post_init__(self) -> None:
        for fmt in self.formats:
            parse_format(fmt)
        for order in self.orders:
            if order not in ORDERS:
                raise ValueError(f"unknown order {order!r}; use {', '.join(ORDERS)}")
        for axis in ("formats", "orders", "examples", "seeds", "n_ops"):
            values = getattr(self, axis)
            if not (values or (axis == "formats" and self.decomposition)) or len(set(values)) < len(values):
                raise ValueError(f"{axis} must name at least one value, each once, got {list(values)}")
        if min(self.examples) < len(self.n_ops):
            raise ValueError(f"examples must be at least one for each of {len(self.n_ops)} n_ops, got {self.examples}")
        if self.split not in ("test", "validation"):
            raise ValueError(f"split must be test or validation, got {self.split!r}")
        if self.steps < 1 or self.bootstrap < 1 or self.train_count < 1:
            raise ValueError("steps, bootstrap and train_count must be at least 1")
        if max(self.examples) > self.steps * self.batch_size:
            raise ValueError(
                f"{self.steps} updates of {self.batch_size} see {self.steps * self.batch_size} examples, fewer than "
                f"the {max(self.examples)} of the largest cell; raise steps or batch_size"
            )
        # What a cell is made of says what is wrong with the rest.
        OptimizerConfig(learning_rate=self.learning_rate, optimizer=self.optimizer)
        SFTConfig(steps=self.steps, batch_size=self.batch_size)
        EvaluateConfig(
            n_ops=self.n_ops,
            count=self.test_count,
            surface=self.surface,
            modulus=self.modulus,
            number_range=self.number_range,
        )

    def cells(self) -> list[AnyCell]:
        """The grid, so ordered that each seed's cheap cells come first, and then the cells of `decomposition`."""
        return [*self._grid(), *self._decompositions()]

    def _grid(self) -> list[CellConfig]:
        shared = {f.name: getattr(self, f.name) for f in fields(CellConfig) if hasattr(self, f.name)}
        del shared["examples"], shared["n_ops"]
        digest = model_digest(self.model)
        return [
            CellConfig(
                **shared,
                model_digest=digest,
                format=str(parse_format(fmt)),
                order=order,
                examples=examples,
                n_ops=self.n_ops,
                seed=seed,
            )
            for seed in self.seeds
            for examples in self.examples
            for order in self.orders
            for fmt in self.formats
        ]

    def _decompositions(self) -> list[DecompositionCell]:
        if not self.decomposition:
            return []
        digest = model_digest(self.model)
        return [
            DecompositionCell(
                model=self.model,
                model_digest=digest,
                format=str(parse_format(fmt)),
                sft_steps=sft_steps,
                seed=seed,
                surface=self.surface,
                modulus=self.modulus,
                number_range=self.number_range,
                split=self.split,
                settings=self.decomposition,
            )
            for fmt in self.decomposition.formats
            for sft_steps in self.decomposition.sft_steps
            for seed in self.seeds
        ]


def model_digest(model: str) -> str:
    """sha256 of a local model's weights, first 16 hex digits; `hub` for one that is not on this disk."""
    from ..models.loading import resolve  # imports torch

    files = sorted(Path(resolve(model)).glob("*.safetensors"))
    if not files:
        return "hub"
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def load_spec(name: str, overrides: dict[str, Any] | None = None) -> StudySpec:
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
    return make_spec(settings | (overrides or {}))


def make_spec(settings: dict[str, Any]) -> StudySpec:
    """A spec from plain settings (lists become tuples). Raises `ValueError` naming what does not exist."""
    if "name" not in settings:
        raise ValueError("a study needs a name")
    if (nested := settings.get("decomposition")) is not None:
        if not isinstance(nested, dict):
            raise ValueError(f"decomposition must be a table, got {nested!r}")
        settings = settings | {"decomposition": DecompositionSpec(**_plain(DecompositionSpec, nested))}
    return StudySpec(**_plain(StudySpec, settings))


def make_cell(settings: dict[str, Any]) -> AnyCell:
    """A cell from the plain settings that `asdict` made of it."""
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    if "settings" in plain:
        return DecompositionCell(
            **plain | {"settings": DecompositionSpec(**_plain(DecompositionSpec, plain["settings"]))}
        )
    return CellConfig(**plain)


def _plain(kind: type, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a dataclass, lists as tuples. Raises `ValueError` for what does not exist or does not fit."""
    known = {f.name for f in fields(kind)}
    if unknown := sorted(set(settings) - known):
        raise ValueError(f"unknown setting {unknown[0]!r} in a study; use {', '.join(sorted(known))}")
    plain: dict[str, Any] = {}
    for f in fields(kind):
        if f.name not in settings:
            continue
        if isinstance(settings[f.name], DecompositionSpec | None):
            plain[f.name] = settings[f.name]
            continue
        value, many = settings[f.name], str(f.type).startswith("tuple")
        items = value if isinstance(value, list | tuple) else [value]
        if isinstance(value, list | tuple) != many or not all(type(item) in _KINDS[str(f.type)] for item in items):
            raise ValueError(f"{f.name} must be {f.type}, got {value!r}")
        plain[f.name] = tuple(value) if many else value
    return plain


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "tuple[str, ...]": (str,),
    "tuple[int, ...]": (int,),
}
"""Annotation of a setting -> what its value, or each of its values, may be."""
