"""Models of the hub by name and revision, from a cache of the hub that the tests write: no network."""

import json
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import constants
from small_study import spec_of

from zipthought.cli import main
from zipthought.models.backends import open_backend
from zipthought.models.loading import load, load_tokenizer
from zipthought.models.names import at_commit, commit_of, resolve, split_revision
from zipthought.models.shapes import KNOWN, known_shape
from zipthought.study.cells import make_cell
from zipthought.study.execute import execute
from zipthought.study.models import HUB, kept_digest, model_digest
from zipthought.study.registration import Registration, differences
from zipthought.study.spec import load_spec, make_spec
from zipthought.study.store import Store, worker_name
from zipthought.train.record import trained_structures, write_structures

OLD, NEW, ABSENT = "a" * 40, "b" * 40, "c" * 40
NAME = "org/tiny"


@pytest.fixture
def hub(tiny_base, tmp_path, monkeypatch):
    """The folder of a model in a cache of the hub, with two commits: `v1` is the tag of the old one."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model_digest.cache_clear()
    folder = tmp_path / "hub" / "models--org--tiny"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(NEW)
    (folder / "refs" / "v1").write_text(OLD)
    for commit in (OLD, NEW):
        shutil.copytree(tiny_base, folder / "snapshots" / commit)
    _mark_old(folder / "snapshots" / OLD)
    yield folder
    model_digest.cache_clear()


def _mark_old(snapshot):
    """Give the old commit another model, tokenizer, configuration and generation configuration."""
    model, tokenizer = load(str(snapshot), "cpu")
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(0.5)
    model.config.max_position_embeddings = 333
    model.save_pretrained(snapshot)
    tokenizer.model_max_length = 333
    tokenizer.save_pretrained(snapshot)
    path = snapshot / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [2, 7]}))


@pytest.mark.parametrize(("revision", "old"), [("", False), ("@main", False), ("@v1", True), (f"@{OLD}", True)])
def test_a_revision_reaches_the_model_its_tokenizer_and_both_configurations(hub, revision, old):
    model, tokenizer = load(f"{NAME}{revision}", "cpu")
    assert (model.get_input_embeddings().weight == 0.5).all().item() is old
    assert (model.config.max_position_embeddings == 333) is old
    assert (tokenizer.model_max_length == 333) is old
    ends = model.generation_config.eos_token_id
    assert (7 in (ends if isinstance(ends, list) else [ends])) is old
    alone, ends = load_tokenizer(f"{NAME}{revision}")
    assert (alone.model_max_length == 333) is old
    assert (7 in ends) is old


def test_a_revision_that_does_not_exist_is_one_line(hub, capsys):
    with pytest.raises(ValueError, match="cannot load the model 'org/tiny@nope'"):
        load(f"{NAME}@nope", "cpu")
    assert main(["evaluate", "--model", f"{NAME}@nope", "--n-ops", "1", "--count", "1"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_names_with_revisions(hub, tiny_base, tmp_path, monkeypatch):
    assert split_revision(resolve(f"{NAME}@refs/pr/1")) == (NAME, {"revision": "refs/pr/1"})
    assert split_revision(resolve(NAME)) == (NAME, {})
    assert split_revision(str(tiny_base)) == (str(tiny_base), {})
    for name in ("org/tiny@", "org@v1", "org/tiny@a@b", "a/b/c@v1", "./org/tiny@v1"):
        with pytest.raises(ValueError, match="hub id like org/name or org/name@revision"):
            resolve(name)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_base, tmp_path / "at" / "dir@v1")  # A directory may have such a name.
    for name in ("at@v1", "bundled@v1", f"{tiny_base}@v1"):
        with pytest.raises(ValueError, match=r"only a model of the hub has revisions; give .* without @"):
            resolve(name)
    assert split_revision(resolve("at/dir@v1")) == ("at/dir@v1", {})


def test_vllm_gets_the_revision(hub, monkeypatch):
    seen = {}
    engine = SimpleNamespace(llm_engine=SimpleNamespace(model_config=SimpleNamespace(max_model_len=1)))
    module = SimpleNamespace(LLM=lambda **settings: seen.update(settings) or engine)
    monkeypatch.setitem(sys.modules, "vllm", module)
    with open_backend("vllm", f"{NAME}@v1") as backend:
        assert backend.tokenizer.model_max_length == 333
    assert (seen["model"], seen["revision"]) == (NAME, "v1")


def test_the_shape_of_a_model_does_not_depend_on_its_revision():
    assert known_shape("Qwen/Qwen2.5-3B@v1") == known_shape(f"Qwen/Qwen2.5-3B-Instruct@{OLD}")
    assert known_shape("Qwen/Qwen2.5-3B@v1") == KNOWN["Qwen/Qwen2.5-3B"]


def test_the_commit_of_a_name_is_that_of_the_cache(hub, tiny_base):
    assert commit_of(NAME) == commit_of(f"{NAME}@main") == commit_of(f"{NAME}@{NEW}") == NEW
    assert commit_of(f"{NAME}@v1") == OLD
    assert commit_of(f"{NAME}@{ABSENT}") == ABSENT  # It needs no cache.
    for name in (f"{NAME}@nope", "org/other", f"org/{'x' * 100}", "bundled", str(tiny_base)):
        assert commit_of(name) is None
    assert at_commit(f"{NAME}@v1", OLD) == f"{NAME}@{OLD}"
    assert at_commit(str(tiny_base), model_digest(str(tiny_base))) == str(tiny_base)
    assert at_commit(NAME, HUB) == NAME


def test_the_structures_of_a_model_are_those_of_its_revision(hub):
    write_structures(hub / "snapshots" / OLD, {"a structure"})
    assert trained_structures(f"{NAME}@v1") == {"a structure"}
    assert trained_structures(NAME) == set()


def study(model=NAME):
    table = {"formats": ["explicit"], "examples": [8], "n_ops": [1], "steps": 1, "batch_size": 8, "test_count": 2}
    return make_spec({"name": "x", "model": model, "parameters": 1, "scaling": {**table, "train_count": 1}})


def test_cells_are_identified_by_the_commit_of_their_base(hub):
    assert {cell.model_digest for cell in study().cells()} == {NEW}
    assert {cell.model_digest for cell in study(f"{NAME}@v1").cells()} == {OLD}
    unknown = study("org/other").cells()
    assert {cell.model_digest for cell in unknown} == {HUB}
    assert {cell.source for cell in unknown} == {"org/other"}
    before = study().cells()
    (hub / "refs" / "main").write_text(OLD)
    model_digest.cache_clear()
    after = study().cells()
    assert {cell.digest for cell in before}.isdisjoint(cell.digest for cell in after)
    assert {cell.source for cell in after} == {f"{NAME}@{OLD}"}


def test_a_cell_runs_from_its_commit_also_after_the_branch_moved(hub, tmp_path):
    store = Store.create(tmp_path / "study", study(), {})
    (hub / "refs" / "main").write_text(OLD)
    shutil.rmtree(hub / "snapshots" / OLD)  # Loading the branch would fail now.
    cell = store.claim(worker_name())
    assert make_cell(cell.plain()).source == f"{NAME}@{NEW}"
    execute(cell, store.workspace(cell), 1)


def test_a_study_goes_on_when_its_base_was_downloaded_or_is_elsewhere(hub, tmp_path):
    """The commit is not known when it starts, and is later; or on another machine the other way round."""

    def recorded(directory):
        return {cell.config.model_digest for cell in Store.create(directory, study(), {}).read().cells}

    (hub / "refs" / "main").rename(hub / "refs" / "away")
    assert recorded(tmp_path / "early") == {HUB}
    (hub / "refs" / "away").rename(hub / "refs" / "main")
    model_digest.cache_clear()
    assert recorded(tmp_path / "early") == {HUB}
    assert recorded(tmp_path / "late") == {NEW}
    (hub / "refs" / "main").unlink()
    model_digest.cache_clear()
    assert recorded(tmp_path / "late") == {NEW}
    (hub / "refs" / "main").write_text(OLD)  # Other weights are another study.
    model_digest.cache_clear()
    with pytest.raises(ValueError, match="a study of other settings or weights"):
        recorded(tmp_path / "late")


def test_a_registration_pins_the_commit_where_it_is_not_known(hub):
    registered = Registration.of(study())
    (hub / "refs" / "main").unlink()
    model_digest.cache_clear()
    assert differences(registered, Registration.of(study()))
    kept = study().keeping(registered.models)
    assert differences(registered, Registration.of(kept)) == []
    assert {cell.source for cell in kept.cells()} == {f"{NAME}@{NEW}"}


@pytest.mark.parametrize(
    ("recorded", "now", "kept"),
    [(HUB, NEW, HUB), (OLD, HUB, OLD), (OLD, NEW, NEW), (HUB, "0123456789abcdef", "0123456789abcdef")],
    ids=["downloaded since", "not here", "other weights", "a directory now"],
)
def test_which_digest_a_study_keeps(recorded, now, kept):
    assert kept_digest(recorded, now) == kept


def test_studies_of_local_models_are_as_before(tiny_base):
    spec = spec_of(tiny_base)
    assert spec.keeping({"elsewhere": "0123456789abcdef", str(tiny_base): "0123456789abcdef"}) is spec
    assert {cell.source for cell in spec.cells()} == {str(tiny_base)}
    paper = load_spec("paper")
    assert replace(paper, digests={paper.model: HUB}).cells()[0].model_digest == HUB


@pytest.mark.parametrize(("revision", "commit"), [("", NEW), ("@v1", OLD)])
def test_a_run_records_the_commit_of_its_base(hub, tmp_path, capsys, revision, commit):
    made = tmp_path / "data"
    assert (
        main(
            [
                "generate",
                "--n-ops",
                "1",
                "--count",
                "8",
                "--format",
                "explicit",
                "--surface",
                "terse",
                "--output-dir",
                str(made),
            ]
        )
        == 0
    )
    data = str(made / "explicit.jsonl")
    common = ["--steps", "1", "--json", "--device", "cpu"]
    sft = ["train", "sft", "--model", f"{NAME}{revision}", "--data", data, "--batch-size", "2", *common]
    assert main([*sft, "--output-dir", str(tmp_path / "sft")]) == 0
    run = json.loads((tmp_path / "sft" / "run.json").read_text())
    assert (run["base"], run["base_commit"]) == (f"{NAME}{revision}", commit)
    assert main([*sft, "--output-dir", str(tmp_path / "sft"), "--resume"]) == 0
    rlvr = ["train", "rlvr", "--n-ops", "1", "--prompts-per-step", "1", "--group-size", "2", *common]
    assert main([*rlvr, "--model", str(tmp_path / "sft"), "--output-dir", str(tmp_path / "rl")]) in (0, 1)
    assert json.loads((tmp_path / "rl" / "run.json").read_text())["base_commit"] is None
