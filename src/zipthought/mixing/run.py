"""From files of records to one mixture.

Three passes: read every file, tag its records and spool them to temporary files beside the output; find the duplicates
by their digests; copy the chosen lines in their order. Only the order is in memory, with 4 bytes for each record.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..records.reading import BadLine, place, unit
from ..records.schema import Record, canonical_json, record_id
from ..solutions.compress.config import token_counter
from ..train.held_out import is_held_out
from .choice import choose, generator, ordered, targets
from .config import Recipe, SourceFile, shown
from .examples import Example, read_evaluation, read_examples
from .near import NearDuplicates, text_of_line
from .overlap import EQUAL, SIMILAR, STRUCTURE, EvaluationQuestions
from .spool import Spool
from .tags import ORIGINAL, tagged
from .texts import digest

UNREADABLE, DUPLICATE, NEAR = "unreadable", "duplicate", "near_duplicate"
REASONS = {
    UNREADABLE: "no record, or not one with a question, a completion and messages",
    DUPLICATE: "question and completion are those of an earlier record",
    NEAR: "question and completion are similar to those of an earlier record, with the same numbers",
    EQUAL: "the question is in an evaluation file",
    STRUCTURE: "the synthetic problem is in an evaluation file, under whatever names",
    SIMILAR: "the question is similar to one of an evaluation file, with the same numbers",
}
"""Reason for which a record is removed -> its meaning."""
OnProgress = Callable[[str, int, int | None], None]
"""Called with what is done, how much of it, and of how many."""


@dataclass(slots=True, kw_only=True)
class SourceCounts:
    """What became of the records of a file."""

    file: str
    sha256: str = ""
    """Of the lines that its records would have in the mixture, in their order, whatever the type of the file."""
    read: int = 0
    removed: Counter[str] = field(default_factory=Counter)
    """Reason -> records."""
    unreadable: str = ""
    """The first record that cannot be read, and why."""
    available: int = 0
    """Records without the removed ones."""
    wanted: int = 0
    """Examples, or tokens, of its share."""
    records: int = 0
    """Records of it in the mixture."""
    tokens: int = 0
    """Tokens of their completions."""
    passes: float = 0.0
    """Records in the mixture over those available; above 1 with repetition."""
    short: bool = False
    """Whether it has less than its share."""


@dataclass(slots=True, kw_only=True)
class Mixture:
    """The counts of a mixture."""

    sources: list[SourceCounts]
    evaluation_questions: int = 0
    evaluation_unread: int = 0
    """Records of evaluation files without a question that can be read. Their overlaps are not found."""
    records: int = 0
    tokens: int = 0
    held_out: int = 0
    """Records of the splits validation and test, which training leaves out."""
    tags: Counter[str] = field(default_factory=Counter)
    """Ratio -> examples with its tag."""
    sha256: str = ""
    """Of the file."""

    @property
    def removed(self) -> dict[str, int]:
        """Reason -> removed records of all files."""
        total = sum((source.removed for source in self.sources), Counter[str]())
        return {reason: total[reason] for reason in REASONS if total[reason]}


class _Run:
    """One mixture in the making."""

    def __init__(self, recipe: Recipe, spool: Spool, near: NearDuplicates | None, removed: IO[bytes] | None) -> None:
        self.recipe, self._spool, self._near, self._removed = recipe, spool, near, removed
        self._count = token_counter(recipe.config.tokenizer)
        self.mixture = Mixture(sources=[])
        self._bounds = [0]
        """Of the rows of each file in the spool."""

    def read_evaluation(self, on_progress: OnProgress) -> EvaluationQuestions:
        config = self.recipe.config
        questions = EvaluationQuestions(config.near_overlap)
        for file in config.exclude:
            for done, found in enumerate(read_evaluation(file, self.recipe.reading), 1):
                if isinstance(found, BadLine):
                    self.mixture.evaluation_unread += 1
                else:
                    number, question, structure = found
                    questions.add(question, structure, place(file, number))
                if done % 1000 == 0:
                    on_progress("evaluation", done, None)
        self.mixture.evaluation_questions = len(questions)
        return questions

    def read(self, evaluation: EvaluationQuestions, on_progress: OnProgress) -> None:
        """Spool the examples of all files that are in no evaluation file."""
        for source in self.recipe.sources:
            counts = SourceCounts(file=shown(source.file))
            self.mixture.sources.append(counts)
            content = hashlib.sha256()
            for found in read_examples(source.file, self.recipe.reading):
                counts.read += 1
                if isinstance(found, BadLine):
                    counts.unreadable = counts.unreadable or f"{unit(source.file)} {found.number}: {found.reason}"
                    self._remove(counts, UNREADABLE, found.reason, source, found.number)
                    continue
                line, keep = self._line(source, found)
                content.update(line)
                if overlap := evaluation.find(found.question, found.structure) if len(evaluation) else None:
                    detail = f"{overlap.similarity:.3f} {overlap.where}"
                    self._remove(counts, overlap.reason, detail, source, found.number, line)
                    continue
                self._add(found, line, keep)
                if counts.read % 1000 == 0:
                    on_progress("read", len(self._spool), None)
            counts.sha256 = content.hexdigest()
            self._bounds.append(len(self._spool))
        self._spool.flush()

    def _line(self, source: SourceFile, example: Example) -> tuple[bytes, float]:
        """The line of an example as the mixture has it, and the ratio of its tag, 0 without one. Raises `ValueError`
        naming a record that cannot be tagged."""
        config, record = self.recipe.config, example.record
        try:
            record = tagged(record, self.recipe.tag_of(source), config.tag_step, self._count)
        except ValueError as error:
            raise ValueError(f"{place(source.file, example.number)}: {error}") from error
        record = {**record, "mixed_from": shown(source.file)}
        record["id"] = record_id(record)
        return f"{canonical_json(record)}\n".encode(), record.get("keep") or 0.0

    def _add(self, example: Example, line: bytes, keep: float) -> None:
        record = example.record
        self._spool.add(
            line,
            example.number,
            digest(example.question, example.completion),
            self._count(example.completion),
            level=level_of(record),
            keep=keep,
            held_out=is_held_out(record),
        )
        if self._near:
            self._near.add(f"{example.question}\n{example.completion}", example.structure)

    def _remove(
        self, counts: SourceCounts, reason: str, detail: str, source: SourceFile, number: int, line: bytes = b""
    ) -> None:
        """Count a removed record, and list it where that is wanted."""
        counts.removed[reason] += 1
        if self._removed:
            row: dict[str, Any] = {"source_id": place(source.file, number), "reason": reason, "detail": detail}
            if line:
                row["record"] = json.loads(line)
            self._removed.write(f"{canonical_json(row)}\n".encode())

    def remove_duplicates(self, on_progress: OnProgress) -> None:
        """Remove the duplicates of earlier examples."""
        spool = self._spool
        spool.remove_equal()
        for row, entry in spool.entries(0, len(spool)):
            if entry.is_removed:
                self._remove_row(row, entry.of, DUPLICATE)
        if not self._near:
            return
        found = self._near.find(
            lambda row: text_of_line(spool.line(spool.entry(row))), lambda row: spool.entry(row).is_removed
        )
        for done, (row, of, similarity) in enumerate(found, 1):
            spool.remove(row, of)
            self._remove_row(row, of, NEAR, f"{similarity:.3f} ")
            on_progress("near duplicates", done, None)

    def _remove_row(self, row: int, of: int, reason: str, detail: str = "") -> None:
        source, entry = self._source_of(row), self._spool.entry(row)
        earlier = place(self.recipe.sources[self._source_of(of)].file, self._spool.entry(of).number)
        line = self._spool.line(entry) if self._removed else b""
        counts, file = self.mixture.sources[source], self.recipe.sources[source]
        self._remove(counts, reason, f"{detail}{earlier}", file, entry.number, line)

    def _source_of(self, row: int) -> int:
        return bisect_right(self._bounds, row) - 1

    def choose(self) -> np.ndarray:
        """The rows of the mixture, one file's after the other's. Raises `ValueError` if there are none."""
        config, ranges = self.recipe.config, list(pairwise(self._bounds))
        sizes = [self._size(counts, *rows) for counts, rows in zip(self.mixture.sources, ranges, strict=True)]
        wanted = targets(self.recipe, sizes)
        tokens_of = (lambda row: self._spool.entry(row).tokens) if config.by == "tokens" else None
        with tempfile.TemporaryFile(dir=self._spool.directory) as file:
            for index, (source, counts) in enumerate(zip(self.recipe.sources, self.mixture.sources, strict=True)):
                kept = (row for row, entry in self._spool.entries(*ranges[index]) if not entry.is_removed)
                rows = np.fromiter(kept, dtype=np.uint32, count=counts.available)
                repeat, rng = self.recipe.repeats(source), generator(config.seed, "choose", index)
                choose(rows, file, wanted[index], sizes[index], repeat, rng, tokens_of)
                counts.wanted = wanted[index]
                counts.short = wanted[index] > sizes[index] and not (repeat and len(rows))
            del rows
            file.seek(0)
            chosen = np.fromfile(file, dtype=np.uint32)
        if not len(chosen):
            raise ValueError(f"no record is left to mix; removed were {self.mixture.removed or 'none'}")
        return chosen

    def _size(self, counts: SourceCounts, low: int, high: int) -> int:
        """The examples, or tokens, that are left of a file. The examples are counted in `counts`."""
        tokens = 0
        for _, entry in self._spool.entries(low, high):
            if not entry.is_removed:
                counts.available += 1
                tokens += entry.tokens
        return tokens if self.recipe.config.by == "tokens" else counts.available

    def write(self, rows: np.ndarray, output: IO[bytes], on_progress: OnProgress) -> None:
        """Write the rows in their order, and count what is written."""
        mixture, config, content = self.mixture, self.recipe.config, hashlib.sha256()
        mixture.records = len(rows)
        in_order = ordered(rows, self._spool, config.order, generator(config.seed, "order"))
        for done, row in enumerate(in_order, 1):
            entry = self._spool.entry(row)
            line = self._spool.line(entry)
            content.update(line)
            output.write(line)
            counts = mixture.sources[self._source_of(row)]
            counts.records += 1
            counts.tokens += entry.tokens
            mixture.held_out += entry.held_out
            if entry.keep:
                mixture.tags[f"{entry.keep:g}"] += 1
            if done % 1000 == 0:
                on_progress("write", done, len(rows))
        mixture.sha256 = content.hexdigest()
        mixture.tokens = sum(counts.tokens for counts in mixture.sources)
        for counts in mixture.sources:
            counts.passes = counts.records / counts.available if counts.available else 0.0


def level_of(record: Record) -> float:
    """The place of a record in a curriculum: 0 for explicit and original solutions, else the operations of a step, over
    the share of the text that a pruned one keeps."""
    if record.get("format") in ("explicit", ORIGINAL):
        return 0.0
    k, share = record.get("k"), record.get("share")
    return (k if isinstance(k, int) and k > 0 else 1) / (share if isinstance(share, int | float) and share > 0 else 1)


def mix(
    recipe: Recipe,
    output: IO[bytes],
    scratch: Path,
    removed: IO[bytes] | None = None,
    on_progress: OnProgress = lambda *_: None,
) -> Mixture:
    """Write the mixture of a recipe to `output`, and what was removed to `removed`.

    `scratch` is a directory for temporary files, which take as much as all records and 65 bytes more for each (up to
    600 with near duplicates).
    Raises `OSError` for a file that cannot be read, and `ValueError` for a recipe that its files cannot fill, for a
    missing package, and naming a record that cannot be tagged.
    """
    with ExitStack() as stack:
        spool = stack.enter_context(Spool(scratch))
        threshold = recipe.config.near_duplicates
        near = stack.enter_context(NearDuplicates(threshold, scratch)) if threshold else None
        run = _Run(recipe, spool, near, removed)
        run.read(run.read_evaluation(on_progress), on_progress)
        run.remove_duplicates(on_progress)
        run.write(run.choose(), output, on_progress)
        return run.mixture


__all__ = ["REASONS", "Mixture", "SourceCounts", "mix"]
