"""Bases: pretraining, measurement and the model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..evaluation.evaluate import EvaluateConfig, evaluate
from ..files.atomic import write_text
from ..models.loading import save
from ..train.config import PretrainConfig
from ..train.loop import LoopResult
from ..train.output import RunDirectory
from ..train.pretrain import pretrain
from ..train.record import read_record, require_same, trained_structures, write_structures
from .runner import environment

CARD = "card.json"
MEASURED_N_OPS = (1, 2, 3, 4, 5, 6)
MEASURED_COUNT = 500


def make_base(
    config: PretrainConfig,
    directory: Path,
    *,
    threads: int,
    resume: bool = False,
    on_step: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Pretrain by the recipe, measure on held-out structures (test split), and write model, tokenizer and card, which
    appear in `directory` together.

    The card records everything that the weights depend on. The same recipe, seed, threads, torch and kind of processor
    give the same bytes.
    """
    torch.set_num_threads(threads)
    output = RunDirectory.of(directory)
    output.require_usable(resume)
    structures = trained_structures(config.init) if config.init else set()
    with output.working():
        model, tokenizer, result = pretrain(config, directory=output.work, resume=resume, on_step=on_step)
        card = _measured(config, threads, model, tokenizer, result)
        save(model, tokenizer, output.model)
        write_structures(output.model, structures)
        card["sha256"] = hashlib.sha256((output.model / "model.safetensors").read_bytes()).hexdigest()
        write_text(output.model / CARD, json.dumps(card, indent=2) + "\n")
        write_text(output.model / "README.md", render_card(card))
        output.publish()
    return card


def finished_base(config: PretrainConfig, directory: Path, threads: int) -> dict[str, Any]:
    """The card of a finished base. Raises `ValueError` if it is of another recipe, or damaged."""
    card = read_record(directory / CARD)
    require_same(directory, card, {"recipe": _recipe(config), "threads": threads})
    return card


def _recipe(config: PretrainConfig) -> dict[str, Any]:
    """The recipe as a card records it. A base with a card stands there by the digest of its weights."""
    init = _earlier_card(config)
    return asdict(config) | {"init": init["sha256"] if init else config.init}


def _earlier_card(config: PretrainConfig) -> dict[str, Any] | None:
    path = Path(config.init) / CARD
    return read_record(path) if config.init and path.exists() else None


def _measured(
    config: PretrainConfig,
    threads: int,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    result: LoopResult,
) -> dict[str, Any]:
    """The card of a model, without the digest of its weights."""
    held_out = EvaluateConfig(
        split="test",
        n_ops=MEASURED_N_OPS,
        count=MEASURED_COUNT,
        surface="terse",
        modulus=config.modulus,
        number_range=config.number_range,
    )
    measured = evaluate(model, tokenizer, held_out).summary().plain()["by_n_ops"]
    return {
        "recipe": _recipe(config),
        "init": _earlier_card(config),
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": result.tokens,
        "minutes": round(result.seconds / 60, 1),
        "final_loss": result.final_loss,
        "threads": threads,
        "environment": environment(),
        "accuracy": {
            n: {key: row[key] for key in ("n", "accuracy", "faithful", "response_tokens", "truncated")}
            for n, row in measured.items()
        },
    }


def stages(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The cards of the runs that led to a base, in their order."""
    return [*(stages(card["init"]) if card.get("init") else []), card]


def _mix(granularity: list[tuple[int, float]]) -> str:
    """What a granularity mix says in words."""
    return " or ".join(f"{k} operation{'s' * (k > 1)} with probability {p:g}" for k, p in granularity)


def render_card(card: dict[str, Any]) -> str:
    """The model card as Markdown."""
    recipe = card["recipe"]
    rows = "\n".join(
        f"| {n} | {row['n']} | {row['accuracy']:.3f} | {row['faithful']:.3f} | {row['response_tokens']:.1f} |"
        for n, row in card["accuracy"].items()
    )
    runs = list(enumerate(stages(card), 1))
    table = "\n".join(
        f"| {number} | {c['recipe']['steps']:,} x {c['recipe']['batch_size']} | {c['tokens']:,} | "
        f"{c['recipe']['optimizer']['learning_rate']:g} | {c['recipe']['facts']:g} | {c['recipe']['lookups']:g} | "
        f"{c['recipe']['walks']:g} | {c['recipe'].get('starts', 0):g} | {c['recipe']['seed']} | {c['minutes']} |"
        for number, c in runs
    )
    grown = " and ".join(f"{c['recipe']['grow']} layers before run {n}" for n, c in runs if c["recipe"].get("grow"))
    added = f"\nLayers whose outputs are zero at first were added on top (`--grow`): {grown}." if grown else ""
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# zipthought base, {recipe["family"]} {card["parameters"] / 1e6:.1f}M

A tiny base model for studying compressed chains of thought on a laptop: {card["parameters"]:,} parameters, word-level
tokenizer, the `terse` surface of zipthought. It has seen single facts, look-ups and chains of
{", ".join(str(n) for n, _ in recipe["n_ops"])} operations ({_mix(recipe["granularity"])} a step), and nothing else.

Trained with `zipthought pretrain` (version {card["environment"]["zipthought"]}), threads: {card["threads"]},
{card["environment"]["processor"]}, torch {card["environment"]["torch"]}. Each run goes on from the one before it
(`--init`); `card.json` holds their whole recipes. Shares of facts, look-ups, walks and starts (the first step
alone); the rest are chains of the train split.{added}

| run | updates x sequences | tokens | learning rate | facts | look-ups | walks | starts | seed | minutes |
| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{table}

{card.get("notes", "")}
Held-out structures (test split), greedy:

| n_ops | problems | accuracy | faithful | response tokens |
| ---: | ---: | ---: | ---: | ---: |
{rows}

Lengths beyond {max(n for n, _ in recipe["n_ops"])} were never trained. sha256 of `model.safetensors`:
`{card["sha256"]}`.
"""
