"""The engine `trl`: the same SFT and RLVR through TRL's trainers (accelerate, PEFT, FSDP, DeepSpeed, vLLM).

    accelerate launch -m zipthought train rlvr --engine trl --model Qwen/Qwen2.5-3B --n-ops 10 11 12 --output-dir rl

Prompts, batches, rewards, optimizer, schedule and the columns of ``metrics.jsonl`` are those of the native engine, so
that the two can stand beside each other. What differs: TRL computes zero-variance groups like all others, and
checkpoints are the Trainer's (``checkpoint-N``).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, TrainerCallback

from ..files.atomic import write_text
from ..records.chat import prompt_ids
from .batches import EpochBatches
from .config import OptimizerConfig, RLVRConfig, SFTConfig, TRLConfig
from .grpo import Rollout, shape
from .loop import LoopResult, fingerprint, make_optimizers
from .rewards import get_reward
from .sft import SFTResult, digest, encode_all
from .tasks import Task, Tasks

_RENAMED = {
    "grad_norm": "gradient_norm",
    "num_tokens": "tokens",
    "frac_reward_zero_std": "zero_variance",
    "completions/mean_length": "response_tokens",
    "completions/clipped_ratio": "truncated",
    "clip_ratio/region_mean": "clipped",
}
"""TRL's name of a metric -> ours, where they differ."""
_RLVR_COLUMNS = ("reward", "zero_variance", "response_tokens", "truncated", "kl", "entropy", "clipped")
OnStep = Callable[[dict[str, Any]], None]


def _import() -> Any:
    try:
        import trl
    except ImportError as error:
        raise ValueError("the engine trl needs TRL; install zipthought[trl]") from error
    return trl


class _Batches(torch.utils.data.Sampler):
    """Batches of places, in the order given; what accelerate needs to deal them out to the processes."""

    drop_last = False

    def __init__(self, batches: list[list[int]], batch_size: int) -> None:
        self.batches, self.batch_size = batches, batch_size

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _scheduled(trainer: Any, optimizer: OptimizerConfig) -> Any:
    """A trainer class with our optimizer and schedule."""

    schedule = optimizer.factor

    class Scheduled(trainer):
        optimizer: Any
        lr_scheduler: Any

        def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
            if self.optimizer is None:
                (self.optimizer,) = make_optimizers(self.model if model is None else model, optimizer)
            return self.optimizer

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            if self.lr_scheduler is None:
                self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                    optimizer or self.optimizer, lambda step: schedule(step, num_training_steps)
                )
            return self.lr_scheduler

    return Scheduled


