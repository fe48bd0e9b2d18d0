"""The GPU check: does training on this GPU agree with the CPU, what fits into its memory, and how fast is it?

    make gpu                                              # all stages on one GPU, in an environment of its own with TRL
    python benchmarks/gpu.py --deadline 570               # the same in your environment, in at most 570 s
    python benchmarks/gpu.py --small --stage parity       # one stage with tiny widths, on the CPU

Each stage (`gpu_stages.py`) is a process of its own with a limit of time. A stage that runs out of memory is a result,
and the next one starts. Nothing is downloaded. Temporary files take up to 30 GB; TMPDIR says where.

Rows are appended to --output as they come, and a table is printed at the end. What stages print goes to OUTPUT.logs.
docs/gpu.md explains the stages and lists what has been run. The exit status is 1 if a stage failed or ran too long.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = ("ok", "out of memory", "skipped")
"""The states of a stage that are a result. The others are `failed`, `too slow` and `no time left`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a stage needs."""

    limit: float
    """Seconds."""
    packages: tuple[str, ...] = ()
    """Modules that zipthought does not need itself."""
    large: bool = False
    """Whether it reads the model that the stage `large-model` writes."""


STAGES = {
    "versions": Stage(limit=60),
    "parity": Stage(limit=120),
    "large-model": Stage(limit=120),
    "sft": Stage(limit=240, packages=("trl",), large=True),
    "sft-study": Stage(limit=240, large=True),
    "sft-native": Stage(limit=180, large=True),
    "decode": Stage(limit=150, large=True),
    "rlvr": Stage(limit=300, packages=("trl", "peft"), large=True),
    "rlvr-vllm": Stage(limit=300, packages=("trl", "peft", "vllm"), large=True),
    "rlvr-study": Stage(limit=240, large=True),
    "leftovers": Stage(limit=150, packages=("trl",)),
    "fsdp": Stage(limit=300, packages=("trl",)),
}


def reason_to_skip(stage: Stage, small: bool) -> str | None:
    """Why a stage cannot run here; None if it can."""
    for name in stage.packages:
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    return "vLLM needs a GPU" if small and "vllm" in stage.packages else None


def judge(code: int | None, log: str) -> dict[str, Any]:
    """The state of a stage that ended with this status (None: it was stopped) and printed this, and its error."""
    if code == 0:
        return {"status": "ok"}
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if code is None:
        return {"status": "too slow", "error": lines[-1][-300:] if lines else "nothing was printed"}
    if short := [line for line in lines if "out of memory" in line.lower()]:
        return {"status": "out of memory", "error": short[-1][-300:]}
    if code == -signal.SIGKILL:
        return {"status": "out of memory", "error": "the system killed the stage: not enough memory of the machine"}
    return {"status": "failed", "error": lines[-1][-300:] if lines else f"exit status {code}"}


def run(name: str, directory: Path, log: Path, small: bool, limit: float) -> dict[str, Any]:
    """Run a stage in a process of its own, for at most `limit` seconds. Returns its state and figures."""
    script = Path(__file__).with_name("gpu_stages.py")
    environment = os.environ | {"HF_HUB_OFFLINE": "1"} | ({"CUDA_VISIBLE_DEVICES": ""} if small else {})
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(script), name, str(directory), *(["--small"] if small else [])],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        code = None
        try:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(limit)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # Also what the stage started.
            process.wait()
    shutil.rmtree(directory / f"{name}.work", ignore_errors=True)
    figures = json.loads((directory / f"{name}.json").read_text()) if code == 0 else {}
    return judge(code, log.read_text(errors="replace")) | figures


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| stage | state | seconds | figures |", "| --- | --- | ---: | --- |"]
    for row in rows:
        rest = {key: value for key, value in row.items() if key not in ("stage", "time", "status", "seconds")}
        figures = ", ".join(f"{key} {value}" for key, value in rest.items()).replace("|", "\\|")
        lines.append(f"| {row['stage']} | {row['status']} | {row['seconds']} | {figures} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=list(STAGES), metavar="NAME", help="default: all")
    parser.add_argument("--small", action="store_true", help="tiny widths, on the CPU")
    parser.add_argument("--output", type=Path, default=Path("gpu.jsonl"))
    parser.add_argument("--deadline", type=float, default=2400, help="seconds for all stages")
    args = parser.parse_args(arguments)
    if not args.small:
        import torch

        if not torch.cuda.is_available():
            parser.error("torch finds no GPU here; use --small to run the stages with tiny widths on the CPU")
    large = any(STAGES[name].large and not reason_to_skip(STAGES[name], args.small) for name in args.stage)
    wanted = [name for name in STAGES if name in args.stage or (large and name == "large-model")]
    logs = args.output.with_name(f"{args.output.name}.logs")
    logs.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    end = time.monotonic() + args.deadline
    with tempfile.TemporaryDirectory() as directory:
        for name in wanted:
            began, limit = time.monotonic(), min(STAGES[name].limit, end - time.monotonic())
            if reason := reason_to_skip(STAGES[name], args.small):
                result = {"status": "skipped", "reason": reason}
            elif limit <= 0:
                result = {"status": "no time left"}
            else:
                result = run(name, Path(directory), logs / f"{name}.log", args.small, limit)
            seconds = round(time.monotonic() - began, 1)
            rows.append(
                {"stage": name, "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "seconds": seconds, **result}
            )
            with args.output.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(f"{name}: {result['status']}, {seconds} s", file=sys.stderr, flush=True)
    print(table(rows))
    return 0 if all(row["status"] in RESULTS for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
