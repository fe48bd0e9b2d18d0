"""The command line: find the command, parse its options, run it, and report a failure in one line.

Commands are a table here rather than subcommands of tyro: tyro imports the modules of all subcommands to parse one of
them, and ``zipthought --help`` must start without numpy and torch. A command's module is imported when it runs.

Exit codes: 0 success; 1 the command ran and its answer is no (`verify` found records that are not faithful); 2 it could
not run (bad input, a missing file, a full disk); 128 + n stopped by signal n: 130 for Ctrl-C, 143 for SIGTERM, 129 for
SIGHUP. A stopped command leaves no temporary file. A reader that stops reading (``zipthought explain | head``) changes
no exit code.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from . import __version__, terminal
from .core.registry import PluginError
from .files.escape import visible


class Command(NamedTuple):
    """Where a command is, and what it does."""

    module: str
    """Of `zipthought.commands`."""
    function: str
    """In the module; its signature defines the options."""
    summary: str
    """What it does, as one clause in lower case."""


COMMANDS = {
    "generate": Command(
        "generate", "generate", "generate problems and traces in every format, as JSON Lines or Parquet"
    ),
    "compress": Command(
        "compress", "compress", "compress your own solutions, verify every step, and count the tokens saved"
    ),
    "sample": Command("sample", "sample", "sample solutions of a model, judge each, and keep the right ones"),
    "mix": Command(
        "mix", "mix", "mix files of records: shares, budget tags, order, no duplicates, no evaluation questions"
    ),
    "compare": Command(
        "compare", "compare", "compare files of solutions in one table: tokens, verdicts, accuracy after SFT"
    ),
    "export": Command("export", "export", "export records for TRL, LLaMA-Factory, verl and other tools"),
    "verify": Command("verify", "verify", "verify a file of solutions step by step"),
    "explain": Command("explain", "explain", "show one problem in every format and order, with token counts"),
    "pretrain": Command("pretrain", "pretrain", "train a tiny base model, from scratch or from another one"),
    "train sft": Command("train", "sft", "fine-tune a model on a file of records"),
    "train rlvr": Command("train", "rlvr", "train on verifiable rewards by GRPO, after SFT"),
    "evaluate": Command(
        "evaluate", "evaluate", "measure accuracy, cost and faithfulness on held-out problems, or on your own"
    ),
    "advise": Command("advise", "advise", "recommend a compression for a budget, from measured curves"),
    "study run": Command("study", "run", "run a study (preset or TOML file) to its report; resumes after a stop"),
    "study register": Command("study", "register", "write the rules and settings of a study to a file, before it runs"),
    "study report": Command("study", "report", "rebuild the report of a study from its store"),
    "study status": Command("study", "status", "show the progress of a study"),
    "study check": Command("study", "check", "check a study's store and files for damage"),
}
"""Words on the command line -> command. The first word of two names a group."""

EXTRAS = {"pyarrow": "parquet", "trl": "trl", "peft": "trl", "datasets": "trl", "accelerate": "trl", "ray": "ray"}
"""Missing package -> the extra that installs it; every other package comes with `study`."""


def usage() -> str:
    """The text of ``zipthought --help``."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: zipthought COMMAND [OPTIONS]",
            "",
            "Compressed chain-of-thought data for LLM post-training: generate it, verify every step, train on it, "
            "measure.",
            "",
            "commands:",
            *(f"  {words:<{width}}  {command.summary}" for words, command in COMMANDS.items()),
            "",
            "Each command explains its options with --help. Most print one JSON object with --json.",
            "",
            "start here:",
            "  zipthought explain --n-ops 4",
            "  zipthought generate --n-ops 10 11 12 --count 1000 --format explicit composed:2 --output-dir data",
            "  zipthought study run quick --output-dir runs/quick",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Without `arguments` it is the program: it reads `sys.argv`, sets up
    the standard streams and handles signals."""
    if arguments is not None:
        return _dispatch(list(arguments))
    try:
        terminal.set_up_streams()
        terminal.catch_signals()
        terminal.shorten_warnings()
        try:
            code = _dispatch(sys.argv[1:])
        except SystemExit as stop:  # After --help.
            code = int(stop.code or 0)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        return _stopped("", stop)
    except OSError as error:  # Standard output cannot be written.
        return _fail("", _one_line(error))


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] == "--version":
        print(f"zipthought {__version__}")
        return 0
    for words in COMMANDS:
        parts = words.split()
        if arguments[: len(parts)] == parts:
            return _run(words, arguments[len(parts) :])
    return _no_command(arguments)


def _no_command(arguments: list[str]) -> int:
    """Help for a group (``zipthought study``), or a hint after an unknown command."""
    group = [words for words in COMMANDS if words.split()[0] == arguments[0]]
    help_wanted = len(arguments) > 1 and arguments[1] in ("-h", "--help")
    if group and (help_wanted or len(arguments) == 1):
        for words in group:
            print(f"zipthought {words}  {COMMANDS[words].summary}", file=sys.stdout if help_wanted else sys.stderr)
        return 0 if help_wanted else 2
    choices = ", ".join(group or COMMANDS)
    print(f"zipthought: unknown command {' '.join(arguments[:2])!r}; use one of: {choices}", file=sys.stderr)
    return 2


def _run(words: str, options: list[str]) -> int:
    """Parse the options of a command and run it; returns the exit code."""
    try:
        from .commands.parsing import parse

        command = COMMANDS[words]
        function = getattr(import_module(f"zipthought.commands.{command.module}"), command.function)
        description = f"{command.summary[0].upper()}{command.summary[1:]}."
        code = parse(function, f"zipthought {words}", description, options)()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        return _stopped(words, stop)
    except ImportError as error:
        if error.name is None or error.name.startswith("zipthought"):
            raise
        extra = EXTRAS.get(error.name.split(".")[0], "study")
        return _fail(words, f"needs the package {error.name!r}; install zipthought[{extra}]")
    except (ValueError, OSError, OverflowError, PluginError) as error:
        return _fail(words, _one_line(error))


def _stopped(words: str, stop: KeyboardInterrupt) -> int:
    number = stop.number if isinstance(stop, terminal.Stopped) else signal.SIGINT
    return _fail(words, "interrupted" if number == signal.SIGINT else f"stopped by {number.name}", 128 + number)


def _fail(words: str, message: str, code: int = 2) -> int:
    print(f"zipthought {words}".rstrip() + f": {visible(message)}", file=sys.stderr)
    return code


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, FileNotFoundError) and error.errno:  # Of os.getcwd().
        return "the current directory does not exist any more; change to another one"
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
