"""Memory in ``zipthought study run --dry-run``, and the table `[execution]` of a study's file."""

import json
from dataclasses import replace

import pytest

from zipthought.cli import main
from zipthought.study.estimate import GPU_MEMORY, estimate, require_fit
from zipthought.study.execute import execute
from zipthought.study.registration import Registration, shipped_registration
from zipthought.study.spec import load_spec, make_spec
from zipthought.study.store import Store, worker_name
from zipthought.train.config import Execution


def test_the_paper_fits_on_a_gpu_of_80_gb_with_the_native_engine(capsys):
    assert main(["study", "run", "paper", "--dry-run", "--json"]) == 0
    experiments = json.loads(capsys.readouterr().out)["experiments"]
    for part in experiments.values():
        states = part["memory"]["states"] / 1e9
        assert 49 < states < 62  # 16 bytes for each of 3.09e9 parameters; RLVR with its reference 20.
        assert part["memory"]["tokens"] > part["memory"]["longest"]
    assert experiments["decomposition"]["memory"]["cache"] > 0
    assert experiments["orders"]["memory"]["cache"] == 0


@pytest.mark.parametrize(
    ("changes", "gpu", "experiment"),
    [
        ({}, 48, "scaling"),
        ({"engine": "trl"}, 80, "decomposition"),  # All rollouts of a step at once.
        ({"execution": {"gradient_checkpointing": "off"}, "model": "Qwen/Qwen2.5-7B"}, 130, "scaling"),
    ],
    ids=["small card", "rollouts of TRL", "larger model"],
)
def test_what_cannot_fit_is_refused_with_a_remedy(changes, gpu, experiment):
    spec = load_spec("paper", changes)
    with pytest.raises(ValueError, match=rf"cells of \[{experiment}\] need about \d+ GB, .* has {gpu}: use the engine"):
        require_fit(estimate(spec, gpu * 1e9), gpu * 1e9)


def test_a_dry_run_of_what_cannot_fit_shows_the_table_and_fails(capsys):
    assert main(["study", "run", "paper", "--dry-run", "--gpu-memory", "48"]) == 2
    captured = capsys.readouterr()
    assert "decomposition" in captured.out
    assert "the GPU has 48" in captured.err


def test_small_studies_have_small_figures_and_other_models_none():
    part = estimate(load_spec("quick"))["scaling"]
    assert part.memory.needed < 0.1e9
    unknown = load_spec("paper", {"model": "someone/model"})
    assert estimate(unknown)["scaling"].memory is None
    require_fit(estimate(unknown), GPU_MEMORY)


def test_execution_is_no_part_of_a_study():
    plain = load_spec("quick")
    other = load_spec("quick", {"execution": {"micro_tokens": 500, "gradient_checkpointing": "on"}})
    assert other.execution == Execution(micro_tokens=500, gradient_checkpointing="on")
    assert other == plain
    assert other.plain() == plain.plain()
    assert [cell.digest for cell in other.cells()] == [cell.digest for cell in plain.cells()]
    assert Registration.of(other).cells == shipped_registration("quick").cells


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"micro_batch": 4}, r"unknown setting 'micro_batch' in \[execution\]; settings are attention, "),
        ({"micro_tokens": -1}, "micro_tokens must be at least 0"),
        ({"gradient_checkpointing": "maybe"}, "must be auto, on or off"),
    ],
)
def test_wrong_settings_of_execution_are_refused(table, says):
    settings = {"name": "x", "scaling": {"formats": ["explicit"], "examples": [8], "n_ops": [1]}, "execution": table}
    with pytest.raises(ValueError, match=says):
        make_spec(settings)


def test_the_cells_of_a_study_run_as_its_execution_says(tmp_path, monkeypatch):
    seen = []

    def take(self, attempt, rows, width):
        seen.append((self.limit, rows))
        return attempt(max(1, self.limit // width))

    monkeypatch.setattr("zipthought.train.fitting.Fitting.run", take)
    table = {"formats": ["explicit"], "examples": [8], "n_ops": [1], "steps": 1, "batch_size": 8, "test_count": 2}
    spec = make_spec({"name": "x", "scaling": table, "execution": {"micro_tokens": 90}})
    store = Store.create(tmp_path, spec, {})
    worker = worker_name()
    while cell := store.claim(worker):
        workspace = replace(store.workspace(cell), execution=spec.execution)
        store.finish(cell.digest, worker, execute(cell, workspace, 1), 1.0)
    assert seen == [(90, 8)]
    assert Store.open(tmp_path).read().spec.execution == Execution()  # A store does not hold it.
