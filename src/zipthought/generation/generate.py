"""Generation: files of records, one file per format, the same problems in the same order in each.

    generate(GenerateConfig(n_ops=(10, 11, 12), count=40_000, format=("explicit", "composed:2"), output_dir=Path("d")))
    # d/explicit.jsonl, d/composed-2.jsonl

The items are those of (seed, split, n_ops, index), n_ops by n_ops. Any shard can be generated anywhere, and the shards
of JSON Lines files, one after the other, are the bytes of the whole. Files appear when all are finished, or not at all.
Memory does not grow with the number of records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.methods import Method, parse_method
from ..core.orders import ORDERS
from ..files.atomic import atomic_files, closing_all, refuse_directories
from ..files.earlier import is_records
from ..files.parquet import import_parquet
from ..surfaces import get_surface
from ..tasks import parse_task
from ..tasks.sampling import SamplerConfig, sample_batch
from ..tasks.splits import SPLITS
from .exact import ExactWriter, Writer
from .fast import FastWriter, supports
from .sinks import FILE_TYPES, Sink, make_sinks

BATCH = 4096
"""Records that are drawn at a time: enough for numpy to be fast, few enough to stay small in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateConfig:
    """What to generate, and where to."""

    n_ops: tuple[int, ...]
    """Operations from the start to the target; `count` problems of each."""
    count: int = 1000
    """Problems per value of n_ops, at least 1."""
    format: tuple[str, ...] = ("explicit",)
    """`explicit`, `composed:k`, `implicit:k`, `answer-only`; each is a file."""
    order: str = "forward"
    """`forward`, `backward` or `hierarchical`; trees have `forward` only."""
    surface: str = "english"
    """`english` or `terse`."""
    split: str = "train"
    """`train`, `validation` or `test`; no structure is in two of them, whatever the seed."""
    seed: int = 0
    """Any integer; neighbouring seeds share nothing."""
    output_dir: Path = Path("data")
    """The directory of the files; created where it does not exist."""
    modulus: int = 23
    """Residues are 0..modulus-1; at least 2."""
    number_range: int = 5
    """Constants are 1..number_range-1; those of `*` are 2..number_range-1."""
    task: str = "chain"
    """`chain`, or `tree` (two earlier quantities may be combined) with its settings: `tree:width=3,depth=2` starts from
    3 constants and has at most 2 operations on a path to the target."""
    shards: int = 1
    """Into how many parts the records are divided; 1 writes whole files."""
    shard: int = 0
    """Which part to write, 0..shards-1."""
    file_type: str = "jsonl"
    """`jsonl`, or `parquet` (needs pyarrow)."""
    overwrite: bool = False
    """Whether files are replaced that hold something else than records."""

    def __post_init__(self) -> None:
        if not self.n_ops:
            raise ValueError("n_ops is empty; give at least one number of operations")
        if len(set(self.n_ops)) < len(self.n_ops):
            raise ValueError(f"n_ops has a value twice: {', '.join(map(str, self.n_ops))}")
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")
        self._check_methods()
        ORDERS.find(self.order)
        if self.order not in (orders := parse_task(self.task).orders):
            raise ValueError(f"task {self.task!r} has no order {self.order!r}; use {', '.join(orders)}")
        get_surface(self.surface)
        if self.split not in SPLITS:
            raise ValueError(f"unknown split {self.split!r}; use {', '.join(SPLITS)}")
        if self.shards < 1:
            raise ValueError(f"shards must be at least 1, got {self.shards}")
        if not 0 <= self.shard < self.shards:
            raise ValueError(f"shard must be 0..{self.shards - 1} (shards={self.shards}), got {self.shard}")
        if self.file_type not in FILE_TYPES:
            raise ValueError(f"unknown file type {self.file_type!r}; use {', '.join(FILE_TYPES)}")
        for n_ops in self.n_ops:
            self.sampler(n_ops)

    def _check_methods(self) -> None:
        methods = self.methods
        if not methods:
            raise ValueError("format is empty; give at least one, for example explicit")
        for method in methods:
            if not method.faithful:
                raise ValueError(f"format {method}: its traces are not faithful; generate writes faithful ones only")
            if method.needs:
                raise ValueError(f"format {method} needs a {' and a '.join(method.needs)}; generate has none")
        if len(set(map(str, methods))) < len(methods):
            raise ValueError(f"a format is given twice (composed:1 is explicit): {', '.join(self.format)}")
        if len({method.file_stem for method in methods}) < len(methods):
            raise ValueError(f"two of the formats {', '.join(self.format)} have the same file; generate them apart")

    @property
    def methods(self) -> list[Method]:
        """The methods that the formats name."""
        return [parse_method(text) for text in self.format]

    def sampler(self, n_ops: int) -> SamplerConfig:
        """The configuration of the sampler for one value of `n_ops`."""
        return SamplerConfig(
            n_ops=n_ops, seed=self.seed, task=self.task, modulus=self.modulus, number_range=self.number_range
        )

    @property
    def rows(self) -> range:
        """The indices of this shard in the list of all problems (n_ops by n_ops, index by index)."""
        total = len(self.n_ops) * self.count
        return range(self.shard * total // self.shards, (self.shard + 1) * total // self.shards)

    def path(self, method: Method) -> Path:
        """The file of one format."""
        part = f".shard-{self.shard}-of-{self.shards}" if self.shards > 1 else ""
        return Path(self.output_dir) / f"{method.file_stem}{part}.{self.file_type}"


def generate(config: GenerateConfig, on_progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Write the files. Returns ``{"records": count, "files": {format: path}}``.

    `on_progress` is called with the number of finished records and of all. Raises `ValueError` for a space of problems
    that is too small for the split, and `OSError` for a directory or a file that cannot be written, that has other
    content but records (without `overwrite`), or that another process is writing; then no file appears.
    """
    methods, rows = config.methods, config.rows
    for n_ops in config.n_ops:
        sample_batch(config.sampler(n_ops), config.split, [0])  # Raises here rather than after hours of writing.
    if config.file_type == "parquet":
        import_parquet()
    directory = Path(config.output_dir)
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"the output directory {directory} is a file; choose another one")
    paths = [config.path(method) for method in methods]
    refuse_directories(paths)

    # glibc returns large freed arrays to the system at once, and faulting them in again costs a third of the time. One
    # larger array, allocated and freed untouched, raises that limit (mallopt(3), M_MMAP_THRESHOLD).
    np.empty(31 << 20, dtype=np.uint8)

    done, total = 0, len(rows) * len(methods)
    # Not durable: the same command writes the same bytes again.
    with atomic_files(durable=False, overwrite=config.overwrite or is_records) as open_file, closing_all() as closing:
        files = {path: open_file(path) for path in sorted(paths)}  # Sorted: of two such commands, one gets them all.
        sinks = make_sinks([files[path] for path in paths], methods, config.file_type)
        closing += sinks
        for n_ops, indices in _parts(config, rows):
            sampler = config.sampler(n_ops)
            writers = _writers(config, sampler, methods, sinks)
            for start in range(indices.start, indices.stop, BATCH):
                batch = sample_batch(sampler, config.split, indices[start - indices.start :][:BATCH])
                for writer, targets in writers:
                    for blocks in writer.blocks(batch):
                        for sink, block in zip(targets, blocks, strict=True):
                            sink.write(block)
                done += len(batch.index) * len(methods)
                if on_progress:
                    on_progress(done, total)
    return {"records": total, "files": dict(zip(map(str, methods), paths, strict=True))}


def _parts(config: GenerateConfig, rows: range) -> Iterator[tuple[int, range]]:
    """The rows of a shard by n_ops: which indices of each."""
    for position, n_ops in enumerate(config.n_ops):
        first = position * config.count
        low, high = max(rows.start - first, 0), min(rows.stop - first, config.count)
        if low < high:
            yield n_ops, range(low, high)


def _writers(
    config: GenerateConfig, sampler: SamplerConfig, methods: list[Method], sinks: list[Sink]
) -> list[tuple[Writer, list[Sink]]]:
    """The fast writer for the methods that it supports, the exact one for the others, each with its sinks."""
    fast = [supports(sampler, method, config.surface, config.order) for method in methods]
    writers: list[tuple[Writer, list[Sink]]] = []
    for is_fast in (True, False):
        some = [method for method, chosen in zip(methods, fast, strict=True) if chosen == is_fast]
        targets = [sink for sink, chosen in zip(sinks, fast, strict=True) if chosen == is_fast]
        if some:
            writer: Writer = (
                FastWriter(sampler, some, config.surface, config.split)
                if is_fast
                else ExactWriter(some, config.order, config.surface, config.split)
            )
            writers.append((writer, targets))
    return writers
