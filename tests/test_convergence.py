"""The rule that ends SFT runs, the averaged weights that it measures, and what training problems are drawn from."""

from dataclasses import replace

import pytest
import torch
from small_study import result_of

from zipthought.models.loading import load
from zipthought.study.cells import SFTCell
from zipthought.study.cells.sft import FIT, RISE, RunPoint
from zipthought.study.cells.sft_run import run_sft, sft_problems
from zipthought.study.spec import make_spec
from zipthought.study.workspace import Workspace
from zipthought.tasks.dressing import part_of
from zipthought.train.averaging import DECAY, WeightAverage

SFT = {"n_ops": [3], "batch_size": 4, "test_count": 3, "train_count": 2}


def cell_of(base, **changes):
    """A run of at most 256 updates on two problems of one operation, measured at 2, 4, 8, ..., 256 updates."""
    table = {"n_ops": [1], "formats": ["answer-only"], "examples": [2], "batch_size": 2, "steps": 256, "points": 8}
    table |= {"converge": True, "learning_rates": [5e-3], "test_count": 2, "train_count": 2, "validation_count": 2}
    spec = make_spec({"name": "x", "model": str(base), "scaling": table})
    cell = next(cell for cell in spec.cells() if isinstance(cell, SFTCell))
    return replace(cell, **changes)


def test_points_double_up_to_the_most_updates(tiny_base):
    cell = cell_of(tiny_base)
    assert cell.measured_at() == (2, 4, 8, 16, 32, 64, 128, 256)
    assert replace(cell, steps=100, points=4).measured_at() == (12, 25, 50, 100)
    assert replace(cell, steps=3, points=8).measured_at() == (1, 2, 3)
    assert replace(cell, converge=False, steps=100, points=4).measured_at() == (25, 50, 75, 100)


def test_a_run_that_fits_ends_before_its_cap(tiny_base, tmp_path):
    cell = cell_of(tiny_base)
    result = run_sft(cell, Workspace(tmp_path))
    steps = tuple(point.step for point in result.points)
    assert steps == cell.measured_at()[: len(steps)]
    assert steps[-1] < 256
    before, last = result.points[-2:]
    assert last.train >= FIT
    assert last.validation <= before.validation + RISE
    for earlier, point in zip(result.points, result.points[1:-1], strict=False):  # It ended at the first such point.
        assert point.train < FIT or point.validation > earlier.validation + RISE
    best = max(point.validation for point in result.points)
    assert result.step == next(point.step for point in result.points if point.validation == best)
    chosen = next(point for point in result.points if point.step == result.step)
    assert (result.test.accuracy, result.train.accuracy) == (chosen.accuracy, chosen.train)


def test_a_run_that_cannot_fit_goes_to_its_cap(tiny_base, tmp_path):
    result = run_sft(cell_of(tiny_base, steps=8, points=3, learning_rates=(1e-9,)), Workspace(tmp_path))
    assert [point.step for point in result.points] == [2, 4, 8]
    assert {point.train for point in result.points} == {0.0}


def test_without_the_rule_a_run_that_fits_goes_on(tiny_base, tmp_path):
    result = run_sft(cell_of(tiny_base, converge=False, steps=8, points=2), Workspace(tmp_path))
    assert [(point.step, point.train) for point in result.points] == [(4, None), (8, None)]


def test_a_run_that_fitted_at_any_point_did_not_lack_updates():
    point = RunPoint(step=1, tokens=1, flops=1.0, correct=(True,), validation=0.5, train=0.95)
    chosen = replace(result_of(), train=replace(result_of().train, accuracy=0.3))
    assert chosen.fit == 0.3
    assert replace(chosen, points=(replace(point, train=None), point, replace(point, train=0.2))).fit == 0.95


def test_averaged_weights_follow_the_formula(tiny_base):
    """Step 1 sets the average; at step t it moves by (eta + 1) / (t + eta) of the way to the weights."""
    model, _ = load(str(tiny_base), training=True)
    average = WeightAverage(model)
    name, trained = next(iter(model.named_parameters()))
    expected = None
    for t in range(1, 6):
        with torch.no_grad():
            trained.fill_(float(t * t))
        average.update()
        expected = 1.0 if expected is None else expected + (DECAY + 1) / (t + DECAY) * (t * t - expected)
        found = dict(average.model.named_parameters())[name]
        torch.testing.assert_close(found, torch.full_like(found, expected))
    assert not average.model.training
    assert trained[0, 0] == 25  # The trained weights stay.


def cells_of(tiny_base, **table):
    spec = make_spec({"name": "x", "model": str(tiny_base), "seeds": [0, 1], "scaling": SFT | {"steps": 2} | table})
    return [cell for cell in spec.cells() if isinstance(cell, SFTCell)]


