"""``zipthought export``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from ..files.hub import require_upload, upload
from ..records.export import export_records
from .console import console, count_lines, echo, print_json, progress


def export(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional],
    to: str,
    output_dir: Path,
    format: tuple[str, ...] = (),  # noqa: A002
    overwrite: bool = False,
    push_to_hub: str = "",
    json: bool = False,
) -> int:
    """Export records.

    Args:
        files: Records of `zipthought generate` and `zipthought compress` (JSON Lines or Parquet), for example one file
            per split.
        to: trl-sft, trl-grpo, stepwise, chat-reasoning, llamafactory, verl, reasoning-gym, verifiers, lm-eval, coconut,
            icot or hf.
        output_dir: The directory for the data, a file per split, and for the registration files of the target.
        format: The formats to export, such as composed:2; by default all that the files hold.
        overwrite: Replace existing files that zipthought did not write, too. Inputs are never replaced.
        push_to_hub: Upload the files to this dataset of the Hugging Face Hub, such as org/name. A new one is private.
            The token is that of `hf auth login`, or HF_TOKEN.
        json: Print {"records", "splits", "formats", "files", "earlier"} on standard output.
    """
    if push_to_hub:
        require_upload(push_to_hub)
    with progress() as bar:
        lines = [count_lines(file) for file in files]
        task = bar.add_task("export", total=None if None in lines else sum(filter(None, lines)), note="")
        summary = export_records(
            files, to, output_dir, format, lambda done: bar.update(task, completed=done), overwrite=overwrite
        )
        bar.update(task, completed=summary["records"])
    if len(summary["formats"]) > 1:
        console.print(
            f"the export mixes {', '.join(summary['formats'])}: a problem may have several answers; choose by --format",
            markup=False,
            soft_wrap=True,
        )
    if summary["earlier"]:
        console.print(
            f"kept files of an earlier export: {', '.join(summary['earlier'])}; all other files describe only this "
            "export, so export all splits in one command",
            markup=False,
            soft_wrap=True,
        )
    if json:
        print_json(summary)
    else:
        splits = ", ".join(f"{split} {count}" for split, count in summary["splits"].items())
        echo(f"{summary['records']} records ({splits})")
        for path in summary["files"]:
            echo(path)
    if push_to_hub:
        _push(output_dir, push_to_hub, [*summary["files"], *summary["earlier"]])
    return 0


def _push(directory: Path, repository: str, files: Sequence[str]) -> None:
    """Upload files of an export. Raises `ValueError` if that fails."""
    names = [Path(file).relative_to(directory).as_posix() for file in files]
    try:
        console.print(f"pushed to {upload(directory, repository, 'dataset', names)}", markup=False, soft_wrap=True)
    except ValueError as error:
        raise ValueError(f"the files are written to {directory}, but {error}") from error
