"""The Ray backend on a cluster of two nodes, one of which is killed during the run, and without a shared directory."""

import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from small_study import results, spec_of

from zipthought.study.spec import make_spec
from zipthought.study.store import Store
from zipthought.train.checkpoint import read_checkpoint

pytestmark = pytest.mark.integration
pytest.importorskip("ray")


def test_a_node_killed_during_the_run_loses_nothing(tiny_base, tmp_path):
    from ray.cluster_utils import Cluster

    from zipthought.study import ray_backend, runner

    spec = spec_of(tiny_base)
    local = Store.create(tmp_path / "local", spec, {})
    assert set(runner.run(local, workers=2)) == {"done"}

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    store = Store.create(tmp_path / "ray", spec, {})
    killed = threading.Event()

    def kill_when_both_work():
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            counts = store.counts()
            if counts.get("done", 0) >= 2 and counts.get("running", 0) == 2:
                cluster.remove_node(second, allow_graceful=False)
                killed.set()
                return
            time.sleep(0.05)

    killer = threading.Thread(target=kill_when_both_work)
    killer.start()
    try:
        counts = ray_backend.run(store, address=cluster.address)
    finally:
        killer.join()
        cluster.shutdown()
    assert killed.is_set()
    assert counts == {"done": len(spec.cells())}
    assert results(store) == results(local)


def test_a_cell_killed_with_its_node_goes_on_at_its_checkpoint(tiny_base, tmp_path):
    from ray.cluster_utils import Cluster

    from zipthought.study import ray_backend, runner

    table = {"formats": ["explicit"], "examples": [64], "n_ops": [2], "steps": 60, "batch_size": 32, "test_count": 3}
    scaling = {**table, "train_count": 2, "learning_rates": [1e-3], "before": False}
    spec = make_spec({"name": "two", "model": str(tiny_base), "bootstrap": 10, "seeds": [0, 1], "scaling": scaling})
    local, store = (Store.create(tmp_path / name, spec, {}) for name in ("local", "ray"))
    assert runner.run(local, workers=2) == {"done": 2}
    checkpoints = [store.workspace().scratch(cell.digest) / "checkpoint.pt" for cell in spec.cells()]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    first, _ = (cluster.add_node(num_cpus=1) for _ in range(2))  # A cell on each of them.
    seen, killed, ended = [[], []], [], threading.Event()

    def watch():
        while not ended.is_set():
            for steps, checkpoint in zip(seen, checkpoints, strict=True):
                with suppress(OSError):  # The cell has not begun, or is done.
                    steps.append(read_checkpoint(checkpoint, torch.device("cpu"))["step"])
            if not killed and all(steps and 20 <= steps[-1] < 60 for steps in seen):
                cluster.remove_node(first, allow_graceful=False)
                killed.append([steps[-1] for steps in seen])
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        counts = ray_backend.run(store, address=cluster.address, checkpoint_seconds=0)
    finally:
        ended.set()
        watcher.join()
        cluster.shutdown()
    assert (counts, len(killed)) == ({"done": 2}, 1)
    assert seen == [sorted(steps) for steps in seen], "a cell that starts again would be at its first step"
    with store._connect() as db:
        assert sorted(db.execute("SELECT attempts FROM cells")) == [(1,), (2,)]
    assert results(store) == results(local)


def test_a_cell_of_several_processes_needs_as_many_gpus(tiny_base, tmp_path):
    from zipthought.study import ray_backend
    from zipthought.study.execution import CellExecution

    store = Store.create(tmp_path, spec_of(tiny_base), {})
    with pytest.raises(ValueError, match="a cell has 4 processes with a GPU each, got --gpus 1"):
        ray_backend.run(store, gpus=1, execution=CellExecution(processes=4))


@pytest.mark.parametrize("shared", [True, False])
def test_weights_go_by_path_or_through_the_object_store(tiny_base, tmp_path, monkeypatch, shared):
    import ray

    from zipthought.study import ray_backend

    spec = replace(spec_of(tiny_base), seeds=(0,))
    spec = replace(spec, experiments={"decomposition": spec.experiments["decomposition"]})
    put, digests = ray.put, []

    def counted(packed):
        digests.extend({name.split("/")[1] for name in packed})
        return put(packed)

    monkeypatch.setattr(ray, "put", counted)
    if not shared:
        monkeypatch.setattr(ray_backend, "mark", lambda *_: None)  # Nodes find no token, as on another machine.
    store = Store.create(tmp_path, spec, {})
    assert ray_backend.run(store) == {"done": len(spec.cells())}, store.failures()
    states = [cell.digest for cell in spec.cells() if cell.keeps_weights]
    assert digests == ([] if shared else states)
    assert all(cell.fault == "" for cell in store.read().cells)
