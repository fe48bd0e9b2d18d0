"""The process that asks sympy. It starts with the first question, and ends with its parent or when it takes too long.

Questions and answers are lines of JSON. No signal and no thread is used, so any program can ask.
"""

from __future__ import annotations

import atexit
import json
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

LIMIT = 3.0
"""Seconds for one answer. A question that takes longer has none."""
START = 60.0
"""Seconds for the start of the process, which imports sympy."""

_lock = threading.Lock()  # One question at a time, whichever thread asks.
_child: subprocess.Popen[bytes] | None = None


@cache
def is_available() -> bool:
    """Whether the extra `zipthought[math]` is installed."""
    return all(find_spec(name) is not None for name in ("sympy", "latex2sympy2_extended", "antlr4"))


def ask(question: dict[str, Any], answers: int, seconds: float = LIMIT) -> Iterator[Any]:
    """Up to `answers` answers to a question, each within `LIMIT` and all within `seconds`."""
    if not is_available():
        return
    with _lock:
        child = _start()
        if child is None:
            return
        deadline = time.monotonic() + seconds
        try:
            _write(child, question)
            for _ in range(answers):
                line = _read_line(child, min(LIMIT, deadline - time.monotonic()))
                if line is None:
                    stop()
                    return
                yield json.loads(line)
        except GeneratorExit:
            stop()
            raise
        except (OSError, ValueError):
            stop()


def stop() -> None:
    """End the process. The next question starts another one."""
    global _child
    if _child is not None:
        _child.kill()
        _child.wait()
        for pipe in (_child.stdin, _child.stdout):
            if pipe:
                pipe.close()
        _child = None


def _start() -> subprocess.Popen[bytes] | None:
    """The running process; None if it does not start."""
    global _child
    if _child is not None and _child.poll() is None:
        return _child
    stop()
    command = [sys.executable, "-m", "zipthought.solutions.mathematics.worker"]
    _child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if _read_line(_child, START) is None:
        stop()
    return _child


def _write(child: subprocess.Popen[bytes], question: dict[str, Any]) -> None:
    assert child.stdin is not None
    child.stdin.write(json.dumps(question).encode() + b"\n")
    child.stdin.flush()


def _read_line(child: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """The next line of the process; None if it does not come in time."""
    assert child.stdout is not None
    deadline = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
        piece = child.stdout.raw.read(65536) if ready else b""  # type: ignore[attr-defined]
        if not piece:
            return None
        line += piece
    return line


atexit.register(stop)
