"""The contract of experiments and of kinds of cells, and a stranger's experiment from its TOML table to its report."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import pickle
import re
import sqlite3
import subprocess
import sys
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import as_version_02, as_version_03, job_of, result_of, results, run_here, spec_of
from synthetic_study import finished_study

from zipthought.cli import main
from zipthought.core.methods import METHODS, FixedMethod
from zipthought.core.orders import ORDERS
from zipthought.evaluation.metrics import EditedAnswer
from zipthought.study.cells import (
    CELLS,
    Cell,
    DecompositionCell,
    DecompositionResult,
    DecompositionSettings,
    SFTCell,
    SFTCellResult,
    make_cell,
)
from zipthought.study.cells.decomposition import BranchPoint, LengthMeasures, PassAt, Rollouts
from zipthought.study.cells.sft import Memorization, RunPoint
from zipthought.study.database import FORMAT
from zipthought.study.experiments import EXPERIMENTS, Experiment
from zipthought.study.experiments.scaling.measurements import ScalingMeasurements
from zipthought.study.meta import write_meta
from zipthought.study.node import collect, run_job
from zipthought.study.report import measure, report_data
from zipthought.study.spec import make_spec, stored_spec
from zipthought.study.store import Store
from zipthought.surfaces import get_surface

PLUGINS = Path(__file__).parent / "plugins"


def test_an_experiment_without_its_members_is_refused_by_name():
    @dataclass(frozen=True, kw_only=True)
    class Halves(Experiment):
        NAME = "halves"

        def cells(self, spec):
            return []

    with pytest.raises(TypeError, match="experiment 'halves' lacks FINDINGS, collect, findings, section"):
        EXPERIMENTS.register(Halves)
    assert "halves" not in EXPERIMENTS


def test_a_kind_of_cell_without_its_members_is_refused_by_name():
    class Nothing(Cell):
        NAME = "nothing"

    with pytest.raises(TypeError, match="kind of cell 'nothing' lacks RESULT, label, cost, work, run"):
        CELLS.register(Nothing)
    with pytest.raises(ValueError, match="unknown kind of cell 'nothing'; use sft, decomposition"):
        make_cell({"kind": "nothing"})


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_keeps_the_contract(name, tiny_base):
    """Its defaults make a spec; its settings survive JSON; its findings are those that it names, with and without data;
    two experiments share no finding."""
    kind = EXPERIMENTS[name]
    spec = make_spec({"name": "x", "model": str(tiny_base), name: {}})
    experiment = spec.experiments[name]
    assert spec.experiment(kind) is experiment
    assert make_spec(json.loads(json.dumps(spec.plain()))) == spec
    assert all(field.name in experiment.__dict__ or hasattr(experiment, field.name) for field in fields(kind))
    findings = experiment.findings(None, 7, spec)
    assert tuple(finding.id for finding in findings) == experiment.finding_ids
    assert set(experiment.finding_ids) <= set(kind.FINDINGS)
    assert {finding.verdict for finding in findings} == {"inconclusive"}
    others = [finding for other in EXPERIMENTS.values() if other is not kind for finding in other.FINDINGS]
    assert not set(kind.FINDINGS) & set(others)
    assert isinstance(kind.summary(None), dict)
    for cell in spec.cells():
        assert make_cell(json.loads(json.dumps(cell.plain()))) == cell
        work = cell.work()
        assert work.trained + work.generated > 0


def with_plugin(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python process that knows the stranger's experiment."""
    paths = os.pathsep.join(filter(None, [str(PLUGINS), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"ZIPTHOUGHT_PLUGINS": "batches_experiment", "PYTHONPATH": paths}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False)


REPORTS = """
from zipthought.cli import main
for form in ("markdown", "csv", "svg", "json"):
    assert main(["study", "report", "out", "--format", form]) == 0
"""


@pytest.mark.long
def test_a_strangers_experiment_goes_from_its_table_to_its_report(tiny_base, tmp_path):
    """One module and one registration. Its name is in ZIPTHOUGHT_PLUGINS, which worker processes inherit."""
    lines = ['name = "mine"', f"model = {json.dumps(str(tiny_base))}", "[batches]", "batch_sizes = [1, 2]"]
    (tmp_path / "mine.toml").write_text("\n".join(lines))
    command = ["-m", "zipthought", "study", "run", "mine.toml", "--output-dir", "out", "--workers", "1", "--json"]
    done = with_plugin(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["cells"] == {"done": 2}
    assert [(f["id"], len(f["rows"])) for f in summary["findings"]] == [("B1", 2)]
    page = (tmp_path / "out" / "report.html").read_text()
    for piece in ("Larger batches are better.", 'id="fig-batches"', "<h3>Accuracy by batch size</h3>"):
        assert piece in page
    done = with_plugin(tmp_path, "-c", REPORTS)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "report.md").read_text()
    assert "### B1: inconclusive" in text
    assert "among 1 findings" in text
    assert "## Accuracy by batch size\n\n| batch_size | accuracy |" in text
    rows = list(csv.DictReader((tmp_path / "out" / "tables" / "batches.csv").open()))
    assert [row["batch_size"] for row in rows] == ["1", "2"]
    assert (tmp_path / "out" / "figures" / "batches.svg").read_text().startswith("<svg")
    assert len(json.loads((tmp_path / "out" / "report.json").read_text())["batches"]) == 2


def test_without_the_plugin_its_table_is_unknown(tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\n[batches]\n')
    assert main(["study", "run", str(file), "--dry-run"]) == 2
    assert "unknown table 'batches'" in " ".join(capsys.readouterr().err.split())


WORLD = {
    "model": "m",
    "model_digest": "hub",
    "engine": "native",
    "surface": "terse",
    "modulus": 23,
    "number_range": 5,
    "split": "test",
    "seed": 3,
    "format": "composed:2",
}
SFT = {"n_ops": (3,), "examples": 16, "steps": 4, "batch_size": 4, "learning_rates": (1e-3,)}


@pytest.mark.parametrize(
    ("cell", "digest"),
    [
        (SFTCell(**WORLD, **SFT), "66e1089fb38d0d5c"),
        (
            SFTCell(**WORLD, **SFT, order="backward", positions=99, sentences=9, longer_n_ops=(4,)),
            "8b3e0057065efefd",
        ),
        (
            SFTCell(
                **WORLD,
                **SFT | {"learning_rates": (1e-3, 2e-3)},
                tuning_examples=8,
                points=2,
                edited_count=3,
            ),
            "f90dd6c3729c4a01",
        ),
        *(
            (DecompositionCell(**WORLD, part=part, sft_steps=5, settings=DecompositionSettings()), digest)
            for part, digest in (
                ("sft", "c5167ce06fa06cd8"),
                ("rlvr", "4822a569f02a5082"),
                ("sft-tokens", "aac48c8d6d7f657b"),
            )
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.NAME,
)
def test_digests_are_those_of_version_01(cell, digest):
    assert cell.digest == digest
    assert replace(cell, task="tree").digest != digest


@pytest.mark.parametrize(
    ("preset", "count", "first", "last"),
    [
        ("quick", 36, "5a4c1aa92df106f8", "663b7708e96ff7e3"),
        ("laptop", 171, "3df52c1c2fdf73d8", "9b0dabf2afa36280"),
        ("decomposition", 24, "0014ac612b38c2d0", "1716808717b217fb"),
    ],
)
def test_the_presets_of_version_01_keep_their_cells(preset, count, first, last):
    """As a store of version 0.1 has them. These digests depend on the bytes of the bundled bases, too."""
    settings = tomllib.loads((Path(__file__).parent / "presets_01" / f"{preset}.toml").read_text())
    digests = [cell.digest for cell in stored_spec(settings, {}).cells()]
    assert len(digests) == len(set(digests)) == count
    assert digests.index(first) < digests.index(last)


numbers = st.floats(0, 1)
optional = st.none() | numbers


@given(bits=st.lists(st.booleans(), min_size=1), validation=optional, answers=st.lists(st.booleans()))
def test_results_of_sft_survive_json(bits, validation, answers):
    point = RunPoint(step=1, tokens=2, flops=3.0, correct=tuple(bits), validation=validation)
    edited = tuple(EditedAnswer(old=old, right=not old) for old in answers)
    result = result_of(points=(point,), memorized=Memorization(train=edited, held_out=edited), loss=((1, 0.5),))
    values = json.loads(json.dumps(result.plain()))
    assert SFTCellResult.from_plain(values) == result
    assert values["points"][0]["accuracy"] == sum(bits) / len(bits)
    assert values["points"][0]["correct"] == "".join(str(int(bit)) for bit in bits)


@given(n=st.integers(1, 500), share=numbers, measure=optional, coverage=optional)
def test_results_of_the_decomposition_survive_json(n, share, measure, coverage):
    shares = {"faithful": share, "response_tokens": share, "truncated": share}
    correct = round(share * n)
    length = LengthMeasures(
        n=n, correct=correct, **shares, ops_per_step=measure, single_op_share=None, single_op_coverage=coverage
    )
    point = BranchPoint(step=1, tokens=2, by_n_ops={3: length})
    rollouts = Rollouts(
        step=1,
        reward=0.5,
        zero_variance=1.0,
        kl=None,
        entropy=measure,
        response_tokens=3.0,
        truncated=0.0,
        ops_per_step=None,
        single_op_share=None,
    )
    pass_at = {3: PassAt(correct={1: share, 4: 1.0}, faithful={1: 0.0, 4: share})}
    result = DecompositionResult(
        points=(point,),
        pass_at=pass_at,
        rollouts=(rollouts,),
        updates=4,
        tokens=5,
        parameters=6,
        train_seconds=0.5,
    )
    values = json.loads(json.dumps(result.plain()))
    assert DecompositionResult.from_plain(values) == result
    # Version 0.1 stored no count. It is recovered exactly from the accuracy.
    del values["points"][0]["by_n_ops"]["3"]["correct"]
    assert DecompositionResult.from_plain(values) == result
    # Versions up to 0.3 stored another measure of decomposition.
    old = values["points"][0]["by_n_ops"]["3"]
    old["excess"] = old.pop("single_op_coverage")
    (point,) = DecompositionResult.from_plain(values).points
    assert point.by_n_ops[3] == replace(length, single_op_coverage=None)


@pytest.mark.long
def test_a_study_of_trees_runs_with_its_task_in_every_cell(tiny_base, tmp_path):
    """The task reaches training, measurement, RLVR and the report, and changes the digests."""
    small = {"n_ops": [3], "batch_size": 4, "test_count": 3, "train_count": 2, "formats": ["explicit", "composed:2"]}
    settings = {
        "name": "trees",
        "model": str(tiny_base),
        "task": "tree:width=2",
        "bootstrap": 10,
        "scaling": {**small, "examples": [4, 8], "steps": 2},
        "decomposition": {
            "sft_steps": [1],
            "examples": 4,
            "sft_batch_size": 2,
            "n_ops": [3],
            "longer_n_ops": [4],
            "rl_steps": 1,
            "prompts_per_step": 2,
            "group_size": 2,
            "measure_every": 1,
            "count": 2,
            "samples": 1,
            "sampled": 1,
        },
    }
    spec = make_spec(settings)
    assert {cell.task for cell in spec.cells()} == {"tree:width=2"}
    chains = make_spec(settings | {"task": "chain"})
    assert not {cell.digest for cell in spec.cells()} & {cell.digest for cell in chains.cells()}
    store = run_here(Store.create(tmp_path, spec, {}))
    study = store.read()
    data = report_data(study, measure(study))
    assert [finding.id for finding in data.findings] == ["F1", "F2a", "F3", "F7"]
    assert data.problems
    assert not any(get_surface("terse").parse_problem(problem.prompt, 23).is_chain for problem in data.problems)
    assert data.spec["task"] == "tree:width=2"


def test_a_task_with_more_structures_has_more_examples():
    many = {"n_ops": [3], "examples": [6_000], "steps": 6_000}
    with pytest.raises(ValueError, match=r"6000 examples .* n_ops=3 has 425\d training structures; lower examples"):
        make_spec({"name": "x", "scaling": many}).cells()
    assert make_spec({"name": "x", "task": "tree", "scaling": many}).cells()


def as_version_01(directory: Path) -> None:
    """Rewrite a store as version 0.1 would have written it: without tasks, without counts beside accuracies."""

    def old(value):
        if isinstance(value, list):
            return [old(item) for item in value]
        if not isinstance(value, dict):
            return value
        added = {"task"} | ({"correct"} if "accuracy" in value and isinstance(value.get("correct"), int) else set())
        return {name: old(item) for name, item in value.items() if name not in added}

    as_version_03(directory)
    as_version_02(directory)
    with contextlib.closing(sqlite3.connect(directory / "study.db", isolation_level=None)) as db:
        db.execute("DELETE FROM meta WHERE key = 'format'")
        (spec,) = db.execute("SELECT value FROM meta WHERE key = 'spec'").fetchone()
        values = {"repetition": None, "orders": None} | {k: v for k, v in json.loads(spec).items() if k != "task"}
        db.execute("UPDATE meta SET value = ? WHERE key = 'spec'", (json.dumps(values, sort_keys=True),))
        for digest, config, result in db.execute("SELECT digest, config, result FROM cells").fetchall():
            row = [json.dumps(old(json.loads(text))) for text in (config, result)]
            db.execute("UPDATE cells SET config = ?, result = ? WHERE digest = ?", (*row, digest))


@pytest.mark.long
def test_a_store_of_version_01_opens_reports_and_grows(tiny_base, tmp_path):
    now = replace(spec_of(tiny_base), seeds=(0,))
    scaling = replace(now.experiments["scaling"], before=False, tune_each=False)
    spec = replace(now, experiments=now.experiments | {"scaling": scaling})
    store = run_here(Store.create(tmp_path, spec, {"command": "x"}))
    study = store.read()
    before = report_data(study, measure(study)).plain()
    as_version_01(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as db:
        texts = " ".join(text for row in db.execute("SELECT config, result FROM cells") for text in row)
    assert '"task"' not in texts
    assert not re.search(r'"correct": \d+, "accuracy"', texts)
    old = Store.open(tmp_path).read()
    done = len(spec.cells())
    note = f"{done} of {done} results have no checksum, because an earlier version wrote them."
    assert old.spec == spec
    assert old.faults == []
    assert report_data(old, measure(old)).plain() == before | {"notes": [note]}
    again = Store.create(tmp_path, spec, {"command": "y"})
    assert (again.mended, again.counts()) == ([], {"done": done})
    assert again.read().meta["environment"] == {"command": "x"}  # The same study.
    assert again.read().meta["format"] == FORMAT
    assert report_data(again.read(), measure(again.read())).plain() == before | {"notes": [note]}
    based = replace(spec, experiments=spec.experiments | {"scaling": replace(scaling, before=True)})
    assert Store.create(tmp_path, based, {}).counts() == {"done": done, "pending": 1}  # The base before training.
    more = replace(based, seeds=(0, 1))
    assert Store.create(tmp_path, more, {}).counts() == {"done": done, "pending": len(more.cells()) - done}


def test_a_store_of_version_03_has_no_later_arms_and_cells(tiny_base, tmp_path):
    """It reads without a complaint, and goes on with the settings of today."""
    sft = {"n_ops": [3], "batch_size": 4, "test_count": 3, "train_count": 2}
    tables = {
        "scaling": sft | {"formats": ["explicit", "implicit:2"], "examples": [4, 8], "steps": 2},
        "repetition": sft
        | {"formats": ["composed:2", "implicit:2"], "examples": 4, "epochs": [1, 2], "arms": ["repeat"]},
    }
    tables["scaling"] |= {"before": False, "tune_each": False}
    tables["repetition"] |= {"before": False}
    settings = {"name": "x", "model": str(tiny_base), "bootstrap": 10} | tables
    finished_study(tmp_path, make_spec(settings))
    as_version_03(tmp_path)
    old = Store.open(tmp_path).read()
    assert (old.faults, old.counts()) == ([], {"done": 4 + 4})
    assert old.spec == make_spec(settings)
    data = report_data(old, measure(old))
    assert data.warnings == data.notes == []
    verdicts = {finding.id: finding.summary for finding in data.findings}
    assert set(verdicts) == {"F1", "F2a", "F2b"}  # Without the arm redress it does not ask for F6.
    assert "nothing to compare" not in verdicts["F2b"]
    for table in tables.values():
        for name in ("before", "tune_each", "arms"):
            table.pop(name, None)
    grown = Store.create(tmp_path, make_spec(settings | tables), {})
    assert (grown.mended, grown.counts()) == ([], {"done": 8, "pending": 1 + 4})


def test_a_store_of_a_later_version_is_refused(tiny_base, tmp_path):
    spec = spec_of(tiny_base)
    store = Store.create(tmp_path, spec, {})
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as db:
        write_meta(db, {**store.read().meta, "format": 99})
    for use in (lambda: Store.open(tmp_path), lambda: Store.create(tmp_path, spec, {})):
        with pytest.raises(ValueError, match=f"store format 99; this version reads up to {FORMAT}.*upgrade"):
            use()


@pytest.mark.long
def test_a_cell_gives_the_same_result_in_a_directory_of_its_own(tiny_base, tmp_path):
    """As on a cluster: settings, needed results and weights travel there by pickle, result and files back. Every second
    cell is on a node that sees the study, so that its files and weights go by path."""
    every = replace(spec_of(tiny_base), seeds=(0,))
    scaling = replace(every.experiments["scaling"], examples=(4,))
    spec = replace(every, experiments=every.experiments | {"scaling": scaling})
    here = run_here(Store.create(tmp_path / "here", spec, {}))
    store = Store.create(tmp_path / "driver", spec, {})
    for sees_study in itertools.cycle((False, True)):
        if not (cell := store.claim("here:1")):
            break
        outcome = pickle.loads(pickle.dumps(run_job(*pickle.loads(pickle.dumps(job_of(store, cell, sees_study))))))
        assert outcome.result is not None, outcome.reason
        assert (bool(outcome.directory), bool(outcome.packed)) == (sees_study, not sees_study)
        collect(store.workspace(), cell, outcome)
        store.finish(cell.digest, "here:1", outcome.result, outcome.seconds)
    assert results(store) == results(here)
    assert [path.name for path in sorted((tmp_path / "driver").rglob("*.parquet"))] == [
        path.name for path in sorted((tmp_path / "here").rglob("*.parquet"))
    ]


def test_experiments_whose_names_collide_are_refused(tiny_base):
    base = {"name": "x", "model": str(tiny_base), "scaling": {}}

    @dataclass(frozen=True, kw_only=True)
    class Taken(Experiment):
        NAME = "seeds"
        FINDINGS = ("F1",)
        cells = collect = findings = section = lambda self, *_: []

    EXPERIMENTS.register(Taken)
    try:
        with pytest.raises(ValueError, match="experiment 'seeds' has the name of a setting"):
            make_spec(base)
    finally:
        EXPERIMENTS.unregister("seeds")

    @dataclass(frozen=True, kw_only=True)
    class Again(Taken):
        NAME = "again"

    EXPERIMENTS.register(Again)
    try:
        with pytest.raises(ValueError, match="two experiments have the finding 'F1'"):
            make_spec(base)
    finally:
        EXPERIMENTS.unregister("again")


def test_a_method_by_granularity_is_under_study_and_one_that_needs_a_tokenizer_is_refused(tiny_base):
    class Halves(FixedMethod):
        NAME = "halves"

        def granularity(self, n_ops):
            return -(-n_ops // 2)

        def steps(self, problem, order):
            return ORDERS[order].steps(problem, self.granularity(problem.n_ops))

    class Needy(Halves):
        NAME = "needy"
        needs = ("tokenizer",)

    for method in (Halves, Needy):
        METHODS.register(method)
    try:
        fits = dict.fromkeys(("explicit", "halves", "answer-only", "random-steps:0.5", "implicit:2"))
        data = ScalingMeasurements(
            model="x", seeds=3, fits=fits, costs={}, tokens_per_example={}, training={}, longest=4
        )
        assert data.coarse() == ["halves", "implicit:2"]
        with pytest.raises(ValueError, match="format needy needs a tokenizer"):
            make_spec({"name": "x", "model": str(tiny_base), "scaling": {"formats": ["explicit", "needy"]}}).cells()
    finally:
        for method in (Halves, Needy):
            METHODS.unregister(method.NAME)


def test_spellings_of_a_task_give_the_same_cells(tiny_base):
    cells = [
        make_spec({"name": "x", "model": str(tiny_base), "task": task, "scaling": {"n_ops": [4]}}).cells()
        for task in ("tree", "tree:width=3", "tree:depth=0")
    ]
    assert cells[0] == cells[1] == cells[2]
