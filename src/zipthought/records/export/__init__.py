"""Exports: records as the data files of other trainers, each with the files that their loaders need beside them.

    export_records([Path("train/composed-2.jsonl"), Path("validation/composed-2.jsonl")], "verl", Path("verl"))

Adding a target is one module with the members of `base.Export`, its line below, and nothing else;
`tests/test_export.py` covers whatever is registered. The splits stay apart. The system message is in every row, except
where it only asks for a notation of the final answer that a target replaces (`base.question`).
"""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...core.registry import Registry
from ...files.atomic import atomic_files, closing_all, refuse_directories, refuse_overwrite
from ...files.earlier import mentions_us
from ...tasks.splits import SPLITS
from ..reading import place, read_whole
from ..schema import Record, check_record, format_of
from . import (
    chat_reasoning,
    coconut,
    hf,
    icot,
    llamafactory,
    lm_eval,
    reasoning_gym,
    stepwise,
    trl_grpo,
    trl_sft,
    verifiers,
    verl,
)
from .base import Export
from .writers import WRITERS, RowWriter

_CODE = (".py", ".sh", ".toml")
"""Files beside the data that users edit."""
EXPORTS: Registry[Export] = Registry("target", ("FILE_TYPE", "path_of", "row", "extra_files"))

for _target in (
    trl_sft, trl_grpo, stepwise, chat_reasoning, llamafactory, verl,
    reasoning_gym, verifiers, lm_eval, coconut, icot, hf,
):  # fmt: skip
    EXPORTS.register(_target)

_KINDS = ("surface", "format", "k", "n_ops", "modulus")
"""The fields whose values a target may list."""


def export_records(
    paths: Sequence[Path],
    target: str,
    directory: Path,
    formats: Collection[str] = (),
    on_progress: Callable[[int], None] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the files of a target, from the records in `formats` alone where any is named.

    Returns ``{"records", "splits": {split: n}, "formats": {format: n}, "files": [...], "earlier": [...]}``; `earlier`
    are files of other splits that an earlier export left in the directory.

    Raises `ValueError` for an unknown target, for no path or one that is named twice, for an output that is an input,
    for a line that holds no record or one with fields of other types (by its number), and for files without records;
    `OSError` for a file that cannot be read or written, and for an existing one of other content without `overwrite`.
    Then no file appears.
    """
    module = EXPORTS.find(target)
    if len({path.resolve() for path in paths}) < max(1, len(paths)):
        raise ValueError("name at least one file of records, and each once")
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"the output directory {directory} is a file; choose another one")
    data = {split: directory / module.path_of(split) for split in SPLITS}
    extra = _extra_paths(module, directory)
    refuse_directories([*data.values(), *extra.values()])
    refuse_overwrite([*data.values(), *extra.values()], paths)
    splits: Counter[str] = Counter()
    found: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {field: Counter() for field in _KINDS}
    open_writer = WRITERS[module.FILE_TYPE]
    earlier = overwrite or all(map(mentions_us, extra.values()))  # An export: the files beside its data name us.
    with atomic_files(overwrite=overwrite) as open_file, closing_all() as closing:
        files = {name: open_file(path, overwrite or _is_ours(module, name, earlier)) for name, path in extra.items()}
        writers: dict[str, RowWriter] = {}
        for done, (where, split, row, record) in enumerate(_rows(module, paths, formats), 1):
            if split not in writers:
                writers[split] = open_writer(open_file(data[split], earlier))
                closing.append(writers[split])
            writers[split].write(row, where)
            splits[split] += 1
            found[format_of(record)] += 1
            for field, values in kinds.items():
                values[str(record.get(field))] += 1
            if on_progress and done % 1000 == 0:
                on_progress(done)
        if not splits:
            raise ValueError(f"{', '.join(map(str, paths))}: no records{' in ' if formats else ''}{', '.join(formats)}")
        texts = module.extra_files(directory, dict(splits), {field: dict(values) for field, values in kinds.items()})
        for name, file in files.items():
            file.write(texts[name].encode())
    return {
        "records": splits.total(),
        "splits": dict(splits),
        "formats": dict(found),
        "files": [str(path) for path in (*(data[split] for split in writers), *extra.values())],
        "earlier": [str(path) for split, path in data.items() if split not in splits and path.exists()],
    }


def _is_ours(module: Export, name: str, earlier: bool) -> bool:
    """Whether a file beside the data may be replaced: one that keeps what it holds, or, of an earlier export, all but
    its code."""
    return name in getattr(module, "UPDATED", ()) or (earlier and not name.endswith(_CODE))


def _extra_paths(module: Export, directory: Path) -> dict[str, Path]:
    """Name -> path of the files beside the data. Raises `ValueError` for a target whose files cannot be written."""
    extra = list(module.extra_files(directory, {}, {}))
    names = [*map(module.path_of, SPLITS), *extra]
    if module.FILE_TYPE not in WRITERS:
        raise ValueError(f"the target {module.NAME!r} has the file type {module.FILE_TYPE!r}; use {', '.join(WRITERS)}")
    if len(set(names)) < len(names) or any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
        raise ValueError(
            f"the files of the target {module.NAME!r} must be distinct and inside its directory, got {names}"
        )
    return {name: directory / name for name in extra}


def _rows(
    module: Export, paths: Sequence[Path], formats: Collection[str]
) -> Iterator[tuple[str, str, dict[str, Any], Record]]:
    """(file and line, split, row, record) of the records in `formats`, or of all."""
    for path in paths:
        for number, record in enumerate(read_whole(path), 1):
            where = place(path, number)
            try:
                split = _split_of(record)
                if not formats or format_of(record) in formats:
                    yield where, split, module.row(record), record
            except KeyError as error:
                raise ValueError(f"{where}: the record has no {error}; export files of records") from error
            except ValueError as error:
                raise ValueError(f"{where}: {error}; export files of records") from error


def _split_of(record: Record) -> str:
    """The split of a record, after a check of its fields and of those that every target needs.

    Raises `KeyError` for one that is missing and `ValueError` for one of another type.
    """
    if record["messages"] is None:
        raise ValueError("'messages' must be a list of turns")
    for field in ("prompt", "completion", "answer"):
        if record[field] is None:
            raise ValueError(f"{field!r} must be text, got NoneType")
    split = record.get("split")
    if split is not None and split not in SPLITS:
        raise ValueError(f"'split' must be {', '.join(SPLITS)} or missing, got {reprlib.repr(split)}")
    check_record(record)
    return split or SPLITS[0]
