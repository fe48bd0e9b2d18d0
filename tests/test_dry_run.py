"""Memory in ``zipthought study run --dry-run``, and the table `[execution]` of a study's file."""

import json
from dataclasses import replace

import pytest
from small_study import spec_of

from zipthought.cli import main
from zipthought.study.estimate import GPU_MEMORY, Disk, estimate, require_fit
from zipthought.study.execute import execute
from zipthought.study.execution import CellExecution
from zipthought.study.models import count_parameters
from zipthought.study.registration import Registration, shipped_registration
from zipthought.study.spec import load_spec, make_spec
from zipthought.study.store import Store, worker_name
from zipthought.study.workspace import Workspace


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


def test_the_disk_of_a_study_is_that_of_its_files(capsys):
    assert main(["study", "run", "paper", "--dry-run", "--json", "--workers", "4"]) == 0
    made = json.loads(capsys.readouterr().out)
    parts, disk, parameters = {n: p["disk"] for n, p in made["experiments"].items()}, made["disk"], 3_090_000_000
    assert parts["scaling"]["weights"] == parts["orders"]["weights"] == 0
    assert parts["decomposition"]["weights"] == disk["weights"] == 9 * 4 * parameters  # Three formats, three seeds.
    assert disk["checkpoint"] == 12 * parameters  # Weights and the two moments of AdamW.
    assert disk["completions"] == pytest.approx(sum(part["completions"] for part in parts.values()))
    assert 0 < disk["completions"] < 1e9
    kept = disk["weights"] + disk["completions"]
    assert disk["peak"] == pytest.approx(kept + 4 * 2 * disk["checkpoint"])  # The old one and the new one.
    assert disk["workers"] == 4
    assert disk["free"] > 0


def test_checkpoints_hold_the_best_and_the_averaged_weights_too():
    def checkpoint(**settings):
        table = {"formats": ["explicit"], "examples": [8], "n_ops": [1], "steps": 8, "batch_size": 8, **settings}
        spec = make_spec({"name": "x", "model": "org/model", "parameters": 1000, "scaling": table})
        return estimate(spec)["scaling"].disk.checkpoint / 1000

    assert checkpoint() == 12
    assert checkpoint(points=2) == 16
    assert checkpoint(points=2, converge=True) == 20
    trl = make_spec({**load_spec("paper").plain(), "engine": "trl"})
    assert estimate(trl)["scaling"].disk.checkpoint == 4 * trl.parameters  # It writes the trained model alone.


def test_the_peak_counts_the_largest_checkpoints_of_as_many_cells_as_run():
    disk = Disk(weights=100, completions=10, checkpoints=(5, 3, 1))
    assert [disk.peak(workers) for workers in (1, 2, 8)] == [120, 126, 128]
    both = Disk.all_of([disk, Disk(weights=1, completions=2, checkpoints=(4,))])
    assert both == Disk(weights=101, completions=12, checkpoints=(5, 4, 3, 1))


def test_the_estimated_disk_is_that_of_a_cell_which_ran(tiny_base, tmp_path):
    cell = next(cell for cell in spec_of(tiny_base).cells() if cell.keeps_weights)
    workspace = Workspace(tmp_path, checkpoint_seconds=0)
    execute(cell, workspace, 1)
    disk = Disk.of([(cell, cell.work(), count_parameters(cell.model))])
    written = {path.name: path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()}
    assert written["model.safetensors"] == pytest.approx(disk.weights, rel=0.02)
    assert written["checkpoint.pt"] == pytest.approx(disk.checkpoint, rel=0.02)
    assert disk.completions == 4.0 * cell.work().written > 0


def test_a_full_disk_is_said_and_refuses_nothing(tmp_path, capsys, monkeypatch):
    asked = []
    usage = type("Usage", (), {"free": 50e9})
    monkeypatch.setattr("shutil.disk_usage", lambda path: asked.append(path) or usage)
    arguments = ["study", "run", "paper", "--dry-run", "--output-dir", str(tmp_path / "not" / "yet"), "--workers", "1"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert asked == [tmp_path]  # The nearest directory that exists.
    assert "disk: 112 GB when it is done, up to 186 GB with one running cell" in captured.out
    assert f"the disk of {tmp_path} has 50 GB free, and the study needs up to 186 GB" in captured.err
    assert list(tmp_path.iterdir()) == []
    usage.free = 200e9
    assert main(arguments) == 0
    assert "the disk of" not in capsys.readouterr().err


def test_the_small_paper_fits_on_a_gpu_of_24_gb_in_an_evening(capsys):
    assert main(["study", "run", "paper-small", "--dry-run", "--json", "--gpu-memory", "24"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert set(made["experiments"]) == {"scaling", "orders", "tuning"}
    assert made["gpu_hours"] < 1.5  # Small models reach a fraction of the rate; seven times that is an evening.
    assert all(part["memory"]["tokens"] > part["memory"]["longest"] for part in made["experiments"].values())
    assert {c.min_learning_rate_ratio for c in load_spec("paper-small").cells() if c.NAME == "sft"} == {0.15}


def test_execution_is_no_part_of_a_study():
    plain = load_spec("quick")
    other = load_spec("quick", {"execution": {"micro_tokens": 500, "gradient_checkpointing": "on"}})
    assert other.execution == CellExecution(micro_tokens=500, gradient_checkpointing="on")
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
    assert Store.open(tmp_path).read().spec.execution == CellExecution()  # A store does not hold it.