def test_structures_repeat_under_new_names(tiny_base):
    few, many = cells_of(tiny_base, formats=["explicit"], examples=[3, 8], structures=4)[:2]
    assert (few.structures, many.structures) == (0, 4)
    problems = [problem for _, problem in sft_problems(many)]
    assert len({problem.structure for problem in problems}) == 4
    assert len({tuple(problem.definitions.items()) for problem in problems}) == 8
    assert all(problem.answer == problems[i % 4].answer for i, problem in enumerate(problems))
    assert [i for i, _ in sft_problems(many)] == [i for i, _ in sft_problems(many)][:4] * 2


def test_parts_share_no_structure(tiny_base):
    first, second = cells_of(tiny_base, formats=["explicit"], examples=[8], parts=2)
    assert [(cell.seed, cell.part, cell.parts) for cell in (first, second)] == [(0, 0, 2), (1, 1, 2)]
    structures = [{problem.structure for _, problem in sft_problems(cell)} for cell in (first, second)]
    assert [{part_of(digest, 2) for digest in of} for of in structures] == [{0}, {1}]


def test_more_examples_than_training_structures_are_refused_before_anything_runs(tiny_base):
    table = {"formats": ["explicit"], "examples": [64, 5000], "steps": 5000}
    with pytest.raises(ValueError, match=r"5000 examples .* n_ops=3 has \d+ training structures; lower examples, or"):
        cells_of(tiny_base, **table)
    assert [cell.structures for cell in cells_of(tiny_base, **table, structures=4000)] == [0, 4000, 0, 4000]
    with pytest.raises(ValueError, match=r"training structures in part \d of 2"):
        cells_of(tiny_base, **table, structures=4000, parts=2)


def test_rates_are_those_of_a_format_and_a_data_size(tiny_base):
    table = {"formats": ["explicit", "composed:2", "implicit:2"], "examples": [4, 8]}
    rates = {"explicit": [1e-3], "composed:2": [2e-3, 3e-3]}
    cells = cells_of(tiny_base, **table, learning_rates=[5e-4, 6e-4], rates=rates)
    found = {(c.format, c.examples): (c.learning_rates, len(c.needs())) for c in cells if c.seed == 0}
    assert found == {
        ("explicit", 4): ((1e-3,), 0),
        ("explicit", 8): ((1e-3,), 0),
        ("composed:2", 4): ((2e-3,), 0),
        ("composed:2", 8): ((3e-3,), 0),
        ("implicit:2", 4): ((5e-4, 6e-4), 2),
        ("implicit:2", 8): ((5e-4, 6e-4), 2),
    }


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([1e-3], r"rates must be a table in \[scaling\]"),
        ({"explicit": 1e-3}, "rates.explicit must be tuple"),
        ({"explicit": ["fast"]}, "rates.explicit must be tuple"),
        ({"composed:4": [1e-3]}, "unknown name 'composed:4' in rates; use explicit, composed:2, implicit:2"),
        ({"explicit": [1e-3, 1e-3, 1e-3]}, "rates of explicit must be 1, or 2, one for each of examples; got 3"),
        ({"explicit": []}, "got 0"),
        ({"explicit": [-1.0]}, "learning_rate must be above 0"),
    ],
)
def test_rates_that_fit_no_run_are_refused(tiny_base, rates, message):
    with pytest.raises(ValueError, match=message):
        cells_of(tiny_base, examples=[4, 8], rates=rates)


def test_rates_of_orders_are_named_by_order(tiny_base):
    table = SFT | {"longer_n_ops": [4], "examples": 4, "steps": 1, "views": ["plain"]}
    spec = make_spec({"name": "x", "model": str(tiny_base), "orders": table | {"rates": {"backward": [7e-3]}}})
    rates = {cell.order: cell.learning_rates for cell in spec.cells() if isinstance(cell, SFTCell)}
    assert rates == {"forward": (1e-3,), "backward": (7e-3,), "hierarchical": (1e-3,)}
    with pytest.raises(ValueError, match="unknown name 'explicit' in rates; use forward, backward, hierarchical"):
        make_spec({"name": "x", "model": str(tiny_base), "orders": table | {"rates": {"explicit": [7e-3]}}})


def test_the_engine_trl_has_no_rule_of_convergence(tiny_base):
    for name in ("scaling", "repetition"):
        with pytest.raises(ValueError, match="no rule of convergence"):
            make_spec({"name": "x", "model": str(tiny_base), "engine": "trl", name: {"converge": True, "points": 2}})
