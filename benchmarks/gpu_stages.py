"""The stages of the GPU check. Each is a function that returns the figures of its row; `gpu.py` runs them.

    python benchmarks/gpu_stages.py STAGE DIRECTORY [--small]     # one stage; DIRECTORY/STAGE.json receives its row

The large model has the shape of Qwen2.5-3B and random weights: memory and speed do not depend on them.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen2Config

import zipthought
from zipthought.cli import main as zipthought_main
from zipthought.models.generation import generate
from zipthought.models.loading import load, save
from zipthought.records.schema import make_record
from zipthought.study.cells import RLVR_BASE, DecompositionCell, SFTCell
from zipthought.study.execute import execute
from zipthought.study.models import count_parameters
from zipthought.study.runner import run
from zipthought.study.spec import load_spec, make_spec
from zipthought.study.store import Store
from zipthought.study.workspace import Workspace
from zipthought.tasks.sampling import SamplerConfig, sample_batch
from zipthought.train.config import RLVRConfig, SFTConfig
from zipthought.train.grpo import grpo
from zipthought.train.loop import fingerprint
from zipthought.train.output import RunDirectory
from zipthought.train.prompts import SampledPrompts
from zipthought.train.sft import encode, fine_tune

GPU = torch.cuda.is_available()
FSDP = Path(__file__).parents[1] / "examples" / "fsdp.yaml"
PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "vllm", "flash-attn", "liger-kernel")
VOCABULARY = 2000
"""With so many tokens the tokenizer needs 584 for a record of 10 to 12 operations, as many as that of SmolLM2 does."""
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHARED = {"num_key_value_heads": 2, "tie_word_embeddings": True, "max_position_embeddings": 32_768}
NAMES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
QWEN_3B = dict(zip(NAMES, (2048, 11_008, 36, 16, 151_936), strict=True))
TINY = dict(zip(NAMES, (64, 128, 2, 4, 4096), strict=True))
LEFTOVERS = {"name": "leftovers", "model": "bundled", "engine": "trl", "surface": "terse", "seeds": [0]}
SCALING = {"formats": ["explicit"], "examples": [16], "n_ops": [3], "steps": 2, "batch_size": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a stage works with."""

    small: bool
    """Tiny widths and few tokens, on the CPU."""
    model: Path
    """The model that the stage `large-model` writes."""
    work: Path
    """An empty directory, which is deleted after the stage."""

    @property
    def n_ops(self) -> tuple[int, ...]:
        """Operations of the problems: those of the paper, or few."""
        return (2,) if self.small else (10, 11, 12)

    @property
    def batch_size(self) -> int:
        """Sequences in an update: those of the paper, or few."""
        return 12 if self.small else 48


def records(n_ops: Sequence[int], count: int, method: str, surface: str) -> list[dict[str, Any]]:
    """`count` records of each of `n_ops`."""
    batches = [sample_batch(SamplerConfig(n_ops=n), "train", range(count)) for n in n_ops]
    return [make_record(b.problem(i), method, surface=surface, index=i) for b in batches for i in range(count)]


def prompts_of(tokenizer: PreTrainedTokenizerBase, of: Sequence[dict[str, Any]]) -> list[list[int]]:
    """The tokens of the prompts of records."""
    examples = [encode(tokenizer, record) for record in of]
    return [example.ids[: example.prompt_length] for example in examples]


