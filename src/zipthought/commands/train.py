"""``zipthought train sft | rlvr``."""

from __future__ import annotations

import hashlib
import json as jsonlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.atomic import write_text
from ..models.names import absolute
from ..records.reading import read_whole
from ..records.schema import Record, canonical_json
from ..train.config import RLVRConfig, SFTConfig
from .console import console, print_json, progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def sft(
    data: Path,
    output_dir: Path,
    model: str = "bundled",
    config: SFTConfig = SFTConfig(),  # noqa: B008
    resume: bool = False,
    device: str = "auto",
    threads: int = 0,
    json: bool = False,
) -> int:
    """Fine-tune a model.

    Args:
        data: Records as `zipthought generate` writes them (JSON Lines or Parquet). Records of the validation and test
            splits are left out.
        output_dir: Receives the model, its tokenizer, metrics.jsonl and run.json.
        model: bundled, bundled-deep, bundled-mixed, a directory with a model, or a hub id.
        config: Settings of fine-tuning.
        resume: Continue from the checkpoint in output_dir, if there is one.
        device: auto, cpu or cuda; the engine trl finds its devices itself.
        threads: CPU threads; 0 is the default of torch.
        json: Print the result as one object on standard output.
    """
    records = read_all(data)
    if config.engine == "trl":
        from ..train.trl_engine import sft_with_trl as train
    else:
        from ..train.sft import fine_tune as train

    loaded, tokenizer = _begin(model, output_dir, resume, config.engine, device, threads)
    with progress() as bar:
        task = bar.add_task("sft", total=None, note="")
        result = train(
            loaded,
            tokenizer,
            records,
            config,
            directory=output_dir,
            resume=resume,
            on_start=lambda steps: bar.update(task, total=steps),
            on_step=lambda row: bar.update(task, completed=row["step"], note=f"loss {row['loss']:.4f}"),
        )
    if not _finish(loaded, tokenizer, output_dir, config.engine):
        return 0
    summary = {
        "model": str(output_dir),
        "base": absolute(model),
        "data": str(data.resolve()),
        "examples": result.examples,
        "too_long": result.too_long,
        "held_out": result.held_out,
        "steps": result.loop.steps,
        "tokens": result.loop.tokens,
        "seconds": round(result.loop.seconds, 2),
        "final_loss": result.loop.final_loss,
    }
    write_text(output_dir / "run.json", jsonlib.dumps({**summary, "config": asdict(config)}, indent=2) + "\n")
    report_held_out(result.held_out, len(records))
    if result.too_long:
        console.print(f"left out {result.too_long} examples of more than {config.max_length} tokens")
    if json:
        print_json(summary)
    else:
        print(
            f"{summary['steps']} updates on {result.examples} examples, loss {summary['final_loss']:.4f}: {output_dir}"
        )
    return 0


