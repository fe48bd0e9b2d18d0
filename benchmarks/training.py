"""Speed of SFT and GRPO with our engine and with TRL's trainers: same model, problems, lengths and threads, in one run.

    make bench-training                        # needs TRL: in the environment of `make integration`

For SFT it reports tokens without padding per second, with the batches of each trainer. For GRPO it reports seconds a
step, and their parts. The two take turns, so that other load on the machine slows both.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback

import zipthought.train.grpo as native
from zipthought.models.loading import load
from zipthought.records.schema import make_record
from zipthought.tasks.sampling import SamplerConfig, sample_batch
from zipthought.train import trl_engine
from zipthought.train.config import OptimizerConfig, RLVRConfig, SFTConfig
from zipthought.train.prompts import RolloutPrompt, SampledPrompts
from zipthought.train.sft import encode, fine_tune


@contextlib.contextmanager
def timed(owner: Any, name: str, spent: dict[str, float], label: str) -> Iterator[None]:
    """Add the time of calls of ``owner.name`` to ``spent[label]``."""
    function = getattr(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[label] += time.perf_counter() - began

    setattr(owner, name, wrapper)
    try:
        yield
    finally:
        setattr(owner, name, function)


def sft(steps: int, directory: Path, model_name: str) -> dict[str, float]:
    """Tokens without padding per second, by trainer."""
    records = []
    for n_ops in (3, 4, 5, 6):
        batch = sample_batch(SamplerConfig(n_ops=n_ops), "train", range(512))
        records += [make_record(batch.problem(i), "composed:2", surface="terse", index=i) for i in range(512)]
    speeds = {}
    model, tokenizer = load(model_name, "cpu", training=True)
    result = fine_tune(model, tokenizer, records, SFTConfig(steps=steps, batch_size=64)).loop
    speeds["native"] = result.tokens / result.seconds
    model, tokenizer = load(model_name, "cpu", training=True)
    examples = [encode(tokenizer, record) for record in records]
    columns = {
        "input_ids": [e.ids for e in examples],
        "completion_mask": [[0] * e.prompt_length + [1] * (len(e.ids) - e.prompt_length) for e in examples],
    }
    clock = Clock()
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(
            output_dir=str(directory),
            max_steps=steps,
            per_device_train_batch_size=64,
            learning_rate=1e-3,
            bf16=False,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    speeds["TRL"] = clock.tokens / clock.seconds
    return speeds


class Clock(TrainerCallback):
    """Tokens and seconds of a Trainer."""

    tokens, seconds = 0.0, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "num_tokens" in (logs or {}):
            self.tokens, self.seconds = logs["num_tokens"], time.perf_counter() - self._began


def grpo_native(config: RLVRConfig, directory: Path, model_name: str) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """The metrics of a run, and the seconds of its parts."""
    model, tokenizer = load(model_name, "cpu", training=True)
    spent: dict[str, float] = defaultdict(float)
    with (
        timed(native, "generate", spent, "rollouts"),
        timed(RolloutPrompt, "verify", spent, "verification"),
        timed(native._GRPOStep, "_backward", spent, "forward and backward"),
    ):
        result = native.grpo(model, tokenizer, SampledPrompts(config, tokenizer), config)
    return result.history, spent


def grpo_trl(config: RLVRConfig, directory: Path, model_name: str) -> tuple[list[dict[str, Any]], dict[str, float]]:
    model, tokenizer = load(model_name, "cpu", training=True)
    spent: dict[str, float] = defaultdict(float)
    trainer = trl.GRPOTrainer
    with (
        timed(trainer, "_generate", spent, "rollouts"),
        timed(RolloutPrompt, "verify", spent, "verification"),
        timed(trainer, "compute_loss", spent, "forward"),
    ):
        prompts = SampledPrompts(config, tokenizer)
        result = trl_engine.rlvr_with_trl(model, tokenizer, prompts, config, directory=directory)
    return result.history, spent


def per_step(history: list[dict[str, Any]]) -> list[float]:
    """Seconds of each step, without the first two, which warm up."""
    ends = [row["seconds"] for row in history]
    return [b - a for a, b in pairwise(ends[1:])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--sft-steps", type=int, default=40)
    parser.add_argument("--grpo-steps", type=int, default=8)
    parser.add_argument("--n-ops", type=int, nargs="+", default=[4, 5, 6])
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, TRL {trl.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, {versions}, model {args.model}")
    with tempfile.TemporaryDirectory() as name:
        speeds: dict[str, list[float]] = defaultdict(list)
        for i in range(args.repeats):
            for trainer, value in sft(args.sft_steps, Path(name) / f"sft{i}", args.model).items():
                speeds[trainer].append(value)
        medians = {trainer: statistics.median(values) for trainer, values in speeds.items()}
        for trainer, value in medians.items():
            print(f"SFT   {trainer:<7}{value:>10,.0f} tokens/s without padding")
        print(f"SFT   ratio {medians['native'] / medians['TRL']:.2f}")
        config = RLVRConfig(
            n_ops=tuple(args.n_ops),
            steps=args.grpo_steps,
            kl_every=0,
            micro_batch=64,
            optimizer=OptimizerConfig(learning_rate=1e-6, min_learning_rate_ratio=1.0),
            checkpoint_every=0,
        )
        tokenizer = load(args.model, "cpu")[1]
        budget = SampledPrompts(config, tokenizer)(0)[1]
        runs: dict[str, Callable[..., Any]] = {"native": grpo_native, "TRL": grpo_trl}
        seconds: dict[str, list[float]] = defaultdict(list)
        for i in range(args.repeats):
            for trainer, run in runs.items():
                history, spent = run(config, Path(name) / f"grpo{trainer}{i}", args.model)
                seconds[trainer] += per_step(history)
                shown = {key: round(value / config.steps, 2) for key, value in spent.items()}
                tokens = statistics.mean(row["response_tokens"] for row in history)
                still = statistics.mean(row["zero_variance"] for row in history)
                print(
                    f"GRPO  {trainer:<7}seconds a step of {shown}; {tokens:.0f} tokens a completion, "
                    f"{still:.2f} of the groups have equal rewards"
                )
        medians = {trainer: statistics.median(values) for trainer, values in seconds.items()}
        for trainer, value in medians.items():
            print(f"GRPO  {trainer:<7}{value:>8.2f} s a step of 32 x 8, at most {budget} new tokens")
        print(f"GRPO  ratio {medians['TRL'] / medians['native']:.2f}")


if __name__ == "__main__":
    sys.exit(main())
