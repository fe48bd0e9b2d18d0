"""What a trained model records of its training, so that later runs never forget it.

``run.json`` holds the settings and results of the run. ``trained_structures.json`` holds the structures of all problems
in the training data, also of the models before. ``config.json``, without which no model loads, holds the
digest of that file under `zipthought`. So a model says by itself whether its structures are complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files.atomic import write_text
from ..models.names import resolve, split_revision
from ..records.reading import read_whole
from ..records.schema import format_of
from .held_out import naming_line, naming_record, require_text

RUN = "run.json"
STRUCTURES = "trained_structures.json"
_KEY = "zipthought"


def write_structures(directory: Path, structures: Collection[str]) -> None:
    """Record the structures in a model directory, and their digest in its ``config.json``."""
    text = json.dumps(sorted(structures), indent=0) + "\n"
    write_text(directory / STRUCTURES, text)
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config[_KEY] = {STRUCTURES: _digest(text.encode())}
    write_text(path, json.dumps(config, indent=2, sort_keys=True) + "\n")


def trained_structures(model: str, visited: frozenset[Path] = frozenset()) -> set[str]:
    """The structures of all problems that a model and those before it were trained on by `train sft` and `train rlvr`.

    `visited` are the models whose bases led here. Raises `ValueError` if the record of a model is lost or damaged, and
    `OSError` as `open` does.
    """
    directory = Path(resolve(model)).resolve()
    if not directory.is_dir():
        return _of_hub(model)
    mark = _mark(directory / "config.json")
    if mark:
        return _read_structures(directory / STRUCTURES, mark)
    if directory in visited or not (directory / RUN).is_file():
        return set()
    return _of_earlier_version(directory, visited | {directory})


def _mark(config: Path) -> str | None:
    """The digest of the structures of a model; None for a model of another program."""
    try:
        value = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{config} is damaged: {error}") from error
    if not isinstance(value, dict) or _KEY not in value:
        return None
    return value[_KEY].get(STRUCTURES, "lost") if isinstance(value[_KEY], dict) else "lost"


def _read_structures(path: Path, digest: str) -> set[str]:
    content = path.read_bytes() if path.is_file() else b""
    if not path.is_file() or _digest(content) != digest:
        raise ValueError(
            f"{path}, the structures that this model was trained on, is {'changed' if path.is_file() else 'missing'}; "
            f"restore it, or delete {_KEY!r} from config.json to go on without"
        )
    return set(json.loads(content))


def _of_hub(model: str) -> set[str]:
    """The structures of a model on the hub, from the cache or from there."""
    from transformers.utils import cached_file

    repository, pinned = split_revision(model)
    try:
        digest = _mark(Path(str(cached_file(repository, "config.json", **pinned))))
    except OSError:
        return set()  # Loading the model gives the reason.
    if not digest:
        return set()
    try:
        path = cached_file(repository, STRUCTURES, **pinned)
    except OSError:
        path = None
    return _read_structures(Path(path or f"{model}/{STRUCTURES}"), digest)


def _of_earlier_version(directory: Path, visited: frozenset[Path]) -> set[str]:
    """The structures of a model of version 0.2, whose ``run.json`` names its training data and its base."""
    remedy = "restore it, or delete run.json to go on without the structures that the model was trained on"
    run = read_record(directory / RUN, remedy)
    data, base = run.get("data"), run.get("base")
    if not isinstance(base, str):
        return set()  # Another program wrote it.
    for path, exists in ((data, Path.is_file), (base if Path(base).is_absolute() else None, Path.is_dir)):
        if path and not exists(Path(path)):
            raise ValueError(f"{directory / RUN} names {path}, which is missing; {remedy}")
    return (structures_in(Path(data)) if data else set()) | trained_structures(base, visited)


def structures_of(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """The structures of records that have one. Raises `RecordError` for a structure that is no text."""
    found = set()
    for number, record in enumerate(records, 1):
        with naming_record(number):
            found.add(require_text(record, "structure"))
    return {structure for structure in found if structure}


def contents_of(records: Collection[Mapping[str, Any]]) -> dict[str, Any]:
    """What records are, for run.json: how many, and the distinct `formats`, `surfaces`, `n_ops` and `moduli` that they
    name."""
    surfaces = {str(record["surface"]) for record in records if record.get("surface")}
    lengths, moduli = (
        sorted({record[name] for record in records if type(record.get(name)) is int}) for name in ("n_ops", "modulus")
    )
    return {
        "records": len(records),
        "formats": sorted({format_of(record) for record in records}),
        "surfaces": sorted(surfaces),
        "n_ops": lengths,
        "moduli": moduli,
    }


def structures_in(path: Path) -> set[str]:
    """The structures of a file of records. Raises `OSError` and `ValueError` as `read_whole` does."""
    with naming_line(path):
        return structures_of(read_whole(path))


def write_run(directory: Path, record: Mapping[str, Any]) -> None:
    """Write the settings and results of a run."""
    write_text(directory / RUN, json.dumps(record, indent=2) + "\n")


def read_record(path: Path, remedy: str = "restore it, or choose another --output-dir") -> dict[str, Any]:
    """The content of a finished model's ``run.json`` or card. Raises `ValueError` with the remedy if it is missing or
    damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise ValueError(f"{path} is missing or damaged; {remedy}")
    return record


def require_same(directory: Path, recorded: Mapping[str, Any], requested: Mapping[str, Any]) -> None:
    """Raises `ValueError` if the settings of the finished model in `directory` differ from those requested."""
    different = _differences(recorded, json.loads(json.dumps(requested)))
    if different:
        raise ValueError(
            f"{directory} holds a finished model of other settings: {', '.join(different)}; choose another --output-dir"
        )


def _differences(recorded: Mapping[str, Any], requested: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs, as ``name was RECORDED and is REQUESTED``. Nested settings have names with a dot."""
    found = []
    for name, value in requested.items():
        before = recorded.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            found += _differences(before, value, f"{prefix}{name}.")
        elif before != value:
            found.append(f"{prefix}{name} was {_short(before)} and is {_short(value)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:20]}..."


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


__all__ = [
    "RUN",
    "contents_of",
    "read_record",
    "require_same",
    "structures_in",
    "structures_of",
    "trained_structures",
    "write_run",
    "write_structures",
]
