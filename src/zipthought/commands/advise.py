"""``zipthought advise``."""

from __future__ import annotations

import json as jsonlib
import tempfile
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, NamedTuple

from ..solutions.compress import CompressConfig, compress_file
from ..solutions.methods import WRITERS
from .console import echo, print_json, print_table, progress

if TYPE_CHECKING:
    from ..advise import Advice, Question


class Profile(NamedTuple):
    """Counts of a file of solutions."""

    input: int
    """Solutions read."""
    verified: int
    """Solutions that verify."""
    n_ops: int
    """The median number of their steps."""
    tokens: dict[str, float]
    """Format -> mean tokens of a response. The source itself counts as explicit."""


def advise(
    *,
    examples: int = 0,
    n_ops: int = 0,
    max_response_tokens: float = 0.0,
    epochs: float = 0.0,
    rlvr: bool = False,
    study: Path | None = None,
    data: Path | None = None,
    tokenizer: str = "",
    json: bool = False,
) -> int:
    """Recommend a compression for a budget, from measured curves.

    Args:
        examples: Distinct training examples; default with --data: the solutions that verify.
        n_ops: Operations (steps of reasoning) of the problems; default with --data: their median.
        max_response_tokens: Longest allowed response, in tokens (words and punctuation, or those of --tokenizer with
            --data); 0 means no limit.
        epochs: Passes over the examples; 0 means those of the measured runs.
        rlvr: Whether RLVR follows.
        study: A study's directory, or a file that `zipthought study report --format reference` wrote. By default the
            bundled reference.
        data: Your own solutions, in any layout that `zipthought compress` reads. The advice uses their counts.
        tokenizer: A Hugging Face tokenizer that counts the tokens of --data (a directory, or a tokenizer.json).
        json: Print the advice as one object on standard output.
    """
    from ..advise import Question, load
    from ..advise import advise as answer

    if tokenizer and data is None:
        raise ValueError("--tokenizer counts the tokens of --data; give --data with your own solutions, too")
    reference = load(study)
    profile = None
    tokens: dict[str, float] = {}
    if data is not None:
        profile = profile_of(data, tokenizer, [measured.format for measured in reference.formats])
        examples, n_ops = examples or profile.verified, n_ops or profile.n_ops
        tokens = profile.tokens
    if not examples or not n_ops:
        raise ValueError("advice needs --examples and --n-ops, or --data with your own solutions")
    question = Question(
        examples=examples,
        n_ops=n_ops,
        max_response_tokens=max_response_tokens,
        epochs=epochs,
        rlvr=rlvr,
        tokens=tokens,
    )
    advice = answer(question, reference)
    if json:
        print_json(advice.plain() | ({"profile": profile._asdict()} if profile else {}))
    else:
        _show(advice, question, profile)
    return 0 if advice.recommended else 1


def profile_of(data: Path, tokenizer: str, formats: list[str]) -> Profile:
    """Compress the solutions and count tokens. Raises `ValueError` if none verifies."""
    wanted = tuple(fmt for fmt in formats if fmt.partition(":")[0] in WRITERS) or ("answer-only",)
    with tempfile.TemporaryDirectory(prefix="zipthought-") as directory, progress() as bar:
        task = bar.add_task("profile", total=None, note="")
        config = CompressConfig(input=data, output=Path(directory) / "out.jsonl", format=wanted, tokenizer=tokenizer)
        summary = compress_file(config, lambda done: bar.update(task, completed=done))
        verified = summary["verified"]
        if not verified:
            raise ValueError(f"no solution of {data} verifies; `zipthought compress {data}` lists the reasons")
        n_ops = _median_steps(config.output)
    rows = summary["formats"]
    first = next(iter(rows.values()))
    tokens = {fmt: row["tokens_after"] / verified for fmt, row in rows.items()}
    return Profile(summary["input"], verified, n_ops, {"explicit": first["tokens_before"] / verified, **tokens})


def _median_steps(path: Path) -> int:
    with path.open(encoding="utf-8") as file:
        return max(1, median_low(jsonlib.loads(line)["n_ops"] for line in file))


def _show(advice: Advice, question: Question, profile: Profile | None) -> None:
    if profile:
        echo(
            f"{profile.verified} of {profile.input} solutions verify, with a median of {profile.n_ops} steps. "
            "Tokens are counted on them."
        )
    for line in advice.outside:
        echo(f"OUTSIDE WHAT WAS MEASURED: {line}")
    best, basis = advice.recommended, advice.basis
    if best is None:
        echo(f"no format has responses of at most {question.max_response_tokens:g} tokens at n_ops {question.n_ops}")
    else:
        echo(
            f"use {best.format}: expected accuracy {best.accuracy.mean:.2f} ({best.accuracy.low:.2f} to "
            f"{best.accuracy.high:.2f}), {best.response_tokens:.0f} tokens a response"
        )
        if best.doubled:
            echo(f"twice the examples: {best.doubled.mean:.2f} ({best.doubled.low:.2f} to {best.doubled.high:.2f})")
        if advice.runner_up:
            other = advice.runner_up
            echo(f"runner-up {other.format}: {other.accuracy.mean:.2f}, {other.response_tokens:.0f} tokens")
    for note in advice.notes:
        echo(f"- {note}")
    rows = [
        {
            "format": option.format,
            "accuracy": option.accuracy.mean,
            f"{basis['interval']:.0%} interval": f"{option.accuracy.low:.2f} to {option.accuracy.high:.2f}",
            "best": f"{option.best:.0%}",
            "tokens": f"{option.response_tokens:.0f}" + ("" if option.fits else " (too long)"),
        }
        for option in advice.options
    ]
    low, high = basis["examples"]
    print_table(
        f"from the study {basis['study']}: {basis['runs']} runs from {basis['model']}, n_ops "
        f"{', '.join(map(str, basis['n_ops']))}, {low:,} to {high:,} examples",
        rows,
    )
