"""What SFT and RLVR through TRL share: trainer arguments, our schedule, ``metrics.jsonl``, checkpoints."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, TrainerCallback

from ..files.atomic import write_text
from .checkpoint import read_checkpoint, write_checkpoint
from .config import OptimizerConfig, RLVRConfig, SFTConfig
from .fitting import free_tokens
from .loop import LoopResult, Resumable
from .memory import STATE_BYTES
from .optimizers import OPTIMIZERS
from .trl_config import TRLConfig

_RENAMED = {
    "grad_norm": "gradient_norm",
    "num_tokens": "tokens",
    "frac_reward_zero_std": "zero_variance",
    "completions/mean_length": "response_tokens",
    "completions/clipped_ratio": "truncated",
    "clip_ratio/region_mean": "clipped",
}
"""TRL's name of a metric -> ours, if they differ."""
SAMPLING = "sampling/"
"""The start of TRL's names of metrics on the difference between vLLM's log-probabilities and the trainer's."""
ADAPTERS = "adapters"
"""The folder of LoRA adapters in a model directory."""
OnStep = Callable[[dict[str, Any]], None]


def import_trl() -> Any:
    """The module `trl`. Raises `ValueError` if it is missing."""
    try:
        import trl
    except ImportError as error:
        raise ValueError("the engine trl needs TRL; install zipthought[trl]") from error
    return trl


def scheduled(trainer: Any, optimizer: OptimizerConfig) -> Any:
    """A subclass of a trainer class with our optimizer and schedule."""

    schedule = optimizer.factor

    class Scheduled(trainer):
        optimizer: Any
        lr_scheduler: Any

        def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
            if self.optimizer is None:
                trained = self.model if model is None else model
                (self.optimizer,) = OPTIMIZERS.find(optimizer.optimizer).build(trained, optimizer)
            return self.optimizer

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            if self.lr_scheduler is None:
                self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                    optimizer or self.optimizer, lambda step: schedule(step, num_training_steps)
                )
            return self.lr_scheduler

    return Scheduled


