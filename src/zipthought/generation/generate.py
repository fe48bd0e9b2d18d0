"""Generation: files of records, one file per format, the same problems in the same order in each.

    generate(GenerateConfig(n_ops=(10, 11, 12), count=40_000, format=("explicit", "composed:2"), output_dir=Path("d")))
    # d/explicit.jsonl, d/composed-2.jsonl

The items are those of (seed, split, n_ops, index), n_ops by n_ops, so that any shard is made anywhere: the shards of
JSON Lines files, one after the other, are the bytes of the whole. Files appear when all are finished, or not at all.
Memory does not grow with the number of records.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from ..core.methods import Method, parse_method
from ..core.orders import ORDERS
from ..files.atomic import atomic_open, refuse_directories
from ..files.parquet import import_parquet
from ..records.schema import FIELDS, canonical_json, make_record
from ..surfaces import get_surface
from ..tasks.sampling import Batch, SamplerConfig, sample_batch
from ..tasks.splits import SPLITS
from .fast import FastWriter, supports

BATCH = 4096
"""Records made at a time: large enough for numpy, small enough for memory."""
CHUNK = 1 << 20
"""Bytes that are written at a time."""
FILE_TYPES = ("jsonl", "parquet")


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
    """Where the files go; made where it does not exist. Files of the same names are replaced."""
    modulus: int = 23
    """Residues are 0..modulus-1; at least 2."""
    number_range: int = 5
    """Constants are 1..number_range-1; those of `*` are 2..number_range-1."""
    task: str = "chain"
    """`chain`, or `tree` (two earlier quantities may be combined)."""
    width: int = 3
    """Trees only: how many constants the tree starts from, 2..n_ops+1."""
    depth: int = 0
    """Trees only: the most operations on one path to the target, 1..n_ops; 0: as it comes."""
    shards: int = 1
    """Into how many parts the records are divided; 1 writes whole files."""
    shard: int = 0
    """Which part to write, 0..shards-1."""
    file_type: str = "jsonl"
    """`jsonl`, or `parquet` (needs pyarrow)."""

    def __post_init__(self) -> None:
        if not self.n_ops:
            raise ValueError("n_ops is empty; give at least one number of operations")
        if len(set(self.n_ops)) < len(self.n_ops):
            raise ValueError(f"n_ops has a value twice: {', '.join(map(str, self.n_ops))}")
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")
        if not self.format:
            raise ValueError("format is empty; give at least one, for example explicit")
        parsed = self.parsed_formats
        if unfaithful := [fmt.NAME for fmt in parsed if not fmt.faithful]:
            raise ValueError(f"{unfaithful[0]} is a baseline of studies and of compress, whose traces are not faithful")
        if len(set(parsed)) < len(parsed):
            raise ValueError(f"a format is given twice (composed:1 is explicit): {', '.join(self.format)}")
        if ORDERS.find(self.order).chains_only and self.task == "tree":
            raise ValueError(f"order {self.order!r} needs a chain problem; tree problems have the order 'forward' only")
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

    @property
    def parsed_formats(self) -> list[Method]:
        return [parse_method(text) for text in self.format]

    def sampler(self, n_ops: int) -> SamplerConfig:
        """What the sampler draws for one value of `n_ops`."""
        return SamplerConfig(
            n_ops=n_ops,
            seed=self.seed,
            task=self.task,
            modulus=self.modulus,
            number_range=self.number_range,
            width=self.width,
            depth=self.depth,
        )

    @property
    def rows(self) -> range:
        """The places of this shard in the list of all problems (n_ops by n_ops, index by index)."""
        total = len(self.n_ops) * self.count
        return range(self.shard * total // self.shards, (self.shard + 1) * total // self.shards)

    def path(self, fmt: Method) -> Path:
        """The file of one format."""
        part = f".shard-{self.shard}-of-{self.shards}" if self.shards > 1 else ""
        return Path(self.output_dir) / f"{str(fmt).replace(':', '-')}{part}.{self.file_type}"


def generate(config: GenerateConfig, on_progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Write the files. Returns ``{"records": how many, "files": {format: path}}``.

    `on_progress` is told how many records are done, of how many. Raises `ValueError` for a split without structures in
    a space that is too small, and `OSError` for a directory or a file that cannot be written; then no file appears.
    """
    formats = config.parsed_formats
    rows = config.rows
    for n_ops in config.n_ops:
        sample_batch(config.sampler(n_ops), config.split, [0])  # Raises here rather than after hours of writing.
    if config.file_type == "parquet":
        import_parquet()
    directory = Path(config.output_dir)
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"the output directory {directory} is a file; choose another one")
    refuse_directories(config.path(fmt) for fmt in formats)

    # glibc returns large freed arrays to the system at once, and faulting them in again costs a third of the time; one
    # larger array, made and freed untouched, raises that limit (mallopt(3), M_MMAP_THRESHOLD). Elsewhere: no effect.
    np.empty(31 << 20, dtype=np.uint8)

    done, total = 0, len(rows) * len(formats)
    with ExitStack() as stack:
        # Not durable: the same command makes the same bytes again.
        files = [stack.enter_context(atomic_open(config.path(fmt), durable=False)) for fmt in formats]
        thread = stack.enter_context(ThreadPoolExecutor(1))
        parquet = config.file_type == "parquet"
        sinks: list[Sink] = [_ParquetSink(file) if parquet else _JsonlSink(file, thread) for file in files]
        for sink in sinks:
            stack.callback(sink.close)  # Before the files, so that all bytes are out before the first gets its name.
        for n_ops, indices in _parts(config, rows):
            sampler = config.sampler(n_ops)
            writer = _writer(sampler, formats, config)
            for start in range(indices.start, indices.stop, BATCH):
                part = indices[start - indices.start :][:BATCH]
                batch = sample_batch(sampler, config.split, part)
                for blocks in writer.blocks(batch):
                    for sink, block in zip(sinks, blocks, strict=True):
                        sink.write(block)
                done += len(batch.index) * len(formats)
                if on_progress:
                    on_progress(done, total)
    return {"records": total, "files": {str(fmt): config.path(fmt) for fmt in formats}}


