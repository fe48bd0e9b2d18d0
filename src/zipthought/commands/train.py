"""``zipthought train sft | rlvr``."""

from __future__ import annotations

import hashlib
import json as jsonlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..files.atomic import write_text
from ..files.hub import require_upload, upload
from ..models.card import README, model_card, origin_of
from ..models.names import absolute
from ..records.reading import read_whole
from ..records.schema import Record
from ..train.config import RLVRConfig, SFTConfig, results_depend_on
from ..train.held_out import naming_line
from ..train.output import RunDirectory
from ..train.rates import with_rate
from ..train.record import (
    RUN,
    contents_of,
    read_record,
    require_same,
    structures_in,
    structures_of,
    trained_structures,
    write_run,
    write_structures,
)
from ..train.trackers import require_trackers
from ..train.weights import convert, resolve_dtype
from .console import console, echo, print_json, progress
from .training import Config, RunOptions, is_main, load_model, note_of, rated, to_all, trackers_of, working

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..train.loop import LoopResult
    from ..train.prompts import PromptSource
    from ..train.sft import SFTResult


def sft(data: Path, run: RunOptions, config: SFTConfig = SFTConfig()) -> int:  # noqa: B008
    """Fine-tune a model.

    Args:
        data: Records as `zipthought generate` writes them (JSON Lines or Parquet). Records of the validation and test
            splits are left out.
        run: The run.
        config: Settings of fine-tuning.
    """
    _check(run)
    records = read_all(data)
    output = RunDirectory.of(run.output_dir)
    inputs = {"data": digest(records)}
    if output.is_finished(run.resume):
        _show_finished(output, run, config, inputs)
        return 0
    structures = trained_structures(run.model)
    with naming_line(data):
        structures |= structures_of(records)
    with working(output, run), progress() as bar:
        model, tokenizer = load_model(run, config)
        parameters, config = model.num_parameters(), rated(config, model)
        settings = _settings(run, config, inputs)
        known = _known(run, records)
        task = bar.add_task("sft", total=None, note="")
        with naming_line(data), trackers_of(run, output, settings) as log:
            result = _sft_trainer(config.engine, output)(
                model,
                tokenizer,
                records,
                config,
                resume=run.resume,
                on_start=lambda steps: bar.update(task, total=steps),
                on_step=to_all(log, lambda row: bar.update(task, completed=row["step"], note=note_of(row, "loss"))),
            )
        if not is_main():
            return 0
        summary = {
            "model": str(run.output_dir),
            "base": absolute(run.model),
            "parameters": parameters,
            "data": str(data.resolve()),
            "examples": result.examples,
            "too_long": result.too_long,
            "held_out": result.held_out,
            "steps": result.loop.steps,
            "tokens": result.loop.tokens,
            "seconds": round(result.loop.seconds, 2),
            "final_loss": result.loop.final_loss,
        }
        _publish(output, model, tokenizer, {**summary, **settings, **known}, structures)
    report_held_out(result.held_out, len(records))
    if result.too_long:
        console.print(f"left out {result.too_long} examples of more than {config.max_length} tokens")
    text = f"{summary['steps']} updates on {result.examples} examples, loss {summary['final_loss']:.4f}"
    _report(run, summary, text)
    return 0


def rlvr(
    run: RunOptions,
    data: Path | None = None,
    exclude: tuple[Path, ...] = (),
    repeat_sft_problems: bool = False,
    config: RLVRConfig = RLVRConfig(),  # noqa: B008
) -> int:
    """Train on verifiable rewards by GRPO.

    Args:
        run: The run.
        data: Records with the problems to train on; without it, problems come from the sampler. Records of the
            validation and test splits are left out.
        exclude: Files of records whose structures are excluded.
        repeat_sft_problems: Also train on problems whose structures the model has seen in SFT. Without this they are
            excluded, and the same --data file has no problem left.
        config: Settings of training.
    """
    _check(run)
    records = read_all(data) if data else []
    output = RunDirectory.of(run.output_dir)
    trained = trained_structures(run.model)
    excluded = (set() if repeat_sft_problems else trained).union(*map(structures_in, exclude))
    inputs = {"data": digest(records) if data else None, "excluded": digest(sorted(excluded))}
    if output.is_finished(run.resume):
        _show_finished(output, run, config, inputs)
        return _rewarded(output.history())
    with working(output, run), progress() as bar:
        model, tokenizer = load_model(run, config)
        parameters, config = model.num_parameters(), rated(config, model)
        settings = _settings(run, config, inputs)
        known = _known(run, records)
        prompts, held_out, used = _prompts(tokenizer, config, data, records, excluded)
        task = bar.add_task("rlvr", total=config.steps, note="")
        with trackers_of(run, output, settings) as log:
            result = _rlvr_trainer(config.engine, output)(
                model,
                tokenizer,
                prompts,
                config,
                resume=run.resume,
                identity={"problems": inputs},
                on_step=to_all(log, lambda row: bar.update(task, completed=row["step"], note=note_of(row, "reward"))),
            )
        if not is_main():
            return 0
        summary = {**_rlvr_summary(run, result, data, held_out), "parameters": parameters}
        structures = trained | excluded | structures_of(records)
        _publish(output, model, tokenizer, {**summary, **settings, **known}, structures)
    report_held_out(held_out, len(records))
    if used:
        console.print(f"left out {used} of {len(records)} records, whose structures were used in SFT or are excluded")
    shown = ", ".join(f"{name} {value:.3f}" for name, value in summary["last_tenth"].items() if value is not None)
    _report(run, summary, f"{result.steps} steps; over the last tenth {shown}")
    return _rewarded(result.history)


