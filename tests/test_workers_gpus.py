"""Which GPU each local worker gets. No GPU is needed: workers only see the environment variable."""

import os
import sys
from types import SimpleNamespace

import pytest
from seen_devices import write_devices

from zipthought.study import devices, runner
from zipthought.study.devices import VISIBLE, default_workers, devices_of, listed_devices, only, visible_devices
from zipthought.study.execution import CellExecution


@pytest.mark.parametrize(
    ("worker", "visible", "expected"),
    [
        (0, ("0", "1"), "0"),
        (1, ("0", "1"), "1"),
        (2, ("0", "1"), "0"),  # More workers than GPUs: in turn.
        (5, ("4", "6", "7"), "7"),  # Indices of the machine, not of the list.
        (1, ("GPU-8f1", "GPU-2c4"), "GPU-2c4"),
        (3, ("2",), "2"),
        (3, (), None),
    ],
)
def test_a_worker_gets_one_of_the_visible_devices(worker, visible, expected):
    assert devices_of(worker, visible) == expected


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, None),
        ("", ()),
        ("-1", ()),
        ("0", ("0",)),
        ("3, 1", ("3", "1")),
        ("0,1,-1,2", ("0", "1")),  # CUDA reads up to the first that is invalid.
        ("0,,1", ("0",)),
        ("GPU-8f1-a,MIG-GPU-2/1/0", ("GPU-8f1-a", "MIG-GPU-2/1/0")),
    ],
)
def test_the_variable_is_read_as_cuda_reads_it(value, names):
    assert listed_devices(value) == names


@pytest.mark.parametrize(
    ("value", "count", "visible"),
    [
        (None, 0, ()),
        (None, 3, ("0", "1", "2")),
        ("3,5", 2, ("3", "5")),
        ("0,1,2,3", 2, ("0", "1")),  # A machine of two GPUs: a worker with another index would compute on the CPU.
        ("GPU-8f1,GPU-2c4", 2, ("GPU-8f1", "GPU-2c4")),
        ("MIG-a,MIG-b", 1, ("MIG-a", "MIG-b")),
        ("MIG-a,MIG-b", 0, ()),
        ("NoDevFiles", 0, ()),
    ],
)
def test_the_visible_devices_are_those_that_exist(value, count, visible, monkeypatch):
    monkeypatch.setattr(devices, "_count", lambda: count)
    monkeypatch.delenv(VISIBLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VISIBLE, value)
    assert visible_devices() == visible


@pytest.mark.parametrize(("build", "count"), [("2.13.0+cpu", 0), ("2.13.0+cu130", 4), ("2.13.0", 4)])
def test_torch_counts_and_is_not_asked_where_it_has_no_gpus(build, count, monkeypatch):
    monkeypatch.setattr(devices, "version", lambda package: build)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(device_count=lambda: 4)))
    assert devices._count() == count


def test_without_a_number_there_is_a_worker_for_each_of_several_gpus():
    assert default_workers(("0", "1", "2")) == 3
    assert default_workers(("0",)) == default_workers(()) == (os.cpu_count() or 1)


def test_workers_whose_cells_have_several_processes_get_as_many_gpus():
    visible = ("0", "1", "2", "3", "4")
    assert [devices_of(worker, visible, 2) for worker in range(3)] == ["0,1", "2,3", "0,1"]
    assert devices_of(0, (), 2) is None
    assert default_workers(visible, 2) == 2
    assert default_workers(("0", "1"), 4) == 1
    with pytest.raises(ValueError, match="a cell of 4 processes needs 4 GPUs, and 2 can be used here"):
        devices_of(0, ("0", "1"), 4)


@pytest.mark.parametrize("before", [None, "0,1"])
def test_the_variable_of_this_process_is_restored(before, monkeypatch):
    monkeypatch.delenv(VISIBLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VISIBLE, before)
    with only(None):
        assert os.environ.get(VISIBLE) == before
    with pytest.raises(KeyError, match="1"), only("1"):
        raise KeyError(os.environ[VISIBLE])
    assert os.environ.get(VISIBLE) == before


@pytest.fixture
def pool_of(tmp_path, monkeypatch):
    """A pool whose workers say what they see."""
    monkeypatch.setattr(runner, "_work", write_devices)
    store = SimpleNamespace(directory=tmp_path, counts=lambda: {"pending": 9})

    def pool(workers, visible):
        monkeypatch.setattr(runner, "visible_devices", lambda: visible)
        return runner._Pool(store, workers, (str(tmp_path), 1, CellExecution(), 0.0, 3))

    return pool


def seen_by(pool, directory):
    """What the workers that run now see, in the order of their numbers."""
    processes = pool.processes
    for process in processes:
        process.join()
    return [(directory / str(process.pid)).read_text() for process in processes]


def test_spawned_workers_see_their_gpus_from_their_first_import_on(pool_of, tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "4,GPU-2c4")
    pool = pool_of(3, ("4", "GPU-2c4"))
    pool.fill(9)
    assert seen_by(pool, tmp_path) == ["4 4", "GPU-2c4 GPU-2c4", "4 4"]
    assert os.environ[VISIBLE] == "4,GPU-2c4"


def test_a_worker_that_replaces_another_has_its_gpu(pool_of, tmp_path):
    pool = pool_of(0, ("0", "1", "2"))
    pool.fill(2)
    pool.processes[0].join()
    pool._numbered = {1: pool.processes[1]}  # The first has ended, and the second has not.
    pool.fill(1)
    second, new = seen_by(pool, tmp_path)
    assert (second, new) == ("1 1", "0 0")
    pool.drop_ended()
    assert pool.processes == []
    pool.fill(9)
    assert len(seen_by(pool, tmp_path)) == 3


@pytest.mark.parametrize("value", [None, "", "7"])
def test_without_gpus_the_variable_is_left_alone(pool_of, tmp_path, monkeypatch, value):
    monkeypatch.delenv(VISIBLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VISIBLE, value)
    pool = pool_of(1, ())
    pool.fill(1)
    assert seen_by(pool, tmp_path) == [f"{value} {value}"]
