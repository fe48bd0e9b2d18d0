"""How far the training of a running cell is: a small file in its scratch directory, written at most once a second.

The file is removed with that directory when the cell is done. A cell that trains for less than a second writes none.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files.atomic import atomic_open
from .cells import Cell
from .conform import conforms

SECONDS = 1.0
"""The shortest time between two reports of a cell."""
_NAME = "progress.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The last reported step of a cell. What a trainer does not measure is None."""

    step: int
    """Finished steps."""
    steps: int | None
    """All steps; the most, if a rule may end the run before."""
    loss: float | None
    """Nats per token, or the loss of RLVR."""
    reward: float | None
    """Mean reward of the step's rollouts."""
    tokens_per_second: float | None
    """Tokens of training over its seconds, measurements left out."""
    seconds_left: float | None
    """Until the last step, measurements between the steps included."""
    reported: float
    """When it was reported, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCell:
    """A cell that a worker has. As text it is one line."""

    cell: Cell
    progress: Progress | None
    """None before the first report."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{self.cell.label}, seed {self.cell.seed}"

    @property
    def metrics(self) -> str:
        """What its last reported step measured."""
        shown = (("loss {:.3g}", "loss"), ("reward {:.3g}", "reward"), ("{:,.0f} tokens/s", "tokens_per_second"))
        values = ((form, getattr(self.progress, name, None)) for form, name in shown)
        return ", ".join(form.format(value) for form, value in values if value is not None)

    def __str__(self) -> str:
        if self.progress is None:
            return f"{self.name}: no report yet"
        values = self.plain()
        of, left = (f" of {values['steps']}" if values["steps"] else ""), values["seconds_left"]
        parts = (f"step {values['step']}{of}", self.metrics, "" if left is None else f"{left:.0f} s left")
        return f"{self.name}: {', '.join(filter(None, parts))} ({values['age']:.0f} s ago)"

    def plain(self) -> dict[str, Any]:
        """As JSON values. `age` is the number of seconds since the report."""
        values: dict[str, Any] = (
            asdict(self.progress) if self.progress else dict.fromkeys(Progress.__dataclass_fields__)
        )
        reported = values.pop("reported")
        age = None if reported is None else round(max(0.0, time.time() - reported), 1)
        return {"digest": self.cell.digest, "cell": self.cell.label, "seed": self.cell.seed, **values, "age": age}


class Reporter:
    """Receives the metrics of each step of a cell (`cells.OnStep`) and writes them to the cell's scratch directory."""

    def __init__(self, scratch: Path, seconds: float = SECONDS) -> None:
        self._path, self._seconds = scratch / _NAME, seconds
        self._first: tuple[float, int] | None = None
        self._written = 0.0

    def __call__(self, row: dict[str, Any]) -> None:
        now, step = time.monotonic(), int(row["step"])
        if self._first is None:
            self._first, self._written = (now, step), now
        if now < self._written + self._seconds:
            return
        self._written = now
        report = json.dumps(asdict(self._progress(row, now, step))).encode()
        # A full disk stops the cell where its result is concerned, not here.
        with suppress(OSError), atomic_open(self._path, durable=False) as file:
            file.write(report)

    def _progress(self, row: dict[str, Any], now: float, step: int) -> Progress:
        began, first = self._first or (now, step)
        steps, seconds = row.get("steps"), row.get("seconds")
        left = (steps - step) * (now - began) / (step - first) if steps and step > first else None
        return Progress(
            step=step,
            steps=steps,
            loss=row.get("loss"),
            reward=row.get("reward"),
            tokens_per_second=round(row["tokens"] / seconds, 1) if seconds else None,
            seconds_left=None if left is None else round(left, 1),
            reported=time.time(),
        )


def read_progress(scratch: Path) -> Progress | None:
    """The last report of a cell; None if there is none that can be read."""
    try:
        progress = Progress(**json.loads((scratch / _NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return progress if conforms(progress) else None
