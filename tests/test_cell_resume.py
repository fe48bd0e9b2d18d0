"""A cell that was killed in its middle goes on from its checkpoint and ends as the undisturbed one. Cells at work say
how far they are."""

import json
import math
import os
import re
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_study import job_of, results

from zipthought.cli import main
from zipthought.models.tiny import build_tiny, tiny_config
from zipthought.study import node, runner
from zipthought.study.cells import SFTCell, Step0Cell
from zipthought.study.execute import execute
from zipthought.study.progress import Reporter, read_progress
from zipthought.study.spec import make_spec
from zipthought.study.store import Store
from zipthought.study.workspace import Workspace
from zipthought.train.batches import TokenBatch
from zipthought.train.config import OptimizerConfig
from zipthought.train.loop import TimedCheckpoint, next_token, train_loop

STEPS, KILLED_AT = 4, 3
"""Runs with the rule of convergence are measured after 2 and 4 steps."""
SFT = {
    "formats": ["composed:2"], "examples": [8], "n_ops": [2], "batch_size": 4, "steps": STEPS, "test_count": 3,
    "train_count": 2, "validation_count": 3, "before": False,
}  # fmt: skip
F3 = {
    "formats": ["composed:2"], "sft_steps": [STEPS], "examples": 8, "sft_batch_size": 4, "n_ops": [2],
    "longer_n_ops": [3], "rl_steps": STEPS, "prompts_per_step": 2, "group_size": 2, "measure_every": 2, "count": 2,
    "samples": 1, "sampled": 1,
}  # fmt: skip


def study_of(base, **tables):
    return make_spec({"name": "small", "model": str(base), "bootstrap": 10, "seeds": [0], **tables})


class Killed(BaseException):
    """No cell catches it."""


def kill_at(step, seen):
    def on_step(row):
        seen.append(row["step"])
        assert row["steps"] >= row["step"]
        if row["step"] == step:
            raise Killed

    return on_step


def measured(result):
    return {name: value for name, value in result.plain().items() if name != "train_seconds"}


@pytest.mark.parametrize(
    "tables",
    [{"scaling": SFT}, {"scaling": {**SFT, "points": 2, "converge": True}}, {"decomposition": F3}],
    ids=["sft", "convergence", "decomposition"],
)
def test_a_killed_cell_goes_on_and_ends_as_the_undisturbed_one(tiny_base, tmp_path, tables):
    done, cells = {}, study_of(tiny_base, **tables).cells()
    for cell in [cell for cell in cells if getattr(cell, "part", 0) in (0, "sft", "rlvr")]:
        workspace = Workspace(tmp_path, done, checkpoint_seconds=0)
        first, second = [], []
        with pytest.raises(Killed):
            cell.run(workspace, kill_at(KILLED_AT, first))
        cut = cell.run(workspace, kill_at(0, second))
        assert first == [1, 2, 3]
        assert second == [3, 4]  # The checkpoint is that of the step before.
        files = workspace.checksums(cell.digest)
        workspace.clear(cell.digest)
        workspace.clear_scratch(cell.digest)
        whole = cell.run(replace(workspace, checkpoint_seconds=math.inf))
        assert not workspace.scratch(cell.digest).exists()  # A cell without a checkpoint writes nothing there.
        assert measured(cut) == measured(whole)
        assert files == workspace.checksums(cell.digest)
        done[cell.digest] = whole
    assert len(done) == len(tables) + ("decomposition" in tables)


BATCH = TokenBatch(torch.arange(8).reshape(2, 4), torch.ones(2, 4, dtype=torch.bool), 8)


class Watched:
    """A caller with a state."""

    def __init__(self):
        self.steps, self.restored = [], []

    def state(self):
        return {"steps": self.steps}

    def restore(self, state):
        self.restored.append(state)


def steps_of(path, *, end=6, rate=1e-3):
    """The steps that a run takes which ends after step `end`, and the caller's state that it resumed."""
    model = build_tiny(tiny_config("llama", "0.2M", 16, 0, 1, 2), 0)
    watch = Watched()
    steps = watch.steps
    timed = TimedCheckpoint(path=path, seconds=0, watch=watch)

    def on_step(row):
        steps.append(row["step"])
        return row["step"] == end

    work = next_token(model, lambda _: BATCH)
    config = OptimizerConfig(learning_rate=rate)
    result = train_loop(model, work, 6, config, identity={"rate": rate}, on_step=on_step, timed=timed)
    assert result.steps == end
    return steps, watch.restored


def test_a_run_that_had_ended_by_its_rule_takes_no_further_step(tmp_path):
    assert steps_of(tmp_path / "c", end=3) == ([1, 2, 3], [])
    assert steps_of(tmp_path / "c", end=3) == ([], [{"steps": [1, 2, 3]}])


@pytest.mark.parametrize("damage", ["bytes", "another run"])
def test_a_checkpoint_that_does_not_belong_here_is_ignored(tmp_path, damage):
    path = tmp_path / "c"
    steps_of(path, rate=1e-3 if damage == "bytes" else 1e-2)
    if damage == "bytes":
        path.write_bytes(path.read_bytes()[:-100])
    assert steps_of(path) == ([1, 2, 3, 4, 5, 6], [])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds worker processes in /proc")
