"""``zipthought mix``."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..files.atomic import atomic_files, refuse_directories, refuse_overwrite
from ..files.earlier import is_compressed, is_records, mentions_us
from ..files.hub import on_disk, require_upload, upload
from ..mixing.config import MixConfig, Recipe, SourceFile, load_recipe
from ..solutions.compress.config import tokenizer_files
from ..solutions.layouts import Reading
from .console import console, echo, print_json, print_table, progress


@dataclass(frozen=True, slots=True, kw_only=True)
class MixOutputs:
    """What is written."""

    output: Path
    """The .jsonl file of the mixture. OUTPUT.card.md beside it has the recipe, its digest and all counts."""
    removed: Path | None = None
    """A .jsonl file of the removed records with their reasons."""
    overwrite: bool = False
    """Replace existing files that zipthought did not write, too."""
    push_to_hub: str = ""
    """Upload the mixture and its card to this dataset of the Hugging Face Hub, such as org/name. A new one is private.
    The token is that of `hf auth login`, or HF_TOKEN."""

    def __post_init__(self) -> None:
        if self.removed in (self.output, self.card):
            raise ValueError("--output and --removed must be different files")

    @property
    def card(self) -> Path:
        return self.output.with_name(f"{self.output.name}.card.md")

    @property
    def files(self) -> list[Path]:
        return [self.output, self.card, *([self.removed] if self.removed else [])]


def mix(
    sources: Annotated[tuple[str, ...], tyro.conf.Positional],
    outputs: MixOutputs,
    config: MixConfig = MixConfig(),  # noqa: B008
    reading: Reading = Reading(),  # noqa: B008
    json: bool = False,
) -> int:
    """Mix files of records.

    Args:
        sources: FILE, FILE:WEIGHT or FILE=COUNT, each a file that `zipthought verify` reads; or one recipe, a .toml
            file with all settings (docs/mix.md).
        outputs: What is written.
        config: How they are mixed.
        reading: Where the records have their texts.
        json: Print the counts as one object on standard output.
    """
    recipe = _recipe(sources, config, reading)
    if outputs.push_to_hub:
        require_upload(outputs.push_to_hub)
    refuse_directories(outputs.files)
    refuse_overwrite(outputs.files, _inputs(recipe, sources))
    made, card = _write(recipe, outputs)
    _report(made, recipe, outputs, json)
    if outputs.push_to_hub:
        _push(outputs, card)
    return 0


def _recipe(sources: tuple[str, ...], config: MixConfig, reading: Reading) -> Recipe:
    """The recipe of the command line, or of its file. Raises `ValueError` for both."""
    recipes = [name for name in sources if name.endswith(".toml")]
    if not recipes:
        return Recipe(sources=tuple(map(SourceFile.parse, sources)), config=config, reading=reading)
    if len(sources) > 1 or config != MixConfig() or reading != Reading():
        raise ValueError(f"{recipes[0]} is a whole recipe; write the other files and settings into it")
    return load_recipe(Path(recipes[0]))


def _inputs(recipe: Recipe, sources: tuple[str, ...]) -> list[Path]:
    """The files that the command reads."""
    layout, config = recipe.reading.layout_file, recipe.config
    files = [*(source.file for source in recipe.sources), *config.exclude]
    recipes = [Path(name) for name in sources if name.endswith(".toml")]
    return [*map(on_disk, files), *recipes, *([layout] if layout else []), *tokenizer_files(config.tokenizer)]


def _write(recipe: Recipe, outputs: MixOutputs) -> tuple[Any, str]:
    """The counts and the card of the mixture, which is written."""
    from ..mixing.card import mix_card
    from ..mixing.run import mix as run

    force = outputs.overwrite
    with atomic_files() as open_file, progress() as bar:
        output = open_file(outputs.output, force or is_records(outputs.output))
        card_file = open_file(outputs.card, force or mentions_us(outputs.card))
        removed = open_file(outputs.removed, force or is_compressed(outputs.removed)) if outputs.removed else None
        task = bar.add_task("mix", total=None, note="")
        made = run(
            recipe,
            output,
            outputs.output.resolve().parent,
            removed,
            lambda what, done, total: bar.update(task, completed=done, total=total, note=what),
        )
        card = mix_card(recipe, made, outputs.output.name)
        card_file.write(card.encode())
    return made, card


def _report(made: Any, recipe: Recipe, outputs: MixOutputs, json: bool) -> None:
    unit = "tokens" if recipe.config.by == "tokens" else "examples"
    for counts in made.sources:
        if counts.unreadable:
            number = counts.removed["unreadable"]
            console.print(
                f"{counts.file}: {number:,} records cannot be mixed; {counts.unreadable}", markup=False, soft_wrap=True
            )
        if counts.short:
            have = counts.tokens if unit == "tokens" else counts.records
            console.print(
                f"{counts.file} has {have:,} of {counts.wanted:,} {unit}: the shares are not those of the recipe "
                "(--repeat repeats records)",
                markup=False,
                soft_wrap=True,
            )
    if made.evaluation_unread:
        console.print(f"{made.evaluation_unread:,} records of the evaluation files have no question that can be read")
    if made.held_out:
        console.print(f"{made.held_out:,} records are of the splits validation and test, which training leaves out")
    if json:
        print_json(_counts(made, recipe, outputs))
        return
    rows = [
        {
            "file": counts.file,
            "read": counts.read,
            "removed": counts.removed.total(),
            "examples": counts.records,
            "tokens": counts.tokens,
            "share": (counts.tokens / (made.tokens or 1)) if unit == "tokens" else counts.records / made.records,
        }
        for counts in made.sources
    ]
    print_table(str(outputs.output), rows)
    for reason, count in made.removed.items():
        echo(f"removed {count:,}: {reason}")
    echo(f"recipe {recipe.digest[:16]}, card {outputs.card}")


def _counts(made: Any, recipe: Recipe, outputs: MixOutputs) -> dict[str, Any]:
    """The counts as --json prints them (docs/mix.md)."""
    names = ("file", "sha256", "read", "available", "wanted", "records", "tokens", "passes", "short")
    return {
        "records": made.records,
        "tokens": made.tokens,
        "held_out": made.held_out,
        "removed": made.removed,
        "tags": dict(sorted(made.tags.items())),
        "sources": [
            {**{name: getattr(counts, name) for name in names}, "removed": dict(counts.removed)}
            for counts in made.sources
        ],
        "evaluation_questions": made.evaluation_questions,
        "evaluation_unread": made.evaluation_unread,
        "recipe_digest": recipe.digest,
        "sha256": made.sha256,
        "files": [str(path) for path in outputs.files],
    }


def _push(outputs: MixOutputs, card: str) -> None:
    """Upload the mixture, with its card as the README.md that the hub shows. Raises `ValueError` if that fails."""
    with tempfile.TemporaryDirectory(dir=outputs.output.resolve().parent, prefix=".push-") as name:
        directory = Path(name)
        (directory / "README.md").write_text(card, encoding="utf-8")
        data = directory / outputs.output.name
        try:
            os.link(outputs.output.resolve(), data)
        except OSError:  # A file system without links.
            shutil.copyfile(outputs.output, data)
        try:
            address = upload(directory, outputs.push_to_hub, "dataset", ["README.md", data.name])
        except ValueError as error:
            raise ValueError(f"the mixture is written to {outputs.output}, but {error}") from error
    console.print(f"pushed to {address}", markup=False, soft_wrap=True)
