"""The configuration of `compress_file`, and the tokenizer that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...core.methods import Method
from ...core.pieces import count_pieces
from ...files.sources import is_data_file
from ..layouts import Reading
from ..methods import parse_solution_method


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressConfig(Reading):
    """Which solutions to compress, how, and where to write them."""

    input: Path
    """A file of `files.sources.FILE_TYPES`, or a Hugging Face dataset directory."""
    output: Path
    """A `.jsonl` file for the records of all formats, or a directory for one file per format."""
    format: tuple[str, ...] = ("composed:2",)
    """`composed:k`, `implicit:k`, `pruned:k`, `answer-only`, and the baselines `random-steps:p`, `truncated:p`,
    `steps:p` and `tokens:p` (about a share p of the text) and `prose` (the original text)."""
    id_field: str = "id"
    """The field of the source's id. A record without it gets a hash of its own text."""
    max_unread: int | None = None
    """Records with more equations that could not be read are rejected; None: none is, because of that."""
    tokenizer: str = ""
    """A Hugging Face tokenizer (a directory or a tokenizer.json) to count tokens with. If empty, words and punctuation
    marks are counted."""
    model: str = ""
    """The model of `rewrite:NAME`, `tokens:p` and `steps:p`: a directory, or as an endpoint names it."""
    workers: int = 0
    """Processes; 0 means one for a small input, else one for each processor."""
    seed: int = 0
    """The seed of `random-steps`."""
    overwrite: bool = False
    """Whether files of other content are replaced. The same command writes the same bytes, and always may."""

    def __post_init__(self) -> None:
        Reading.__post_init__(self)
        formats = self.parsed_formats
        if not formats:
            raise ValueError("format is empty; give at least one, for example composed:2")
        if len(set(map(str, formats))) < len(formats):
            raise ValueError(f"format has a duplicate: {', '.join(self.format)}; give each format once")
        if not self.is_one_file and len({method.file_stem for method in formats}) < len(formats):
            raise ValueError(f"two of the formats {', '.join(self.format)} have the same file; compress them apart")
        for method in formats:
            _check_needs(method, self.tokenizer, self.model)
        if self.max_unread is not None and self.max_unread < 0:
            raise ValueError(f"max_unread must be at least 0, got {self.max_unread}")
        if self.workers < 0:
            raise ValueError(f"workers must be at least 0, got {self.workers}")
        if not self.is_one_file and is_data_file(self.output):
            raise ValueError(f"the output must be a .jsonl file or a directory, got {self.output}")

    @property
    def parsed_formats(self) -> list[Method]:
        return [parse_solution_method(text) for text in self.format]

    @property
    def is_one_file(self) -> bool:
        """Whether the output is one file for all formats."""
        return self.output.suffix == ".jsonl"

    @property
    def rejects_path(self) -> Path:
        """The file of the records that do not verify."""
        return self.output.with_name(f"{self.output.name}.rejects.jsonl")

    def path(self, method: Method) -> Path:
        """The file of one format."""
        return self.output if self.is_one_file else self.output / f"{method.file_stem}.jsonl"


def _check_needs(method: Method, tokenizer: str, model: str) -> None:
    """Raises `ValueError` for a method that needs what `compress` does not have."""
    for need in method.needs:
        if need == "model" and model:
            continue
        if need == "model":
            raise ValueError(f"format {str(method)!r} needs a model; give one with --model")
        if need != "tokenizer":
            raise ValueError(f"format {str(method)!r} needs a {need}, which compress cannot give; use another format")
        if not tokenizer:
            raise ValueError(f"format {str(method)!r} needs a tokenizer; give one with --tokenizer")


def tokenizer_files(path: str) -> list[Path]:
    """The files that `load_tokenizer` reads."""
    return [Path(path) / "tokenizer.json" if Path(path).is_dir() else Path(path)] if path else []


@cache
def load_tokenizer(path: str) -> Any:
    """The `tokenizers.Tokenizer` of a directory or a tokenizer.json; None for an empty path.

    Raises `ValueError` if it cannot be loaded.
    """
    if not path:
        return None
    (file,) = tokenizer_files(path)
    if not file.is_file():
        raise ValueError(f"{path} has no tokenizer.json; give a directory with one, or the file itself")
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ValueError("counting with a tokenizer needs the package tokenizers; install zipthought[train]") from error
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises Exception itself.
        raise ValueError(f"{file} is not the tokenizer.json of a tokenizer: {error}") from error


def token_counter(path: str) -> Callable[[str], int]:
    """A function that counts the tokens of a text with a tokenizer (see `load_tokenizer`).

    For an empty path it counts words and punctuation marks. Raises `ValueError` as `load_tokenizer` does.
    """
    tokenizer = load_tokenizer(path)
    if tokenizer is None:
        return count_pieces
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
