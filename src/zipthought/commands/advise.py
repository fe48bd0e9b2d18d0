"""``zipthought advise``."""

from __future__ import annotations

import json as jsonlib
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, NamedTuple

from ..solutions.compress import CompressConfig, compress_file
from ..solutions.layouts import Reading
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
    structures: int = 0,
    epochs: float = 0.0,
    rlvr: bool = False,
    model: str = "",
    study: Path | None = None,
    data: Path | None = None,
    reading: Reading = Reading(),  # noqa: B008
    tokenizer: str = "",
    json: bool = False,
) -> int:
    """Recommend a compression for a budget, from measured curves.

    Args:
        examples: Distinct training examples; default with --data: the solutions that verify.
        n_ops: Operations (steps of reasoning) of the problems; default with --data: their median.
        max_response_tokens: Longest allowed response, in tokens (words and punctuation, or those of --tokenizer with
            --data); 0 means no limit.
        structures: Distinct structures of the examples, where prompts are structures dressed anew (`train sft
            --redress`); 0 means those of the measured runs.
        epochs: Passes over the examples; 0 means those of the measured runs.
        rlvr: Whether RLVR follows.
        model: The base that is trained; by default that of the study. For another one there is no advice.
        study: A study's directory, or a file that `zipthought study report --format reference` wrote. By default the
            bundled reference.
        data: Your own solutions, as `zipthought compress` reads them. Their tokens in every format are counted. A
            study measures problems of a task, so for solutions in prose there is no advice.
        tokenizer: A Hugging Face tokenizer that counts the tokens of --data (a directory, or a tokenizer.json).
        json: Print the advice as one object on standard output.
    """
    from ..advise import Question, load
    from ..advise import advise as answer

    if tokenizer and data is None:
        raise ValueError("--tokenizer counts the tokens of --data; give --data with your own solutions, too")
    reference = load(study)
    profile = (
        profile_of(data, reading, tokenizer, [measured.format for measured in reference.formats]) if data else None
    )
    if profile:
        examples, n_ops = examples or profile.verified, n_ops or profile.n_ops
    if not examples or not n_ops:
        raise ValueError("advice needs --examples and --n-ops, or --data with your own solutions")
    task, limit = f"solutions of {data.name}" if data else "", max_response_tokens
    budget = Question(examples=examples, n_ops=n_ops, structures=structures, max_response_tokens=limit, epochs=epochs)
    question = replace(budget, rlvr=rlvr, model=model, task=task)
    advice = answer(question, reference)
    if json:
        print_json(advice.plain() | ({"profile": profile._asdict()} if profile else {}))
    else:
        _show(advice, question, profile)
    return 0 if advice.recommended else 1


def profile_of(data: Path, reading: Reading, tokenizer: str, formats: list[str]) -> Profile:
    """Compress the solutions and count tokens. Raises `ValueError` if none verifies."""
    wanted = tuple(fmt for fmt in formats if fmt.partition(":")[0] in WRITERS) or ("answer-only",)
    with tempfile.TemporaryDirectory(prefix="zipthought-") as directory, progress() as bar:
        task = bar.add_task("profile", total=None, note="")
        output = Path(directory) / "out.jsonl"
        config = CompressConfig(input=data, output=output, format=wanted, tokenizer=tokenizer, **asdict(reading))
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
        counts = ", ".join(f"{fmt} {tokens:.0f}" for fmt, tokens in profile.tokens.items())
        echo(
            f"{profile.verified} of {profile.input} solutions verify, with a median of {profile.n_ops} steps. Tokens "
            f"of a response: {counts}."
        )
    for line in advice.outside:
        echo(f"OUTSIDE WHAT WAS MEASURED: {line}")
    _show_best(advice, question)
    for note in advice.notes:
        echo(f"- {note}")
    if advice.options:
        _show_options(advice)
    if advice.nearest:
        _show_nearest(advice)


def _show_best(advice: Advice, question: Question) -> None:
    best, other = advice.recommended, advice.runner_up
    if not advice.options:
        echo("no advice: nothing is extrapolated. The nearest measured cells follow")
    elif best is None:
        echo(f"nothing has responses of at most {question.max_response_tokens:g} tokens at n_ops {question.n_ops}")
    else:
        use = f"use {best.format}" if best.granularity else "use the base without SFT"
        echo(
            f"{use}: expected accuracy {best.accuracy.mean:.2f} ({best.accuracy.low:.2f} to {best.accuracy.high:.2f}), "
            f"{best.response_tokens:.0f} tokens a response"
        )
        if best.doubled:
            echo(f"twice the examples: {best.doubled.mean:.2f} ({best.doubled.low:.2f} to {best.doubled.high:.2f})")
        if other:
            echo(f"runner-up {other.format}: {other.accuracy.mean:.2f}, {other.response_tokens:.0f} tokens")


def _show_options(advice: Advice) -> None:
    basis = advice.basis
    dressed = any(option.structures for option in advice.options)
    rows = [
        {
            "format": option.format,
            "operations a step": "-" if option.granularity is None else str(option.granularity),
            **({"structures": f"{option.structures:,}" if option.structures else "-"} if dressed else {}),
            "accuracy": option.accuracy.mean,
            f"{basis['interval']:.0%} interval": f"{option.accuracy.low:.2f} to {option.accuracy.high:.2f}",
            "best": f"{option.best:.0%}",
            "tokens": f"{option.response_tokens:.0f}" + ("" if option.fits else " (too long)"),
        }
        for option in advice.options
    ]
    print_table(_study(advice), rows)


def _show_nearest(advice: Advice) -> None:
    rows = [
        {
            "format": cell.format,
            "examples": f"{cell.examples:,}",
            "structures": f"{cell.structures:,}",
            "n_ops": ", ".join(map(str, cell.n_ops)),
            "runs": str(cell.runs),
            "measured accuracy": cell.accuracy,
            "tokens": f"{cell.response_tokens:.0f}",
        }
        for cell in advice.nearest
    ]
    print_table(f"the nearest measured cells, no forecast for the question; {_study(advice)}", rows)


def _study(advice: Advice) -> str:
    basis = advice.basis
    low, high = basis["examples"]
    size = f" ({basis['parameters'] / 1e6:.1f}M parameters)" if basis["parameters"] else ""
    return (
        f"measured in {basis['study']}: {basis['runs']} runs from {basis['model']}{size}, task {basis['task']}, "
        f"n_ops {', '.join(map(str, basis['n_ops']))}, {low:,} to {high:,} examples"
    )
