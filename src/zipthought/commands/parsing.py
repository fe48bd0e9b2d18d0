"""Options of a command: tyro parses them by the signature of the command. A refusal becomes one line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial, wraps
from typing import Any

import tyro


def parse(command: Callable[..., int], prog: str, description: str, arguments: list[str]) -> Callable[[], int]:
    """The command bound to its arguments, ready to run.

    Exits with code 0 after ``--help``. Raises `ValueError` with the reason if the arguments are refused.
    """

    @wraps(command)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], int]:
        return partial(command, *args, **kwargs)

    with _refusals_as_errors():
        return tyro.cli(
            bind,
            prog=prog,
            description=description,
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )


def _refusals_as_errors() -> AbstractContextManager[None]:
    """While it is active, refused arguments raise `ValueError`.

    tyro's public API prints a refusal in a box of several lines and exits with code 2. Its hook for parse errors hands
    over the reason as data, but it is not part of the public API. A version of tyro without this hook, or with another
    shape of its events, prints its box: less readable, with the same exit code.
    """
    try:
        from tyro import _errors
    except ImportError:
        return nullcontext()

    def refuse(event: _errors.ParseErrorEvent) -> None:
        try:
            reason = reason_of(event)
        except AttributeError:
            return
        if reason:
            raise ValueError(f"{reason} (see {event.prog} --help)")

    return _errors.on_parse_error(refuse)


def reason_of(event: Any) -> str | None:
    """The reason of a refusal, from an event of tyro's parser. None for an event of another kind."""
    match type(event).__name__:
        case "MissingArgs":
            missing = ", ".join(_usage(item.arg) for item in event.missing_arguments)
            extra = f"; unrecognized arguments: {' '.join(event.unrecognized_tokens)}"
            return f"missing arguments: {missing}{extra if event.unrecognized_tokens else ''}"
        case "UnrecognizedArgs":
            return f"unrecognized arguments: {' '.join(event.tokens)}"
        case "BadValue" if event.reason == "too_few_values":
            return f"too few values for {_usage(event.argument)}"
        case "InvalidChoice":
            return f"{_name(event.argument)} must be one of {', '.join(event.choices)}, got {event.value!r}"
        case "InstantiationFailure":
            return f"{_name(event.argument)}: {event.message}" if event.argument else event.message
    return None


def _name(argument: Any) -> str:
    return argument.lowered.metavar if argument.is_positional() else argument.lowered.name_or_flags[-1]


def _usage(argument: Any) -> str:
    """``--data PATH``; of a positional argument, ``PATH``."""
    return _name(argument) if argument.is_positional() else f"{_name(argument)} {argument.lowered.metavar}"
