"""``zipthought generate``."""

from __future__ import annotations

from ..generation.generate import GenerateConfig
from ..generation.generate import generate as run
from .console import print_json, print_table, progress


def generate(config: GenerateConfig, json: bool = False) -> int:
    """Generate problems and traces.

    Args:
        config: What to generate.
        json: Print {"records": n, "files": {format: path}} on standard output.
    """
    with progress() as bar:
        task = bar.add_task("generate", total=None, note="")
        generated = run(config, on_progress=lambda done, total: bar.update(task, completed=done, total=total))
    files = {fmt: str(path) for fmt, path in generated["files"].items()}
    if json:
        print_json({"records": generated["records"], "files": files})
    else:
        print_table(f"{generated['records']} records", [{"format": f, "file": p} for f, p in files.items()])
    return 0