def rlvr(
    output_dir: Path,
    model: str = "bundled",
    data: Path | None = None,
    exclude: tuple[Path, ...] = (),
    config: RLVRConfig = RLVRConfig(),  # noqa: B008
    resume: bool = False,
    device: str = "auto",
    threads: int = 0,
    json: bool = False,
) -> int:
    """Train on verifiable rewards by GRPO.

    Args:
        output_dir: Receives the model, its tokenizer, metrics.jsonl and run.json.
        model: bundled, bundled-deep, bundled-mixed, a directory with a model, or a hub id. The structures in the SFT
            data of a model that `train sft` wrote are excluded.
        data: Records with the problems to train on; without it, problems come from the sampler. Records of the
            validation and test splits are left out.
        exclude: Files of records whose structures are excluded.
        config: Settings of training.
        resume: Continue from the checkpoint in output_dir, if there is one.
        device: auto, cpu or cuda; the engine trl finds its devices itself.
        threads: CPU threads; 0 is the default of torch.
        json: Print the result as one object on standard output.
    """
    records = read_all(data) if data else []
    if config.engine == "trl":
        from ..train.trl_engine import rlvr_with_trl as train
    else:
        from ..train.grpo import grpo as train
    from ..train.prompts import PromptSource, RecordPrompts, SampledPrompts, seen_in_training, structures_of

    seen, missing = seen_in_training(model)
    if missing and not data:
        console.print(
            f"{missing[0]}, the training data of {model}, no longer exists: its structures are not excluded",
            markup=False,
        )
    for path in exclude:
        seen |= structures_of(path)
    loaded, tokenizer = _begin(model, output_dir, resume, config.engine, device, threads)
    prompts: PromptSource
    held_out = 0
    if data:
        prompts = of_records = RecordPrompts(config, tokenizer, records, seen)
        held_out, identity = of_records.held_out, digest(of_records.records)
    else:
        prompts, identity = SampledPrompts(config, tokenizer, seen), digest(sorted(seen))
    with progress() as bar:
        task = bar.add_task("rlvr", total=config.steps, note="")
        result = train(
            loaded,
            tokenizer,
            prompts,
            config,
            directory=output_dir,
            resume=resume,
            identity={"problems": identity},
            on_step=lambda row: bar.update(
                task, completed=row["step"], note="" if row["reward"] is None else f"reward {row['reward']:.3f}"
            ),
        )
    if not _finish(loaded, tokenizer, output_dir, config.engine):
        return 0
    last = result.history[-max(1, result.steps // 10) :]
    summary = {
        "model": str(output_dir),
        "base": absolute(model),
        "data": str(data.resolve()) if data else None,
        "steps": result.steps,
        "tokens": result.tokens,
        "seconds": round(result.seconds, 2),
        "skipped": sum(row["skipped"] for row in result.history),
        "held_out": held_out,
        "last_tenth": {name: mean_of(last, name) for name in ("reward", "ops_per_step", "response_tokens", "faithful")},
    }
    write_text(output_dir / "run.json", jsonlib.dumps({**summary, "config": asdict(config)}, indent=2) + "\n")
    report_held_out(held_out, len(records))
    if json:
        print_json(summary)
    else:
        means = ", ".join(f"{name} {value:.3f}" for name, value in summary["last_tenth"].items() if value is not None)
        print(f"{result.steps} steps; over the last tenth {means}: {output_dir}")
    return 0


def mean_of(rows: list[dict[str, Any]], name: str) -> float | None:
    """The mean of a metric over the rows that have it; None if no row does."""
    values = [row[name] for row in rows if row[name] is not None]
    return sum(values) / len(values) if values else None


def digest(value: Any) -> str:
    """The sha256 of plain data."""
    return hashlib.sha256(canonical_json({"": value}).encode()).hexdigest()


def _begin(
    model: str, output_dir: Path, resume: bool, engine: str, device: str, threads: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the model to train. TRL moves it to its devices itself. Raises `ValueError` as `require_free` does."""
    import torch

    from ..models.loading import load
    from ..train.loop import require_free

    require_free(output_dir, resume)
    if threads:
        torch.set_num_threads(threads)
    return load(model, device if engine == "native" else "cpu", training=True)


def _finish(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, output_dir: Path, engine: str) -> bool:
    """Save the model of the native engine; TRL saves its own. Returns whether this process reports: it is the only one,
    or the first of those that ``accelerate launch`` started."""
    from ..models.loading import save
    from ..train.loop import drop_checkpoint

    if engine == "native":
        save(model, tokenizer, output_dir)
        drop_checkpoint(output_dir)
    return os.environ.get("RANK", "0") == "0"


def read_all(path: Path) -> list[Record]:
    """The records of a training file. Raises `ValueError` for an unreadable line, by its number, and for an empty file:
    a run never trains on less data than the user requested."""
    records = list(read_whole(path))
    if not records:
        raise ValueError(f"{path} holds no records")
    return records


def report_held_out(held_out: int, total: int) -> None:
    """Say how many records training left out."""
    if held_out:
        console.print(f"{held_out} of {total} records are held out, and left out", markup=False)
