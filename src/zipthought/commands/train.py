"""``zipthought train sft | rlvr``."""

from __future__ import annotations

import hashlib
import json as jsonlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.atomic import write_text
from ..models.names import absolute
from ..records.reading import read_whole
from ..records.schema import Record, canonical_json
from ..train.config import RLVRConfig, SFTConfig
from .console import console, echo, print_json, progress
from .outputs import refuse_run_overwrite

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..train.loop import LoopResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of every training run."""

    output_dir: Path
    """Receives the model, its tokenizer, metrics.jsonl and run.json."""
    model: str = "bundled"
    """bundled, bundled-deep, bundled-mixed, a directory with a model, or a hub id. `train rlvr` excludes the structures
    in the SFT data of a model that `train sft` wrote."""
    resume: bool = False
    """Continue from the checkpoint in output_dir, if there is one."""
    device: str = "auto"
    """auto, cpu or cuda; the engine trl finds its devices itself."""
    threads: int = 0
    """CPU threads; 0 is the default of torch."""
    json: bool = False
    """Print the result as one object on standard output."""


def sft(data: Path, run: RunOptions, config: SFTConfig = SFTConfig()) -> int:  # noqa: B008
    """Fine-tune a model.

    Args:
        data: Records as `zipthought generate` writes them (JSON Lines or Parquet). Records of the validation and test
            splits are left out.
        run: The run.
        config: Settings of fine-tuning.
    """
    refuse_run_overwrite(run.output_dir, run.model, [data])
    records = read_all(data)
    if config.engine == "trl":
        from ..train.trl_engine import sft_with_trl as train
    else:
        from ..train.sft import fine_tune as train

    model, tokenizer = _begin(run, config.engine)
    with progress() as bar:
        task = bar.add_task("sft", total=None, note="")
        result = train(
            model,
            tokenizer,
            records,
            config,
            directory=run.output_dir,
            resume=run.resume,
            on_start=lambda steps: bar.update(task, total=steps),
            on_step=lambda row: bar.update(task, completed=row["step"], note=f"loss {row['loss']:.4f}"),
        )
    if not _finish(model, tokenizer, run, config.engine):
        return 0
    summary = {
        "model": str(run.output_dir),
        "base": absolute(run.model),
        "data": str(data.resolve()),
        "examples": result.examples,
        "too_long": result.too_long,
        "held_out": result.held_out,
        "steps": result.loop.steps,
        "tokens": result.loop.tokens,
        "seconds": round(result.loop.seconds, 2),
        "final_loss": result.loop.final_loss,
    }
    report_held_out(result.held_out, len(records))
    if result.too_long:
        console.print(f"left out {result.too_long} examples of more than {config.max_length} tokens")
    text = f"{summary['steps']} updates on {result.examples} examples, loss {summary['final_loss']:.4f}"
    _report(run, config, summary, text)
    return 0


def rlvr(
    run: RunOptions,
    data: Path | None = None,
    exclude: tuple[Path, ...] = (),
    config: RLVRConfig = RLVRConfig(),  # noqa: B008
) -> int:
    """Train on verifiable rewards by GRPO.

    Args:
        run: The run.
        data: Records with the problems to train on; without it, problems come from the sampler. Records of the
            validation and test splits are left out.
        exclude: Files of records whose structures are excluded.
        config: Settings of training.
    """
    refuse_run_overwrite(run.output_dir, run.model, [*exclude, *([data] if data else [])])
    records = read_all(data) if data else []
    if config.engine == "trl":
        from ..train.trl_engine import rlvr_with_trl as train
    else:
        from ..train.grpo import grpo as train
    from ..train.prompts import PromptSource, RecordPrompts, SampledPrompts

    excluded = _excluded(run.model, exclude, warn=not data)
    model, tokenizer = _begin(run, config.engine)
    prompts: PromptSource
    held_out = 0
    if data:
        prompts = of_records = RecordPrompts(config, tokenizer, records, excluded)
        held_out, identity = of_records.held_out, digest(of_records.records)
    else:
        prompts, identity = SampledPrompts(config, tokenizer, excluded), digest(sorted(excluded))
    with progress() as bar:
        task = bar.add_task("rlvr", total=config.steps, note="")
        result = train(
            model,
            tokenizer,
            prompts,
            config,
            directory=run.output_dir,
            resume=run.resume,
            identity={"problems": identity},
            on_step=lambda row: bar.update(
                task, completed=row["step"], note="" if row["reward"] is None else f"reward {row['reward']:.3f}"
            ),
        )
    if not _finish(model, tokenizer, run, config.engine):
        return 0
    report_held_out(held_out, len(records))
    _report_rlvr(run, config, result, data, held_out)
    if mean_of(result.history, "reward") is None:
        console.print("no completion could be rewarded: the records state no problem or answer that can be read")
        return 1
    return 0


def _excluded(model: str, files: tuple[Path, ...], warn: bool) -> set[str]:
    """The structures of the model's SFT data and of the files. A warning is printed if the SFT data no longer exist."""
    from ..train.prompts import seen_in_training, structures_of

    seen, missing = seen_in_training(model)
    if missing and warn:
        console.print(
            f"{missing[0]}, the training data of {model}, no longer exists: its structures are not excluded",
            markup=False,
        )
    return seen.union(*map(structures_of, files))


