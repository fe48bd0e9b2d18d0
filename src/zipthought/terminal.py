"""The process of a command: its standard streams, its warnings and the signals that stop it. Used by the program alone,
not by the library."""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from types import FrameType
from typing import Any, TextIO

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP, which stop a command as Ctrl-C does: temporary files are removed, workers end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = signal.Signals(number)


def catch_signals() -> None:
    """From now on `SIGNALS` raise `Stopped`, once. A signal that is ignored, as after ``nohup``, stays so."""
    for number in SIGNALS:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stop)


def shorten_warnings() -> None:
    """From now on a `UserWarning` is one line, without the line of code that caused it."""
    whole = warnings.formatwarning

    def short(message: Warning | str, category: type[Warning], *where: Any, **code: Any) -> str:
        return f"note: {message}\n" if category is UserWarning else whole(message, category, *where, **code)

    warnings.formatwarning = short


def _stop(number: int, frame: FrameType | None) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)  # The command is cleaning up; a second signal must not cut that short.
    raise Stopped(number)


def set_up_streams() -> None:
    """Make the standard streams safe to write to.

    A closed one becomes the null device, so that no other file gets its number. A reader that has gone silences
    standard output and standard error. Characters that the encoding lacks are written as escapes.
    """
    while True:
        number = os.open(os.devnull, os.O_RDWR)  # Takes the lowest number that is free.
        if number > 2:
            os.close(number)
            break
    sys.stdout = _text_stream(1, sys.stdout, "standard output")
    sys.stderr = _text_stream(2, sys.stderr, "standard error")


def _text_stream(number: int, earlier: TextIO | None, name: str) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(_Raw(number, name))  # type: ignore[type-var]
    return io.TextIOWrapper(
        buffer,
        encoding=earlier.encoding if earlier else "utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or os.isatty(number),
    )


class _Raw(io.FileIO):
    """A standard stream. After an error it is silent, so that nothing is raised again when Python closes it."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__(number, "w", closefd=False)
        self._label = name

    def write(self, data: bytes) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:  # The reader has stopped reading: no failure.
            self._silence()
        except OSError as error:
            self._silence()
            if self.fileno() == 1:
                raise type(error)(error.errno, error.strerror, self._label) from error
        return len(data)

    def _silence(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)
