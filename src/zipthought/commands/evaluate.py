"""``zipthought evaluate``."""

from __future__ import annotations

from pathlib import Path

from ..evaluation.config import EvaluateConfig
from ..files.atomic import refuse_directories, refuse_existing, refuse_overwrite
from ..files.earlier import is_completions
from .console import print_json, print_table, progress
from .outputs import model_files


def evaluate(
    config: EvaluateConfig = EvaluateConfig(),  # noqa: B008
    model: str = "bundled",
    output: Path | None = None,
    device: str = "auto",
    threads: int = 0,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Measure a model.

    Args:
        config: Which problems are evaluated, and how completions are generated.
        model: bundled, bundled-deep, bundled-mixed, neutral, a directory with a model, or a hub id.
        output: Parquet file (.parquet) for the completions and their verdicts.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 is the default of torch.
        overwrite: Replace an existing file that zipthought did not write, too.
        json: Print {"n", "accuracy", "by_n_ops": {"3": {...}}, ...} on standard output.
    """
    if output and output.suffix != ".parquet":
        raise ValueError(f"completions are written as Parquet; choose a name that ends in .parquet, not {output.name}")
    if output:
        refuse_directories([output])
        refuse_overwrite([output], model_files(model))
        if not overwrite and not is_completions(output):
            refuse_existing([output])
    import torch

    from ..evaluation.evaluate import evaluate as run
    from ..models.loading import load

    if threads:
        torch.set_num_threads(threads)
    loaded, tokenizer = load(model, device)
    with progress() as bar:
        task = bar.add_task("evaluate", total=None, note="")
        evaluation = run(
            loaded,
            tokenizer,
            config,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if output:
        evaluation.write_completions(output)
    summary = evaluation.summary()
    if json:
        print_json(summary.plain())
        return 0
    columns = ("n", "accuracy", "faithful", "response_tokens", "truncated", "ops_per_step")
    rows = [{"n_ops": n, **{c: getattr(part, c) for c in columns}} for n, part in summary.by_n_ops.items()]
    print_table(f"{model}, split {config.split}: accuracy {summary.accuracy:.3f} of {summary.n}", rows)
    return 0
