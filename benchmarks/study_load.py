"""How a large study loads: `python benchmarks/study_load.py [--cells 2016] [--browser]`.

A store of made-up results (`tests/synthetic_study.py`) of four formats, six data sizes and as many seeds as it takes.
Printed: processor seconds and peak memory of `study status`, `study check` and `study report`, each in a process of its
own, and the size of the page. With --browser and Chromium on PATH, the seconds until its figures are drawn there.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from synthetic_study import finished_study

import zipthought
from zipthought.study.spec import StudySpec, make_spec


def spec_of(cells: int) -> StudySpec:
    """A study of about so many cells."""
    scaling = {
        "formats": ["explicit", "composed:2", "implicit:2", "answer-only"],
        "examples": [64, 128, 256, 512, 1024, 2048],
        "n_ops": [3],
        "steps": 72,
        "test_count": 100,
        "train_count": 50,
        "points": 2,
    }
    seeds = list(range(max(1, cells // 24)))
    return make_spec({"name": "load", "model": "bundled", "seeds": seeds, "scaling": scaling})


def measured(*arguments: str) -> tuple[float, float]:
    """Processor seconds, and the peak memory in MB of the largest command so far."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "zipthought.cli", "study", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, after.ru_maxrss / 1024


def seconds_to_ready(page: Path) -> float | None:
    """Seconds until the page has drawn its figures in Chromium; None without it."""
    browser, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if not browser or not driver:
        return None
    with tempfile.TemporaryDirectory() as profile:
        began = time.perf_counter()
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom",
             "--virtual-time-budget=60000", page.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        assert b'data-ready="yes"' in done.stdout, "the page did not get ready"
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=2016)
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    print(f"zipthought {zipthought.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="zipthought-") as root:
        directory = Path(root) / "study"
        spec = spec_of(options.cells)
        finished_study(directory, spec)
        print(f"{len(spec.cells())} cells")
        for words in ("status", "check", "report"):
            seconds, memory = measured(words, str(directory))
            print(f"study {words}: {seconds:.1f} s, at most {memory:.0f} MB")
        page = directory / "report.html"
        print(f"page: {page.stat().st_size / 1e6:.1f} MB")
        if options.browser:
            ready = seconds_to_ready(page)
            print("no Chromium on PATH" if ready is None else f"in Chromium, its start included: {ready:.1f} s")


if __name__ == "__main__":
    main()
