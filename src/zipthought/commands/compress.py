"""``zipthought compress``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..core.methods import ScoredMethod
from ..core.methods.scored import Scorer
from ..solutions.compress import CompressConfig, Explanation, compress_file, explain_file
from ..solutions.layouts import Reading
from .console import console, count_lines, echo, print_json, print_table, progress
from .rewriting import RewriteOptions, open_rewriter, print_rewrites


def compress(
    input: Annotated[Path, tyro.conf.Positional],  # noqa: A002
    *,
    output: Path | None = None,
    format: tuple[str, ...] = ("composed:2",),  # noqa: A002
    reading: Reading = Reading(),  # noqa: B008
    rewriting: RewriteOptions = RewriteOptions(),  # noqa: B008
    id_field: str = "id",
    max_unread: int | None = None,
    tokenizer: str = "",
    model: str = "",
    workers: int = 0,
    seed: int = 0,
    overwrite: bool = False,
    explain: tuple[str, ...] = (),
    explain_first: int = 0,
    json: bool = False,
) -> int:
    """Compress solutions.

    Args:
        input: JSON Lines, JSON, CSV, Parquet, lines of `question||solution` (.txt), a Hugging Face dataset directory,
            or a dataset of the hub (hf:org/name:config:split). Text files may be compressed (.gz, .zst).
        output: A .jsonl file for the records of all formats, or a directory for one file per format. Records that do
            not verify go to OUTPUT.rejects.jsonl.
        format: composed:k, implicit:k, pruned:k (the needed steps), answer-only, rewrite:NAME (in the words of a
            model, docs/rewrite.md; NAME is composed, draft, symbols or the path of a prompt), and the baselines
            random-steps:p, truncated:p, steps:p and tokens:p (about a share p of the text, docs/baselines.md) and
            prose (the original text).
        rewriting: Who rewrites.
        id_field: The field of the source's id.
        max_unread: Reject records with more equations that could not be read. 0: whatever verifies was read whole.
        tokenizer: A Hugging Face tokenizer to count with (a directory, or a tokenizer.json).
        model: The model of rewrite:NAME, tokens:p and steps:p.
        workers: Processes; 0 means one for a small input, else one per processor.
        seed: The seed of random-steps and of rewrite:NAME.
        overwrite: Replace existing files that zipthought did not write, too. Inputs are never replaced.
        explain: Write no file, but show what is read of the records with these ids: each equation and its verdict,
            where each operand comes from, the reason of a reject, and the text in every format.
        explain_first: Show the first so many records in this way.
        json: Print the summary, or the explanations, as one JSON object on standard output.
    """
    config = _config(locals())
    if explain or explain_first:
        return _explain(explain_file(config, explain, explain_first, _scorer(config)), json)
    scorer = _scorer(config)
    with progress() as bar:
        task = bar.add_task("compress", total=count_lines(input), note="")
        with open_rewriter(config, rewriting, lambda t: bar.update(task, note=f"{t.answers:,} answers")) as rewriter:
            summary = compress_file(config, lambda done: bar.update(task, completed=done), rewriter, scorer)
            rewrites = rewriter.tally.summary() if rewriter else None
    if rewrites:
        summary["rewrites"] = rewrites
    if json:
        print_json(summary)
    else:
        _print_summary(summary, "tokens" if tokenizer else "pieces")
    return 0 if summary["verified"] else 1


def _config(options: dict[str, Any]) -> CompressConfig:
    """The configuration that the options of the command give."""
    own = {name: options.pop(name) for name in ("reading", "rewriting", "explain", "explain_first", "json")}
    if own["explain_first"] < 0:
        raise ValueError(f"explain_first must be at least 0, got {own['explain_first']}")
    is_explained = own["explain"] or own["explain_first"]
    if options["output"] is None and not is_explained:
        raise ValueError("compress needs --output, or --explain to show records")
    output = options.pop("output") or Path("explained.jsonl")
    return CompressConfig(output=output, **options, **asdict(own["reading"]))


def _scorer(config: CompressConfig) -> Scorer | None:
    """The model that scores tokens, if a format needs one."""
    if not any(isinstance(method, ScoredMethod) for method in config.parsed_formats):
        return None
    from ..models.loading import load
    from ..models.scoring import Scorer as ModelScorer

    return ModelScorer(*load(config.model))


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
    if "rewrites" in summary:
        print_rewrites(summary["rewrites"])
    for path in dict.fromkeys(summary["files"].values()):
        console.print(path, markup=False, soft_wrap=True)


def _explain(explanations: Iterator[Explanation], json: bool) -> int:
    """Print the explanations."""
    found = list(explanations)
    if json:
        print_json({"records": [one.plain() for one in found]})
        return 0 if any(one.texts for one in found) else 1
    for one in found:
        echo(f"{one.source_id} (record {one.source_line}): {one.verdict}{f': {one.detail}' if one.detail else ''}")
        for name, text in (("question", one.question), ("solution", one.solution)):
            for line in text.splitlines():
                echo(f"  {name} | {line}")
        echo(f"  final answer: {one.final or 'none in the solution'}; of the record: {one.answer or 'none'}")
        rows = [
            {"equation": e.text, "verdict": e.verdict, "result": e.result, "operands": ", ".join(e.operands)}
            for e in one.equations
        ]
        print_table(f"{len(rows)} equations", rows)
        for name, tokens, text in one.texts:
            echo(f"  {name}, {tokens} tokens")
            for line in text.splitlines():
                echo(f"    | {line}")
    return 0 if any(one.texts for one in found) else 1
