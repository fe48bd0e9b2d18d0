"""The command line: find the command, parse its configuration, run it, turn what went wrong into one line.

Exit codes: 0 all went well; 1 the command ran and its answer is no (`verify` found something that is not faithful);
2 it could not run (bad input, a missing file); 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from functools import partial, wraps
from importlib import import_module
from io import StringIO
from itertools import groupby
from typing import Any

from . import __version__

COMMANDS = {
    "generate": ("generate", "generate", "make problems and traces in every format, as JSON Lines or Parquet"),
    "compress": (
        "compress",
        "compress",
        "compress solutions of your own, every step verified; count what it saves",
    ),
    "export": (
        "export",
        "export",
        "hand records to TRL, LLaMA-Factory, verl and other tools, as their loaders read them",
    ),
    "verify": ("verify", "verify", "judge a file of solutions step by step"),
    "explain": ("explain", "explain", "show one problem in every format and order, with token counts"),
    "pretrain": ("pretrain", "pretrain", "train a tiny base model, from nothing or from another one"),
    "train sft": ("train", "sft", "fine-tune a model on a file of records"),
    "train rlvr": ("train", "rlvr", "train on verifiable rewards by GRPO, after SFT"),
    "evaluate": ("evaluate", "evaluate", "measure accuracy, cost, granularity and faithfulness on held-out problems"),
    "advise": ("advise", "advise", "recommend a compression for a budget, from measured curves, with its uncertainty"),
    "study run": ("study", "run", "run a study (preset or TOML file) to its report; resumes where it stopped"),
    "study report": ("study", "report", "rebuild the report of a study from its store"),
    "study status": ("study", "status", "show how far a study is"),
}
"""Words on the command line -> (module of `zipthought.commands`, function, what it does)."""


def usage() -> str:
    """What ``zipthought --help`` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {words:<{width}}  {text}" for words, (_, _, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: zipthought COMMAND [OPTIONS]",
            "",
            "Compressed chain-of-thought data for LLM post-training: make it, verify every step, train on it, measure.",
            "",
            "commands:",
            *lines,
            "",
            "Each command explains its options with --help; most print one JSON object with --json.",
            "",
            "start here:",
            "  zipthought explain --n-ops 4",
            "  zipthought generate --n-ops 10 11 12 --count 1000 --format explicit composed:2 --output-dir data",
            "  zipthought study run quick --output-dir runs/quick",
        ]
    )


def _find(arguments: Sequence[str]) -> tuple[str, list[str]] | None:
    """The command that the arguments name, and what follows it."""
    for words in COMMANDS:
        parts = words.split()
        if list(arguments[: len(parts)]) == parts:
            return words, list(arguments[len(parts) :])
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] == "--version":
        print(f"zipthought {__version__}")
        return 0
    found = _find(arguments)
    if not found:
        group = [words for words in COMMANDS if words.split()[0] == arguments[0]]
        wants_help = len(arguments) > 1 and arguments[1] in ("-h", "--help")
        if group and (wants_help or len(arguments) == 1):
            lines = "\n".join(f"zipthought {words}  {COMMANDS[words][2]}" for words in group)
            print(lines, file=sys.stdout if wants_help else sys.stderr)
            return 0 if wants_help else 2
        hint = ", ".join(group or COMMANDS)
        print(f"zipthought: unknown command {' '.join(arguments[:2])!r}; use one of: {hint}", file=sys.stderr)
        return 2
    words, rest = found
    module, function, text = COMMANDS[words]
    try:
        command = getattr(import_module(f"zipthought.commands.{module}"), function)
        code = _parse(command, words, text, rest)()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print(f"zipthought {words}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # Whoever read has read enough: `zipthought explain | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ImportError as error:
        if error.name is None or error.name.startswith("zipthought"):
            raise
        print(f"zipthought {words}: needs the package {error.name!r}; install zipthought[study]", file=sys.stderr)
        return 2
    except (ValueError, OSError, OverflowError) as error:
        print(f"zipthought {words}: {_one_line(error)}", file=sys.stderr)
        return 2


def _parse(command: Callable[..., int], words: str, text: str, arguments: list[str]) -> Callable[[], int]:
    """The command with its arguments, ready to run. Exits after help; raises `ValueError` for arguments it refuses."""
    import tyro

    @wraps(command)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], int]:
        return partial(command, *args, **kwargs)

    refusal = StringIO()
    try:
        with redirect_stderr(refusal):
            return tyro.cli(
                bind,
                prog=f"zipthought {words}",
                description=f"{text[0].upper()}{text[1:]}.",
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as stop:
        if stop.code != 2:
            raise
        # tyro draws a box: a title, a rule, the message, a rule, hints. Where the terminal has no such characters, the
        # title stands on a line of its own.
        lines = [line.strip("│ ") for line in refusal.getvalue().splitlines()]
        parts = [
            list(part)
            for rule, part in groupby(lines, lambda line: line.startswith("╭") or not line.strip("─-"))
            if not rule
        ]
        message = parts[0 if refusal.getvalue().startswith("╭") else 1]
        options = [line for line in message if line.startswith("--")]  # Of what is missing, its help left out.
        said = f"{message[0]} {', '.join(options)}" if options else " ".join(message)
        raise ValueError(f"{said.removeprefix('Error parsing config: ')} (see zipthought {words} --help)") from stop


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
