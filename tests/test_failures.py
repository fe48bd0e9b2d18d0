"""Failures of cells: shown at once, counted by kind, retried where that may help, and alike ones end a study."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from small_study import result_of

from zipthought.cli import main
from zipthought.core.registry import PluginError
from zipthought.study import runner
from zipthought.study.failures import (
    DIED,
    Failure,
    FailureWatch,
    Reason,
    RepeatedFailureError,
    failures_of,
    kind_of,
)
from zipthought.study.report import warnings
from zipthought.study.spec import make_spec
from zipthought.study.store import MAX_ATTEMPTS, Store

SETTINGS = {
    "name": "small", "bootstrap": 20, "seeds": [0, 1],
    "scaling": {
        "formats": ["explicit", "implicit:2"], "examples": [4, 8], "n_ops": [1], "steps": 2, "batch_size": 4,
        "before": False, "test_count": 2, "train_count": 2,
    },
}  # fmt: skip
CELLS = 8


def spec_of(model):
    return make_spec(SETTINGS | {"model": str(model)})


@pytest.fixture
def store(tiny_base, tmp_path):
    return Store.create(tmp_path / "study", spec_of(tiny_base), {})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cell 0123456789abcdef: 12 of 30", "cell fedcba9876543210: 7 of 31"),
        ("object at 0x7f3a00", "object at 0x7f3bff"),
        ("Request ID: 1a2b3c4d-0000-4000-8000-0123456789ab", "Request ID: 9f8e7d6c-1111-4abc-9def-ba9876543210"),
        ("2.50 GiB of memory", "17 GiB of memory"),
    ],
)
def test_errors_that_differ_in_numbers_and_digests_are_one_kind(first, second):
    assert kind_of(f"OSError: {first}") == kind_of(f"OSError: {second}")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ValueError: no model at 'a/b'", "OSError: no model at 'a/b'"),
        ("ValueError: unknown format 'zip'", "ValueError: unknown format 'zap'"),
        ("ValueError: a decade", "ValueError: a facade"),  # Hexadecimal digits, but words.
    ],
)
def test_other_errors_are_other_kinds(first, second):
    assert kind_of(first) != kind_of(second)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        *((kind("no"), 1) for kind in (ValueError, TypeError, ImportError, KeyError, AttributeError, AssertionError)),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "no"), 1),
        (ZeroDivisionError("no"), 1),
        (PluginError("no"), 1),
        *((kind("no"), MAX_ATTEMPTS) for kind in (OSError, ConnectionError, RuntimeError)),  # Network, memory.
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_that_another_attempt_cannot_mend_is_not_retried(store, error, attempts):
    claims = Counter()
    while cell := store.claim("here:1"):
        claims[cell.digest] += 1
        store.fail(cell.digest, "here:1", Reason.of(error))
    assert set(claims.values()) == {attempts}
    assert store.counts() == {"failed": CELLS}


def test_a_cell_that_failed_comes_after_those_that_were_not_tried(store):
    claims = []
    for _ in range(2 * CELLS):
        cell = store.claim("here:1")
        claims.append(cell.digest)
        store.fail(cell.digest, "here:1", Reason.of(OSError("no")))
    assert claims == 2 * [cell.digest for cell in store.read().cells]


def test_an_error_is_one_line(store):
    assert Reason.of(OSError("no network\n  at all")).error == "OSError: no network at all"


def test_failures_are_counted_by_kind(store):
    cells = [cell.config for cell in store.read().cells]
    rows = [
        (cells[0], "failed", "ValueError: 1 of 2"),
        (cells[1], "pending", "OSError: no network"),
        (cells[2], "pending", None),
        (cells[3], "running", "ValueError: 3 of 4"),
        (cells[4], "pending", DIED),  # It is tried again.
        (cells[5], "failed", DIED),
    ]
    found = [(failure.error, failure.cells, failure.digest) for failure in failures_of(rows)]
    assert found == [
        ("ValueError: 1 of 2", 2, cells[0].digest),
        ("OSError: no network", 1, cells[1].digest),
        (DIED, 1, cells[5].digest),
    ]


def test_a_report_names_each_error_once(store):
    while cell := store.claim("here:1"):
        store.fail(cell.digest, "here:1", Reason.of(ValueError("no model")))
    names = [cell.name for cell in store.read().cells]
    assert warnings(store.read())[-1] == (
        f"Failed: {'; '.join(names[:3])}, and {len(names) - 3} more: ValueError: no model."
    )


def failure(error, cells):
    return Failure(error=error, cells=cells, digest="0" * 16, label="explicit", seed=1)


def test_the_first_failure_of_a_kind_is_reported_once_and_many_end_the_run():
    reported = []
    watch = FailureWatch(3, reported.append)
    first, other = failure("ValueError: 1", 1), failure("OSError: no", 2)
    watch.check([])
    watch.check([first])
    watch.check([failure("ValueError: 2", 2), other])
    assert reported == [first, other]
    with pytest.raises(RepeatedFailureError, match=r"3 cells failed .* cell 0{16} \(explicit, seed 1\).*ValueError"):
        watch.check([failure("ValueError: 3", 3)])
    FailureWatch(0, None).check([failure("ValueError: 3", 10**6)])
    with pytest.raises(ValueError, match="at least 0"):
        FailureWatch(-1, None)


def test_a_mended_failure_and_those_of_an_earlier_run_are_forgotten(store):
    first, second = store.claim("here:1"), store.claim("here:1")
    for cell in (first, second):
        store.fail(cell.digest, "here:1", Reason.of(OSError("no")))
    assert [f.cells for f in store.failures()] == [2]
    while (cell := store.claim("here:1")).digest != first.digest:
        pass
    assert store.finish(first.digest, "here:1", result_of(step=1), 1.0)
    assert [f.digest for f in store.failures()] == [second.digest]
    store.begin()
    assert store.failures() == []
    assert "failed" not in store.counts()


def test_a_worker_that_dies_again_and_again_is_a_failure(store):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    worker = f"{os.uname().nodename}:{gone.pid}"
    cells = [cell.config for cell in store.read().cells]
    for attempt in range(MAX_ATTEMPTS):
        assert [f.error for f in store.failures()] == []
        while store.claim(worker):
            pass
        assert store.release_dead() == len(cells), attempt
    assert [(f.error, f.cells) for f in store.failures()] == [(DIED, len(cells))]


def test_status_shows_each_kind_of_error_with_its_cells(store, capsys):
    errors = ["ValueError: 1 of 2", "ValueError: 2 of 2", "OSError: no network"]
    failed = []
    for error in errors:
        failed.append(store.claim("here:1"))
        store.fail(failed[-1].digest, "here:1", Reason(error, final=True))
    assert main(["study", "status", str(store.directory), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["errors"] == [
        {"error": error, "cells": count, "digest": cell.digest, "cell": cell.label, "seed": cell.seed}
        for error, count, cell in ((errors[0], 2, failed[0]), (errors[2], 1, failed[2]))
    ]
    assert main(["study", "status", str(store.directory)]) == 0
    shown = capsys.readouterr().out
    assert "2 cells failed: ValueError: 1 of 2" in shown
    assert failed[0].digest in shown


@pytest.mark.long
def test_a_study_stops_after_equal_failures_and_goes_on_when_the_cause_is_gone(store, tiny_base):
    weights = tiny_base / "model.safetensors"
    whole, reported = weights.read_bytes(), []
    weights.write_bytes(b"cut")
    try:
        with pytest.raises(RepeatedFailureError) as stopped:
            runner.run(store, workers=1, max_equal_failures=2, on_failure=reported.append, poll_seconds=0.05)
    finally:
        weights.write_bytes(whole)
    assert stopped.value.failure.cells == 2
    assert [failure.digest for failure in reported] == [store.read().cells[0].digest]
    assert set(store.counts()) <= {"pending", "failed"}
    store.begin()
    assert store.counts() == {"pending": CELLS}


@pytest.mark.long
@pytest.mark.parametrize(("flags", "failed"), [([], 3), (["--keep-going"], CELLS)])
def test_a_study_of_a_model_that_cannot_be_fetched(tmp_path, monkeypatch, capsys, flags, failed):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    file, out = tmp_path / "small.toml", tmp_path / "out"
    lines = [f"{name} = {json.dumps(value)}" for name, value in SETTINGS.items() if name != "scaling"]
    table = [f"{name} = {json.dumps(value)}" for name, value in SETTINGS["scaling"].items()]
    file.write_text("\n".join([*lines, 'model = "nobody/nothing"', "[scaling]", *table]))
    assert main(["study", "run", str(file), "--output-dir", str(out), "--workers", "1", *flags]) == 1
    said, first = capsys.readouterr().err, Store.open(out).read().cells[0]
    stopped = failed < CELLS
    assert said.startswith(f"{first.name} failed: ValueError: cannot load the model 'nobody/nothing'")
    assert said.count(" failed: ValueError") == (1 if stopped else 2)  # Again in the summary of a whole run.
    assert (f"stopped, because {failed} cells failed in the same way" in said) == stopped
    assert ("--keep-going to try all cells:\n  zipthought" in said) == stopped
    assert (f"\n{failed} cells failed: ValueError" in said) == (not stopped)
    assert Store.open(out).counts() == {"failed": failed} | ({"pending": CELLS - failed} if stopped else {})
    assert main(["study", "status", str(out), "--json"]) == 0
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert (error["cells"], error["digest"]) == (failed, first.digest)


def test_a_limit_of_no_failures_is_refused(tmp_path, capsys):
    assert main(["study", "run", "quick", "--output-dir", str(tmp_path / "out"), "--max-equal-failures", "0"]) == 2
    assert "--max-equal-failures must be at least 1, got 0; or use --keep-going" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
