"""The solutions of an item of a source, each read and verified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from ...files.sources import SourceItem
from ..family import Family, system_message
from ..layouts import Source
from ..rewrites import Rewrite
from ..solution import Solution, UnreadableError
from .config import CompressConfig
from .records import parse_record, source_id


class ReadSolution(NamedTuple):
    """A solution that verifies."""

    source: Source
    family: Family
    solution: Solution

    def asked(self) -> tuple[list[dict[str, str]], str]:
        """The turns before the solution, and its text, as a `core.methods.scored.Scorer` reads them."""
        system = self.source.system or system_message(self.family, self.solution)
        turns = self.source.turns or [{"role": "user", "content": self.source.question}]
        return [{"role": "system", "content": system}, *turns], self.solution.text + self.solution.tail


class Rewriter(Protocol):
    """Lets a model rewrite solutions (`rewriting.run.ModelRewriter`)."""

    def __call__(self, method: Rewrite, found: Sequence[ReadSolution]) -> list[str | UnreadableError]:
        """The accepted rewrite of each solution, or why there is none. Raises `ValueError` if the model fails."""


def read_item(config: CompressConfig, item: SourceItem) -> Iterator[tuple[str, ReadSolution | UnreadableError]]:
    """(source id, the solution or why it is rejected) of each solution of an item. Where a dialogue has several, their
    ids end in ``/1``, ``/2`` and so on."""
    record: Any = None
    try:
        record = parse_record(item.text)
        sources = list(config.sources(record))
    except UnreadableError as error:
        yield source_id(item, record, config.id_field), error
        return
    for name, source in numbered(source_id(item, record, config.id_field), sources):
        try:
            yield name, read_text(config, source)
        except UnreadableError as error:
            yield name, error


def numbered(id: str, sources: Sequence[Source]) -> Iterator[tuple[str, Source]]:  # noqa: A002
    """The sources of a record with their ids, which end in ``/1``, ``/2`` and so on where there are several."""
    for number, source in enumerate(sources, 1):
        yield id if len(sources) == 1 else f"{id}/{number}", source


def read_text(config: CompressConfig, source: Source) -> ReadSolution:
    """The solution of a source. Raises `UnreadableError`."""
    family = config.family_of(source.question)
    try:
        solution = family.read(source.question, source.solution, source.answer)
    except UnreadableError as error:
        if error.solution is None or error.reason not in config.accept:
            raise
        solution = error.solution
    if config.max_unread is not None and len(solution.unread) > config.max_unread:
        raise UnreadableError("unread_equations", f"{len(solution.unread)} equations could not be read")
    return ReadSolution(source, family, solution)