@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_cell_changes_nothing(tiny_base, tmp_path):
    spec = study_of(tiny_base, scaling={**SFT, "steps": 30})
    whole, store = (Store.create(tmp_path / name, spec, {}) for name in ("whole", "cut"))
    cell = whole.claim("here:1")
    assert whole.finish(cell.digest, "here:1", execute(cell, whole.workspace(cell), 1), 1.0)
    scratch = store.workspace().scratch(cell.digest)
    killed = []

    def kill_at_work():
        deadline = time.monotonic() + 60
        while not (scratch / "checkpoint.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        with store._connect() as db:
            (worker,) = db.execute("SELECT worker FROM cells WHERE status = 'running'").fetchone()
        os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
        killed.append(worker)

    killer = threading.Thread(target=kill_at_work)
    killer.start()
    counts = runner.run(store, workers=1, checkpoint_seconds=0, poll_seconds=0.05)
    killer.join()
    assert (len(killed), counts, store.failures()) == (1, {"done": 1}, [])
    with store._connect() as db:
        assert db.execute("SELECT attempts FROM cells").fetchone() == (2,)
    assert results(store) == results(whole)
    files = {name: (tmp_path / name / "completions").glob("*") for name in ("whole", "cut")}
    contents = {name: {path.name: path.read_bytes() for path in paths} for name, paths in files.items()}
    assert contents["whole"] == contents["cut"]
    assert not scratch.parent.exists()


def test_scratch_of_finished_cells_goes_at_the_next_run(tiny_base, tmp_path):
    """A worker may be killed between its result and the removal."""
    store = Store.create(tmp_path, study_of(tiny_base, scaling={**SFT, "examples": [4, 8], "steps": 2}), {})
    done, open_ = store.claim("here:1"), store.claim("here:2")
    assert store.finish(done.digest, "here:1", execute(done, store.workspace(done), 1), 1.0)
    for cell in (done, open_):
        store.workspace().scratch(cell.digest).mkdir(parents=True)
    store.begin()
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == [open_.digest]


@pytest.mark.parametrize("sees_study", [True, False])
def test_on_a_cluster_the_scratch_is_in_the_study_where_a_node_sees_it(tiny_base, tmp_path, monkeypatch, sees_study):
    store = Store.create(tmp_path / "study", study_of(tiny_base, scaling=SFT), {})
    cell, used = store.claim("here:1"), []

    def run(cell, workspace, threads):
        used.append(workspace)
        raise ValueError("enough")

    monkeypatch.setattr(node, "execute", run)
    assert node.run_job(*job_of(store, cell, sees_study)).reason.error == "ValueError: enough"
    assert used[0].root != store.directory
    assert (used[0].scratch(cell.digest) == store.workspace().scratch(cell.digest)) == sees_study
    # A checkpoint in a temporary directory would be written for nothing.
    assert used[0].checkpoint_seconds == (60 if sees_study else math.inf)


ROW = {"step": 1, "steps": 100, "loss": 2.5, "tokens": 300, "seconds": 1.0}


def test_status_shows_how_far_a_running_cell_is(tiny_base, tmp_path, capsys):
    store = Store.create(tmp_path, study_of(tiny_base, scaling={**SFT, "examples": [4, 8]}), {})
    working, starting = store.claim("here:1"), store.claim("here:2")
    report = Reporter(store.workspace().scratch(working.digest), seconds=0)
    report(ROW)
    report({**ROW, "step": 51, "loss": 1.25, "tokens": 1500, "seconds": 5.0})
    assert main(["study", "status", str(tmp_path), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["running"]
    assert first["seconds_left"] >= 0
    assert 0 <= first["age"] < 60
    assert first | {"seconds_left": 0, "age": 0} == {
        "digest": working.digest, "cell": working.label, "seed": 0, "step": 51, "steps": 100, "loss": 1.25,
        "reward": None, "tokens_per_second": 300.0, "seconds_left": 0, "age": 0,
    }  # fmt: skip
    assert [name for name, value in second.items() if value is not None] == ["digest", "cell", "seed"]
    assert second["digest"] == starting.digest
    assert main(["study", "status", str(tmp_path)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("running: ")]
    assert re.fullmatch(
        r"running: .*, seed 0: step 51 of 100, loss 1.25, 300 tokens/s, \d+ s left \(\d+ s ago\)", lines[0]
    )
    assert lines[1] == f"running: {starting.label}, seed 0: no report yet"


def test_reports_are_a_second_apart_and_a_short_cell_writes_none(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("zipthought.study.progress.time.monotonic", lambda: now[0])
    report, seen = Reporter(tmp_path / "scratch"), []
    for step in range(1, 12):
        now[0] = step * 0.4
        report({**ROW, "step": step})
        progress = read_progress(tmp_path / "scratch")
        seen.append(progress and progress.step)
    assert seen == [None, None, None, 4, 4, 4, 7, 7, 7, 10, 10]
    assert progress.seconds_left == pytest.approx(90 * 0.4)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"step": 1}', "not JSON"])
def test_a_report_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "progress.json").write_text(text)
    assert read_progress(tmp_path) is None


def test_settings_of_execution_are_no_part_of_a_cell(tiny_base):
    cells = study_of(tiny_base, scaling={**SFT, "before": True}).cells()
    assert {type(cell) for cell in cells} == {SFTCell, Step0Cell}
    assert not any("checkpoint" in name or "scratch" in name for cell in cells for name in cell.plain())