class Metrics(TrainerCallback):
    """Writes ``metrics.jsonl`` as the native loop does, on the main process.

    `row` turns the metrics of a step, under our names, into the columns of a row. A step has `passes` updates.
    """

    def __init__(
        self, directory: Path, row: Callable[[dict[str, float]], dict[str, Any]], passes: int, on_step: OnStep | None
    ) -> None:
        self._path, self._row, self._passes, self._on_step = directory / "metrics.jsonl", row, passes, on_step
        self.history: list[dict[str, Any]] = []
        self._before, self._tokens_before = 0.0, 0
        self._logged: dict[str, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step and self._path.exists():
            rows = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]
            self.history = [row for row in rows if row["step"] <= state.global_step // self._passes]
            self._before = self.history[-1]["seconds"] if self.history else 0.0
            # Of a resumed run, SFTTrainer counts the tokens since then; GRPOTrainer keeps its count in the state.
            if self.history and not state.num_input_tokens_seen:
                self._tokens_before = self.history[-1]["tokens"]
        if state.is_world_process_zero:
            write_text(self._path, "".join(json.dumps(row) + "\n" for row in self.history))
        self._began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" not in (logs or {}):
            return
        # TRL logs the metrics of rollouts only at the first of their passes.
        self._logged |= {_RENAMED.get(name, name): value for name, value in logs.items()}
        if state.global_step % self._passes:
            return
        logged, self._logged = self._logged, {}
        row = {
            "step": state.global_step // self._passes,
            **self._row(logged),
            "learning_rate": logged["learning_rate"],
            "tokens": self._tokens_before + int(logged["tokens"]),
            "seconds": round(self._before + time.perf_counter() - self._began, 3),
        }
        self.history.append(row)
        if state.is_world_process_zero:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            if self._on_step:
                self._on_step(row)


def _processes() -> Any:
    """The processes of this training. Accelerate must be told that they compute on the CPU, or sees one alone."""
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


@dataclass(frozen=True, slots=True)
class Share:
    """How the sequences of an update are distributed."""

    per_device: int
    """Sequences in one pass of a device."""
    passes: int
    """Passes of a device in an update."""

    @classmethod
    def of(cls, count: int, micro_batch: int) -> Share:
        """Distribute `count` sequences. Raises `ValueError` if they cannot be split evenly."""
        devices = _processes().num_processes
        if count % devices:
            raise ValueError(f"{count} sequences of an update cannot be split over {devices} processes; use a multiple")
        share = count // devices
        size = min(micro_batch or share, share)
        if share % size:
            raise ValueError(f"{share} sequences of a device cannot be split into parts of {size}; change micro_batch")
        return cls(size, share // size)


def share_of(config: SFTConfig | RLVRConfig, model: PreTrainedModel, count: int, width: int) -> Share:
    """How `count` sequences of an update, of at most `width` tokens each, are distributed: in passes of at most
    `micro_batch` sequences, and of as many tokens as the settings of execution or the memory of a GPU allow.

    Raises `ValueError` as `Share.of` does.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # The model moves there later.
    checkpointing = config.execution.checkpoints(model.num_parameters(), on_gpu=True)
    states = 4 if config.trl.lora_rank else STATE_BYTES
    limit = config.execution.micro_tokens or free_tokens(model, checkpointing, states, device)
    whole = Share.of(count, config.micro_batch)
    if not limit:
        return whole
    most = max(1, min(whole.per_device, limit // width))
    size = next(size for size in range(most, 0, -1) if whole.per_device % size == 0)
    return Share(size, whole.passes * (whole.per_device // size))


def arguments(
    config: SFTConfig | RLVRConfig, model: PreTrainedModel, steps: int, directory: Path, share: Share
) -> dict[str, Any]:
    """The training arguments of both trainers."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(directory),
        "max_steps": steps,
        "per_device_train_batch_size": share.per_device,
        "gradient_accumulation_steps": share.passes,
        "max_grad_norm": config.optimizer.gradient_clip,
        "learning_rate": config.optimizer.peak,
        "bf16": gpu if config.precision == "auto" else config.precision == "bfloat16",
        "use_cpu": not gpu,
        "seed": config.seed,
        "logging_steps": 1,
        "save_strategy": "steps" if config.checkpoint_every else "no",
        "save_steps": max(1, config.checkpoint_every),
        "save_total_limit": 1,
        "report_to": "none",  # Trackers get our rows (`train.trackers`).
        "disable_tqdm": True,
        "gradient_checkpointing": config.execution.checkpoints(model.num_parameters(), gpu),
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "dataloader_pin_memory": gpu,
    }


def lora(config: TRLConfig) -> Any:
    """The configuration of LoRA adapters; None without adapters. Raises `ValueError` if PEFT is missing."""
    if not config.lora_rank:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError("lora_rank needs PEFT; install zipthought[trl]") from error
    return LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def _is_sharded(accelerator: Any) -> bool:
    """Whether a process may have a part of the weights alone: FSDP, and stage 3 of DeepSpeed."""
    return accelerator.distributed_type.value in ("FSDP", "DEEPSPEED")


def merged_copy(trained: Any, state: Mapping[str, torch.Tensor]) -> PreTrainedModel:
    """The base of a PEFT model with its adapters merged, from the gathered weights of both; `trained` has a part of
    them. Another copy of the weights is in the memory of the CPU meanwhile."""
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    config, base = trained.peft_config["default"], trained.get_base_model()
    with torch.device("meta"):  # Without weights of its own.
        empty = get_peft_model(AutoModelForCausalLM.from_config(base.config), config)
    empty.load_state_dict(state, assign=True)
    empty.get_base_model().tie_weights()
    merged: PreTrainedModel = empty.merge_and_unload()
    merged.generation_config = base.generation_config
    return merged


_WATCH = "watch.pt"


class _WatchState(TrainerCallback):
    """Adds what a caller has measured to a checkpoint. Its measurements come before the checkpoint of a step."""

    def __init__(self, watch: Resumable) -> None:
        self._watch = watch

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            write_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}" / _WATCH, self._watch.state())


_DIGESTS = "digests.json"