def _report_rlvr(run: RunOptions, config: RLVRConfig, result: LoopResult, data: Path | None, held_out: int) -> None:
    last = result.history[-max(1, result.steps // 10) :]
    means = {name: mean_of(last, name) for name in ("reward", "ops_per_step", "response_tokens", "faithful")}
    summary = {
        "model": str(run.output_dir),
        "base": absolute(run.model),
        "data": str(data.resolve()) if data else None,
        "steps": result.steps,
        "tokens": result.tokens,
        "seconds": round(result.seconds, 2),
        "skipped": sum(row["skipped"] for row in result.history),
        "held_out": held_out,
        "last_tenth": means,
    }
    shown = ", ".join(f"{name} {value:.3f}" for name, value in means.items() if value is not None)
    _report(run, config, summary, f"{result.steps} steps; over the last tenth {shown}")


def _report(run: RunOptions, config: SFTConfig | RLVRConfig, summary: dict[str, Any], text: str) -> None:
    """Write run.json, and print the summary as JSON or the text."""
    write_text(run.output_dir / "run.json", jsonlib.dumps({**summary, "config": asdict(config)}, indent=2) + "\n")
    if run.json:
        print_json(summary)
    else:
        echo(f"{text}: {run.output_dir}")


def mean_of(rows: list[dict[str, Any]], name: str) -> float | None:
    """The mean of a metric over the rows that have it; None if no row does."""
    values = [row[name] for row in rows if row[name] is not None]
    return sum(values) / len(values) if values else None


def digest(value: Any) -> str:
    """The sha256 of plain data."""
    return hashlib.sha256(canonical_json({"": value}).encode()).hexdigest()


def _begin(run: RunOptions, engine: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the model to train. TRL moves it to its devices itself. Raises `ValueError` as `require_free` does."""
    import torch

    from ..models.loading import load
    from ..train.loop import require_free

    require_free(run.output_dir, run.resume)
    if run.threads:
        torch.set_num_threads(run.threads)
    return load(run.model, run.device if engine == "native" else "cpu", training=True)


def _finish(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, run: RunOptions, engine: str) -> bool:
    """Save the model of the native engine; TRL saves its own. Returns whether this process reports: it is the only one,
    or the first of those that ``accelerate launch`` started."""
    from ..models.loading import save
    from ..train.loop import drop_checkpoint

    if engine == "native":
        save(model, tokenizer, run.output_dir)
        drop_checkpoint(run.output_dir)
    return os.environ.get("RANK", "0") == "0"


def read_all(path: Path) -> list[Record]:
    """The records of a training file. Raises `ValueError` for an unreadable line, by its number, and for an empty file:
    a run never trains on less data than the user requested."""
    records = list(read_whole(path))
    if not records:
        raise ValueError(f"{path} holds no records")
    return records


def report_held_out(held_out: int, total: int) -> None:
    """Print how many records training left out, if any."""
    if held_out:
        console.print(f"{held_out} of {total} records are held out and were left out", markup=False)
