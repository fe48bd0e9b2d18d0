"""Specs, the store, and a whole small study that is killed and resumed."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from small_study import result_of, results, run_here

from zipthought.cli import main
from zipthought.commands.study import register, run, seconds_left
from zipthought.study.failures import Reason
from zipthought.study.report import notes
from zipthought.study.snapshot import StoredCell
from zipthought.study.spec import PRESETS, load_spec, make_spec
from zipthought.study.store import MAX_ATTEMPTS, Store

SCALING = {
    "before": False,
    "formats": ["explicit", "implicit:2"],
    "examples": [4, 8],
    "n_ops": [1, 2],
    "steps": 2,
    "batch_size": 4,
    "test_count": 3,
    "train_count": 2,
}


@pytest.fixture
def spec(tiny_base):
    return make_spec(
        {
            "name": "small",
            "model": str(tiny_base),
            "bootstrap": 20,
            "scaling": SCALING,
        }
    )


@pytest.mark.parametrize("command", [run, register])
def test_the_help_names_every_preset(command):
    assert set(PRESETS) <= set(re.findall(r"[\w-]+", command.__doc__))


def test_the_quick_preset_loads_and_bad_specs_are_named(tmp_path):
    assert load_spec("quick").name == "quick"
    with pytest.raises(ValueError, match="no study 'nope'"):
        load_spec("nope")
    torn = tmp_path / "torn.toml"
    torn.write_text("name = ")
    with pytest.raises(ValueError, match="not valid TOML"):
        load_spec(str(torn))
    for settings, message in (
        ({"name": "x", "colour": 1}, "unknown setting 'colour' in a study"),
        ({"name": "x", "scaling": {"colour": 1}}, r"unknown setting 'colour' in \[scaling\]"),
        ({"name": "x"}, "at least one experiment"),
        ({"name": "x", "scaling": {"formats": ["zip:2"]}}, "unknown format"),
        ({"name": "x", "seeds": [1, 1], "scaling": {}}, "each once"),
        ({"name": "x", "seeds": [1000], "scaling": {}}, "choosing learning rates"),
        ({"name": "x", "split": "train", "scaling": {}}, "test or validation"),
        ({"name": "x", "scaling": {"examples": [1], "n_ops": [3, 4]}}, "at least one for each"),
        ({"name": "x", "scaling": {"steps": "3"}}, "steps must be int"),
        ({"name": "x", "scaling": {"examples": [4096], "steps": 2}}, "fewer than"),
        ({"name": "x", "orders": {"n_ops": [3], "longer_n_ops": [3]}}, "above n_ops"),
        ({"name": "x", "repetition": {"epochs": [0]}}, "at least 1"),
        ({"name": "x", "scaling": 3}, "a table"),
        (
            {"name": "x", "widths": {}},
            "unknown table 'widths' in a study; tables are scaling, .*; settings",
        ),
        ({"name": "x", "task": "ring", "scaling": {}}, "unknown task"),
        ({"name": "x", "task": "tree", "orders": {}}, "task 'tree' has no order 'backward'; its orders are forward"),
    ):
        with pytest.raises(ValueError, match=message):
            make_spec(settings)


def test_more_examples_than_there_are_structures_are_found_before_anything_runs():
    few = make_spec({"name": "x", "scaling": {"n_ops": [2], "examples": [16, 350], "steps": 60}})
    assert few.cells()
    with pytest.raises(ValueError, match=r"n_ops=2 has 3\d\d training structures"):
        make_spec({"name": "x", "scaling": {"n_ops": [2], "examples": [16, 400], "steps": 60}}).cells()


def test_a_cell_is_keyed_by_everything_its_result_depends_on(spec):
    cells = spec.cells()
    assert len({cell.digest for cell in cells}) == len(cells) == 4
    assert [c.digest for c in spec.cells()] == [c.digest for c in cells]
    assert cells[0].model_digest != "hub"


def test_claims_are_exclusive_and_results_are_stored_once(spec, tmp_path):
    store = Store.create(tmp_path, spec, {})
    first, second = store.claim("here:1"), store.claim("here:2")
    assert first.digest != second.digest
    result = result_of(step=1)
    assert not store.finish(first.digest, "here:2", result, 1.0)  # Not its claim.
    assert store.finish(first.digest, "here:1", result, 1.0)
    assert not store.finish(first.digest, "here:1", result_of(step=2), 1.0)  # Already done.
    assert [c.result for c in store.read().cells if c.status == "done"] == [result]
    assert store.counts() == {"done": 1, "pending": 2, "running": 1}


def test_a_study_that_may_not_be_written_is_read_all_the_same(spec, tmp_path, monkeypatch):
    store = Store.create(tmp_path, spec, {"a": 1})
    counts, files = store.counts(), sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr("zipthought.study.store.os.access", lambda path, mode: False)
        reading = Store.open(tmp_path)
        assert reading.counts() == counts
        assert reading.read().meta["environment"] == {"a": 1}
        assert sorted(tmp_path.iterdir()) == files
        with pytest.raises(ValueError, match="readonly"):
            reading.retry_failed()
        with contextlib.closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as db:
            # Someone else is at it, with a log beside the file.
            db.execute("UPDATE meta SET value = '{\"a\": 2}' WHERE key = 'environment'")
            assert (tmp_path / "study.db-wal").exists()
            assert reading.read().meta["environment"] == {"a": 2}
    assert store.counts() == counts


def test_a_study_names_every_machine_that_had_cells_to_run(spec, tmp_path):
    here = {"processor": "A", "cores": 2, "torch": "2", "command": "zipthought study run mine"}
    there = {"processor": "B", "cores": 16, "gpu": "C", "torch": "2", "command": "zipthought study run mine"}
    store = Store.create(tmp_path, spec, here)
    store = Store.create(tmp_path, spec, here | {"command": "zipthought study run mine --workers 4"})
    assert notes(store.read()) == []
    # A version that records more of the same machine.
    assert notes(Store.create(tmp_path, spec, here | {"gpu": "none"}).read()) == []
    store = Store.create(tmp_path, spec, there)
    while cell := store.claim("there:1"):
        assert store.finish(cell.digest, "there:1", result_of(step=1), 1.0)
    named = ["The cells ran on 2 machines or versions, one after the other: A, 2 cores, torch 2; B, 16 cores, C."]
    assert notes(store.read()) == named
    store = Store.create(tmp_path, spec, here | {"processor": "D"})  # Nothing is left to run.
    assert notes(store.read()) == named
    assert store.read().meta["environment"] == here


def test_a_cell_is_given_up_after_its_attempts_and_can_be_tried_again(spec, tmp_path):
    store = Store.create(tmp_path, spec, {})
    for _ in range(MAX_ATTEMPTS * len(spec.cells())):
        assert store.counts() != {"failed": 4}
        cell = store.claim("here:1")
        store.fail(cell.digest, "here:1", Reason.of(OSError("no")))
    assert store.counts() == {"failed": 4}
    store.retry_failed()
    assert store.counts() == {"pending": 4}


def test_cells_of_dead_workers_are_released(spec, tmp_path):
    store = Store.create(tmp_path, spec, {})
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = os.uname().nodename
    store.claim(f"{host}:{gone.pid}")
    alive = store.claim(f"{host}:{os.getpid()}")
    assert store.release_dead() == 1
    assert store.counts() == {"pending": 3, "running": 1}
    assert alive.digest in {c.digest for c in store.read().cells if c.status == "running"}


def test_another_study_in_the_same_directory_is_refused(spec, tmp_path):
    Store.create(tmp_path, spec, {})
    Store.create(tmp_path, spec, {})
    with pytest.raises(ValueError, match="other settings"):
        Store.create(tmp_path, make_spec({"name": "other", "scaling": SCALING}), {})
    more = make_spec({"name": "small", "model": spec.model, "seeds": [0, 1], "scaling": SCALING})
    assert Store.create(tmp_path, more, {}).counts() == {"pending": 8}  # A study may grow.
    assert Store.open(tmp_path).read().spec == more
    with pytest.raises(ValueError, match="other settings"):
        Store.create(tmp_path, spec, {})
    with pytest.raises(ValueError, match="holds no study"):
        Store.open(tmp_path / "nowhere")


def _toml(spec, **tables):
    lines = [f"{key} = {json.dumps(getattr(spec, key))}" for key in ("name", "model", "bootstrap")]
    for name, table in (tables or {"scaling": SCALING}).items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines)


@pytest.mark.long
def test_a_study_killed_in_the_middle_ends_as_the_undisturbed_one(spec, tmp_path):
    """The runner and its workers are killed with -9; the next run finishes, nothing is lost and nothing is twice."""
    file, cut = tmp_path / "small.toml", tmp_path / "cut"
    file.write_text(_toml(spec))
    study = ["study", "run", str(file), "--output-dir", str(cut), "--workers", "1"]
    run = [sys.executable, "-m", "zipthought.cli", *study]
    killed = subprocess.Popen(run, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        # Not through the store, which the command may be making at this moment.
        if any((cut / "completions").glob("*.test.parquet")):
            break
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert Store.open(cut).counts() != {"done": 4}
    again = subprocess.run([*run, "--json"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert summary["cells"] == {"done": 4}
    assert summary["findings"][0]["id"] == "F1"
    assert "F1" in (cut / "report.html").read_text()
    assert results(Store.open(cut)) == results(run_here(Store.create(tmp_path / "whole", spec, {})))


def test_the_time_left_goes_by_cells_of_the_same_base():
    spec = make_spec({"name": "x", "scaling": {**SCALING, "examples": [4], "models": ["bundled-deep"]}})
    first, second, slow, slower = spec.cells()
    assert (first.model, slow.model) == ("bundled", "bundled-deep")

    def stored(cell, seconds):
        return StoredCell(cell.digest, cell, "done" if seconds else "pending", seconds, None, None)

    assert seconds_left([stored(first, None)]) is None
    assert seconds_left([stored(first, 10.0), stored(second, None), stored(slow, None)]) == 20
    assert seconds_left([stored(first, 10.0), stored(second, None), stored(slow, 30.0), stored(slower, None)]) == 40


def test_ctrl_c_stops_the_workers_and_loses_nothing(spec, tmp_path):
    file, out = tmp_path / "small.toml", tmp_path / "out"
    file.write_text(_toml(spec, scaling={**SCALING, "steps": 2000}))
    command = [sys.executable, "-m", "zipthought.cli", "study", "run", str(file), "--output-dir", str(out)]
    running = subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # A shell's background job, as the tests may be, ignores the signal, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(ValueError):  # The command is making the store at this moment.
            if Store.open(out).counts().get("running"):
                break
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)  # As a terminal does: to the runner and its workers.
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert b"interrupted" in said
    store = Store.open(out)
    assert store.counts() == {"pending": 4}
    with store._connect() as db:  # Stopping is no failed attempt.
        assert db.execute("SELECT SUM(attempts) FROM cells").fetchone() == (0,)
    deadline = time.monotonic() + 20
    while _group_lives(running.pid) and time.monotonic() < deadline:  # Python's resource tracker goes last.
        time.sleep(0.1)
    assert not _group_lives(running.pid)


def _group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_cell_that_fails_is_reported_with_those_that_wait_for_it(spec, tmp_path, capsys, in_process):
    base = shutil.copytree(spec.model, tmp_path / "base")
    (base / "model.safetensors").write_bytes(b"cut")
    file, out = tmp_path / "small.toml", tmp_path / "out"
    table = {**SCALING, "examples": [4], "learning_rates": [1e-3, 2e-3]}
    file.write_text(_toml(replace(spec, model=str(base)), scaling=table))
    assert main(["study", "run", str(file), "--output-dir", str(out), "--keep-going"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "deserializing" in said
    assert "2 cells wait for one that failed" in said
    assert Store.open(out).counts() == {"failed": 4, "pending": 2}
