"""How weights and files go to the nodes of a cluster and back, with a stand-in for Ray that runs tasks at once."""

import pickle
import sys
import weakref
from collections import Counter
from types import SimpleNamespace

import pytest
from small_study import job_of, results
from synthetic_study import finished_study, made_up

from zipthought.study import node, ray_backend
from zipthought.study.node import Outcome, collect, run_job
from zipthought.study.spec import make_spec
from zipthought.study.store import Store
from zipthought.study.workspace import Workspace

SEEDS, DEPENDENTS = 3, 4
"""Each seed has one cell that keeps weights, and this many that start from them."""
SPEC = {
    "name": "states", "model": "bundled", "bootstrap": 10, "seeds": list(range(SEEDS)),
    "decomposition": {
        "sft_steps": [2], "examples": 8, "sft_batch_size": 4, "n_ops": [2], "longer_n_ops": [3], "rl_steps": 2,
        "prompts_per_step": 2, "group_size": 2, "measure_every": 1, "count": 3, "samples": 1, "sampled": 1,
    },
}  # fmt: skip


class RayError(Exception):
    """The base of Ray's own errors."""


class FakeRay:
    """The part of Ray's interface that the backend uses. A task runs when its result is asked for, and what it receives
    and returns is pickled."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self):
        self.puts = Counter()
        """Digest -> how often its weights were put."""
        self.fetches = 0
        self.most_held = 0
        """The largest number of objects that were referred to at once."""
        self.lose = False
        """Whether the next object is lost as soon as it is put."""
        self._objects = []
        self._held = weakref.WeakSet()

    def init(self, **_):
        pass

    def shutdown(self):
        pass

    def cancel(self, reference, force):
        pass

    def cluster_resources(self):
        return {"CPU": 2}

    def remote(self, **_):
        return lambda function: SimpleNamespace(remote=lambda *arguments: Task(function, pickle.dumps(arguments)))

    def wait(self, references, timeout):
        return references[:1], references[1:]

    def put(self, packed):
        (digest,) = {name.split("/")[1] for name in packed}
        self.puts[digest] += 1
        self._objects.append(None if self.lose else pickle.dumps(packed))
        self.lose = False
        reference = Object(len(self._objects) - 1)
        self._held.add(reference)
        self.most_held = max(self.most_held, len(self._held))
        return reference

    def get(self, reference):
        if isinstance(reference, Task):
            return pickle.loads(pickle.dumps(reference.function(*pickle.loads(reference.arguments))))
        self.fetches += 1
        if self._objects[reference.number] is None:
            raise RayError("the object is lost")
        return pickle.loads(self._objects[reference.number])


class Task:
    """The reference of a task."""

    def __init__(self, function, arguments):
        self.function, self.arguments = function, arguments


class Object:
    """The reference of an object."""

    def __init__(self, number):
        self.number = number


def weights(workspace, cell):
    """State -> file -> bytes of the weights that a cell needs."""
    states = [needed for needed in cell.needs() if needed.keeps_weights]
    return {s.digest: {p.name: p.read_bytes() for p in workspace.weight_files(s.digest)} for s in states}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study, finished on this machine."""
    return finished_study(tmp_path_factory.mktemp("whole"), make_spec(SPEC))


@pytest.fixture
def ray(monkeypatch, whole):
    """A cluster whose cells are made up. A cell that starts from weights must find the right bytes."""
    fake = FakeRay()

    def execute(cell, workspace, threads):
        found = weights(workspace, cell)
        assert all(found.values()) or not found
        assert found == weights(whole.workspace(), cell)
        return made_up(cell, workspace)

    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(node, "execute", execute)
    return fake


