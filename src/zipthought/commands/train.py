"""``zipthought train sft``."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from pathlib import Path

from ..data.files import write_text
from ..data.records import BadLine, Record, read_records
from ..train.config import SFTConfig
from .console import console, print_json, progress


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
        data: Records as `zipthought generate` writes them (JSON Lines or Parquet).
        output_dir: Receives the model, its tokenizer, metrics.jsonl and run.json.
        model: bundled, a directory with a model, or a hub id.
        config: How to fine-tune.
        resume: Go on from the checkpoint in output_dir, where there is one.
        device: auto, cpu or cuda.
        threads: Of the CPU; 0 leaves it to torch.
        json: Print what was done as one object on standard output.
    """
    records = read_all(data)
    import torch

    from ..models.loading import load, save
    from ..train.loop import drop_checkpoint
    from ..train.sft import fine_tune

    if threads:
        torch.set_num_threads(threads)
    if (output_dir / "config.json").exists() and not (output_dir / "checkpoint.pt").exists():
        raise ValueError(f"{output_dir} holds a finished model; use another --output-dir")
    loaded, tokenizer = load(model, device, training=True)
    with progress() as bar:
        task = bar.add_task("sft", total=None, note="")
        result = fine_tune(
            loaded,
            tokenizer,
            records,
            config,
            directory=output_dir,
            resume=resume,
            on_start=lambda steps: bar.update(task, total=steps),
            on_step=lambda row: bar.update(task, completed=row["step"], note=f"loss {row['loss']:.4f}"),
        )
    save(loaded, tokenizer, output_dir)
    drop_checkpoint(output_dir)
    summary = {
        "model": str(output_dir),
        "base": model,
        "data": str(data),
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


def read_all(path: Path) -> list[Record]:
    """The records of a training file. Raises `ValueError` for a line that cannot be read, by its number, and for a file
    without records: nothing is trained on less than what was asked for."""
    records = []
    for record in read_records(path):
        if isinstance(record, BadLine):
            raise ValueError(f"{path}, line {record.number}: {record.reason}; mend the file or leave the line out")
        records.append(record)
    if not records:
        raise ValueError(f"{path} holds no records")
    return records
