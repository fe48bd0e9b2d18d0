"""Bases: pretraining, measurement and the model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.orders import ORDERS
from ..evaluation.evaluate import EvaluateConfig, evaluate
from ..evaluation.primitives import HELD_OUT_SEED, exact, primitive_accuracy
from ..evaluation.step0 import Kind, habit
from ..files.atomic import write_text
from ..models.loading import existing_device, save
from ..tasks.sampling import SamplerConfig
from ..train.config import PretrainConfig
from ..train.loop import LoopResult
from ..train.output import RunDirectory
from ..train.pretrain import pretrain
from ..train.primitives import SYNTAX_FORMATS, Primitives
from ..train.record import read_record, require_same, trained_structures, write_structures
from .cards import render_card
from .runner import environment

CARD = "card.json"
MEASURED_N_OPS = (1, 2, 3, 4, 5, 6)
MEASURED_COUNT = 500
HABIT_COUNT = 200
"""Problems of each length for the habit of a neutral base."""
WALKS = (2, 4, 6, 8, 10, 12)
"""Operations of the measured walks of a neutral base."""
KINDS = tuple(
    Kind(fmt, order) for order in ORDERS for fmt in SYNTAX_FORMATS if order == "forward" or fmt != "answer-only"
)
"""Formats and orders in which the habit of a neutral base is measured."""
_ADDED = {"primitives": (), "page": 1, "wide_numbers": 0.0, "simple_forms": 0.0, "positions": 0}
"""Fields that recipes have had since version 0.4; a card leaves them out at their defaults."""


def make_base(
    config: PretrainConfig,
    directory: Path,
    *,
    threads: int,
    device: str = "cpu",
    resume: bool = False,
    on_step: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Pretrain by the recipe, measure on held-out structures (test split), and write model, tokenizer and card, which
    appear in `directory` together.

    The card records everything that the weights depend on. The same recipe, seed, threads, torch, device and kind of
    processor or GPU give the same bytes.
    """
    torch.set_num_threads(threads)
    device = existing_device(device)
    output = RunDirectory.of(directory)
    output.require_usable(resume)
    structures = trained_structures(config.init) if config.init else set()
    with output.working():
        model, tokenizer, result = pretrain(
            config, device=device, directory=output.work, resume=resume, on_step=on_step
        )
        card = _measured(config, model, tokenizer, result) | {"threads": threads, "device": device}
        save(model, tokenizer, output.model)
        write_structures(output.model, structures)
        card["sha256"] = hashlib.sha256((output.model / "model.safetensors").read_bytes()).hexdigest()
        write_text(output.model / CARD, json.dumps(card, indent=2) + "\n")
        write_text(output.model / "README.md", render_card(card))
        output.publish()
    return card


def finished_base(config: PretrainConfig, directory: Path, threads: int, device: str = "cpu") -> dict[str, Any]:
    """The card of a finished base. Raises `ValueError` if it is of another recipe, number of threads or device, or
    damaged. Cards without a device are of a version that did not record it."""
    card = read_record(directory / CARD)
    asked = {"recipe": _recipe(config), "threads": threads, "device": existing_device(device)}
    require_same(directory, {"device": asked["device"], **card}, asked)
    return card


def _recipe(config: PretrainConfig) -> dict[str, Any]:
    """The recipe as a card records it. A base with a card stands there by the digest of its weights."""
    init = _earlier_card(config)
    values = {name: value for name, value in asdict(config).items() if value != _ADDED.get(name, ...)}
    return values | {"init": init["sha256"] if init else config.init}


def _earlier_card(config: PretrainConfig) -> dict[str, Any] | None:
    path = Path(config.init) / CARD
    return read_record(path) if config.init and path.exists() else None


def _measured(
    config: PretrainConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, result: LoopResult
) -> dict[str, Any]:
    """The card of a model, without the threads and the device of its training and the digest of its weights."""
    held_out = EvaluateConfig(
        split="test",
        n_ops=MEASURED_N_OPS,
        count=MEASURED_COUNT,
        surface="terse",
        modulus=config.modulus,
        number_range=config.number_range,
    )
    measured = evaluate(model, tokenizer, held_out).summary().plain()["by_n_ops"]
    neutral = _neutral(config, model, tokenizer) if config.primitives else {}
    return {
        "recipe": _recipe(config),
        "init": _earlier_card(config),
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": result.tokens,
        "minutes": round(result.seconds / 60, 1),
        "final_loss": result.final_loss,
        "environment": environment(),
        "accuracy": {
            n: {key: row[key] for key in ("n", "accuracy", "faithful", "response_tokens", "truncated")}
            for n, row in measured.items()
        },
        **neutral,
    }


def _neutral(config: PretrainConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What the card of a neutral base has besides: its primitives, its walks by length, and its habit by length."""
    primitives = Primitives.of(replace(config, page=1, simple_forms=0.0))
    rng = np.random.default_rng(HELD_OUT_SEED)

    def walks(n: int, forward: bool) -> float:
        texts = [primitives.walk(rng, n, forward, beyond=i % 3) for i in range(MEASURED_COUNT)]
        return exact(model, tokenizer, texts, config.modulus)

    longest = max(n for n, _ in config.n_ops)
    names = [name for name, _ in config.primitives if name != "syntax"]  # Its format is drawn, so it has no one answer.
    samplers = {
        str(n): SamplerConfig(n_ops=n, modulus=config.modulus, number_range=config.number_range) for n in MEASURED_N_OPS
    }
    return {
        "texts": MEASURED_COUNT,
        "primitives": primitive_accuracy(model, tokenizer, primitives, names, MEASURED_COUNT),
        "walks": {
            direction: {str(n): walks(n, direction == "forward") for n in WALKS if n <= longest}
            for direction in ("forward", "backward")
        },
        "habit": {n: habit(model, tokenizer, s, KINDS, HABIT_COUNT)._asdict() for n, s in samplers.items()},
    }
