"""``zipthought evaluate --data``: reading a file's questions, measuring a model on them, and the report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..evaluation.config import DecodingConfig
from ..records.reading import unit
from ..solutions.layouts import Reading
from .console import console, count_lines, echo, print_json, print_table, progress

if TYPE_CHECKING:
    from ..evaluation.data import DataEvaluation
    from ..evaluation.intervals import Estimate
    from ..evaluation.questions import Question, Skipped
    from ..evaluation.summary import DataSummary
    from ..models.backends import Backend

SHOWN = 20
"""Records that are not evaluated and are named one by one."""


class Found(NamedTuple):
    """What a file holds."""

    questions: list[Question]
    skipped: list[Skipped]
    """The records without a question that can be evaluated."""


def read(data: Path, reading: Reading, modulus: int, limit: int) -> Found:
    """The questions of the first `limit` records of a file (0: of all). Raises `ValueError` if there are none."""
    from ..evaluation.questions import Skipped, read_questions

    found = Found([], [])
    with progress() as bar:
        lines = count_lines(data)
        task = bar.add_task("read", total=min(lines, limit) if lines and limit else lines, note="")
        for one in read_questions(data, reading, modulus, limit):
            if isinstance(one, Skipped):
                found.skipped.append(one)
            else:
                found.questions.append(one)
            bar.update(task, completed=one.number)
    if not found.questions:
        name_skipped(data, found.skipped)
        why = f"no record of {data} can be evaluated ({_reasons(found.skipped)}); name its fields with --question-field"
        raise ValueError(f"{why} and --answer-field" if found.skipped else f"{data} holds no records")
    return found


def measure(backend: Backend, found: Found, decoding: DecodingConfig) -> DataEvaluation:
    """Evaluate a model on the questions of a file, with a progress bar."""
    from ..evaluation.data import evaluate_questions

    with progress() as bar:
        task = bar.add_task("evaluate", total=len(found.questions) * decoding.samples, note="")
        return evaluate_questions(
            backend,
            backend.tokenizer,
            found.questions,
            decoding,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            on_tokens=_speed(lambda note: bar.update(task, note=note)),
        )


def report(model: str, data: Path, evaluation: DataEvaluation, skipped: list[Skipped], json: bool) -> None:
    """Print the result, as one JSON object or as a table, and name the records that are not evaluated."""
    skipped = sorted([*skipped, *evaluation.skipped])
    name_skipped(data, skipped)
    summary = evaluation.summary()
    if json:
        how = {"max_new_tokens": evaluation.limit.tokens, "seconds": round(evaluation.seconds, 2)}
        print_json({"model": model, "data": str(data), **summary.plain(), "skipped": _counts(skipped), **how})
    else:
        _show(model, data, evaluation, summary, skipped)


def _speed(show: Callable[[str], None]) -> Callable[[int], None]:
    """A function that counts tokens and shows their rate, at most twice a second."""
    start = shown = time.perf_counter()
    total = 0

    def count(tokens: int) -> None:
        nonlocal total, shown
        total += tokens
        now = time.perf_counter()
        if now - shown >= 0.5:
            shown = now
            show(f"{total / (now - start):,.0f} tokens/s")

    return count


def _counts(skipped: list[Skipped]) -> dict[str, int]:
    """Reason -> records, for every reason."""
    from ..evaluation.questions import SKIPPED

    counts = Counter(one.reason for one in skipped)
    return {reason: counts[reason] for reason in SKIPPED}


def _reasons(skipped: list[Skipped]) -> str:
    """As ``3 no_answer, 1 too_long``."""
    return ", ".join(f"{n} {reason}" for reason, n in _counts(skipped).items() if n)


def name_skipped(data: Path, skipped: list[Skipped]) -> None:
    """Name the first records that are not evaluated on standard error."""
    for one in skipped[:SHOWN]:
        text = f"{unit(data)} {one.number}: {one.reason}: {one.detail:.300}"
        console.print(text, markup=False, soft_wrap=True)
    if len(skipped) > SHOWN:
        console.print(f"... and {len(skipped) - SHOWN} more {unit(data)}s that are not evaluated")


def _show(model: str, data: Path, evaluation: DataEvaluation, summary: DataSummary, skipped: list[Skipped]) -> None:
    rows = [
        _row("accuracy", summary.accuracy, ".3f"),
        _row("faithful", summary.faithful, ".3f"),
        _row("answer missing or malformed", summary.unread_answers, ".3f"),
        _row("truncated", summary.truncated, ".3f"),
        *(_row(f"pass@{k}", value, ".3f") for k, value in summary.pass_at.items()),
        *(_row(f"faithful@{k}", value, ".3f") for k, value in summary.faithful_at.items()),
    ]
    for name, counts in (("right", summary.tokens_right), ("wrong", summary.tokens_wrong)):
        rows.append(_row(f"tokens of {name} completions, mean", counts.mean, ".1f"))
        rows.append(_row(f"tokens of {name} completions, median", counts.median, ".1f"))
    each = f", {summary.completions // summary.n} samples each" if summary.completions > summary.n else ""
    print_table(f"{model} on {data}: accuracy {summary.accuracy.value:.3f} of {summary.n} questions{each}", rows)
    echo(f"limit: {evaluation.limit.tokens} tokens ({evaluation.limit.reason})")
    speed = summary.tokens / evaluation.seconds if evaluation.seconds else 0
    echo(f"{summary.tokens:,} tokens in {evaluation.seconds:.1f} s, {speed:,.0f} tokens/s")
    if skipped:
        echo(f"not evaluated, and in no figure above: {_reasons(skipped)}")


def _row(name: str, estimate: Estimate | None, form: str) -> dict[str, Any]:
    texts = [format(value, form) for value in estimate] if estimate else ["-"] * 3
    return {"measure": name, "value": texts[0], "95% interval": f"{texts[1]} to {texts[2]}" if estimate else "-"}
