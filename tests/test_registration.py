"""Registration: written before the run, kept by the study, compared with it in every form of the report."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from importlib import resources

import pytest
from small_study import spec_of
from synthetic_study import finished_study

from zipthought.cli import main
from zipthought.report.exports import markdown, write_export
from zipthought.report.page import build_report
from zipthought.study import registration as module
from zipthought.study.database import connect
from zipthought.study.experiments.scaling import f1
from zipthought.study.meta import write_meta
from zipthought.study.models import model_digest
from zipthought.study.registration import Registration, differences, read_registration, shipped_registration
from zipthought.study.report import findings, measure, report_data
from zipthought.study.spec import PRESETS, load_spec, make_spec
from zipthought.study.store import Store

EQUAL = "The run equals its registration."
SPEC = """
name = "tiny"
model = {model}
bootstrap = 10
[scaling]
n_ops = [2]
formats = ["explicit"]
examples = [4]
steps = 1
batch_size = 4
test_count = 3
train_count = 2
"""


@pytest.fixture
def spec(tiny_base):
    return spec_of(tiny_base)


@pytest.fixture
def file(tiny_base, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(SPEC.format(model=json.dumps(str(tiny_base))))
    return path


def register(spec, path):
    assert main(["study", "register", str(spec), "--output-file", str(path)]) == 0
    return json.loads(path.read_text())


def registered_study(directory, spec, registration):
    Store.create(directory, spec, {}, registration.plain())
    return finished_study(directory, spec).read()


def view_of(study):
    return report_data(study, measure(study)).registration


def test_the_file_holds_what_is_fixed_and_its_own_digest(file, tiny_base, tmp_path, capsys):
    path = tmp_path / "r.json"
    values = register(file, path)
    assert capsys.readouterr().out == f"{values['sha256']}  {path}\n"
    assert values["settings"]["scaling"]["learning_rates"] == [1e-3]  # A default, resolved.
    assert values["settings"]["scaling"]["seeds"] == [0]  # Those of the study.
    assert values["rules"]["F1"]["rule"].startswith("N* is the number of distinct training prompts")
    assert set(values["rules"]) == {"F1", "F2a"}
    assert values["thresholds"]["fitted"] == 0.9
    assert values["models"] == {str(tiny_base): model_digest(str(tiny_base))}
    assert values["cells"]["count"] == 2  # One run, and the base before it.
    assert list(values) == sorted(values)
    made = read_registration(path)
    assert (made.digest, made.text()) == (values["sha256"], path.read_text())


def test_the_same_design_keeps_its_file_and_another_needs_overwrite(file, tmp_path, capsys):
    path = tmp_path / "r.json"
    register(file, path)
    older = replace(read_registration(path), date="2020-01-01")
    path.write_text(older.text())
    assert register(file, path)["date"] == "2020-01-01"
    file.write_text(file.read_text() + "learning_rates = [2e-3]\n")
    capsys.readouterr()
    arguments = ["study", "register", str(file), "--output-file", str(path)]
    assert main(arguments) == 2
    assert "exists with other content; give --overwrite" in capsys.readouterr().err
    assert path.read_text() == older.text()
    assert main([*arguments, "--overwrite"]) == 0
    assert read_registration(path).settings["scaling"]["learning_rates"] == [2e-3]


def test_register_run_and_report(file, tmp_path, capsys, in_process):
    """The whole way, on the command line."""
    path, out = tmp_path / "r.json", tmp_path / "out"
    digest = register(file, path)["sha256"]
    capsys.readouterr()
    run = ["study", "run", str(file), "--output-dir", str(out), "--json"]
    assert main([*run, "--registration", str(path)]) == 0
    said = capsys.readouterr()
    shown = json.loads(said.out)["registration"]
    assert (shown["sha256"], shown["differences"], shown["sentences"]) == (digest, [], [EQUAL])
    assert "differs" not in said.err
    page = (out / "report.html").read_text()
    assert EQUAL in page
    assert digest in page
    assert "Rule, registered before the run." in page
    assert main(run) == 0  # The study keeps it.
    assert json.loads(capsys.readouterr().out)["registration"] == shown
    assert main(["study", "status", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["registration"] == shown
    assert main(["study", "status", str(out)]) == 0
    assert EQUAL in capsys.readouterr().out


def test_a_run_without_registration_says_so_and_cannot_be_registered_later(file, tmp_path, capsys):
    path, out = tmp_path / "r.json", tmp_path / "out"
    register(file, path)
    finished_study(out, load_spec(str(file)))
    run = ["study", "run", str(file), "--output-dir", str(out)]
    assert main(run) == 0
    assert "This run was not registered." in (out / "report.html").read_text()
    assert "Rule, registered" not in (out / "report.html").read_text()
    capsys.readouterr()
    assert main([*run, "--registration", str(path)]) == 2
    assert "2 finished cells and no registration; register before the run" in capsys.readouterr().err
    assert main(["study", "status", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["registration"]["sha256"] == ""


def test_rules_are_the_same_with_and_without_results(tiny_base, tmp_path):
    """Of every experiment, with settings that its rule names."""
    small = {"n_ops": [2], "examples": 8, "test_count": 3, "train_count": 2}
    spec = make_spec(
        {
            **spec_of(tiny_base).plain(),
            "seeds": [0, 1, 2],
            "repetition": {**small, "formats": ["composed:2", "implicit:2"], "epochs": [1, 2], "edited_count": 2},
            "orders": {**small, "longer_n_ops": [3], "steps": 2, "views": ["plain", "familiar"]},
        }
    )
    registered = Registration.of(spec)
    study = registered_study(tmp_path, spec, registered)
    found = findings(study, measure(study))
    assert {f.id: {"claim": f.claim, "rule": f.rule} for f in found} == registered.rules
    assert set(registered.rules) >= {"F1", "F2a", "F2b", "F3", "F4"}
    assert any(f.rows for f in found if f.id == "F4")
    assert "is that of the view plain" in registered.rules["F4"]["rule"]


def changed(spec, **tables):
    plain = spec.plain()
    return make_spec(plain | {k: plain[k] | v if isinstance(v, dict) else v for k, v in tables.items()})


def test_every_changed_setting_is_listed(spec, tmp_path):
    run = changed(spec, seeds=[0, 1, 2], bootstrap=20, scaling={"learning_rates": [1e-3], "thresholds": [0.4, 0.9]})
    shown = view_of(registered_study(tmp_path, run, Registration.of(spec, "2026-01-02")))
    assert {row["name"]: (row["registered"], row["run"]) for row in shown.differences if "rule" not in row["name"]} == {
        "seeds": ("[0, 1]", "[0, 1, 2]"),
        "bootstrap": ("10", "20"),
        "scaling.seeds": ("[0, 1]", "[0, 1, 2]"),
        "scaling.learning_rates": ("[0.001, 0.01]", "[0.001]"),
        "scaling.thresholds": ("[0.5, 0.9]", "[0.4, 0.9]"),
        "decomposition.seeds": ("[0, 1]", "[0, 1, 2]"),
    }
    (rule,) = [row for row in shown.differences if "rule" in row["name"]]
    assert rule["name"] == "rule of F1"  # It names the threshold.
    assert "reaches 0.5" in rule["registered"]
    assert "reaches 0.4" in rule["run"]
    assert shown.sentences == ["The run has 7 differences from its registration."]
    assert (shown.date, shown.equal) == ("2026-01-02", False)


def test_a_changed_rule_threshold_base_or_version_is_listed(spec, tmp_path, monkeypatch):
    registered = replace(Registration.of(spec), zipthought="0.0.1")
    study = registered_study(tmp_path, spec, registered)
    assert view_of(study).sentences[0] == EQUAL
    monkeypatch.setattr(f1, "RULE", f1.RULE + " And one more thing.")
    monkeypatch.setitem(module.THRESHOLDS, "fitted", 0.8)
    before = replace(registered, models=dict.fromkeys(registered.models, "feed"))
    found = differences(before, Registration.of(spec))
    base = f"base {spec.model}"
    assert [d.name for d in found] == ["threshold fitted", base, "rule of F1"]
    assert (found[0].registered, found[0].run) == ("0.9", "0.8")
    assert found[1].registered == "feed"
    assert found[2].run.endswith("And one more thing.")
    assert [row["name"] for row in view_of(study).differences] == ["threshold fitted", "rule of F1"]
    other = replace(registered, cells={"count": 1, "sha256": ""})
    assert differences(other, registered)[0].name == "cells of equal settings"
    assert differences(registered, replace(registered, rules={}))[0].run == "-"


def test_the_version_is_shown_and_no_difference(spec, tmp_path):
    registered = replace(Registration.of(spec), zipthought="0.0.1")
    Store.create(tmp_path, spec, {"zipthought": "0.0.2"}, registered.plain())
    shown = view_of(Store.open(tmp_path).read())
    assert shown.sentences == [EQUAL, "It was registered with zipthought 0.0.1 and run with 0.0.2."]
    assert shown.equal


def test_every_form_of_the_report_lists_the_differences(spec, tmp_path):
    registered = Registration.of(spec)
    study = registered_study(tmp_path / "study", changed(spec, scaling={"learning_rates": [1e-3]}), registered)
    data = report_data(study, measure(study))
    page, text = build_report(data), markdown(data)
    for form in (page, text):
        assert "The run has 1 difference from its registration." in form
        assert registered.digest in form
        assert "scaling.learning" in form
        assert "0.001, 0.01" in form
    assert "Rule, registered" not in page
    write_export(data, "csv", tmp_path / "tables")
    with (tmp_path / "tables" / "registration.csv").open() as rows:
        assert [row["name"] for row in csv.DictReader(rows)] == ["scaling.learning_rates"]
    assert data.plain()["registration"]["sha256"] == registered.digest


@pytest.fixture
def no_workers(monkeypatch):
    """`study run` runs no cell."""
    monkeypatch.setattr("zipthought.study.runner.run", lambda store, **_: store.counts())


def test_a_run_says_before_it_starts_how_it_differs(file, tmp_path, capsys, no_workers):
    path = tmp_path / "r.json"
    register(file, path)
    file.write_text(file.read_text() + "learning_rates = [2e-3]\n")
    run = ["study", "run", str(file), "--output-dir", str(tmp_path / "out"), "--registration", str(path)]
    assert main(run) == 1  # No cell is done.
    said = capsys.readouterr().err
    assert "this run differs from its registration in scaling.learning_rates" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[1]", "is no registration of a study"),
        (b'{"name": "x"}', "is no registration of a study"),
        (b'{"format": 1, "sha256": "x"}', "is damaged"),
        (b'{"format": 99, "sha256": "x"}', "has the format 99; this version reads 1"),
        (b'{"format": 1, "format": 1}', "occurs twice"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_damaged_files_are_one_line(file, tmp_path, capsys, content, message):
    path = tmp_path / "r.json"
    path.write_bytes(content)
    run = ["study", "run", str(file), "--output-dir", str(tmp_path / "out"), "--registration", str(path)]
    assert main(run) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_any_changed_value_of_a_file_is_damage(spec, tmp_path):
    whole = Registration.of(spec).plain()
    for key in whole:
        for value in (None, 3, "x", {}, {"F1": "x"}):
            if whole[key] != value:
                with pytest.raises(ValueError, match=r"r is damaged|r has the format|no registration"):
                    Registration.from_plain(whole | {key: value}, "r")
        with pytest.raises(ValueError, match=r"r is damaged|no registration"):
            Registration.from_plain({k: v for k, v in whole.items() if k != key}, "r")
    with pytest.raises(ValueError, match="r is damaged"):
        Registration.from_plain(whole | {"more": 1}, "r")
    forged = replace(Registration.of(spec), rules={"F1": "x"})  # A right digest over a wrong type.
    with pytest.raises(ValueError, match="r is damaged"):
        Registration.from_plain(forged.plain(), "r")


def test_the_registration_of_a_store_is_not_exchanged_or_lost(spec, tmp_path):
    registered = Registration.of(spec)
    study = registered_study(tmp_path, spec, registered)
    other = replace(registered, date="2020-01-01").plain()
    with pytest.raises(ValueError, match="another registration"):
        Store.create(tmp_path, spec, {}, other)
    Store.create(tmp_path, spec, {}, registered.plain())
    grown = Store.create(tmp_path, changed(spec, seeds=[0, 1, 2]), {}).read()
    assert grown.meta["registration"]["sha256"] == registered.digest
    assert "seeds" in [row["name"] for row in view_of(grown).differences]
    with connect(tmp_path / "study.db") as db:
        db.execute("UPDATE meta SET value = replace(value, 'Coarser', 'Finer') WHERE key = 'registration'")
    assert view_of(study.__class__(tmp_path)).sentences == ["The registration of this run is damaged."]
    with pytest.raises(ValueError, match="is damaged; give its file with --registration"):
        Store.create(tmp_path, changed(spec, seeds=[0, 1, 2]), {})
    mended = Store.create(tmp_path, changed(spec, seeds=[0, 1, 2]), {}, registered.plain())
    assert "row 'registration' of meta was altered; it is written anew" in mended.mended
    assert mended.read().meta["registration"] == registered.plain()
    with connect(tmp_path / "study.db") as db:
        write_meta(db, {**mended.read().meta, "registration": {**registered.plain(), "format": 2}})
    assert "has the format 2; this version reads 1" in view_of(mended.read()).sentences[0]


def test_a_new_study_of_a_preset_takes_the_registration_that_ships(file, tmp_path, capsys, monkeypatch, no_workers):
    shipped = Registration.of(load_spec(str(file)))
    monkeypatch.setattr(module, "shipped_registration", lambda preset: shipped if preset == str(file) else None)
    Store.create(tmp_path / "old", load_spec(str(file)), {})
    for name, digest in (("new", shipped.digest), ("old", "")):  # The old one began without.
        assert main(["study", "run", str(file), "--output-dir", str(tmp_path / name), "--json"]) == 1  # None is done.
        assert json.loads(capsys.readouterr().out)["registration"]["sha256"] == digest


def test_shipped_registrations_are_of_presets():
    """`test_experiments.py` compares each with its preset."""
    folder = resources.files("zipthought.study").joinpath("registrations")
    names = {file.name.removesuffix(".json") for file in folder.iterdir()}
    assert {"quick", "laptop", "evening", "orders"} <= names <= set(PRESETS)
    assert shipped_registration("nope") is None
    assert shipped_registration("../presets/quick") is None


def test_a_registered_study_is_read_where_its_base_is_gone(tiny_base, tmp_path):
    base = shutil.copytree(tiny_base, tmp_path / "base")
    spec = spec_of(base)
    Store.create(tmp_path / "study", spec, {}, Registration.of(spec).plain())
    shutil.rmtree(base)
    model_digest.cache_clear()
    assert view_of(Store.open(tmp_path / "study").read()).sentences == [EQUAL]
