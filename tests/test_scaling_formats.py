"""The table of formats at equal examples: means over seeds, and their intervals."""

import numpy as np
import pytest
from synthetic_study import WORKER, finished_study, made_up

from zipthought.report.exports import markdown
from zipthought.study.cells import SFTCell, Step0Cell
from zipthought.study.experiments.scaling import formats as module
from zipthought.study.experiments.scaling.formats import format_rows
from zipthought.study.report import measure, report_data
from zipthought.study.spec import make_spec
from zipthought.study.store import Store
from zipthought.study.workspace import Workspace

FORMATS = ("explicit", "composed:2", "implicit:4", "random-steps:0.73", "last:2")


def settings_of(model, **table):
    """A study of one table [scaling]."""
    small = {"examples": [4], "steps": 2, "batch_size": 4, "n_ops": [4], "test_count": 10, "train_count": 2}
    scaling = {"formats": FORMATS, "learning_rates": [1e-3], **small, **table}
    return {"name": "x", "model": str(model), "seeds": [0, 1, 2], "bootstrap": 50, "scaling": scaling}


def rows_of(study):
    scaling = study.spec.experiments["scaling"]
    return format_rows(study, scaling, study.spec.model)


def test_rows_are_means_over_seeds_with_students_t(tiny_base, tmp_path):
    settings = settings_of(tiny_base, examples=[4, 512], steps=60, batch_size=16, test_count=20)
    study = finished_study(tmp_path, make_spec(settings)).read()
    rows = rows_of(study)
    assert [(row.examples, row.format) for row in rows[1:]] == [(n, fmt) for n in (4, 512) for fmt in FORMATS]
    cells = {(c.config.examples, c.config.format, c.config.seed): c for c in study.cells if hasattr(c.config, "format")}
    for row in rows[1:]:
        own, explicit = (
            [cells[row.examples, fmt, seed].result for seed in (0, 1, 2)] for fmt in (row.format, "explicit")
        )
        assert row.seeds == 3
        assert row.accuracy == pytest.approx(np.mean([r.test.accuracy for r in own]))
        assert row.training == pytest.approx(np.mean([r.fit for r in own]))
        assert row.fitted == sum(r.fit >= 0.9 for r in own)
        assert row.faithful == pytest.approx(np.mean([r.test.faithful for r in own]))
        if row.format == "explicit":
            assert row.minus_explicit is row.minus_low is row.minus_high is None
        else:
            less = np.mean([r.test.accuracy for r in own]) - np.mean([r.test.accuracy for r in explicit])
            assert row.minus_explicit == pytest.approx(less)
            assert (row.minus_low is None and less == 0) or row.minus_low < less < row.minus_high
    (base,) = [cell.result for cell in study.cells if isinstance(cell.config, Step0Cell)]
    assert (rows[0].format, rows[0].examples, rows[0].accuracy) == ("no training", 0, base.test.accuracy)
    data = report_data(study, measure(study))
    assert len(data.shown["Formats at equal examples"]) == len(rows)
    assert "## Formats at equal examples" in markdown(data)


def test_an_interval_is_that_of_the_seeds_and_has_a_width_where_all_is_right():
    """Without noise between problems, the bootstrap of S - 1 of S seeds has the variance of their mean."""
    shares = np.array([0.2, 0.5, 0.8])
    solved = np.array([np.arange(1000) < 1000 * share for share in shares])
    middle, low, high = module._interval(solved, 2000)
    assert middle == pytest.approx(0.5)
    assert high - middle == pytest.approx(middle - low)
    assert high - middle == pytest.approx(4.303 * shares.std(ddof=1) / np.sqrt(3), rel=0.1)  # t(2) at 95%.
    middle, low, high = module._interval(np.ones((3, 200), bool), 50)
    assert middle == 1
    assert 0.97 < low < 1 < high < 1.03
    middle, low, high = module._interval(solved, 50, solved)
    assert (middle, low, high) == (0, 0, 0)


def test_seeds_that_are_not_finished_are_left_out(tiny_base, tmp_path):
    """The difference to explicit is over the seeds that both formats have."""
    settings = settings_of(tiny_base, formats=["explicit", "last:2"])
    store = Store.create(tmp_path, make_spec(settings), {})
    while cell := store.claim(WORKER):
        if isinstance(cell, SFTCell) and (cell.format, cell.seed) in {("explicit", 0), ("last:2", 2)}:
            continue  # Claimed and never finished.
        store.finish(cell.digest, WORKER, made_up(cell, Workspace(tmp_path), flat=True), 1.0)
    study = store.read()
    _, explicit, last = rows_of(study)
    assert (explicit.seeds, last.seeds) == (2, 2)
    solved = {
        (cell.config.format, cell.config.seed): np.mean(study.solved(cell.digest))
        for cell in study.cells
        if isinstance(cell.config, SFTCell) and cell.status == "done"
    }
    assert last.minus_explicit == pytest.approx(solved["last:2", 1] - solved["explicit", 1])


def test_a_format_alone_has_no_difference(tiny_base, tmp_path):
    settings = settings_of(tiny_base, formats=["composed:2"], before=False)
    study = finished_study(tmp_path, make_spec(settings)).read()
    (row,) = rows_of(study)
    assert (row.format, row.minus_explicit, row.minus_low) == ("composed:2", None, None)