class _Metrics(TrainerCallback):
    """Writes ``metrics.jsonl`` as the native loop does, on the main process."""

    def __init__(
        self, directory: Path, row: Callable[[dict[str, float]], dict[str, Any]], passes: int, on_step: OnStep | None
    ) -> None:
        self._path, self._row, self._passes, self._on_step = directory / "metrics.jsonl", row, passes, on_step
        self.history: list[dict[str, Any]] = []
        self._before = 0.0
        self._named: dict[str, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step and self._path.exists():
            rows = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]
            self.history = [row for row in rows if row["step"] <= state.global_step // self._passes]
            self._before = self.history[-1]["seconds"] if self.history else 0.0
        if state.is_world_process_zero:
            write_text(self._path, "".join(json.dumps(row) + "\n" for row in self.history))
        self._began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" not in (logs or {}):
            return
        # What the rollouts show is told at the first of their passes only.
        self._named |= {_RENAMED.get(name, name): value for name, value in logs.items()}
        if state.global_step % self._passes:
            return
        named, self._named = self._named, {}
        row = {
            "step": state.global_step // self._passes,
            **self._row(named),
            "learning_rate": named["learning_rate"],
            "tokens": int(named["tokens"]),
            "seconds": round(self._before + time.perf_counter() - self._began, 3),
        }
        self.history.append(row)
        if state.is_world_process_zero:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            if self._on_step:
                self._on_step(row)


def _arguments(config: SFTConfig | RLVRConfig, steps: int, directory: Path, per_device: int, parts: int) -> Any:
    """The training arguments that SFT and RLVR share."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(directory),
        "max_steps": steps,
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": parts,
        "max_grad_norm": config.optimizer.gradient_clip,
        "learning_rate": config.optimizer.learning_rate,
        "bf16": gpu,
        "use_cpu": not gpu,
        "seed": config.seed,
        "logging_steps": 1,
        "save_strategy": "steps" if config.checkpoint_every else "no",
        "save_steps": max(1, config.checkpoint_every),
        "save_total_limit": 1,
        "report_to": list(config.trl.report_to) or "none",
        "disable_tqdm": True,
        "gradient_checkpointing": config.trl.gradient_checkpointing,
        "dataloader_pin_memory": gpu,
    }


def _share(count: int, micro_batch: int) -> tuple[int, int]:
    """Of an update's sequences: how many in one pass of a device, and how many passes. Raises `ValueError` where they
    cannot be dealt out evenly."""
    from accelerate import PartialState

    devices = PartialState().num_processes
    if count % devices:
        raise ValueError(f"{count} sequences an update cannot be dealt out to {devices} processes; choose a multiple")
    share = count // devices
    size = min(micro_batch or share, share)
    if share % size:
        raise ValueError(f"{share} sequences of a device cannot be cut into parts of {size}; change micro_batch")
    return size, share // size


def _lora(config: TRLConfig) -> Any:
    if not config.lora_rank:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError("lora_rank needs PEFT; install zipthought[trl]") from error
    return LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def _run(
    trainer: Any,
    metrics: _Metrics,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    directory: Path,
    resume: bool,
    identity: dict[str, Any],
    steps: int,
) -> LoopResult:
    """Train, save the model (adapters merged) and drop the checkpoints."""
    checkpoints = sorted(directory.glob("checkpoint-*"))
    stated = directory / "engine.json"
    if resume and checkpoints:
        if not stated.exists() or json.loads(stated.read_text(encoding="utf-8")) != json.loads(json.dumps(identity)):
            raise ValueError(f"{checkpoints[-1]} belongs to another configuration; use another output directory")
    else:
        for checkpoint in checkpoints:
            shutil.rmtree(checkpoint)
        write_text(stated, json.dumps(identity) + "\n")
    trainer.remove_callback(PrinterCallback)  # Standard output is for results.
    trainer.train(resume_from_checkpoint=bool(resume and checkpoints))
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(trained, "merge_and_unload"):
        if trainer.accelerator.is_main_process:
            trained.merge_and_unload().save_pretrained(directory)
    else:
        trainer.save_model(str(directory))
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        tokenizer.save_pretrained(directory)
        (directory / "training_args.bin").unlink(missing_ok=True)
        stated.unlink(missing_ok=True)
        for checkpoint in directory.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
    last = metrics.history[-1]
    return LoopResult(steps, last["tokens"], last["seconds"], metrics.history)


def deal(chosen: Sequence[int], pieces: int) -> list[list[int]]:
    """The examples of an update in that many pieces of one size. The last batch of an epoch may be short of that; then
    its examples are gone through again."""
    width = -(-len(chosen) // pieces)
    dealt = [chosen[i % len(chosen)] for i in range(width * pieces)]
    return [dealt[i : i + width] for i in range(0, len(dealt), width)]


def sft_with_trl(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Iterable[Mapping[str, Any]],
    config: SFTConfig,
    *,
    directory: Path,
    resume: bool = False,
    on_step: OnStep | None = None,
    on_start: Callable[[int], None] | None = None,
) -> SFTResult:
    """As `sft.fine_tune`, through TRL's SFTTrainer; the trained model is saved in `directory`.

    Raises `ValueError` also where TRL is missing and where batches cannot be dealt out evenly.
    """
    trl = _import()
    from datasets import Dataset

    examples, too_long = encode_all(tokenizer, records, config.max_length)
    plan = EpochBatches(examples, config.batch_size, config.seed, tokenizer.pad_token_id or 0)
    steps = config.total_steps(plan.steps_per_epoch)
    if on_start:
        on_start(steps)
    size, parts = _share(config.batch_size, config.micro_batch)
    pieces = config.batch_size // size  # of an update, over all devices
    batches = []
    for step in range(steps):
        batches += deal(plan.indices(step), pieces)
    dataset = Dataset.from_dict(
        {
            "input_ids": [e.ids for e in examples],
            "completion_mask": [[0] * e.prompt_length + [1] * (len(e.ids) - e.prompt_length) for e in examples],
        }
    )

    class Trainer(_scheduled(trl.SFTTrainer, config.optimizer)):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            loader = torch.utils.data.DataLoader(
                self.train_dataset, batch_sampler=_Batches(batches, size), collate_fn=self.data_collator
            )
            return self.accelerator.prepare(loader)

    metrics = _Metrics(directory, lambda row: {name: row.get(name) for name in ("loss", "gradient_norm")}, 1, on_step)
    trainer = Trainer(
        model=model,
        args=trl.SFTConfig(
            **_arguments(config, steps, directory, size, parts),
            max_length=None,
            packing=False,
            completion_only_loss=True,
        ),
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=_lora(config.trl),
        callbacks=[metrics],
    )
    identity = {**asdict(config), "examples": digest(examples), "weights": fingerprint(model)}
    loop = _run(trainer, metrics, model, tokenizer, directory, resume, identity, steps)
    return SFTResult(loop, len(examples), too_long, sum(len(e.ids) for e in examples))


def rlvr_with_trl(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Tasks,
    config: RLVRConfig,
    *,
    directory: Path,
    resume: bool = False,
    identity: dict[str, Any] | None = None,
    on_step: OnStep | None = None,
) -> LoopResult:
    """As `grpo.grpo`, through TRL's GRPOTrainer; the trained model is saved in `directory`.

    Raises `ValueError` also where TRL is missing, where batches cannot be dealt out evenly and where the tokenizer
    does not give a prompt's text the tokens that `data.chat` does.
    """
    trl = _import()
    from datasets import Dataset

    size, parts = _share(config.prompts_per_step * config.group_size, config.micro_batch)
    steps = [tasks(step) for step in range(config.steps)]
    asked = [task for more, _ in steps for task in more]
    reward = get_reward(config.reward)
    seen: list[Rollout] = []
    records: list[Mapping[str, Any]] = []
    skipped = 0

    def score(prompts: Any, completions: Any, completion_ids: Any, record: list[str], **_: Any) -> list[float | None]:
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        given = [json.loads(text) for text in record]
        ends = {tokenizer.eos_token_id, *trainer.eos_token_ids}
        seen[:] = [
            Rollout(place, list(ids), text, not ids or ids[-1] not in ends, [])
            for place, (text, ids) in enumerate(zip(texts, completion_ids, strict=True))
        ]
        records[:] = given
        scores = [reward(text, r, len(ids)) for text, r, ids in zip(texts, given, completion_ids, strict=True)]
        # TRL takes None for 0, which in a group of nothing else is no advantage.
        nonlocal skipped
        skipped = scores.count(None) // config.group_size
        return scores

    def row(logged: dict[str, float]) -> dict[str, Any]:
        shown = {name: logged.get(name) for name in (*_RLVR_COLUMNS, "loss", "gradient_norm")}
        return {**shown, "skipped": skipped, **{k: v for k, v in shape(seen, records).items() if k not in shown}}

    score.__name__ = "reward"
    metrics = _Metrics(directory, row, config.passes, on_step)
    trainer = _scheduled(trl.GRPOTrainer, config.optimizer)(
        model=model,
        reward_funcs=score,
        args=trl.GRPOConfig(
            **_arguments(config, config.steps * config.passes, directory, size, parts),
            num_generations=config.group_size,
            steps_per_generation=parts,
            num_iterations=config.passes,
            max_completion_length=max(most for _, most in steps),
            temperature=config.temperature,
            shuffle_dataset=False,
            loss_type={"token": "dapo", "sequence": "grpo", "constant": "dr_grpo"}[config.loss],
            scale_rewards="group" if config.advantage == "grpo" else "none",
            epsilon=config.clip,
            epsilon_high=config.clip_high,
            beta=config.kl,
            use_vllm=bool(config.trl.vllm),
            vllm_mode=config.trl.vllm or "colocate",
            vllm_gpu_memory_utilization=config.trl.vllm_memory,
        ),
        train_dataset=Dataset.from_dict(
            {
                "prompt": [_prompt(tokenizer, task) for task in asked],
                "record": [json.dumps(task.record) for task in asked],
            }
        ),
        processing_class=tokenizer,
        peft_config=_lora(config.trl),
        callbacks=[metrics],
    )
    stated = {**asdict(config), **(identity or {}), "weights": fingerprint(model)}
    return _run(trainer, metrics, model, tokenizer, directory, resume, stated, config.steps)


def _prompt(tokenizer: PreTrainedTokenizerBase, task: Task) -> Any:
    """What TRL turns into the tokens of the task: its messages, or for a model without a chat template their text."""
    if tokenizer.chat_template:
        return task.turns
    text = "".join(f"{turn['content']}\n" for turn in task.turns)
    for said in (text, f"{tokenizer.bos_token or ''}{text}"):
        if tokenizer(text=said).input_ids == prompt_ids(tokenizer, task.turns):
            return said
    raise ValueError("TRL would tokenize prompts in another way than training does; give the model a chat template")


__all__ = ["rlvr_with_trl", "sft_with_trl"]
