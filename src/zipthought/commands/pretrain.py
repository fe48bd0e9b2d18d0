"""``zipthought pretrain``: a tiny base from nothing, or from another one; ``make base`` is the bundled one's recipe."""

from __future__ import annotations

from pathlib import Path

from ..train.config import PretrainConfig
from .console import print_json, progress


def pretrain(
    output_dir: Path,
    config: PretrainConfig = PretrainConfig(),  # noqa: B008
    resume: bool = False,
    threads: int = 1,
    json: bool = False,
) -> int:
    """Train a tiny base model from nothing and write its card.

    Args:
        output_dir: Receives the model, its tokenizer, metrics.jsonl, card.json and README.md.
        config: The recipe.
        resume: Go on from the checkpoint in output_dir, where there is one.
        threads: Of the CPU; the bytes of the result depend on it.
        json: Print the card as one object on standard output.
    """
    from ..study.bases import make_base
    from ..train.loop import require_free

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
        print(f"held-out accuracy by n_ops: {scores}\n{output_dir}")
    return 0