class _Digests(TrainerCallback):
    """Adds the sha256 of each file to a checkpoint, when all processes have written theirs."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        _processes().wait_for_everyone()
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_text(checkpoint / _DIGESTS, json.dumps(_digests(checkpoint)) + "\n")


def _digests(checkpoint: Path) -> dict[str, str]:
    """File -> sha256."""
    found = {}
    for path in sorted(p for p in checkpoint.rglob("*") if p.is_file() and p.name != _DIGESTS):
        with path.open("rb") as file:
            found[str(path.relative_to(checkpoint))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _last_checkpoint(directory: Path, last_file: str) -> Path | None:
    """The last whole checkpoint: it has the file that is written last. Raises `ValueError` if its files are not those
    that were written."""
    numbered = [p for p in directory.glob("checkpoint-*") if p.name.removeprefix("checkpoint-").isdigit()]
    for checkpoint in sorted(numbered, key=lambda p: int(p.name.removeprefix("checkpoint-")), reverse=True):
        if not (checkpoint / last_file).exists():
            continue  # The run was killed while it wrote this checkpoint.
        written = checkpoint / _DIGESTS  # Missing if the run was killed just before it was written.
        if written.exists() and written.read_text(encoding="utf-8") != json.dumps(_digests(checkpoint)) + "\n":
            raise ValueError(f"{checkpoint} is damaged; delete it to start again")
        return checkpoint
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerRun:
    """A run of a trainer."""

    directory: Path
    """Receives the checkpoints."""
    model_directory: Path | None
    """Receives the trained model, and the checkpoints are left to the caller. None: `directory` receives it, and they
    are deleted."""
    resume: bool
    identity: dict[str, Any]
    """What a checkpoint belongs to."""
    watch: Resumable | None = None
    """What the caller measures."""

    def execute(self, steps: int, trainer: Any, metrics: Metrics, tokenizer: PreTrainedTokenizerBase) -> LoopResult:
        """Train, and save the model: with adapters, them in the folder `ADAPTERS`, and the model with them merged.

        Raises `ValueError` for a checkpoint of another identity, and for a damaged one.
        """
        checkpoint = self._prepare()
        trainer.remove_callback(PrinterCallback)  # Standard output is for results.
        if self.watch:
            trainer.add_callback(_WatchState(self.watch))
            if checkpoint:
                self.watch.restore(read_checkpoint(checkpoint / _WATCH, torch.device("cpu")))
        trainer.add_callback(_Digests())
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        self._save(trainer, tokenizer)
        last = metrics.history[-1]
        return LoopResult(steps, last["tokens"], last["seconds"], metrics.history)

    @property
    def _identity_file(self) -> Path:
        return self.directory / "engine.json"

    def _prepare(self) -> Path | None:
        """The checkpoint to resume from. Without one, what is left of others is deleted, and the identity is written.

        Raises `ValueError` for a checkpoint of another identity, and for a damaged one.
        """
        last_file = _WATCH if self.watch else "trainer_state.json"  # The trainer writes that one last.
        checkpoint = _last_checkpoint(self.directory, last_file) if self.resume else None
        file = self._identity_file
        if checkpoint:
            plain = json.loads(json.dumps(self.identity))
            if not file.exists() or json.loads(file.read_text(encoding="utf-8")) != plain:
                raise ValueError(f"{checkpoint} belongs to another configuration; use another output directory")
            return checkpoint
        processes = _processes()
        processes.wait_for_everyone()  # All have looked for checkpoints.
        if processes.is_main_process:
            for left in self.directory.glob("checkpoint-*"):
                shutil.rmtree(left)
            write_text(file, json.dumps(self.identity) + "\n")
        processes.wait_for_everyone()
        return None

    def _save(self, trainer: Any, tokenizer: PreTrainedTokenizerBase) -> None:
        target = self.model_directory or self.directory
        trained = trainer.accelerator.unwrap_model(trainer.model)
        if hasattr(trained, "merge_and_unload"):
            # Where processes have a part of the weights each, all take part in gathering them.
            state = trainer.accelerator.get_state_dict(trainer.model) if _is_sharded(trainer.accelerator) else None
            if trainer.accelerator.is_main_process:
                # Without embeddings, which have no adapters: PEFT would look at the base on the hub to decide.
                trained.save_pretrained(target / ADAPTERS, save_embedding_layers=False, state_dict=state)
                merged = trained.merge_and_unload() if state is None else merged_copy(trained, state)
                merged.save_pretrained(target)
        else:
            trainer.save_model(str(target))
        trainer.accelerator.wait_for_everyone()
        if trainer.accelerator.is_main_process:
            tokenizer.save_pretrained(target)
            (target / "training_args.bin").unlink(missing_ok=True)
            if self.model_directory is None:
                self._identity_file.unlink(missing_ok=True)
                for checkpoint in self.directory.glob("checkpoint-*"):
                    shutil.rmtree(checkpoint)


__all__ = [
    "ADAPTERS",
    "SAMPLING",
    "Metrics",
    "OnStep",
    "Share",
    "TrainerRun",
    "arguments",
    "import_trl",
    "lora",
    "scheduled",
    "share_of",
]
