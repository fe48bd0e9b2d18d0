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
from ..tasks.splits import SPLITS
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
        data: Records of `zipthought generate` (JSON Lines or Parquet).
        output_dir: The directory for the model, its tokenizer, metrics.jsonl and run.json.
        model: bundled, bundled-deep, bundled-mixed, a directory with a model, or a hub id.
        config: The settings of the training.
        resume: Continue from the checkpoint in output_dir, if there is one.
        device: auto, cpu or cuda; the engine trl chooses its devices itself.
        threads: CPU threads; 0 leaves the choice to torch.
        json: Print a summary as one object on standard output.
    """
    records = of_training(read_all(data), data)
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
        "steps": result.loop.steps,
        "tokens": result.loop.tokens,
        "seconds": round(result.loop.seconds, 2),
        "final_loss": result.loop.final_loss,
    }
    write_text(output_dir / "run.json", jsonlib.dumps({**summary, "config": asdict(config)}, indent=2) + "\n")
    if result.too_long:
        console.print(f"{result.too_long} examples were longer than {config.max_length} tokens and left out")
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
        output_dir: The directory for the model, its tokenizer, metrics.jsonl and run.json.
        model: bundled, bundled-deep, bundled-mixed, a directory with a model, or a hub id. The structures of the
            training data of a model of `train sft` are never prompted.
        data: Records with the problems to train on; by default problems come from the sampler.
        exclude: Files of records whose structures are never prompted.
        config: The settings of the training.
        resume: Continue from the checkpoint in output_dir, if there is one.
        device: auto, cpu or cuda; the engine trl chooses its devices itself.
        threads: CPU threads; 0 leaves the choice to torch.
        json: Print a summary as one object on standard output.
    """
    records = of_training(read_all(data), data) if data else []
    if config.engine == "trl":
        from ..train.trl_engine import rlvr_with_trl as train
    else:
        from ..train.grpo import grpo as train
    from ..train.tasks import RecordTasks, SampledTasks, Tasks, seen_in_training, structures_of

    seen, missing = seen_in_training(model)
    if missing and not data:
        console.print(f"{missing[0]}, on which {model} was trained, is gone: its structures may be asked", markup=False)
    for path in exclude:
        seen |= structures_of(path)
    loaded, tokenizer = _begin(model, output_dir, resume, config.engine, device, threads)
    tasks: Tasks
    if data:
        kept = [record for record in records if record.get("structure") not in seen]
        tasks, identity = RecordTasks(config, tokenizer, kept), digest(kept)
    else:
        tasks, identity = SampledTasks(config, tokenizer, seen), digest(sorted(seen))
    with progress() as bar:
        task = bar.add_task("rlvr", total=config.steps, note="")
        result = train(
            loaded,
            tokenizer,
            tasks,
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
        "last_tenth": {name: mean_of(last, name) for name in ("reward", "ops_per_step", "response_tokens", "faithful")},
    }
    write_text(output_dir / "run.json", jsonlib.dumps({**summary, "config": asdict(config)}, indent=2) + "\n")
    if json:
        print_json(summary)
    else:
        said = ", ".join(f"{name} {value:.3f}" for name, value in summary["last_tenth"].items() if value is not None)
        print(f"{result.steps} steps; over the last tenth {said}: {output_dir}")
    return 0


def mean_of(rows: list[dict[str, Any]], name: str) -> float | None:
    """The mean of a metric over the rows that have it."""
    values = [row[name] for row in rows if row[name] is not None]
    return sum(values) / len(values) if values else None


def digest(value: Any) -> str:
    """The identity of plain data."""
    return hashlib.sha256(canonical_json({"": value}).encode()).hexdigest()


def _begin(
    model: str, output_dir: Path, resume: bool, engine: str, device: str, threads: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model to train; TRL moves it to its devices. Raises `ValueError` as `require_free` does."""
    import torch

    from ..models.loading import load
    from ..train.loop import require_free

    require_free(output_dir, resume)
    if threads:
        torch.set_num_threads(threads)
    return load(model, device if engine == "native" else "cpu", training=True)


def _finish(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, output_dir: Path, engine: str) -> bool:
    """Save what TRL has not saved itself. Whether this process is the one that reports: the only one, or the first of
    those that ``accelerate launch`` started."""
    from ..models.loading import save
    from ..train.loop import drop_checkpoint

    if engine == "native":
        save(model, tokenizer, output_dir)
        drop_checkpoint(output_dir)
    return os.environ.get("RANK", "0") == "0"


def read_all(path: Path) -> list[Record]:
    """The records of a training file. Raises `ValueError` for a line that cannot be read, by its number, and for a file
    without records: nothing is trained on less than what was asked for."""
    records = list(read_whole(path))
    if not records:
        raise ValueError(f"{path} holds no records")
    return records


def of_training(records: list[Record], path: Path) -> list[Record]:
    """The records of the train split, and those that name no split: what is held out is never trained on.

    Raises `ValueError` where none is left.
    """
    kept = [record for record in records if record.get("split") in (None, SPLITS[0])]
    if not kept:
        raise ValueError(f"all {len(records)} records of {path} are held out; train on those of --split train")
    if len(kept) < len(records):
        console.print(f"{len(records) - len(kept)} of {len(records)} records are held out, and left out", markup=False)
    return kept
