"""``zipthought pretrain``: a tiny base model, from scratch or from another one. ``make base`` is the bundled recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..train.config import PretrainConfig
from ..train.output import RunDirectory
from .console import echo, print_json, progress


def pretrain(
    output_dir: Path,
    config: PretrainConfig = PretrainConfig(),  # noqa: B008
    resume: bool = False,
    threads: int = 1,
    device: str = "cpu",
    json: bool = False,
) -> int:
    """Train a tiny base model and write its card.

    Args:
        output_dir: Receives the model, its tokenizer, metrics.jsonl, card.json and README.md when the run is finished.
            Until then the run works in the directory `<output_dir>.partial` beside it.
        config: The recipe.
        resume: Continue an unfinished run from its checkpoint, if there is one.
        threads: CPU threads; the bytes of the result depend on them.
        device: `cpu`, `cuda`, or `auto` (a GPU if there is one). The bytes of the result depend on it, too.
        json: Print the card as one object on standard output.
    """
    from ..study.bases import finished_base, make_base

    output = RunDirectory.of(output_dir)
    if output.is_finished(resume):
        card = finished_base(config, output.target, threads, device)
        output.clear()
        _report(card, output_dir, json)
        return 0
    with progress() as bar:
        task = bar.add_task("pretrain", total=config.steps, note="")
        card = make_base(
            config,
            output_dir,
            threads=threads,
            device=device,
            resume=resume,
            on_step=lambda row: bar.update(task, completed=row["step"], note=f"loss {row['loss']:.4f}"),
        )
    _report(card, output_dir, json)
    return 0


def _report(card: dict[str, Any], output_dir: Path, json: bool) -> None:
    """Print the card as JSON, or its accuracies."""
    if json:
        print_json(card)
        return
    scores = ", ".join(f"{n}: {row['accuracy']:.3f}" for n, row in card["accuracy"].items())
    echo(f"held-out accuracy by n_ops: {scores}")
    echo(output_dir)
