"""The card of a mixture: the dataset card of the hub, with the recipe and its digest. It has no times, so the same
mixture gives the same bytes."""

from __future__ import annotations

from typing import Any

from .. import __version__
from ..files.escape import markdown_code, markdown_text, yaml_string
from .config import Recipe
from .run import REASONS, Mixture

_HOMEPAGE = "https://github.com/zipthought/zipthought"


def mix_card(recipe: Recipe, mixture: Mixture, data_file: str) -> str:
    """The card as Markdown. `data_file` is the name of the file of the mixture."""
    config = recipe.config
    unit = "tokens" if config.by == "tokens" else "examples"
    sections = [
        _front(data_file),
        f"# {markdown_text(data_file)}",
        f"{mixture.records:,} examples with {mixture.tokens:,} tokens of completions ({_counted(recipe)}), mixed by "
        f"[zipthought]({_HOMEPAGE}) {__version__} (`zipthought mix`). Shares are of {unit}; order: {config.order}.",
        _table(
            [("sha256 of the file", mixture.sha256), ("digest of the recipe", recipe.digest), ("seed", config.seed)]
        ),
        "## Sources",
        _sources(mixture, unit),
        "## Removed",
        _removed(recipe, mixture),
        "## Recipe",
        "`zipthought mix RECIPE --output OUTPUT`, with this text as the .toml file RECIPE, makes the same mixture.",
        markdown_code(recipe.to_toml().rstrip("\n"), "toml"),
    ]
    if mixture.tags:
        tags = ", ".join(f"`<keep:{ratio}>` {count:,}" for ratio, count in sorted(mixture.tags.items()))
        sections[4:4] = [
            "## Tags",
            "The tag before the last user turn of `messages` is the tokens of the completion over those of the "
            f"explicit solution, on a grid of {config.tag_step:g}, or a number that the recipe states. "
            f"Examples by tag: {tags}.",
        ]
    return "\n\n".join(sections) + "\n"


def _counted(recipe: Recipe) -> str:
    return "of a tokenizer" if recipe.config.tokenizer else "words and punctuation marks"


def _front(data_file: str) -> str:
    """The YAML that the hub reads."""
    tags = [f"- {tag}" for tag in ("zipthought", "chain-of-thought")]
    files = ["configs:", "- config_name: default", f"  data_files: {yaml_string(data_file)}"]
    return "\n".join(["---", *files, "tags:", *tags, "---"])


def _sources(mixture: Mixture, unit: str) -> str:
    rows = []
    for counts in mixture.sources:
        share = (counts.tokens if unit == "tokens" else counts.records) / (
            (mixture.tokens if unit == "tokens" else mixture.records) or 1
        )
        note = " (ran out)" if counts.short else f" ({counts.passes:.2f} passes)" if counts.passes > 1 else ""
        name = markdown_text(counts.file)
        numbers = (counts.read, counts.removed.total(), counts.available, counts.wanted, counts.records, counts.tokens)
        rows.append(f"| {name}{note} | {' | '.join(f'{n:,}' for n in numbers)} | {share:.4f} | {counts.sha256} |")
    head = (
        f"| file | read | removed | available | wanted ({unit}) | examples | tokens | share | sha256 of its records |"
    )
    return "\n".join([head, "| --- |" + " --- |" * 8, *rows])


def _removed(recipe: Recipe, mixture: Mixture) -> str:
    config = recipe.config
    rows = [f"| `{reason}` | {count:,} | {REASONS[reason]} |" for reason, count in mixture.removed.items()]
    table = "\n".join(["| reason | records | meaning |", "| --- | --- | --- |", *rows]) if rows else "None."
    searched = f"Near duplicates from a Jaccard index of {config.near_duplicates:g}. " if config.near_duplicates else ""
    if config.exclude:
        near = f", and questions from a Jaccard index of {config.near_overlap:g}" if config.near_overlap else ""
        searched += f"{mixture.evaluation_questions:,} evaluation questions{near}."
        if mixture.evaluation_unread:
            searched += f" {mixture.evaluation_unread:,} more could not be read, so their overlaps are not known."
    return f"{searched}\n\n{table}" if searched else table


def _table(rows: list[tuple[str, Any]]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


__all__ = ["mix_card"]
