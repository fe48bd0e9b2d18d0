"""Writes the page `commands.md` from the help of the command line, so that both always agree."""

import contextlib
import io
import os
from importlib.resources import files
from typing import Any

from mkdocs.structure.files import File

from zipthought.cli import COMMANDS, main, usage
from zipthought.study.spec import PRESETS


def help_of(words: str) -> str:
    """The output of ``zipthought WORDS --help``, without colours, 100 columns wide."""
    os.environ |= {"NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb"}
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main([*words.split(), "--help"])
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())


def page() -> str:
    """The whole page."""
    parts = [
        "# Commands",
        "This page is generated from the help of each command when the site is built.",
        f"```text\n{usage()}\n```",
    ]
    for words, (_, _, what) in COMMANDS.items():
        parts += [f"## zipthought {words}", f"{what[0].upper()}{what[1:]}.", f"```text\n{help_of(words)}\n```"]
    parts.append("## Presets of studies")
    for name in PRESETS:
        text = files("zipthought.study").joinpath("presets", f"{name}.toml").read_text("utf-8")
        parts.append(f"`zipthought study run {name}`:\n\n```toml\n{text.strip()}\n```")
    return "\n\n".join(parts) + "\n"


def on_files(files: Any, config: Any) -> Any:
    """Add the page before the site is built."""
    files.append(File.generated(config, "commands.md", content=page()))
    return files
