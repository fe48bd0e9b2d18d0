"""``zipthought compress``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro

from ..solutions.compress import CompressConfig, compress_file
from .console import console, count_lines, print_json, print_table, progress


def compress(
    input: Annotated[Path, tyro.conf.Positional],  # noqa: A002
    *,
    output: Path,
    format: tuple[str, ...] = ("composed:2",),  # noqa: A002
    layout: str = "auto",
    layout_file: Path | None = None,
    question_field: str = "",
    solution_field: str = "",
    answer_field: str = "",
    id_field: str = "id",
    family: str = "auto",
    max_unread: int | None = None,
    tokenizer: str = "",
    workers: int = 0,
    seed: int = 0,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Compress solutions.

    Args:
        input: JSON Lines, JSON, CSV, Parquet, lines of `question||solution` (.txt), or a Hugging Face dataset
            directory. Text files may be compressed (.gz, .zst).
        output: A .jsonl file for the records of all formats, or a directory for one file per format. Records that do
            not verify go to OUTPUT.rejects.jsonl.
        format: composed:k, implicit:k, pruned:k (the needed steps), answer-only, and the baselines random-steps:p
            (about a share p of the text) and prose (the original text).
        layout: The name of the layout of all records (docs/real_data.md); auto detects it for each record.
        layout_file: A TOML file with further layouts, as [[layout]] tables.
        question_field: The field of the question, if no layout fits; of a nested one the path, like a.b.
        solution_field: The field of the solution, if no layout fits.
        answer_field: The field of the final answer. Every record must have it.
        id_field: The field of the source's id.
        family: gsm8k (arithmetic in prose), countdown, or auto (by the question).
        max_unread: Reject records with more equations that could not be read. 0: whatever verifies was read whole.
        tokenizer: A Hugging Face tokenizer to count with (a directory, or a tokenizer.json).
        workers: Processes; 0 means one for a small input, else one per processor.
        seed: The seed of random-steps.
        overwrite: Replace existing files that zipthought did not write, too. Inputs are never replaced.
        json: Print the summary as one JSON object on standard output.
    """
    config = CompressConfig(**{name: value for name, value in locals().items() if name != "json"})
    with progress() as bar:
        task = bar.add_task("compress", total=count_lines(input), note="")
        summary = compress_file(config, lambda done: bar.update(task, completed=done))
    if json:
        print_json(summary)
    else:
        _print_summary(summary, "tokens" if tokenizer else "pieces")
    return 0 if summary["verified"] else 1


def _print_summary(summary: dict[str, Any], unit: str) -> None:
    """Tables of the rejected and the compressed records, and the paths of the files."""
    if summary["rejected"]:
        rows = [{"reason": reason, "records": n} for reason, n in summary["reasons"].items()]
        print_table(f"{summary['rejected']} of {summary['input']} records rejected: {summary['rejects_file']}", rows)
    rows = [
        {"format": name, unit: row["tokens_after"], "of": row["tokens_before"], "ratio": row["ratio"]}
        | {f"p{p}": row[f"ratio_p{p}"] for p in (10, 50, 90)}
        for name, row in summary["formats"].items()
    ]
    print_table(f"{summary['verified']} of {summary['input']} records verified and compressed", rows)
    for path in dict.fromkeys(summary["files"].values()):
        console.print(path, markup=False, soft_wrap=True)
