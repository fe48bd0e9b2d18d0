"""``zipthought verify``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..core.verify import ANSWERS, STEP_VERDICTS, Verdict
from ..records.mixed import has_own_fields, read_mixed, right_answer, verdict_of_source
from ..records.reading import VERIFIED_FIELDS, BadLine, solution_of, unit, verdict_of
from ..records.schema import Record
from ..solutions.layouts import Reading
from .console import console, count_lines, print_json, print_table, progress

SHOWN = 20
"""Lines of each kind that are reported one by one."""


def verify(
    file: Annotated[Path, tyro.conf.Positional],
    reading: Reading = Reading(),  # noqa: B008
    modulus: int | None = None,
    json: bool = False,
) -> int:
    """Verify a file of solutions.

    Args:
        file: A file that compress reads, with records of zipthought, with the fields problem, question and solution
            (english), or with real solutions in a layout. Real solutions are compared with the right answer that the
            record has, or without one with their own.
        modulus: The modulus of records that have none.
        json: Print {"records", "faithful", "answers", "steps", "bad_lines"} on standard output.
    """
    if modulus is not None and modulus < 2:
        raise ValueError(f"modulus must be at least 2, got {modulus}")
    counts = _count(file, reading, modulus)
    for line in counts.bad[:SHOWN]:
        console.print(f"{unit(file)} {line.number}: not read: {line.reason:.500}", markup=False, soft_wrap=True)
    if len(counts.bad) > SHOWN:
        console.print(f"... and {len(counts.bad) - SHOWN} more {unit(file)}s that could not be read")
    if json:
        print_json(counts.summary())
    else:
        rows = [{"what": "answer", "verdict": k, "count": n} for k, n in counts.answers.items() if n]
        rows += [{"what": "step", "verdict": k, "count": n} for k, n in counts.steps.items() if n]
        print_table(f"{counts.faithful} of {counts.records} faithful, {len(counts.bad)} lines not read", rows)
    if counts.faithful < counts.records:
        return 1
    if not counts.records and not counts.bad:
        console.print(f"{file} holds no records", markup=False, soft_wrap=True)
    return 0 if counts.records and not counts.bad else 2


@dataclass(slots=True)
class _Counts:
    """The verdicts on the records of a file."""

    records: int = 0
    faithful: int = 0
    answers: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(ANSWERS, 0)))
    steps: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(STEP_VERDICTS, 0)))
    bad: list[BadLine] = field(default_factory=list)
    """Lines without a record that can be verified."""

    def add(self, verdict: Verdict) -> None:
        self.records += 1
        self.faithful += verdict.faithful
        self.answers[verdict.answer] += 1
        self.steps.update(step.verdict for step in verdict.steps)

    def summary(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "records": self.records,
            "faithful": self.faithful,
            "answers": dict(self.answers),
            "steps": dict(self.steps),
            "bad_lines": len(self.bad),
        }


def _verdicts(record: Record, reading: Reading, modulus: int | None) -> list[Verdict]:
    """The verdicts on the solutions of a record. Raises `ValueError` for one that cannot be verified."""
    if modulus is not None or has_own_fields(record):
        return [verdict_of(record, solution_of(record), modulus)]
    verdicts = []
    for source in reading.sources(record):
        right = right_answer(source)
        if right is None:
            raise ValueError("the record has no right answer, and its solution states none")
        verdicts.append(verdict_of_source(reading, source, right))
    return verdicts


def _count(file: Path, reading: Reading, modulus: int | None) -> _Counts:
    """Verify the records of a file. Prints the first `SHOWN` that are not faithful."""
    counts = _Counts()
    with progress() as bar:
        task = bar.add_task("verify", total=count_lines(file), note="")
        for number, record in enumerate(read_mixed(file, {*VERIFIED_FIELDS, *reading.fields}), 1):
            if number % 500 == 0:
                bar.update(task, completed=number)
            if isinstance(record, BadLine):
                counts.bad.append(record)
                continue
            try:
                verdicts = _verdicts(record, reading, modulus)
            except ValueError as error:
                counts.bad.append(BadLine(number, str(error)))
                continue
            for verdict in verdicts:
                counts.add(verdict)
                if not verdict.faithful and counts.records - counts.faithful <= SHOWN:
                    wrong = [f"{s.verdict} at {s.name!r:.80}" for s in verdict.steps if s.verdict != "valid"][:3]
                    message = f"{unit(file)} {number}: answer {verdict.answer}; {'; '.join(wrong) or 'steps valid'}"
                    console.print(message, markup=False, soft_wrap=True)
        bar.update(task, completed=counts.records + len(counts.bad))
    return counts