def speed(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Seconds a step and tokens a second after the first step, from the metrics of a run."""
    steps = len(history) - 1
    seconds, tokens = ((history[-1][name] - history[0][name]) for name in ("seconds", "tokens"))
    return {"seconds_a_step": round(seconds / steps, 2), "tokens_per_second": round(tokens / seconds)}


def command(*words: object) -> None:
    """A command of zipthought in this process, so that its memory can be read. A failure ends the stage: the command
    has printed why."""
    if code := zipthought_main([str(word) for word in words]):
        sys.exit(code)


def peak_gb() -> float | None:
    """The most GPU memory that was allocated, in 10^9 bytes; None on the CPU."""
    return round(torch.cuda.max_memory_allocated() / 1e9, 1) if GPU else None


def versions(setting: Setting) -> dict[str, Any]:
    """Packages, the card and what it computes: the speed of a large product of matrices in bfloat16."""
    row: dict[str, Any] = {"zipthought": zipthought.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            row[name] = importlib.metadata.version(name)
    if GPU:
        memory = torch.cuda.get_device_properties(0).total_memory
        row |= {"cuda": torch.version.cuda, "memory_gb": round(memory / 1e9, 1)}
        matrix = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
        for repeats in (3, 10):  # The first ones warm up.
            torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in range(repeats):
                matrix @ matrix
            torch.cuda.synchronize()
        row["bf16_tflops"] = round(2 * 8192**3 * repeats / (time.perf_counter() - began) / 1e12)
    return row


def parity(setting: Setting) -> dict[str, Any]:
    """Losses and greedy tokens of a bundled base on both devices; the same bytes twice, and after a resume."""
    device = "cuda" if GPU else "cpu"
    data = records((3, 4), 128, "composed:2", "terse")
    config = SFTConfig(steps=20, batch_size=8 if setting.small else 32, checkpoint_every=8)
    losses, tokens, weights = [], [], []
    for name in ("cpu", device, device):
        model, tokenizer = load("bundled", name, training=True)
        written = generate(model, tokenizer, prompts_of(tokenizer, data[:64]), max_new_tokens=96)
        tokens.append([completion.ids for (completion,) in written])
        losses.append([row["loss"] for row in fine_tune(model, tokenizer, data, config).loop.history])
        weights.append(fingerprint(model))
    for resume in (False, True):
        model, tokenizer = load("bundled", device, training=True)
        stop = None if resume else (lambda row: row["step"] == 12)
        fine_tune(model, tokenizer, data, config, directory=setting.work, resume=resume, on_step=stop)
    rlvr = RLVRConfig(n_ops=(2, 3), steps=3, prompts_per_step=4 if setting.small else 32, surface="terse")
    rewarded = []
    for _ in range(2):
        actor, tokenizer = load("bundled-mixed", device, training=True)
        grpo(actor, tokenizer, SampledPrompts(rlvr, tokenizer), rlvr)
        rewarded.append(fingerprint(actor))
    return {
        "max_loss_difference": max(abs(a - b) for a, b in zip(losses[0], losses[1], strict=True)),
        "same_greedy_completions": sum(a == b for a, b in zip(tokens[0], tokens[1], strict=True)) / len(tokens[0]),
        "sft_same_bytes_twice": weights[1] == weights[2],
        "sft_same_bytes_resumed": fingerprint(model) == weights[1],
        "rlvr_same_bytes_twice": rewarded[0] == rewarded[1],
    }


def large_model(setting: Setting) -> dict[str, Any]:
    """The shape of Qwen2.5-3B with random weights, and a tokenizer of our own texts."""
    texts = records((10, 11, 12), 100, "explicit", "english")
    words, bytes_of = Tokenizer(models.BPE()), pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_of])
    words.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=bytes_of.alphabet(), show_progress=False
    )
    words.train_from_iterator((turn["content"] for record in texts for turn in record["messages"]), trainer)
    ends = {"pad_token": special[0], "eos_token": special[2]}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, chat_template=CHATML, **ends)
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    config = Qwen2Config(**SHARED, **(TINY if setting.small else QWEN_3B), **ids)
    torch.manual_seed(0)
    with torch.device("cuda" if GPU else "cpu"):
        save(AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16), tokenizer, setting.model)
    tokens = sum(len(encode(tokenizer, record).ids) for record in texts)
    return {"parameters": count_parameters(str(setting.model)), "tokens_a_record": round(tokens / len(texts))}


def sft(setting: Setting, engine: str = "trl") -> dict[str, Any]:
    """SFT with the paper's sizes, on explicit traces: six passes an update, gradient checkpointing."""
    command("generate", "--n-ops", *setting.n_ops, "--count", setting.batch_size, "--output-dir", setting.work)
    output, size = setting.work / "sft", setting.batch_size
    files = ("--model", setting.model, "--data", setting.work / "explicit.jsonl", "--output-dir", output)
    passes = ("--batch-size", size, "--micro-batch", size // 6, "--gradient-checkpointing", "on")
    steps = ("--steps", 3, "--checkpoint-every", 0, "--learning-rate", 2e-5, "--min-learning-rate-ratio", 0.15)
    command("train", "sft", "--engine", engine, *files, *passes, *steps)
    history = RunDirectory.of(output).history()
    row = speed(history)
    flops = 6 * count_parameters(str(setting.model)) * row["tokens_per_second"]
    return {**row, "model_tflops": round(flops / 1e12, 1), "peak_gb": peak_gb(), "loss": history[-1]["loss"]}


def sft_native(setting: Setting) -> dict[str, Any]:
    """The same with our engine."""
    return sft(setting, "native")


def run_cell(cell: Any, setting: Setting) -> dict[str, Any]:
    """A cell of a study as its schedulers run it, with its speed, the first update included."""
    result = execute(cell, Workspace(setting.work), torch.get_num_threads())
    tokens, seconds = result.tokens, result.train_seconds
    return {"train_seconds": round(seconds, 1), "tokens_per_second": round(tokens / seconds), "peak_gb": peak_gb()}


def paper_cell(name: object, kind: type, **wanted: str) -> Any:
    """The first cell of the preset `paper` of a kind and with these fields, from the model of this name."""
    cells = load_spec("paper", {"model": str(name)}).cells()
    return next(c for c in cells if type(c) is kind and all(getattr(c, key) == wanted[key] for key in wanted))


def sft_study(setting: Setting) -> dict[str, Any]:
    """A cell of SFT with the settings of the preset `paper`, two updates of it."""
    cell = paper_cell(setting.model, SFTCell, format="explicit")
    few = {"steps": 2, "examples": 2 * setting.batch_size, "test_count": 1, "train_count": 1, "edited_count": 0}
    return run_cell(replace(cell, n_ops=setting.n_ops, batch_size=setting.batch_size, **few), setting)


def rlvr_study(setting: Setting) -> dict[str, Any]:
    """A cell of RLVR with the settings of the preset `paper` (256 x 8 completions), one step of it."""
    cell = paper_cell(setting.model, DecompositionCell, part=RLVR_BASE)
    few = {"rl_steps": 1, "examples": 96, "count": 1, "samples": 1, "longer_n_ops": ()}
    few |= {"prompts_per_step": 2} if setting.small else {}
    return run_cell(replace(cell, settings=replace(cell.settings, n_ops=setting.n_ops, **few)), setting)


def leftovers(setting: Setting) -> dict[str, Any]:
    """Files that a finished study of TRL cells keeps beside its store and its completions."""
    study = setting.work / "study"
    counts = run(Store.create(study, make_spec({**LEFTOVERS, "scaling": SCALING}), {}), workers=1)
    files = [path for path in study.rglob("*") if path.is_file()]
    left = [path for path in files if path.name != "study.db" and path.parent.name != "completions"]
    size = sum(path.stat().st_size for path in left)
    return {"cells": counts, "files": len(files), "files_left": len(left), "mb_left": round(size / 1e6, 1)}


def decode(setting: Setting) -> dict[str, Any]:
    """Generated tokens a second, greedy and batched: our loop as `evaluate` and as a study run it, and transformers."""
    rows, new = (9, 8) if setting.small else (255, 128)
    row: dict[str, Any] = {}
    for name, training in (("bfloat16", False), ("float32", True)):
        model, tokenizer = load(str(setting.model), training=training)
        prompts = prompts_of(tokenizer, records(setting.n_ops, rows // len(setting.n_ops), "explicit", "english"))
        generate(model, tokenizer, prompts[:4], max_new_tokens=4)
        if GPU:
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        written = generate(model, tokenizer, prompts, max_new_tokens=new)
        row[f"{name}_tokens_per_second"] = round(sum(c.n_tokens for (c,) in written) / (time.perf_counter() - began))
        row[f"{name}_peak_gb"] = peak_gb()
        if not training:
            inputs = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(model.device)
            began = time.perf_counter()
            model.generate(**inputs, max_new_tokens=new, min_new_tokens=new, do_sample=False).cpu()
            row["transformers_tokens_per_second"] = round(len(prompts) * new / (time.perf_counter() - began))
        del model
        gc.collect()
        torch.cuda.empty_cache()
    return row


def rlvr(setting: Setting, *options: object) -> dict[str, Any]:
    """RLVR with LoRA through TRL, with transformers and few prompts: two steps."""
    lengths = ("--max-new-tokens", 8 if setting.small else 1024, "--n-ops", *setting.n_ops)
    sizes = ("--steps", 2, "--prompts-per-step", 4, "--group-size", 8, "--micro-batch", 8, "--checkpoint-every", 0)
    memory = ("--gradient-checkpointing", "on", "--lora-rank", 4 if setting.small else 64)
    model = ("--engine", "trl", "--model", setting.model, "--surface", "english", "--output-dir", setting.work / "rl")
    command("train", "rlvr", *model, *lengths, *sizes, *memory, "--learning-rate", 1e-6, "--kl", 0.001, *options)
    history = RunDirectory.of(setting.work / "rl").history()
    return {**speed(history), "response_tokens": history[-1]["response_tokens"], "peak_gb": peak_gb()}


def rlvr_vllm(setting: Setting) -> dict[str, Any]:
    """The same with vLLM on the training GPU."""
    return rlvr(setting, "--vllm", "colocate", "--vllm-memory", 0.3)


def fsdp(setting: Setting) -> dict[str, Any]:
    """SFT under `accelerate launch` with examples/fsdp.yaml and one process, killed after a checkpoint and resumed."""
    import psutil  # accelerate needs it.

    command("generate", "--n-ops", 3, "--count", 96, "--surface", "terse", "--output-dir", setting.work)
    alone = ("--cpu", "--num_machines", 1, "--mixed_precision", "no", "--dynamo_backend", "no")
    launcher = ("-m", "accelerate.commands.launch", *(alone if setting.small else ("--config_file", FSDP)))
    train = ("-m", "zipthought", "train", "sft", "--engine", "trl", "--model", "bundled", "--batch-size", 8)
    steps = ("--data", setting.work / "explicit.jsonl", "--steps", 60, "--checkpoint-every", 10)

    def launch(output: Path, *options: object) -> subprocess.Popen[bytes]:
        words = (sys.executable, *launcher, "--num_processes", 1, *train, *steps, "--output-dir", output, *options)
        return subprocess.Popen([str(word) for word in words])

    whole, cut = RunDirectory.of(setting.work / "whole"), RunDirectory.of(setting.work / "cut")
    ended = [launch(whole.target).wait()]
    process = launch(cut.target)
    while process.poll() is None and not any(cut.work.glob("checkpoint-*/trainer_state.json")):
        time.sleep(0.02)
    with suppress(psutil.NoSuchProcess):
        for child in [*psutil.Process(process.pid).children(recursive=True), process]:
            child.kill()
    process.wait()
    checkpoints = [int(path.name.removeprefix("checkpoint-")) for path in cut.work.glob("checkpoint-*")]
    ended.append(launch(cut.target, "--resume").wait())
    if any(ended) or not checkpoints:
        raise RuntimeError(f"the runs ended with status {ended}, and the killed one left checkpoints {checkpoints}")
    differences = [abs(a["loss"] - b["loss"]) for a, b in zip(whole.history(), cut.history(), strict=True)]
    return {"sharded": not setting.small, "killed_after": max(checkpoints), "max_loss_difference": max(differences)}


STAGES: dict[str, Callable[[Setting], dict[str, Any]]] = {
    stage.__name__.replace("_", "-"): stage
    for stage in (
        *(versions, parity, large_model, sft, sft_study, sft_native, decode),
        *(rlvr, rlvr_vllm, rlvr_study, leftovers, fsdp),
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    setting = Setting(
        small=args.small, model=args.directory / "large-model", work=args.directory / f"{args.stage}.work"
    )
    setting.work.mkdir()
    row = {"device": torch.cuda.get_device_name() if GPU else "CPU", **STAGES[args.stage](setting)}
    (args.directory / f"{args.stage}.json").write_text(json.dumps(row))


if __name__ == "__main__":
    main()
