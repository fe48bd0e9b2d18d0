"""The process that asks sympy. It starts with the first question, and ends with its parent or when it takes too long.

Questions and answers are lines of JSON. This process handles no signal and starts no thread, so any program can ask.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any

LIMIT = 60.0
"""Seconds to wait for one answer. `worker.LIMIT`, of processor time, comes first unless the machine stands still."""
START = 60.0
"""Seconds for the start of the process, which imports sympy."""

_lock = threading.Lock()  # One question at a time, whichever thread asks.


@cache
def is_available() -> bool:
    """Whether the extra `zipthought[math]` is installed."""
    return all(find_spec(name) is not None for name in ("sympy", "latex2sympy2_extended", "antlr4"))


def ask(question: dict[str, Any], answers: int) -> list[Any]:
    """The answers to a question: `answers` of them, or fewer if one takes too long."""
    if not is_available():
        return []
    with _lock:
        return _child.ask(question, answers)


class _Child:
    """The process, which starts again when it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        """What the process wrote and was not read yet."""

    def ask(self, question: dict[str, Any], answers: int) -> list[Any]:
        given: list[Any] = []
        try:
            process = self._start()
            if process and process.stdin:
                process.stdin.write(json.dumps(question).encode() + b"\n")
                process.stdin.flush()
                while len(given) < answers and (line := self._read_line(LIMIT)):
                    given.append(json.loads(line))
        except BrokenPipeError:  # It was killed in the meantime.
            pass
        finally:
            if len(given) < answers:  # Also after an interrupt: the rest of the answers would come with the next.
                self.stop()
        return given

    def stop(self) -> None:
        """End the process."""
        process, self._process, self._buffer = self._process, None, b""
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with suppress(OSError):
                        pipe.close()

    def _start(self) -> subprocess.Popen[bytes] | None:
        """The running process; None if it does not start."""
        if self._process is None or self._process.poll() is not None:
            self.stop()
            command = [sys.executable, "-m", "zipthought.solutions.mathematics.worker"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            if not self._read_line(START):
                self.stop()
        return self._process

    def _read_line(self, seconds: float) -> bytes:
        """The next line of the process; empty if it does not come in time."""
        pipe = self._process.stdout if self._process else None
        deadline = time.monotonic() + seconds
        while pipe and b"\n" not in self._buffer:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(pipe.fileno(), 65536) if ready else b""
            if not piece:
                return b""
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


_child = _Child()
atexit.register(_child.stop)