def _parts(config: GenerateConfig, rows: range) -> Iterator[tuple[int, range]]:
    """The rows of a shard by n_ops: which indices of each."""
    for place, n_ops in enumerate(config.n_ops):
        first = place * config.count
        low, high = max(rows.start - first, 0), min(rows.stop - first, config.count)
        if low < high:
            yield n_ops, range(low, high)


class Writer(Protocol):
    """Makes the records of a batch as JSON Lines, some rows after the other: for each format, a block."""

    def blocks(self, batch: Batch) -> Iterator[list[bytes]]: ...


def _writer(sampler: SamplerConfig, formats: Sequence[Method], config: GenerateConfig) -> Writer:
    if supports(sampler, config.order):
        return FastWriter(sampler, formats, config.surface, config.split)
    return ExactWriter(formats, config.order, config.surface, config.split)


class ExactWriter:
    """Lines by way of problems and traces, one at a time: any task, format, order and surface."""

    def __init__(self, formats: Sequence[Method], order: str, surface: str, split: str) -> None:
        self._formats, self._order, self._surface, self._split = formats, order, surface, split

    def blocks(self, batch: Batch) -> Iterator[list[bytes]]:
        for row, index in enumerate(batch.index.tolist()):
            problem, aliases = batch.problem(row), batch.aliases(row)
            records = (
                make_record(problem, fmt, self._order, self._surface, self._split, index, aliases)
                for fmt in self._formats
            )
            yield [f"{canonical_json(record)}\n".encode() for record in records]


class Sink(Protocol):
    """Where the blocks of one format go."""

    def write(self, block: bytes) -> None: ...

    def close(self) -> None: ...


class _JsonlSink:
    """Writes by way of a thread, while the next records are made; one chunk at a time."""

    def __init__(self, file: IO[bytes], writer: Executor) -> None:
        self._file, self._writer = file, writer
        self._written: Future[int] | None = None
        self._blocks: list[bytes] = []
        self._size = 0

    def write(self, block: bytes) -> None:
        self._blocks.append(block)
        self._size += len(block)
        if self._size >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        self._wait()
        self._written = self._writer.submit(self._file.write, b"".join(self._blocks))
        self._blocks, self._size = [], 0

    def _wait(self) -> None:
        if self._written:
            self._written.result()

    def close(self) -> None:
        self._flush()
        self._wait()


class _ParquetSink:
    """A row group for `BATCH` records."""

    def __init__(self, file: IO[bytes]) -> None:
        parquet = import_parquet()
        import pyarrow
        import pyarrow.json

        text, integer = pyarrow.string(), pyarrow.int64()
        turn = pyarrow.struct([("role", text), ("content", text)])
        kinds = {"index": integer, "n_ops": integer, "modulus": integer, "k": integer, "messages": pyarrow.list_(turn)}
        schema = pyarrow.schema([(field, kinds.get(field, text)) for field in FIELDS])
        self._read = pyarrow.json.read_json
        self._options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
        self._writer = parquet.ParquetWriter(file, schema)
        self._blocks: list[bytes] = []
        self._rows = 0

    def write(self, block: bytes) -> None:
        self._blocks.append(block)
        self._rows += block.count(b"\n")
        if self._rows >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            lines = io.BytesIO(b"".join(self._blocks))
            self._writer.write_table(self._read(lines, parse_options=self._options))
        self._blocks, self._rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()