def files(directory):
    """Name -> bytes of the files of finished cells, and of whatever is left besides."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.startswith("study.db")
    }


def run(directory, whole):
    store = Store.create(directory, make_spec(SPEC), {})
    counts = ray_backend.run(store)
    assert counts == {"done": len(make_spec(SPEC).cells())}, store.failures()
    assert store.failures() == []
    assert results(store) == results(whole)
    assert files(directory) == files(whole.directory)
    assert not [path for path in directory.rglob("*") if path.is_symlink()]
    return store


def test_where_nodes_see_the_study_nothing_is_packed(ray, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(Workspace, "pack", None)
    monkeypatch.setattr(Workspace, "unpack", None)
    run(tmp_path, whole)
    assert (ray.puts, ray.fetches) == ({}, 0)


def test_else_weights_are_put_once_for_all_cells_that_need_them(ray, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(node, "_seen", lambda job, cell: None)
    run(tmp_path, whole)
    states = {cell.digest for cell in make_spec(SPEC).cells() if cell.keeps_weights}
    assert ray.puts == dict.fromkeys(states, 1)
    assert ray.fetches == SEEDS * DEPENDENTS
    assert ray.most_held < SEEDS  # Weights that no cell needs any more are let go.


def test_one_node_may_see_the_study_and_another_not(ray, whole, tmp_path, monkeypatch):
    seen, turns = node._seen, iter(range(1000))
    monkeypatch.setattr(node, "_seen", lambda job, cell: seen(job, cell) if next(turns) % 2 else None)
    run(tmp_path, whole)
    assert 0 < ray.fetches < SEEDS * DEPENDENTS


def test_weights_that_ray_has_lost_are_put_again(ray, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(node, "_seen", lambda job, cell: None)
    ray.lose = True
    run(tmp_path, whole)
    assert sorted(ray.puts.values()) == [1] * (SEEDS - 1) + [2]


def test_the_cells_of_a_driver_that_died_on_another_machine_are_waited_for(ray, whole, tmp_path, monkeypatch):
    store = Store.create(tmp_path, make_spec(SPEC), {})
    store.claim("another-machine:1")
    monkeypatch.setattr("zipthought.study.store.STALE_SECONDS", 1.0)  # Its heartbeat is fresh when the run begins.
    monkeypatch.setattr(ray_backend, "POLL_SECONDS", 0.1)
    run(tmp_path, whole)


@pytest.fixture
def dependent(whole, tmp_path, ray):
    """A study in which a cell that starts from weights is next, and this cell."""
    store = Store.create(tmp_path / "study", make_spec(SPEC), {})
    while cell := store.claim("here:1"):
        if weights(store.workspace(), cell):
            return store, cell
        store.finish(cell.digest, "here:1", made_up(cell, store.workspace()), 1.0)
    raise AssertionError


def test_a_directory_of_the_same_name_on_another_machine_is_not_the_study(dependent):
    store, cell = dependent
    job, _ = job_of(store, cell, sees_study=True)
    token = store.workspace().scratch(cell.digest) / "driver"
    assert node._seen(job, cell) == store.directory
    token.write_text("that of another run")
    assert node._seen(job, cell) is None
    token.unlink()
    assert node._seen(job, cell) is None


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_weights_that_are_not_those_of_the_driver_are_asked_for(dependent, damage):
    store, cell = dependent
    _, packed = job_of(store, cell)
    job, nothing = job_of(store, cell, sees_study=True)
    ((names,), (state,)) = job.weights.values(), job.weights
    path = store.directory / next(iter(names))
    content = path.read_bytes()
    # In place of the file, as another program would replace it: the packed bytes are mapped.
    path.unlink()
    if damage == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert run_job(job, nothing).needs_weights
    assert list(packed) == [state]
    assert run_job(job, packed).result is not None


def test_a_file_that_did_not_arrive_whole_is_no_result(dependent):
    store, cell = dependent
    outcome = run_job(*job_of(store, cell, sees_study=True))
    directory = store.workspace().scratch(cell.digest) / outcome.directory
    name = next(iter(outcome.checksums))
    (directory / name).write_bytes((directory / name).read_bytes()[:-1])
    with pytest.raises(RuntimeError, match="arrived with other bytes"):
        collect(store.workspace(), cell, outcome)
    assert store.workspace().files(cell.digest) == []


@pytest.mark.parametrize("name", ["study.db", "completions/../study.db", "/tmp/x", "weights/../../x"])
def test_a_node_writes_no_other_file(dependent, name):
    store, cell = dependent
    before = (store.directory / "study.db").read_bytes()
    outcome = Outcome(directory="finished-x", checksums={name: "0"})
    with pytest.raises(ValueError, match="cannot name a file of a cell"):
        collect(store.workspace(), cell, outcome)
    with pytest.raises(ValueError, match="cannot name a file of a cell"):
        collect(store.workspace(), cell, Outcome(packed={name: b"x"}))
    assert (store.directory / "study.db").read_bytes() == before


def test_an_empty_file_is_packed_and_a_packed_file_is_not_read_before_it_is_used(tmp_path):
    here, there = Workspace(tmp_path / "a"), Workspace(tmp_path / "b")
    with here.new_weights("d1") as directory:
        (directory / "empty").touch()
        (directory / "model.safetensors").write_bytes(b"0" * 1000)
    packed = here.pack(here.weight_files("d1"))
    assert type(packed["weights/d1/model.safetensors"].base).__name__ == "memmap"
    there.unpack(packed)
    assert files(there.root) == files(here.root)
