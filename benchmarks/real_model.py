"""A pretrained language model through every command, on two CPU cores, beside TRL's own script for the same SFT.

    make bench-real                            # needs TRL: in the environment of `make integration`
    python benchmarks/real_model.py --model smollm2-135m --steps 8

Stages: `generate`, `train sft` with both engines, `trl sft` (the script of TRL) on the exported data, `evaluate`,
`train rlvr`. Each is a process of its own. A row has its wall time with the start of the process, its peak memory, and
the tokens per second of its training or generation. The losses of both engines are compared, update by update.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
import trl

from zipthought.models.names import resolve

SETTINGS = ("--n-ops", "2", "--modulus", "101", "--number-range", "7")
BATCH, RATE = 8, "2e-4"


def run(command: list[str], where: Path) -> tuple[float, float, str]:
    """Seconds, peak memory in GB and standard output of a process. Ends this program if it fails."""
    began = time.perf_counter()
    with (where / "stdout").open("w+") as out, (where / "stderr").open("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=where)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        err.seek(0)
        text, problem = out.read(), err.read()
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)} failed:\n{problem[-2000:]}")
    return time.perf_counter() - began, usage.ru_maxrss / 1e6, text


def losses(directory: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (directory / "metrics.jsonl").read_text().splitlines()]


def speed(directory: Path) -> float:
    """Training tokens without padding per second, without the first update, which warms up."""
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    first, last = rows[0], rows[-1]
    return (last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"])


def show(stage: str, seconds: float, memory: float, tokens: float | None) -> None:
    rate = f"{tokens:>8,.0f}" if tokens else f"{'-':>8}"
    print(f"{stage:<34}{seconds:>8.1f} s {memory:>7.1f} GB {rate} tokens/s", flush=True)


def sft(stage: str, options: list[str], where: Path, model: str, steps: int) -> Path:
    """One run of `train sft`; its directory."""
    out = where / stage.replace(" ", "-")
    command = [*zipthought("train", "sft"), "--model", model, "--data", "data/explicit.jsonl", "--output-dir", str(out)]
    command += ["--steps", str(steps), "--batch-size", str(BATCH), "--learning-rate", RATE, *options]
    seconds, memory, _ = run(command, where)
    show(stage, seconds, memory, speed(out))
    return out


def zipthought(*command: str) -> list[str]:
    return [sys.executable, "-m", "zipthought", *command]


def trl_script(where: Path, model: str, steps: int) -> float:
    """`trl sft` on the exported data: its tokens per second, of all its updates."""
    run([*zipthought("export"), "data/explicit.jsonl", "--to", "trl-sft", "--output-dir", "exported"], where)
    (where / "exported" / "train_sft.py").unlink()
    command = [
        *(sys.executable, "-m", "trl.scripts.sft", "--model_name_or_path", resolve(model), "--dtype", "float32"),
        *("--dataset_name", "exported", "--output_dir", "trl-script", "--max_steps", str(steps)),
        *("--per_device_train_batch_size", str(BATCH), "--learning_rate", RATE, "--use_cpu", "--bf16", "false"),
        *("--report_to", "none", "--save_strategy", "no", "--logging_steps", str(steps), "--eos_token", "<|im_end|>"),
        *("--completion_only_loss", "true", "--gradient_checkpointing", "false"),
    ]
    seconds, memory, text = run(command, where)
    runtime = float(re.findall(r"'train_runtime': '?([\d.]+)", text)[-1])
    tokens = float(re.findall(r"'num_tokens': '?([\d.e+]+)", text)[-1])
    show("trl sft (TRL's own script)", seconds, memory, tokens / runtime)
    return tokens / runtime


def pipeline(where: Path, model: str, steps: int, problems: int) -> dict[str, Any]:
    generate = [*zipthought("generate"), *SETTINGS, "--count", str(BATCH * steps), "--surface", "english"]
    seconds, memory, _ = run([*generate, "--format", "explicit", "--output-dir", "data"], where)
    show("generate", seconds, memory, None)
    ours = sft("train sft", [], where, model, steps)
    theirs = sft("train sft, engine trl", ["--engine", "trl"], where, model, steps)
    sft("train sft, bfloat16", ["--precision", "bfloat16"], where, model, steps)
    script = trl_script(where, model, steps)
    gap = max(abs(a - b) for a, b in zip(losses(ours), losses(theirs), strict=True))
    evaluate = [*zipthought("evaluate"), "--model", str(ours), *SETTINGS, "--count", str(problems), "--json"]
    seconds, memory, text = run([*evaluate, "--surface", "english"], where)
    measured = json.loads(text)
    show(f"evaluate, {problems} problems", seconds, memory, measured["response_tokens"] * measured["n"] / seconds)
    rlvr = [*zipthought("train", "rlvr"), "--model", str(ours), *SETTINGS, "--surface", "english", "--steps", "3"]
    rlvr += ["--prompts-per-step", "4", "--group-size", "4", "--kl-every", "0", "--learning-rate", "1e-5"]
    seconds, memory, _ = run([*rlvr, "--output-dir", "rl"], where)
    show("train rlvr, 3 steps of 4 x 4", seconds, memory, speed(where / "rl"))
    return {"largest gap of the losses of both engines": gap, "native over TRL's own script": speed(ours) / script}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--steps", type=int, default=8, help="updates of SFT, of 8 texts each")
    parser.add_argument("--problems", type=int, default=24, help="problems of the evaluation")
    args = parser.parse_args()
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, TRL {trl.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {versions}, model {args.model}")
    with tempfile.TemporaryDirectory() as name:
        for label, value in pipeline(Path(name), args.model, args.steps, args.problems).items():
            print(f"{label}: {value:.3g}")


if __name__ == "__main__":
    main()
