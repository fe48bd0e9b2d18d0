"""``zipthought verify``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import tyro

from ..core.verify import ANSWERS, STEP_VERDICTS
from ..records.reading import BadLine, read_records, solution_of, verdict_of
from .console import console, count_lines, print_json, print_table, progress

SHOWN = 20
"""Lines of each kind that are reported one by one."""


def verify(
    file: Annotated[Path, tyro.conf.Positional],
    modulus: int | None = None,
    json: bool = False,
) -> int:
    """Verify a file of solutions.

    Args:
        file: JSON Lines or Parquet, with records of zipthought or with the fields problem, question and solution
            (english).
        modulus: The modulus of records that have none.
        json: Print {"records", "faithful", "answers", "steps", "bad_lines"} on standard output.
    """
    if modulus is not None and modulus < 2:
        raise ValueError(f"modulus must be at least 2, got {modulus}")
    answers, steps = Counter(dict.fromkeys(ANSWERS, 0)), Counter(dict.fromkeys(STEP_VERDICTS, 0))
    bad: list[BadLine] = []
    records = faithful = 0
    with progress() as bar:
        task = bar.add_task("verify", total=count_lines(file), note="")
        for number, record in enumerate(read_records(file), 1):
            bar.update(task, completed=number) if number % 500 == 0 else None
            if isinstance(record, BadLine):
                bad.append(record)
                continue
            try:
                verdict = verdict_of(record, solution_of(record), modulus)
            except ValueError as error:
                bad.append(BadLine(number, str(error)))
                continue
            records += 1
            faithful += verdict.faithful
            answers[verdict.answer] += 1
            steps.update(step.verdict for step in verdict.steps)
            if not verdict.faithful and records - faithful <= SHOWN:
                wrong = [f"{s.verdict} at {s.name!r}" for s in verdict.steps if s.verdict != "valid"][:3]
                message = f"line {number}: answer {verdict.answer}; {'; '.join(wrong) or 'steps valid'}"
                console.print(message, markup=False, soft_wrap=True)
        bar.update(task, completed=records + len(bad))
    for line in bad[:SHOWN]:
        console.print(f"line {line.number}: not read: {line.reason}", markup=False, soft_wrap=True)
    if len(bad) > SHOWN:
        console.print(f"... and {len(bad) - SHOWN} more lines that could not be read")
    summary = {
        "records": records,
        "faithful": faithful,
        "answers": dict(answers),
        "steps": dict(steps),
        "bad_lines": len(bad),
    }
    if json:
        print_json(summary)
    else:
        rows = [{"what": "answer", "verdict": k, "count": n} for k, n in answers.items() if n]
        rows += [{"what": "step", "verdict": k, "count": n} for k, n in steps.items() if n]
        print_table(f"{faithful} of {records} faithful, {len(bad)} lines not read", rows)
    if faithful < records:
        return 1
    if not records and not bad:
        console.print(f"{file} holds no records", markup=False, soft_wrap=True)
    return 0 if records and not bad else 2
