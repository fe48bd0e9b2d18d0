"""The exact path: records by way of problems and traces, one at a time. Any task, method, order and surface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from ..core.methods import Method
from ..records.schema import canonical_json, make_record
from ..tasks.sampling import ProblemBatch


class Writer(Protocol):
    """Writes the records of a batch as JSON Lines."""

    def blocks(self, batch: ProblemBatch) -> Iterator[list[bytes]]:
        """The records of a few rows at a time: one block of whole lines for each method."""
        ...


class ExactWriter:
    """Writes records with `make_record`."""

    def __init__(self, methods: Sequence[Method], order: str, surface: str, split: str) -> None:
        self._methods, self._order, self._surface, self._split = methods, order, surface, split

    def blocks(self, batch: ProblemBatch) -> Iterator[list[bytes]]:
        for row, index in enumerate(batch.index.tolist()):
            problem, aliases = batch.problem(row), batch.aliases(row)
            records = (
                make_record(problem, method, self._order, self._surface, self._split, index, aliases)
                for method in self._methods
            )
            yield [f"{canonical_json(record)}\n".encode() for record in records]
