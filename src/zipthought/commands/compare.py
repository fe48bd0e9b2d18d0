"""``zipthought compare``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..comparing.config import NamedFile, TrainOptions
from ..files.atomic import refuse_directories, refuse_existing, refuse_overwrite, write_text
from ..files.earlier import mentions_us
from ..files.hub import on_disk
from ..models.names import resolve
from ..solutions.compress.config import token_counter, tokenizer_files
from ..solutions.layouts import Reading
from .console import console, count_lines, print_json, print_table, progress
from .outputs import model_files

if TYPE_CHECKING:
    from ..comparing.page import Comparison
    from ..comparing.rows import Count, FileRow


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOutput:
    """What is written."""

    output: Path
    """The page: Markdown (.md) or HTML (.html). With --model, OUTPUT.results.json beside it has every finished run, and
    the same command goes on after a stop."""
    overwrite: bool = False
    """Replace existing files that zipthought did not write, too."""

    def __post_init__(self) -> None:
        if self.output.suffix not in (".md", ".html"):
            raise ValueError(
                f"the page is Markdown or HTML; choose a name that ends in .md or .html, not {self.output}"
            )

    @property
    def results(self) -> Path:
        return self.output.with_name(f"{self.output.name}.results.json")

    @property
    def checkpoint(self) -> Path:
        """Of the run in progress."""
        return self.output.with_name(f".{self.output.name}.checkpoint.pt")


@dataclass(frozen=True, slots=True, kw_only=True)
class CountOptions:
    """How tokens are counted, and against what."""

    reference: Path | None = None
    """The file against which tokens are saved; by default the first one."""
    tokenizer: str = ""
    """A Hugging Face tokenizer (a directory or a tokenizer.json) to count tokens with; by default that of --model.
    Without a model, words and punctuation marks are counted."""


def compare(
    sources: Annotated[tuple[str, ...], tyro.conf.Positional],
    written: CompareOutput,
    training: TrainOptions = TrainOptions(),  # noqa: B008
    counting: CountOptions = CountOptions(),
    reading: Reading = Reading(),  # noqa: B008
    json: bool = False,
) -> int:
    """Compare files of solutions of the same questions.

    Args:
        sources: FILE or NAME=FILE, each a file that `zipthought verify` reads, and a row of the table.
        written: What is written.
        training: The model that each file trains, and the questions that measure it.
        counting: How tokens are counted, and against what.
        reading: Where the records have their texts.
        json: Print the table as one object on standard output.
    """
    files = [NamedFile.parse(text) for text in sources]
    if not files:
        raise ValueError("name at least one file of solutions")
    _check_files(files, written, training, counting, reading)
    rows, reference = _read(files, training, counting, reading)
    made = _compared(rows, reference, written, training, counting, reading)
    made = replace(made, command=_command(sources, written, training, counting, reading))
    _write(made, written)
    for row in rows:
        if row.unjudged:
            text = f"{row.file}: {row.unjudged:,} records have no verdict; {row.unjudged_reason}"
            console.print(text, markup=False, soft_wrap=True)
    if json:
        print_json(made.plain() | {"files": [str(written.output), *([str(written.results)] if made.base else [])]})
    else:
        print_table(str(written.output), _shown(made))
    return 0


def _check_files(
    files: list[NamedFile],
    written: CompareOutput,
    training: TrainOptions,
    counting: CountOptions,
    reading: Reading,
) -> None:
    """Raises as the checks of `files.atomic` do, and `ValueError` for a model that does not exist."""
    outputs = [written.output, *([written.results, written.checkpoint] if training.model else [])]
    inputs = [on_disk(source.file) for source in files]
    inputs += [on_disk(file) for file in (counting.reference, training.test) if file]
    inputs += [*tokenizer_files(counting.tokenizer), *([reading.layout_file] if reading.layout_file else [])]
    refuse_directories(outputs)
    refuse_overwrite(outputs, [*inputs, *model_files(training.model)])
    if not written.overwrite and not mentions_us(written.output):
        refuse_existing([written.output])
    if training.model:
        resolve(training.model)


def _read(
    files: list[NamedFile], training: TrainOptions, counting: CountOptions, reading: Reading
) -> tuple[list[FileRow], FileRow]:
    """The rows, and the reference, which may be one of them. Raises `ValueError` for two rows of one name."""
    from ..comparing.rows import read_row

    count = _counter(counting.tokenizer, training.model)

    def read(source: NamedFile) -> FileRow:
        task = bar.add_task(f"read {source.file.name}", total=count_lines(source.file), note="")
        return read_row(source, reading, count, lambda done: bar.update(task, completed=done))

    with progress() as bar:
        rows = [read(source) for source in files]
        names = [row.name for row in rows]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two rows have the name {twice[0]!r}; give them names, as NAME=FILE")
        if counting.reference is None:
            return rows, rows[0]
        known = {source.file.resolve(): row for source, row in zip(files, rows, strict=True)}
        return rows, known.get(counting.reference.resolve()) or read(NamedFile(counting.reference))


def _counter(tokenizer: str, model: str) -> Count:
    """What counts the tokens of a completion."""
    if tokenizer or not model:
        return token_counter(tokenizer)
    from ..models.loading import load_tokenizer

    loaded, _ = load_tokenizer(model)
    return lambda text: len(loaded(text, add_special_tokens=False).input_ids)


def _compared(
    rows: list[FileRow],
    reference: FileRow,
    written: CompareOutput,
    training: TrainOptions,
    counting: CountOptions,
    reading: Reading,
) -> Comparison:
    """The table, after all training."""
    from ..comparing.page import Comparison
    from ..comparing.rows import saving
    from ..comparing.table import table_of

    measured = [(row, saving(row, reference)) for row in rows]
    counted = counting.tokenizer or (f"the tokenizer of {training.model}" if training.model else "")
    made = Comparison(
        rows=(),
        reference=reference.name,
        reference_mean=reference.mean_tokens,
        counted=counted or "words and punctuation marks",
    )
    if not training.model or not training.test:
        return replace(made, rows=table_of(measured))
    from ..comparing.results import Results
    from ..comparing.training import Trainer, identity_of, read_test

    test = read_test(training.test, reading, training.limit)
    results = Results(written.results, written.overwrite)
    with progress() as bar:
        task = bar.add_task("train", total=None, note="")
        trainer = Trainer(training, test, results, written.checkpoint)
        base, cells = trainer.run(
            rows, lambda done, total, note: bar.update(task, completed=done, total=total, note=note)
        )
    return replace(
        made,
        rows=table_of(measured, cells),
        training=training,
        base=base,
        cells=[cell for of_row in cells.values() for cell in of_row],
        questions=len(base["correct"]),
        test_sha256=test.sha256,
        base_identity=identity_of(training.model),
    )


_NOT_SHOWN = ("device", "threads", "overwrite")
"""Options that say how the command runs, not what it computes."""


def _command(
    sources: tuple[str, ...],
    written: CompareOutput,
    training: TrainOptions,
    counting: CountOptions,
    reading: Reading,
) -> str:
    """The command line, without what has its default."""
    words = ["zipthought", "compare", *sources]
    for settings in (counting, training, reading, written):
        for field in fields(settings):
            value = getattr(settings, field.name)
            if field.name in _NOT_SHOWN or value == field.default:
                continue
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{field.name.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)


def _write(made: Comparison, written: CompareOutput) -> None:
    from ..comparing.page import markdown, page

    text = (page if written.output.suffix == ".html" else markdown)(made)
    write_text(written.output, text, overwrite=written.overwrite or mentions_us(written.output))


def _shown(made: Comparison) -> list[dict[str, Any]]:
    """The table in a terminal."""
    rows = []
    for row in made.rows:
        shown: dict[str, Any] = {"row": row.name, "records": row.records, "tokens saved": row.saved}
        shown |= {"right": row.right, "verified": row.verified, "readable": row.readable}
        if row.trained:
            value, low, high = row.trained.accuracy
            shown |= {"accuracy (95%)": f"{value:.3f} ({low:.3f} to {high:.3f})"}
            shown |= {"tokens of an answer": row.trained.response_tokens}
        rows.append({**shown, "front": "yes" if row.front else ""})
    return rows
