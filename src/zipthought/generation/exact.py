"""The exact path: records by way of problems and traces, one at a time. Any task, method, order and surface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from ..core.methods import Method
from ..core.problem import Problem
from ..records.reading import problem_of
from ..records.schema import Record, canonical_json, make_record
from ..surfaces import verify
from ..tasks.sampling import ProblemBatch


class Writer(Protocol):
    """Writes the records of a batch as JSON Lines."""

    def blocks(self, batch: ProblemBatch) -> Iterator[list[bytes]]:
        """The records of a few rows at a time: one block of whole lines for each method."""
        ...


class ExactWriter:
    """Writes records with `make_record`. The first problem of a batch is read back and verified: a task, method, order
    or surface that was added may have faults that our tests cannot know."""

    def __init__(self, methods: Sequence[Method], order: str, surface: str, split: str) -> None:
        self._methods, self._order, self._surface, self._split = methods, order, surface, split

    def blocks(self, batch: ProblemBatch) -> Iterator[list[bytes]]:
        """As `Writer`. Raises `ValueError` for a record that is not faithful or does not state its problem."""
        for row, index in enumerate(batch.index.tolist()):
            problem, aliases = batch.problem(row), batch.aliases(row)
            records = [
                make_record(problem, method, self._order, self._surface, self._split, index, aliases)
                for method in self._methods
            ]
            if not row:
                self._check(problem, records)
            yield [f"{canonical_json(record)}\n".encode() for record in records]

    def _check(self, problem: Problem, records: Sequence[Record]) -> None:
        for method, record in zip(self._methods, records, strict=True):
            if problem_of(record) != problem:
                raise ValueError(
                    f"the surface {self._surface!r} does not read its own prompts: {record['prompt']!r:.200}"
                )
            if not verify(record["completion"], problem, self._surface).faithful:
                raise ValueError(
                    f"format {method}, order {self._order}, surface {self._surface}: the trace is not faithful: "
                    f"{record['completion']!r:.200}"
                )
