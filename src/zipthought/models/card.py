"""The model card of a trained model: a README.md from the values of its run.json alone.

The card has no times and no paths. So a run that was resumed, or wrote to another directory, gives the same bytes, and
a card may be published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from ..files.escape import markdown_code, markdown_text, yaml_string
from . import smollm
from .names import BUNDLED, commit_of, resolve, split_revision

README = "README.md"
_OURS = "apache-2.0"
"""The license of the bundled bases and of `smollm.NAME`."""
_SMOLLM_ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
_LICENSE = re.compile(r"^license:[ \t]*[\"']?([A-Za-z0-9][A-Za-z0-9.-]*)[\"']?[ \t]*$", re.MULTILINE)
_HOMEPAGE = "https://github.com/zipthought/zipthought"
_SURFACES = ("english", "terse")
"""Surfaces of problems that `zipthought evaluate` samples."""


def origin_of(base: str) -> dict[str, Any]:
    """Where a base comes from, for run.json: `base_commit` of a hub model, the hub id `base_model` that it or its own
    base has, and its `license`. Each is None where it is not known. Nothing is downloaded.

    Raises `ValueError` as `resolve` does.
    """
    if base in BUNDLED:
        return {"base_commit": None, "base_model": None, "license": _OURS}
    if base == smollm.NAME:
        return {"base_commit": None, "base_model": _SMOLLM_ON_HUB, "license": _OURS}
    source = resolve(base)
    if Path(source).is_dir():
        run = _json(Path(source) / "run.json")
        further = run.get("base_model")
        model = further if isinstance(further, str) else None
        return {"base_commit": None, "base_model": model, "license": _license(Path(source) / README)}
    repository, pinned = split_revision(source)
    from huggingface_hub import try_to_load_from_cache

    readme = try_to_load_from_cache(repository, README, **pinned)
    found = _license(Path(readme)) if isinstance(readme, str) else None
    return {"base_commit": commit_of(base), "base_model": repository, "license": found}


def model_card(run: Mapping[str, Any]) -> str:
    """The card of a model, from what its run.json holds."""
    config, is_sft = run["config"], "final_loss" in run
    title = f"{_name(split_revision(run['base'])[0])}, after {'SFT' if is_sft else 'RLVR'}"
    method = "Fine-tuned on chains of thought" if is_sft else "Trained on verifiable rewards by GRPO"
    command = f"`train {'sft' if is_sft else 'rlvr'}`, engine `{config['engine']}`"
    settings = markdown_code(json.dumps(config, indent=2), "json")
    sections = (
        _front(run, "sft" if is_sft else "grpo"),
        f"# {title}",
        f"{method} from {_base(run)}, with [zipthought]({_HOMEPAGE}) {run['zipthought']} ({command}).",
        "## Training data",
        _table(_data(run)),
        "## Training",
        _table(_training(run)),
        "Settings:",
        settings,
        "## Evaluation",
        "The command samples held-out problems, or takes those of a file (`--data`). `MODEL` is this directory or the "
        "id of its repository on the hub:",
        markdown_code(_evaluate(run), "sh"),
        "## Structures",
        "`trained_structures.json` holds the structures of all problems that this model and the models before it were "
        "trained on. `zipthought train rlvr` excludes them. Do not evaluate on them.",
    )
    return "\n\n".join(sections) + "\n"


def _front(run: Mapping[str, Any], trainer: str) -> str:
    """The YAML that the hub reads. A base that is not on the hub is left out."""
    lines = [
        *([f"base_model: {yaml_string(run['base_model'])}"] if run["base_model"] else []),
        "library_name: transformers",
        *([f"license: {run['license']}"] if run["license"] else []),
        "pipeline_tag: text-generation",
        "tags:",
        *(f"- {tag}" for tag in ("zipthought", "chain-of-thought", trainer)),
    ]
    return "\n".join(["---", *lines, "---"])


def _base(run: Mapping[str, Any]) -> str:
    """The base in words."""
    base, model = run["base"], run["base_model"]
    if run["base_commit"]:
        return f"{markdown_text(split_revision(base)[0])} (commit {run['base_commit']})"
    further = f", a model from {markdown_text(model)}" if model and split_revision(base)[0] != model else ""
    return f"{_name(base) if PurePath(base).is_absolute() else markdown_text(base)}{further}"


def _data(run: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The rows on the training data."""
    config, contents = run["config"], run["contents"]
    if not run["data"]:
        names = ("task", "n_ops", "surface", "modulus", "number_range", "split", "seed")
        return [("problems", "of the sampler, by the settings below"), *((name, config[name]) for name in names)]
    counts = [("used", "examples"), ("of held-out splits, left out", "held_out"), ("too long, left out", "too_long")]
    return [
        ("file", PurePath(run["data"]).name),
        ("sha256 of its records", run["inputs"]["data"]),
        ("records", contents["records"]),
        *((label, run[name]) for label, name in counts if name in run),
        *((name, contents[name]) for name in ("formats", "surfaces", "n_ops", "moduli") if contents[name]),
    ]


def _training(run: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The rows on the training."""
    optimizer = run["config"]["optimizer"]
    rows = [
        ("updates" if "final_loss" in run else "steps", run["steps"]),
        ("tokens", run["tokens"]),
        ("optimizer", optimizer["optimizer"]),
        ("peak learning rate", optimizer["learning_rate"]),
    ]
    if "final_loss" in run:
        return [*rows, ("loss, mean of the last tenth", run["final_loss"])]
    means = run["last_tenth"].items()
    return [*rows, *((f"{name}, mean of the last tenth", mean) for name, mean in means if mean is not None)]


def _evaluate(run: Mapping[str, Any]) -> str:
    """The command that evaluates the model on what it was trained for."""
    command, config = "zipthought evaluate --model MODEL", run["config"]
    if not run["data"]:
        task = f" --task {config['task']}" if config["task"] != "chain" else ""
        numbers = f" --modulus {config['modulus']} --number-range {config['number_range']}"
        return f"{command} --n-ops {_spaced(config['n_ops'])}{task}{numbers} --count 200"
    contents = run["contents"]
    is_sampled = set(contents["surfaces"]) <= set(_SURFACES) and len(contents["moduli"]) == 1
    if is_sampled and contents["surfaces"] and contents["n_ops"]:
        return f"{command} --n-ops {_spaced(contents['n_ops'])} --modulus {contents['moduli'][0]} --count 200"
    return f"{command} --data FILE"


def _spaced(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def _table(rows: Sequence[tuple[str, Any]]) -> str:
    lines = [f"| {markdown_text(label)} | {_text(value)} |" for label, value in rows]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _text(value: Any) -> str:
    """A value in a cell of a table. Numbers need no escapes."""
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return markdown_text(", ".join(map(str, value)) if isinstance(value, list | tuple) else value)


def _name(path: str) -> str:
    """The last part of a path, as Markdown."""
    return markdown_text(PurePath(path).name or path)


def _license(readme: Path) -> str | None:
    """The license in the front matter of a model card; None if there is none."""
    if not readme.is_file():
        return None
    front = readme.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
    match = _LICENSE.search(front) if front.startswith("---") else None
    return match[1] if match else None


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty for any other file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


__all__ = ["README", "model_card", "origin_of"]