def _sft_trainer(engine: str, output: RunDirectory) -> Callable[..., SFTResult]:
    """The SFT function of an engine."""
    if engine == "trl":
        from ..train.trl_engine import sft_with_trl

        return partial(sft_with_trl, directory=output.work, model_directory=output.model)
    from ..train.sft import fine_tune

    return partial(fine_tune, directory=output.work)


def _rlvr_trainer(engine: str, output: RunDirectory) -> Callable[..., LoopResult]:
    """The RLVR function of an engine."""
    if engine == "trl":
        from ..train.trl_engine import rlvr_with_trl

        return partial(rlvr_with_trl, directory=output.work, model_directory=output.model)
    from ..train.grpo import grpo

    return partial(grpo, directory=output.work)


def _prompts(
    tokenizer: PreTrainedTokenizerBase,
    config: RLVRConfig,
    data: Path | None,
    records: list[Record],
    excluded: set[str],
) -> tuple[PromptSource, int, int]:
    """The prompts of a run, how many records of its file are held out, and how many have an excluded structure."""
    from ..train.prompts import RecordPrompts, SampledPrompts

    if data is None:
        return SampledPrompts(config, tokenizer, excluded), 0, 0
    with naming_line(data):
        of_records = RecordPrompts(config, tokenizer, records, excluded)
    return of_records, of_records.held_out, of_records.used


def _rlvr_summary(run: RunOptions, result: LoopResult, data: Path | None, held_out: int) -> dict[str, Any]:
    last = result.history[-max(1, result.steps // 10) :]
    return {
        "model": str(run.output_dir),
        "base": absolute(run.model),
        "data": str(data.resolve()) if data else None,
        "steps": result.steps,
        "tokens": result.tokens,
        "seconds": round(result.seconds, 2),
        "skipped": sum(row["skipped"] for row in result.history),
        "held_out": held_out,
        "last_tenth": {name: mean_of(last, name) for name in ("reward", "ops_per_step", "response_tokens", "faithful")},
    }


def _rewarded(history: list[dict[str, Any]]) -> int:
    """The exit code of a run with these metrics: 1, with a message, if no completion had a reward."""
    if mean_of(history, "reward") is not None:
        return 0
    console.print("no completion could be rewarded: the records state no problem or answer that can be read")
    return 1


def _settings(run: RunOptions, config: SFTConfig | RLVRConfig, inputs: dict[str, Any]) -> dict[str, Any]:
    """What the result of a run depends on, for run.json. `inputs` are digests."""
    return {
        "base": absolute(run.model),
        "threads": run.threads,
        "save_dtype": resolve_dtype(run.save_dtype),
        "inputs": inputs,
        "config": results_depend_on(config),
    }


def _check(run: RunOptions) -> None:
    """Raise `ValueError` before the training if a tracker is missing, or if the model could not be uploaded after
    it."""
    require_trackers(run.report_to)
    if run.push_to_hub:
        require_upload(run.push_to_hub)


_KNOWN = ("zipthought", "base_commit", "base_model", "license", "contents")


def _known(run: RunOptions, records: list[Record]) -> dict[str, Any]:
    """Where the base and the data of a run come from, for run.json and the model card: the values of `_KNOWN`."""
    return {"zipthought": __version__, **origin_of(run.model), "contents": contents_of(records)}


def _show_finished(output: RunDirectory, run: RunOptions, config: Config, inputs: dict[str, Any]) -> None:
    """Print the summary of a run that is finished already. Raises `ValueError` if it had other settings."""
    recorded = read_record(output.target / RUN)
    with_its_rate = with_rate(config, recorded.get("parameters", 0))
    require_same(output.target, recorded, _settings(run, with_its_rate, inputs))
    output.clear()
    own = {"threads", "save_dtype", "inputs", "config", *_KNOWN}
    _report(run, {name: value for name, value in recorded.items() if name not in own}, "the run is already finished")


def _report(run: RunOptions, summary: dict[str, Any], text: str) -> None:
    """Print the summary as JSON, or the text. Uploads the model, if that is requested."""
    if run.json:
        print_json(summary)
    else:
        echo(f"{text}: {run.output_dir}")
    if run.push_to_hub and is_main():
        try:
            console.print(f"pushed to {upload(run.output_dir, run.push_to_hub)}", markup=False, soft_wrap=True)
        except ValueError as error:
            again = "run the command again with --resume to push it"
            raise ValueError(f"the model is finished in {run.output_dir}, but {error}; {again}") from error


def mean_of(rows: list[dict[str, Any]], name: str) -> float | None:
    """The mean of a metric over the rows that have it; None if no row does."""
    values = [row[name] for row in rows if row[name] is not None]
    return sum(values) / len(values) if values else None


def digest(values: Iterable[Any]) -> str:
    """The sha256 of plain data, one value after another."""
    whole = hashlib.sha256()
    for value in values:
        whole.update(f"{jsonlib.dumps(value, sort_keys=True, default=str)}\n".encode())
    return whole.hexdigest()


def _publish(
    output: RunDirectory,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    record: dict[str, Any],
    structures: set[str],
) -> None:
    """Write what the native engine trained (TRL has written its own model) with its record and its card, and put it in
    its place."""
    from ..models.loading import save

    if record["config"]["engine"] == "native":
        save(model, tokenizer, output.model)
    convert(output.model, record["save_dtype"])
    write_structures(output.model, structures)
    write_run(output.model, record)
    write_text(output.model / README, model_card(record))
    output.publish()


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
