"""Study specs: a TOML file or a preset, and the grid of cells that it stands for.

A cell is one training run with its evaluation. It is keyed by the digest of everything that its result depends on, so
a finished cell is never run again and a changed setting never reuses an old result.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from ..core.formats import parse_format
from ..core.orders import ORDERS
from ..evaluation.config import EvaluateConfig
from ..train.config import OptimizerConfig, SFTConfig

PRESETS = ("quick",)


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
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """The axes of a study; cells are their product."""

    name: str
    """Of the study, for the report."""
    model: str = "bundled"
    """`bundled`, a directory or a hub id."""
    formats: tuple[str, ...] = ("explicit", "composed:2", "implicit:2")
    """`explicit`, `composed:k`, `implicit:k`, `answer-only`."""
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

    def __post_init__(self) -> None:
        for fmt in self.formats:
            parse_format(fmt)
        for order in self.orders:
            if order not in ORDERS:
                raise ValueError(f"unknown order {order!r}; use {', '.join(ORDERS)}")
        for axis in ("formats", "orders", "examples", "seeds", "n_ops"):
            values = getattr(self, axis)
            if not values or len(set(values)) < len(values):
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

    def cells(self) -> list[CellConfig]:
        """The grid, so ordered that each seed's cheap cells come first."""
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
    known = {f.name for f in fields(StudySpec)}
    if unknown := sorted(set(settings) - known):
        raise ValueError(f"unknown setting {unknown[0]!r} in a study; use {', '.join(sorted(known))}")
    if "name" not in settings:
        raise ValueError("a study needs a name")
    plain: dict[str, Any] = {}
    for f in fields(StudySpec):
        if f.name not in settings:
            continue
        value, many = settings[f.name], str(f.type).startswith("tuple")
        items = value if isinstance(value, list | tuple) else [value]
        if isinstance(value, list | tuple) != many or not all(type(item) in _KINDS[str(f.type)] for item in items):
            raise ValueError(f"{f.name} must be {f.type}, got {value!r}")
        plain[f.name] = tuple(value) if many else value
    return StudySpec(**plain)


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "tuple[str, ...]": (str,),
    "tuple[int, ...]": (int,),
}
"""Annotation of a setting -> what its value, or each of its values, may be."""
