"""The recipe of a mixture. This module imports neither numpy nor torch: the command line builds its help from it."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from ..solutions.layouts import Reading

RATIO = "ratio"
"""The tag that each record's own ratio decides."""
_WEIGHT = re.compile(r"(?P<file>.+):(?P<weight>\d+(?:\.\d+)?|\.\d+)")
_COUNT = re.compile(r"(?P<file>.+)=(?P<count>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MixConfig:
    """How files are mixed."""

    count: int = 0
    """Examples of the mixture, or its tokens with --by tokens. 0: all, or with weights as many as the files have
    without a repetition."""
    by: Literal["examples", "tokens"] = "examples"
    """What weights and counts are shares of. Tokens are those of the completions."""
    order: Literal["shuffled", "length", "curriculum"] = "shuffled"
    """shuffled; length (short completions first); or curriculum (explicit first, then by operations in a step)."""
    tag: str = ""
    """A budget tag before the last user turn: ratio writes <keep:0.5> by the tokens of each record over those of its
    explicit solution, and a number such as 0.5 that number for all records. Empty: none."""
    tag_step: float = 0.1
    """The grid of the ratios of tags."""
    repeat: bool = False
    """Repeat the records of a file that has fewer than its share."""
    exclude: tuple[Path, ...] = ()
    """Evaluation files. Records with one of their questions are removed."""
    near_overlap: float = 0.5
    """Also remove records whose question is this similar (Jaccard index, 0 to 1) to an evaluation question with the
    same numbers; 0: only equal questions."""
    near_duplicates: float = 0.0
    """Also remove all but the first of records this similar (Jaccard index, 0 to 1) in question and completion, with
    the same numbers; 0: only equal records. It needs zipthought[mix]."""
    tokenizer: str = ""
    """A Hugging Face tokenizer to count tokens with (a directory or a tokenizer.json). If empty, words and punctuation
    marks are counted."""
    seed: int = 0
    """Seed of the choice and of the order."""

    def __post_init__(self) -> None:
        if self.count < 0 or self.seed < 0:
            raise ValueError(f"count and seed must not be negative, got {self.count} and {self.seed}")
        for name, choices in (("by", ("examples", "tokens")), ("order", ("shuffled", "length", "curriculum"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; use {', '.join(choices)}")
        check_tag(self.tag)
        if not 0 < self.tag_step <= 1:
            raise ValueError(f"tag_step must be above 0 and at most 1, got {self.tag_step}")
        for name in ("near_overlap", "near_duplicates"):
            value = getattr(self, name)
            if value and not 0.3 <= value <= 1:
                raise ValueError(f"{name} must be 0, or 0.3 to 1, got {value}; below 0.3 unrelated texts are similar")


def check_tag(tag: str) -> None:
    """Raises `ValueError` for a tag that is neither empty, nor `ratio`, nor a number above 0 and at most 1."""
    try:
        is_known = tag in ("", RATIO) or 0 < float(tag) <= 1
    except ValueError:
        is_known = False
    if not is_known:
        raise ValueError(f"a tag is {RATIO!r} or a number above 0 and at most 1, got {tag!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file of a mixture, and its part."""

    file: Path
    """A file that `zipthought verify` reads."""
    weight: float | None = None
    """Its share, relative to the other weights."""
    count: int | None = None
    """Its examples, or tokens."""
    repeat: bool | None = None
    """Whether its records are repeated where it has too few; by default as the mixture says."""
    tag: str | None = None
    """Its tag; by default that of the mixture."""

    def __post_init__(self) -> None:
        if self.weight is not None and self.count is not None:
            raise ValueError(f"{self.file}: give a weight or a count, not both")
        if self.weight is not None and not (self.weight > 0 and math.isfinite(self.weight)):
            raise ValueError(f"{self.file}: the weight must be above 0, got {self.weight}")
        if self.count is not None and self.count < 1:
            raise ValueError(f"{self.file}: the count must be at least 1, got {self.count}")
        check_tag(self.tag or "")

    @classmethod
    def parse(cls, text: str) -> SourceFile:
        """``FILE``, ``FILE:WEIGHT`` or ``FILE=COUNT``. A file that exists under the whole name is that file."""
        if not Path(text).exists():
            if found := _WEIGHT.fullmatch(text):
                return cls(file=Path(found["file"]), weight=float(found["weight"]))
            if found := _COUNT.fullmatch(text):
                return cls(file=Path(found["file"]), count=int(found["count"]))
        return cls(file=Path(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a mixture depends on, beside the content of its files."""

    sources: tuple[SourceFile, ...]
    config: MixConfig = field(default_factory=MixConfig)
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("name at least one file to mix")
        names = [str(source.file) for source in self.sources]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]} is named twice; name it once, with repeat and a larger weight or count")
        for attribute in ("weight", "count"):
            stated = [source for source in self.sources if getattr(source, attribute) is not None]
            if stated and len(stated) < len(self.sources):
                raise ValueError(
                    f"give all files a weight, or all a count, or none; {stated[0].file} has a {attribute}"
                )
        if self.config.count and self.sources[0].count is not None:
            raise ValueError("the files have counts, so the mixture needs none; give weights with a count of the whole")

    def tag_of(self, source: SourceFile) -> str:
        """The tag of a file's records."""
        return self.config.tag if source.tag is None else source.tag

    def repeats(self, source: SourceFile) -> bool:
        """Whether the records of a file may be repeated."""
        return self.config.repeat if source.repeat is None else source.repeat

    def to_toml(self) -> str:
        """The recipe with all settings, as `load_recipe` reads it. Of an absolute path only the name is shown."""
        lines = [*_lines(self.config, keep_defaults=True)]
        if reading := _lines(self.reading):
            lines += ["", "[reading]", *reading]
        for source in self.sources:
            lines += ["", "[[source]]", *_lines(source)]
        return "\n".join(lines) + "\n"

    @property
    def digest(self) -> str:
        """sha256 of `to_toml`, 64 hex digits."""
        return hashlib.sha256(self.to_toml().encode()).hexdigest()


def shown(path: Path) -> str:
    """A path for a card, which may be published: of an absolute one the name."""
    return path.name if path.is_absolute() else path.as_posix()


def _lines(settings: Any, keep_defaults: bool = False) -> list[str]:
    """A line of TOML for each setting that is not None, nor the default."""
    values = {f.name: (getattr(settings, f.name), f.default) for f in fields(settings)}
    return [
        f"{name} = {_toml(value)}"
        for name, (value, usual) in values.items()
        if value is not None and (keep_defaults or value != usual)
    ]


def _toml(value: Any) -> str:
    if isinstance(value, Path):
        value = shown(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


def load_recipe(path: Path) -> Recipe:
    """The recipe of a TOML file: the settings of `MixConfig`, a table [reading], and a table [[source]] for each file.
    Paths are relative to the current directory.

    Raises `OSError` for a file that cannot be opened, and `ValueError` for one that is no recipe.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from error
    sources = table.pop("source", [])
    reading = table.pop("reading", {})
    if not isinstance(sources, list) or not isinstance(reading, Mapping):
        raise ValueError(f"{path}: a recipe has [[source]] tables and one table [reading]")
    try:
        return Recipe(
            sources=tuple(_read(SourceFile, source, "[[source]]") for source in sources),
            config=_read(MixConfig, table, "a recipe"),
            reading=_read(Reading, reading, "[reading]"),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(kind: Any, table: Any, where: str) -> Any:
    """Settings from a table. Raises `ValueError` for unknown and missing ones, and for values of another type."""
    known: list[Any] = list(fields(kind))
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} must be a table, got {table!r}")
    if unknown := sorted(set(table) - {f.name for f in known}):
        raise ValueError(f"unknown setting {unknown[0]!r} in {where}; use {', '.join(f.name for f in known)}")
    missing = [f.name for f in known if f.default is MISSING and f.name not in table]
    if missing:
        raise ValueError(f"{where} needs {missing[0]!r}")
    hints = get_type_hints(kind)
    return kind(**{name: _value(value, str(hints[name]), f"{name!r} in {where}") for name, value in table.items()})


def _value(value: Any, hint: str, what: str) -> Any:
    """A value of a TOML file as the setting's type, of this text, has it. Raises `ValueError` for another type."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if "tuple" in hint:
        if isinstance(value, list):
            return tuple(_value(item, "Path" if "Path" in hint else "str", what) for item in value)
    elif is_number and what.startswith("'tag' "):
        return f"{value:g}"
    elif is_number and "float" in hint:
        return float(value)
    elif isinstance(value, str) and any(name in hint for name in ("str", "Literal", "Path")):
        return Path(value) if "Path" in hint else value
    elif type(value).__name__ in hint and isinstance(value, int):
        return value
    raise ValueError(f"{what} has a value of another type: {value!r}")


__all__ = ["RATIO", "MixConfig", "Recipe", "SourceFile", "load_recipe", "shown"]
