"""The command line is frozen: every command with its flags, types and defaults is recorded in `cli_surface.txt`.

After an intended change, write the record anew and review the difference:

    python tests/test_cli_surface.py > tests/cli_surface.txt
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import tyro

from zipthought.cli import COMMANDS, main

RECORD = Path(__file__).with_name("cli_surface.txt")


def command_of(words: str) -> Callable[..., int]:
    module, function, _ = COMMANDS[words]
    return getattr(import_module(f"zipthought.commands.{module}"), function)


def parameters(command: Callable[..., int]) -> Iterator[tuple[str, str, Any]]:
    """(name on the command line, type, default) of every option; those of nested settings stand beside the others."""
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
        if is_dataclass(hints[name]):
            yield from settings(hints[name])
        elif tyro.conf.Positional in getattr(hints[name], "__metadata__", ()):
            yield name.upper(), type_name(hints[name].__origin__), default
        else:
            yield flag(name), type_name(hints[name]), default


def settings(kind: Any) -> Iterator[tuple[str, str, Any]]:
    hints = get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from settings(hints[field.name])
        else:
            made = field.default if field.default_factory is MISSING else field.default_factory()
            yield flag(field.name), type_name(hints[field.name]), made


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not getattr(hint, "__args__", ()) else str(hint)


def record() -> list[str]:
    return [
        f"{words} {name}: {kind}, {'required' if default is MISSING else f'default {default!r}'}"
        for words in COMMANDS
        for name, kind, default in sorted(parameters(command_of(words)), key=lambda option: option[0])
    ]


def test_commands_flags_and_defaults_are_those_of_the_record():
    assert record() == RECORD.read_text().splitlines()


@pytest.mark.parametrize("words", COMMANDS)
def test_help_shows_the_flags_of_the_record_and_no_others(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")  # Narrow enough for a single column of options.
    with contextlib.suppress(SystemExit):
        main([*words.split(), "--help"])
    shown = set(re.findall(r"^[│| ]{0,4}(?:-h, )?(--[a-z][a-z-]*)", capsys.readouterr().out, re.MULTILINE))
    recorded = {name for name, _, _ in parameters(command_of(words)) if name.startswith("--")}
    assert shown == recorded | {"--help"}


if __name__ == "__main__":
    print("\n".join(record()))
