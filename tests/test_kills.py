"""kill -9 of the runner or of a worker at random moments, 20 times: the study ends as the undisturbed one."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from small_study import results, spec_of

from zipthought.study.store import Store

KILLS = 20


def toml(spec, tables):
    lines = [f"{key} = {json.dumps(getattr(spec, key))}" for key in ("name", "model", "bootstrap", "seeds")]
    for name, keys in tables.items():
        table = spec.experiments[name]
        lines += [f"[{name}]", *(f"{key} = {json.dumps(getattr(table, key))}" for key in keys)]
    return "\n".join(lines)


def children(pid):
    return [int(p) for path in Path(f"/proc/{pid}/task").glob("*/children") for p in path.read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds worker processes in /proc")
def test_twenty_kills_change_nothing(tiny_base, tmp_path):
    spec = spec_of(tiny_base)
    # Long enough that kills find cells at work, also on a fast machine.
    longer = replace(spec.experiments["scaling"], steps=400)
    spec = replace(spec, experiments={**spec.experiments, "scaling": longer})
    sft = ("n_ops", "batch_size", "test_count", "train_count")
    tables = {
        "scaling": (*sft, "formats", "examples", "steps", "learning_rates", "validation_count"),
        "decomposition": (
            "sft_steps", "examples", "sft_batch_size", "n_ops", "longer_n_ops", "rl_steps", "prompts_per_step",
            "group_size", "measure_every", "count", "samples", "sampled",
        ),
    }  # fmt: skip
    file = tmp_path / "study.toml"
    file.write_text(toml(spec, tables))

    def start(directory):
        command = [sys.executable, "-m", "zipthought.cli", "study", "run", str(file), "--output-dir", str(directory)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)

    whole = start(tmp_path / "whole")
    assert whole.wait() == 0, whole.stderr.read()

    rng = random.Random(0)
    directory = tmp_path / "cut"
    runner, killed, at_work = start(directory), {"runner": 0, "worker": 0}, 0
    while sum(killed.values()) < KILLS:
        of_worker = rng.random() < 0.5
        deadline = time.monotonic() + 60
        while of_worker and runner.poll() is None and not children(runner.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.2, 5.0))
        workers = children(runner.pid) if runner.poll() is None else []
        if runner.poll() is not None:
            # Done before all kills: the rest of them hit a study that is begun again from its last cells.
            store = Store.open(directory)
            cells = store.read().cells
            with store._connect() as db:
                db.executemany(
                    "UPDATE cells SET status = 'pending', result = NULL, seconds = NULL, attempts = 0, files = NULL, "
                    "checksum = NULL WHERE digest = ?",
                    [(cell.digest,) for cell in cells[len(cells) // 2 :]],
                )
            runner = start(directory)
            continue
        with contextlib.suppress(ValueError):  # The runner may be making the store at this moment.
            at_work += Store.open(directory).counts().get("running", 0) > 0
        if workers and of_worker:
            os.kill(rng.choice(workers), signal.SIGKILL)
            killed["worker"] += 1
        else:
            os.kill(runner.pid, signal.SIGKILL)
            runner.wait()
            killed["runner"] += 1
            runner = start(directory)
    while runner.wait() != 0:  # A cell whose workers were killed too often has failed, and is tried again.
        runner = start(directory)
    assert min(killed.values()) >= 4
    assert at_work >= KILLS // 3, "most kills met an idle study"
    assert Store.open(directory).counts() == {"done": len(spec.cells())}
    assert results(Store.open(directory)) == results(Store.open(tmp_path / "whole"))
