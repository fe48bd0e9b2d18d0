"""A training of the engine `trl` in several processes, from a process that is none of them.

``torchrun`` or ``accelerate launch`` starts the processes, each with a GPU of its own, or on the CPU where there is
none. The model, the data and the settings go to them through files; the trained weights and the metrics come back in
the same way.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from ..models.loading import load, save
from .checkpoint import read_checkpoint, write_checkpoint
from .config import Execution, OptimizerConfig, RLVRConfig, SFTConfig
from .loop import LoopResult
from .prompts import SampledPrompts
from .sft import SFTResult
from .trl_common import OnStep
from .trl_config import TRLConfig

POLL_SECONDS = 0.5
_JOB, _BASE, _TRAINED, _RESULT, _LOG = "job.pt", "base", "trained", "result.pt", "launch.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How the processes start."""

    processes: int
    """Processes of this machine."""
    config_file: str = ""
    """A configuration of accelerate, for FSDP or DeepSpeed (`examples/fsdp.yaml`). Empty: each process has all
    weights."""

    def sft(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        records: Iterable[Mapping[str, Any]],
        config: SFTConfig,
        *,
        directory: Path,
        on_step: OnStep | None = None,
    ) -> SFTResult:
        """The same as `trl_engine.sft_with_trl`, which goes on at the last checkpoint in `directory`. `on_step` gets
        the row of the last update when `model` has the trained weights.

        Raises `RuntimeError` if a process fails.
        """
        job = {"kind": "sft", "records": [dict(record) for record in records]}
        result = self._run(model, tokenizer, config, job, directory, on_step)
        return SFTResult(**{**result, "loop": LoopResult(**result["loop"])})

    def rlvr(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompts: SampledPrompts,
        config: RLVRConfig,
        *,
        directory: Path,
        on_step: OnStep | None = None,
    ) -> LoopResult:
        """The same as `trl_engine.rlvr_with_trl`, as `sft`."""
        job = {"kind": "rlvr", "excluded": sorted(prompts.excluded)}
        return LoopResult(**self._run(model, tokenizer, config, job, directory, on_step))

    def _run(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        config: SFTConfig | RLVRConfig,
        job: Mapping[str, Any],
        directory: Path,
        on_step: OnStep | None,
    ) -> dict[str, Any]:
        device = model.device
        model.cpu()  # The processes need the GPUs.
        if device.type == "cuda":
            torch.cuda.empty_cache()
        directory.mkdir(parents=True, exist_ok=True)
        save(model, tokenizer, directory / _BASE)
        write_checkpoint(directory / _JOB, {**job, "config": asdict(config), "parent": os.getpid()})
        (directory / _RESULT).unlink(missing_ok=True)
        with (directory / _LOG).open("wb") as log, _ending(self._start(directory, log)) as process:
            rows = _Rows(directory / "metrics.jsonl", on_step)
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                rows.read()
        if process.returncode or not (directory / _RESULT).exists():
            raise RuntimeError(f"a process of the training failed: {_reason(directory / _LOG)}")
        result = read_checkpoint(directory / _RESULT, torch.device("cpu"))
        trained = AutoModelForCausalLM.from_pretrained(directory / _TRAINED, dtype=model.dtype, trust_remote_code=False)
        model.load_state_dict(trained.state_dict())
        model.to(device)  # type: ignore[arg-type]
        rows.read(ended=True)
        return result

    def _start(self, directory: Path, log: Any) -> subprocess.Popen[bytes]:
        if self.config_file:
            launcher = ["accelerate.commands.launch", "--config_file", self.config_file]
            launcher += ["--num_processes", str(self.processes), "--main_process_port", "0"]  # A free port.
        else:  # Without a configuration, `accelerate launch` starts one process on a CPU.
            launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(self.processes)]
        command = [sys.executable, "-m", *launcher, "-m", __name__, str(directory)]
        on_cpu = {} if torch.cuda.is_available() else {"ACCELERATE_USE_CPU": "true"}
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **on_cpu})


class _Rows:
    """The rows of a file of metrics that grows, for a caller. The last one waits until the training has ended."""

    def __init__(self, path: Path, on_step: OnStep | None) -> None:
        self._path, self._on_step = path, on_step
        self._given = 0
        """The last step that the caller knows."""

    def read(self, *, ended: bool = False) -> None:
        """Give the caller the rows that it has not got."""
        if not self._on_step or not self._path.exists():
            return
        lines = self._path.read_text(encoding="utf-8").split("\n")[:-1]  # The last line may not be whole.
        rows = [row for row in map(json.loads, lines) if row["step"] > self._given]
        for row in rows if ended else rows[:-1]:
            self._given = row["step"]
            self._on_step(row)


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The launcher and its processes end with the block."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()  # It ends its own processes.
            process.wait()


def _reason(log: Path) -> str:
    """The first error that a process wrote, else the last line. Errors of the launcher and of processes that lost
    another one come later."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    errors = (re.fullmatch(r"(?:\[rank\d+\]: )?([\w.]*(?:Error|Exception)\b.*)", line) for line in lines)
    return next((found[1] for found in errors if found), (lines or ["it wrote nothing"])[-1])


def _end_with(parent: int) -> None:
    """End this process when the one that asked for the training is gone: it may have been killed."""
    while True:
        time.sleep(1.0)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(1)


def main(directory: Path) -> None:
    """One of the processes of a training."""
    from .trl_engine import rlvr_with_trl, sft_with_trl

    job = read_checkpoint(directory / _JOB, torch.device("cpu"))
    threading.Thread(target=_end_with, args=(job["parent"],), daemon=True).start()
    config = _config(SFTConfig if job["kind"] == "sft" else RLVRConfig, job["config"])
    # TRL moves the model to the device of the process.
    model, tokenizer = load(str(directory / _BASE), "cpu", training=True, attention=config.execution.attention)
    paths: dict[str, Any] = {"directory": directory, "model_directory": directory / _TRAINED, "resume": True}
    result: SFTResult | LoopResult
    if isinstance(config, SFTConfig):
        result = sft_with_trl(model, tokenizer, job["records"], config, **paths)
    else:
        prompts = SampledPrompts(config, tokenizer, job["excluded"])
        result = rlvr_with_trl(model, tokenizer, prompts, config, **paths)
    if os.environ.get("RANK", "0") == "0":
        write_checkpoint(directory / _RESULT, asdict(result))


def _config(kind: type[SFTConfig] | type[RLVRConfig], values: Mapping[str, Any]) -> SFTConfig | RLVRConfig:
    """The configuration of these values. Settings of cells alone are left out of its `execution`."""
    execution = {f.name: values["execution"][f.name] for f in fields(Execution)}
    nested = {
        "optimizer": OptimizerConfig(**values["optimizer"]),
        "execution": Execution(**execution),
        "trl": TRLConfig(**values["trl"]),
    }
    return kind(**{**values, **nested})


if __name__ == "__main__":
    main(Path(sys.argv[1]))

__all__ = ["Launch"]
