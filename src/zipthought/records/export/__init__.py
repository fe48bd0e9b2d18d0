"""Exports: records as the data files of other trainers, each with what their loaders need beside them.

A target is a module with ``NAME, TEXT, FILE_TYPE, row, register``: what a record becomes, and which files go beside the
data. Adding one is one file and its line in `TARGETS`. The system message is in every row; the splits stay apart.

    export_records([Path("train/composed-2.jsonl"), Path("validation/composed-2.jsonl")], "verl", Path("verl"))
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from ...files.atomic import atomic_open, refuse_directories, write_text
from ...files.parquet import import_parquet
from ...tasks.splits import SPLITS
from ..reading import read_whole
from ..schema import Record, format_of
from . import hf, llamafactory, lm_eval, reasoning_gym, trl_grpo, trl_sft, verifiers, verl

TARGETS: dict[str, ModuleType] = {
    module.NAME: module for module in (trl_sft, trl_grpo, llamafactory, verl, reasoning_gym, verifiers, lm_eval, hf)
}
BATCH = 1024
"""Rows that are held in memory for a Parquet file."""


def export_records(
    paths: Sequence[Path],
    target: str,
    directory: Path,
    formats: Collection[str] = (),
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Write the files, of records in `formats` alone where any is named. Returns ``{"records", "splits": {split: n},
    "formats": {format: n}, "files": [...], "earlier": [...]}``; `earlier` are files of other splits that an earlier
    export left in the directory.

    Raises `ValueError` for an unknown target, no path or one twice, a line that holds no record or one with fields of
    other types (by its number) and files without records, and `OSError` for what cannot be read or written; then no
    file appears.
    """
    if target not in TARGETS:
        raise ValueError(f"unknown target {target!r}; use {', '.join(TARGETS)}")
    module = TARGETS[target]
    if len({path.resolve() for path in paths}) < max(1, len(paths)):
        raise ValueError("name at least one file of records, and each once")
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"the output directory {directory} is a file; choose another one")
    names = [*map(module.path_of, SPLITS), *module.register(directory, {}, {})]
    refuse_directories(directory / name for name in names)
    counts: Counter[str] = Counter()
    found: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {field: Counter() for field in ("surface", "format", "k", "n_ops", "modulus")}
    files: dict[str, Path] = {}
    make = _Parquet if module.FILE_TYPE == "parquet" else _Jsonl
    with ExitStack() as stack:
        sinks: dict[str, _Jsonl | _Parquet] = {}
        records = ((path, place, record) for path in paths for place, record in enumerate(read_whole(path), 1))
        for done, (path, place, record) in enumerate(records, 1):
            name = format_of(record)
            if formats and name not in formats:
                continue
            try:
                split, row = _split_of(record), module.row(record)
            except KeyError as error:
                raise ValueError(f"{path}, line {place}: the record has no {error}; export files of records") from error
            except ValueError as error:
                raise ValueError(f"{path}, line {place}: {error}; export files of records") from error
            if split not in sinks:
                files[split] = directory / module.path_of(split)
                sinks[split] = make(stack.enter_context(atomic_open(files[split])))
                stack.callback(sinks[split].close)
            sinks[split].write(row)
            counts[split] += 1
            found[name] += 1
            for field, seen in kinds.items():
                seen[str(record.get(field))] += 1
            if on_progress and done % 1000 == 0:
                on_progress(done)
    if not counts:
        raise ValueError(f"{', '.join(map(str, paths))}: no records{' in ' if formats else ''}{', '.join(formats)}")
    texts: Mapping[str, str] = module.register(directory, dict(counts), {k: dict(v) for k, v in kinds.items()})
    for name, text in texts.items():
        write_text(directory / name, text)
    others = [directory / module.path_of(split) for split in SPLITS if split not in counts]
    return {
        "records": counts.total(),
        "splits": dict(counts),
        "formats": dict(found),
        "files": [str(file) for file in (*files.values(), *(directory / name for name in texts))],
        "earlier": [str(file) for file in others if file.exists()],
    }


def _split_of(record: Record) -> str:
    """The split of a record, after a look at the fields that every target needs.

    Raises `KeyError` for one that is missing and `ValueError` for one of another type.
    """
    said = record["messages"]
    turns = said if isinstance(said, list) and all(isinstance(turn, dict) for turn in said) else []
    if [turn.get("role") for turn in turns] != ["system", "user", "assistant"]:
        raise ValueError("'messages' must be a system, a user and an assistant turn")
    texts = {field: record[field] for field in ("prompt", "completion", "answer")}
    for field, text in [*texts.items(), *(("content", turn.get("content")) for turn in turns)]:
        if not isinstance(text, str):
            raise ValueError(f"{field!r} must be text, got {type(text).__name__}")
    split = record.get("split")
    if split is not None and split not in SPLITS:
        raise ValueError(f"'split' must be {', '.join(SPLITS)} or missing, got {split!r:.80}")
    return split or SPLITS[0]


class _Jsonl:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, row: dict[str, Any]) -> None:
        self._file.write(f"{json.dumps(row)}\n".encode())

    def close(self) -> None:
        self._file.flush()


class _Parquet:
    """Row groups of `BATCH` rows; the schema is that of the first, with integers for columns that are all null."""

    def __init__(self, file: IO[bytes]) -> None:
        self._parquet, self._file = import_parquet(), file
        self._rows: list[dict[str, Any]] = []
        self._writer: Any = None

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if not self._rows:
            return
        table = pyarrow.Table.from_pylist(self._rows, schema=self._writer.schema if self._writer else None)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._file, _without_nulls(table.schema))
            table = table.cast(self._writer.schema)
        self._writer.write_table(table)
        self._rows = []

    def close(self) -> None:
        self._flush()
        if self._writer:
            self._writer.close()


def _without_nulls(schema: Any) -> Any:
    """A schema in which what is null in all rows is an integer, as a modulus would be."""
    import pyarrow

    def mend(kind: Any) -> Any:
        if pyarrow.types.is_null(kind):
            return pyarrow.int64()
        if pyarrow.types.is_struct(kind):
            return pyarrow.struct([field.with_type(mend(field.type)) for field in kind])
        return kind

    return pyarrow.schema([field.with_type(mend(field.type)) for field in schema])
