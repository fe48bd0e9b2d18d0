"""The Ray backend on a cluster of two nodes, one of which is killed during the run."""

import threading
import time

import pytest

from zipthought.study.spec import make_spec
from zipthought.study.store import Store

pytestmark = pytest.mark.integration
pytest.importorskip("ray")


def spec_of(model):
    """Every experiment, as small as it can be: cells that need others, and weights that travel."""
    sft = {"n_ops": [2], "batch_size": 4, "test_count": 3, "train_count": 2}
    return make_spec(
        {
            "name": "ray",
            "model": str(model),
            "bootstrap": 10,
            "seeds": [0, 1],
            "scaling": {
                **sft,
                "formats": ["explicit", "implicit:2"],
                "examples": [4, 8],
                "steps": 2,
                "learning_rates": [1e-3, 1e-2],
                "validation_count": 3,
            },
            "decomposition": {
                "sft_steps": [2],
                "examples": 8,
                "sft_batch_size": 4,
                "n_ops": [2],
                "longer_n_ops": [3],
                "rl_steps": 2,
                "prompts_per_step": 2,
                "group_size": 2,
                "measure_every": 1,
                "count": 3,
                "samples": 1,
                "sampled": 1,
            },
        }
    )


def results(store):
    drop = ("train_seconds",)
    return {c.digest: {k: v for k, v in c.result.items() if k not in drop} for c in store.cells()}


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
