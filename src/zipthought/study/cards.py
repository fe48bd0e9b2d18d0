"""Model cards of bases, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..evaluation.step0 import OTHER

_FRONT = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
"""
"""What the hub reads of a card."""


def stages(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The cards of the runs that led to a base, in their order."""
    return [*(stages(card["init"]) if card.get("init") else []), card]


def _mix(granularity: list[tuple[int, float]]) -> str:
    """What a granularity mix says in words."""
    return " or ".join(f"{k} operation{'s' * (k > 1)} with probability {p:g}" for k, p in granularity)


def render_card(card: dict[str, Any]) -> str:
    """The model card as Markdown."""
    if card["recipe"].get("primitives"):
        return render_neutral(card)
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
    return f"""{_FRONT}# zipthought base, {recipe["family"]} {card["parameters"] / 1e6:.1f}M

A tiny base model for studying compressed chains of thought on a laptop: {card["parameters"]:,} parameters, word-level
tokenizer, the `terse` surface of zipthought. It has seen single facts, look-ups and chains of
{", ".join(str(n) for n, _ in recipe["n_ops"])} operations ({_mix(recipe["granularity"])} a step), and nothing else.

{_origin(card)}. Each run goes on from the one before it
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


def render_neutral(card: dict[str, Any]) -> str:
    """The model card of a neutral base as Markdown."""
    millions = f"{card['parameters'] / 1e6:.1f}M"
    return f"""{_FRONT}# zipthought base, neutral, {card["recipe"]["family"]} {millions}

A tiny base model for studying compressed chains of thought on a laptop: {card["parameters"]:,} parameters, word-level
tokenizer, the `terse` surface of zipthought. It was pretrained on primitives: facts, linear forms, look-ups, walks of
names and sentences in both directions, and solutions in all formats and orders of problems with one and two
operations. It knows where to look and how to calculate, and it has no trace as its habit.

{_origin(card)}. Each run goes on from the one before it
(`--init`); `card.json` holds their whole recipes. The columns of primitives are their shares.

{_runs(card)}

{card.get("notes", "")}
Primitives, {card["texts"]} new texts each with one fact, form or look-up, right in every token:

{_table(("primitive", "exact"), [(name, f"{value:.3f}") for name, value in card["primitives"].items()])}

Walks of names, by operations; the chain goes on 0 to 2 operations beyond the target:

{_walks(card)}

Before any fine-tuning, on held-out structures (test split). Sampled completions at temperature 1: their accuracy, the
share that is faithful, the share that is no gold trace of any format, and what the others are. Last, the accuracy of
greedy completions.

{_habits(card)}

Nats per token of gold completions, by number of operations:

{_losses(card)}

sha256 of `model.safetensors`: `{card["sha256"]}`.
"""


def _origin(card: dict[str, Any]) -> str:
    """What the weights depend on besides the recipe, as a sentence without its end."""
    made = card["environment"]
    on_cpu = card.get("device", "cpu") == "cpu"  # Older cards have no device.
    hardware = f"threads: {card['threads']},\n{made['processor']}" if on_cpu else f"on\n{made['gpu']}"
    return f"Trained with `zipthought pretrain` (version {made['zipthought']}), {hardware}, torch {made['torch']}"


def _table(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, with words in the first column and numbers in the others."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _runs(card: dict[str, Any]) -> str:
    names = [name for name, _ in card["recipe"]["primitives"]]
    rows = []
    for number, run in enumerate(stages(card), 1):
        recipe, shares = run["recipe"], dict(run["recipe"].get("primitives", ()))
        size = f"{recipe['steps']:,} x {recipe['batch_size']}"
        rate, longest = f"{recipe['optimizer']['learning_rate']:g}", max(n for n, _ in recipe["n_ops"])
        mix = [f"{shares.get(name, 0):g}" for name in names]
        rows.append([number, size, f"{run['tokens']:,}", rate, longest, *mix, recipe["seed"], run["minutes"]])
    header = ["run", "updates x sequences", "tokens", "learning rate", "longest walk", *names, "seed", "minutes"]
    return _table(header, rows)


def _walks(card: dict[str, Any]) -> str:
    lengths = list(next(iter(card["walks"].values())))
    return _table(
        ["direction", *lengths],
        [[name, *(f"{value:.3f}" for value in row.values())] for name, row in card["walks"].items()],
    )


def _habits(card: dict[str, Any]) -> str:
    rows = []
    for n, row in card["habit"].items():
        named = [f"{name} {share:.2f}" for name, share in row["written"].items() if name != OTHER]
        shares = [f"{value:.3f}" for value in (row["accuracy"], row["faithful"], row["written"].get(OTHER, 0))]
        rows.append([n, *shares, ", ".join(named) or "none", f"{card['accuracy'][n]['accuracy']:.3f}"])
    return _table(["n_ops", "accuracy", "faithful", "no gold trace", "gold traces", "greedy"], rows)


def _losses(card: dict[str, Any]) -> str:
    lengths = card["habit"]
    kinds = next(iter(lengths.values()))["loss"]
    return _table(
        ["format and order", *lengths],
        [[kind, *(f"{row['loss'][kind]:.2f}" for row in lengths.values())] for kind in kinds],
    )
