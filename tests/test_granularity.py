"""The preset `granularity`: ten formats at equal examples."""

import json

import pytest
from small_study import run_here

from zipthought.cli import main
from zipthought.study.cells import SFTCell
from zipthought.study.cells.tokens import mean_tokens
from zipthought.study.report import findings, measure
from zipthought.study.spec import load_spec, make_spec
from zipthought.study.store import Store

HEADING = "Formats at equal examples"
FORMATS = (
    *("explicit", "composed:2", "composed:3", "composed:4", "implicit:2", "implicit:4", "answer-only"),
    *("random-steps:0.73", "random-steps:0.22", "last:2"),
)


def test_the_preset_passes_its_dry_run(capsys):
    assert main(["study", "run", "granularity", "--dry-run", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["experiments"]
    assert list(made) == ["scaling"]
    assert made["scaling"]["cells"] == 1 + 4 * 2 * len(FORMATS)


def test_the_preset_has_the_settings_of_laptop_with_more_formats_and_updates():
    own, laptop = load_spec("granularity"), load_spec("laptop")
    settings, others = (spec.plain()["scaling"] for spec in (own, laptop))
    different = {name for name, value in settings.items() if value != others[name]}
    assert different == {"formats", "further_formats", "further_seeds", "parts", "points", "steps"}
    assert settings["formats"] == FORMATS
    parts = {(cell.seed, cell.part, cell.parts) for cell in own.cells() if isinstance(cell, SFTCell)}
    assert parts == {(seed, seed, 4) for seed in range(4)}  # No seed has a structure of another.


@pytest.mark.parametrize(
    ("baseline", "fmt", "apart"), [("random-steps:0.73", "composed:2", 1.0), ("random-steps:0.22", "implicit:2", 0.0)]
)
def test_the_baselines_of_equal_length_are_as_long(baseline, fmt, apart):
    cell = next(cell for cell in load_spec("granularity").cells() if isinstance(cell, SFTCell))
    lengths = [mean_tokens(cell, each, "forward", cell.n_ops)[1] for each in (baseline, fmt)]
    assert abs(lengths[0] - lengths[1]) <= apart


SOME = ("explicit", "composed:3", "last:2")


def tiny(model, **changes):
    """The preset on a tiny base with some of its formats, few problems and few updates."""
    plain = load_spec("granularity").plain()
    small = {"formats": SOME, "examples": [4], "steps": 2, "points": 2, "batch_size": 4}
    small |= {"test_count": 2, "train_count": 1, "validation_count": 1}
    return plain | {"model": str(model), "bootstrap": 50, "scaling": plain["scaling"] | small} | changes


@pytest.mark.long
def test_a_tiny_version_runs_to_a_report_with_the_table(tiny_base, tmp_path):
    out = tmp_path / "out"
    store = run_here(Store.create(out, make_spec(tiny(tiny_base, seeds=[0])), {}))
    assert store.counts() == {"done": 1 + len(SOME)}
    study = store.read()
    found = findings(study, measure(study))
    assert {finding.verdict for finding in found} == {"inconclusive"}  # Nothing is compared.
    assert all("nothing to compare" in finding.summary for finding in found)
    assert main(["study", "report", str(out)]) == 0
    assert HEADING in (out / "report.html").read_text()
    assert main(["study", "report", str(out), "--format", "json"]) == 0
    rows = json.loads((out / "report.json").read_text())["formats"]
    assert [row["format"] for row in rows] == ["no training", *SOME]
    assert [row["granularity"] for row in rows] == [None, 1, 3, 2]
    assert [row["seeds"] for row in rows] == [1] * (1 + len(SOME))
    for row in rows[1:]:
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["example_tokens"] > 40  # A prompt alone has as many.
        assert row["fitted"] in (0, 1)
        assert None not in (row["training"], row["faithful"], row["updates"])
