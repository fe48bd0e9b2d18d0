"""Cells of a study that several processes train (``[execution] processes``), here two on the CPU."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from test_trl_engine import some_records, tiny, words

from zipthought.files.atomic import write_text
from zipthought.study.spec import make_spec
from zipthought.study.workspace import Workspace
from zipthought.train.config import SFTConfig

pytest.importorskip("trl")

from zipthought.train.launch import Launch


def study_of_two_processes(base, **tables):
    settings = {"name": "s", "model": str(base), "bootstrap": 10, "engine": "trl", "execution": {"processes": 2}}
    return make_spec({**settings, **tables})


def test_two_processes_train_a_cell_as_one_does(tmp_path):
    base = tmp_path / "base"
    tiny("qwen2").save_pretrained(base)
    words().save_pretrained(base)
    table = {"formats": ["explicit"], "examples": [16], "steps": 4, "batch_size": 8, "n_ops": [2], "before": False}
    counts = {"test_count": 3, "train_count": 2, "learning_rates": [1e-2]}
    spec = study_of_two_processes(base, scaling={**table, **counts})
    (cell,) = spec.cells()
    both, steps = Workspace(tmp_path / "both", execution=spec.execution), []
    two = cell.run(both, lambda row: steps.append((row["step"], row["steps"])))
    one = cell.run(Workspace(tmp_path / "one"))
    assert steps == [(step, 4) for step in range(1, 5)]
    assert two.tokens == one.tokens
    assert [loss for _, loss in two.loss] == pytest.approx([loss for _, loss in one.loss], abs=1e-3)
    assert two.test.by_n_ops[2].n == 3
    # A second run finds the training done, and measures the same.
    again = cell.run(both)
    assert replace(again, train_seconds=0.0) == replace(two, train_seconds=0.0)


def test_two_processes_train_the_states_of_the_decomposition(tmp_path):
    base = tmp_path / "base"
    tiny("qwen2").save_pretrained(base)
    words().save_pretrained(base)
    sft = {"sft_steps": [2], "examples": 8, "sft_batch_size": 4, "n_ops": [2], "longer_n_ops": [3], "samples": 1}
    rlvr = {"rl_steps": 2, "prompts_per_step": 2, "group_size": 2, "count": 3, "sampled": 1}
    table = {**sft, **rlvr, "branches": ["rlvr", "sft-updates", "sft-tokens"], "sft_learning_rate": 1e-2}
    with pytest.raises(ValueError, match="measured at their end alone: set measure_every to 2"):
        study_of_two_processes(base, decomposition={**table, "measure_every": 1})
    spec = study_of_two_processes(base, decomposition={**table, "measure_every": 2})
    cells = {cell.part: cell for cell in spec.cells()}
    first = cells["sft"].run(Workspace(tmp_path / "run", execution=spec.execution))
    workspace = Workspace(tmp_path / "run", {cells["sft"].digest: first}, execution=spec.execution)
    result = cells["rlvr"].run(workspace)
    assert (result.updates, [point.step for point in result.points]) == (2, [2])
    assert [row.step for row in result.rollouts] == [1, 2]


def test_a_failed_process_of_a_cell_is_one_line(tmp_path):
    config = SFTConfig(engine="trl", steps=2, batch_size=3)  # It cannot be split over two processes.
    with pytest.raises(RuntimeError, match=r"a process of the training failed: .*3 sequences of an update cannot be"):
        Launch(processes=2).sft(tiny("qwen2"), words(), some_records(8), config, directory=tmp_path)


def test_processes_end_with_the_worker_that_asked_for_them(tmp_path):
    """A worker that is killed leaves no process behind, which would write into the directory of the next attempt."""
    script = tmp_path / "worker.py"
    lines = ["import sys", "from pathlib import Path"]
    lines += ["from test_launch import Launch, SFTConfig, some_records, tiny, words"]
    lines += ["config = SFTConfig(engine='trl', steps=100_000, batch_size=4)"]
    call = "Launch(processes=2).sft(tiny('qwen2'), words(), some_records(8), config, directory=Path(sys.argv[1]))"
    write_text(script, "\n".join([*lines, call]) + "\n")
    directory = tmp_path / "scratch"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen([sys.executable, str(script), str(directory)], env=environment)
    metrics = directory / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline and worker.poll() is None:
        time.sleep(0.2)
    assert metrics.stat().st_size
    worker.kill()
    worker.wait()
    deadline = time.monotonic() + 30
    while of_launch(directory) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not of_launch(directory)


def of_launch(directory):
    """The processes that train in a directory."""
    found = subprocess.run(["pgrep", "-f", f"zipthought.train.launch {directory}"], capture_output=True, text=True)
    return found.stdout.split()
