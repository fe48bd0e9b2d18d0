"""``zipthought pretrain``: a tiny base model, from scratch or from another one. ``make base`` is the bundled recipe."""

from __future__ import annotations

from pathlib import Path

from ..train.config import PretrainConfig
from .console import echo, print_json, progress
from .outputs import refuse_run_overwrite


def pretrain(
    output_dir: Path,
    config: PretrainConfig = PretrainConfig(),  # noqa: B008
    resume: bool = False,
    threads: int = 1,
    json: bool = False,
) -> int:
    """Train a tiny base model and write its card.

    Args:
        output_dir: The directory for the model, its tokenizer, metrics.jsonl, card.json and README.md.
        config: The recipe.
        resume: Continue from the checkpoint in output_dir, if there is one.
        threads: CPU threads; the bytes of the result depend on them.
        json: Print the card as one object on standard output.
    """
    from ..study.bases import make_base
    from ..train.loop import require_free

    refuse_run_overwrite(output_dir, config.init, [])
    require_free(output_dir, resume)
    with progress() as bar:
        task = bar.add_task("pretrain", total=config.steps, note="")
        card = make_base(
            config,
            output_dir,
            threads=threads,
            resume=resume,
            on_step=lambda row: bar.update(task, completed=row["step"], note=f"loss {row['loss']:.4f}"),
        )
    if json:
        print_json(card)
    else:
        scores = ", ".join(f"{n}: {row['accuracy']:.3f}" for n, row in card["accuracy"].items())
        echo(f"held-out accuracy by n_ops: {scores}")
        echo(output_dir)
    return 0
