"""Additions as a stranger makes them: one module, one registration, nothing else. Each goes through the commands."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from zipthought.cli import main
from zipthought.core import registry
from zipthought.core.methods import METHODS
from zipthought.generation.fast import supports
from zipthought.records.reading import read_records
from zipthought.surfaces import SURFACES
from zipthought.tasks import TASKS
from zipthought.tasks.sampling import SamplerConfig

PLUGINS = Path(__file__).parent / "plugins"
ADDITIONS = {
    "reversed_surface": (SURFACES, "reversed", {"surface": "reversed"}),
    "head_method": (METHODS, "head", {"format": "head:2"}),
    "braid_task": (TASKS, "braid", {"task": "braid:reach=2"}),
}
USUAL = {"surface": "terse", "format": "composed:2", "task": "chain"}


@pytest.fixture
def plugins(monkeypatch):
    """Name them, as a user does; they are imported on first need, and gone after the test."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))  # For worker processes.
    monkeypatch.setattr(registry, "plugins", registry._Plugins())

    def use(*names: str) -> None:
        monkeypatch.setenv("ZIPTHOUGHT_PLUGINS", ",".join(names))

    yield use
    for module, (items, name, _) in ADDITIONS.items():
        if sys.modules.pop(module, None):
            items.unregister(name)


def run(capsys, *words) -> dict:
    code = main([str(word) for word in (*words, "--json")])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


@pytest.mark.parametrize("module", ADDITIONS)
def test_an_addition_goes_through_generate_verify_train_and_evaluate(plugins, capsys, tmp_path, tiny_base, module):
    plugins(module)
    settings = USUAL | ADDITIONS[module][2]
    data, model = tmp_path / "data", tmp_path / "model"
    chosen = ["--task", settings["task"], "--surface", settings["surface"]]
    made = run(
        capsys,
        "generate",
        "--n-ops",
        3,
        4,
        "--count",
        12,
        "--format",
        settings["format"],
        "--output-dir",
        data,
        *chosen,
    )
    (path,) = made["files"].values()
    records = list(read_records(path))
    assert len(records) == 24
    assert {record["surface"] for record in records} == {settings["surface"]}
    judged = run(capsys, "verify", path)
    assert (judged["records"], judged["faithful"], judged["bad_lines"]) == (24, 24, 0)

    trained = run(capsys, "train", "sft", "--model", tiny_base, "--data", path, "--steps", 2, "--output-dir", model)
    assert trained["examples"] == 24
    measured = run(capsys, "evaluate", "--model", model, "--n-ops", 3, "--count", 4, *chosen)
    assert measured["n"] == 4


@pytest.mark.parametrize("module", ADDITIONS)
def test_the_fast_path_leaves_what_it_does_not_know_to_the_exact_one(plugins, module):
    plugins(module)
    importlib.import_module(module)
    settings = USUAL | ADDITIONS[module][2]
    method = METHODS.find(settings["format"].partition(":")[0]).parse("2")
    config = SamplerConfig(n_ops=4, task=settings["task"])
    assert not supports(config, method, settings["surface"], "forward")


def test_additions_reach_rlvr(plugins, capsys, tmp_path, tiny_base):
    plugins("reversed_surface", "braid_task")
    settings = ["--task", "braid:reach=2", "--surface", "reversed", "--n-ops", 3, "--steps", 2, "--prompts-per-step", 2]
    trained = run(
        capsys, "train", "rlvr", "--model", tiny_base, "--group-size", 2, "--output-dir", tmp_path / "rl", *settings
    )
    assert (trained["steps"], trained["skipped"]) == (2, 0)


@pytest.mark.long
def test_additions_reach_a_study_and_its_report(plugins, capsys, tmp_path, tiny_base):
    """A task, a surface and a method of strangers in one study; worker processes know them, too."""
    plugins(*ADDITIONS)
    spec = tmp_path / "study.toml"
    spec.write_text(
        f"""
name = "additions"
model = {json.dumps(str(tiny_base))}
task = "braid:reach=2"
surface = "reversed"
bootstrap = 10
[scaling]
formats = ["explicit", "head:2"]
n_ops = [3]
examples = [4, 8]
steps = 2
batch_size = 4
test_count = 3
train_count = 2
"""
    )
    summary = run(capsys, "study", "run", spec, "--output-dir", tmp_path / "out", "--workers", 1)
    assert summary["cells"] == {"done": 5}
    assert [finding["id"] for finding in summary["findings"]] == ["F1", "F2a"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "head:2" in page
    assert "braid:reach=2" in page
