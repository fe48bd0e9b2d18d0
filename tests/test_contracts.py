"""Contracts of tasks, methods, orders and surfaces: every property here runs over everything that is registered."""

from __future__ import annotations

import itertools
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipthought.core.compress import compress
from zipthought.core.methods import METHODS, Method, parse_method
from zipthought.core.orders import ORDERS
from zipthought.core.registry import Registry
from zipthought.records.reading import problem_of
from zipthought.records.schema import format_of, make_record, record_id
from zipthought.surfaces import SURFACES, english, verify
from zipthought.tasks import TASKS, Task, parse_task
from zipthought.tasks.sampling import SamplerConfig, sample_batch
from zipthought.tasks.splits import SPLITS, split_of

REGISTRIES = {"task": TASKS, "format": METHODS, "order": ORDERS, "surface": SURFACES}
PARAMETERS = (None, "2", "3", "0.5")
"""Tried for every method; each must accept one of them."""


def formats_of(method: type[Method]) -> list[str]:
    """Some formats of a method."""
    found = []
    for parameter in PARAMETERS:
        try:
            found.append(str(method.parse(parameter)))
        except ValueError:
            continue
    assert found, f"{method.NAME} accepts none of the parameters {PARAMETERS}"
    return list(dict.fromkeys(found))


FORMATS = [text for method in METHODS.values() for text in formats_of(method)]
CASES = [
    (task, order, fmt, surface)
    for (task, order), fmt, surface in itertools.product(
        [(task.NAME, order) for task in TASKS.values() for order in task.orders], FORMATS, SURFACES
    )
]


def problems(task: str, count: int = 6, n_ops: tuple[int, ...] = (3, 6)):
    for n in n_ops:
        config = SamplerConfig(n_ops=n, task=task, seed=n)
        batch = sample_batch(config, "train", range(count))
        yield from (batch.problem(row) for row in range(count))


@pytest.mark.parametrize(("task", "order", "fmt", "surface"), CASES)
def test_traces_are_read_back_and_are_faithful_where_the_method_says_so(task, order, fmt, surface):
    method, module = parse_method(fmt), SURFACES[surface]
    if method.needs:
        pytest.skip(f"{fmt} needs {', '.join(method.needs)}")
    for problem in problems(task):
        trace = compress(problem, method, order)
        text = module.render(trace)
        assert len(module.sentences(text)) == len(trace.steps)
        verdict = verify(text, problem, surface)
        assert verdict.answer == "correct"
        if method.faithful:
            assert module.parse(text) == trace
            assert verdict.faithful, (text, verdict)
            assert sum(verdict.granularity) == problem.n_ops
            assert order != "forward" or max(verdict.granularity) <= method.granularity(problem.n_ops)


@pytest.mark.parametrize(("task", "order", "fmt", "surface"), CASES)
def test_a_record_names_what_it_is_and_its_problem_can_be_read(task, order, fmt, surface):
    problem = next(problems(task))
    record = make_record(problem, fmt, order, surface)
    assert format_of(record) == fmt
    assert (record["order"], record["surface"]) == (order, surface)
    assert problem_of(record) == problem
    assert record["id"] == record_id(record)


@pytest.mark.parametrize("fmt", FORMATS)
def test_methods_keep_the_answer_and_are_values(fmt):
    method = parse_method(fmt)
    assert parse_method(str(method)) == method
    assert hash(parse_method(fmt)) == hash(method)
    for problem in problems("chain"):
        assert compress(problem, method).final == str(problem.answer)
        assert compress(problem, method) == compress(problem, fmt)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_refuses_a_parameter_that_it_cannot_read(name):
    with pytest.raises(ValueError, match=name):
        parse_method(f"{name}:no such thing")


@pytest.mark.parametrize("task", sorted(TASKS))
def test_tasks_are_pure_functions_whose_structures_stay_in_their_split(task):
    space = parse_task(task)
    assert isinstance(space, Task)
    assert set(space.orders) <= set(ORDERS)
    config = SamplerConfig(n_ops=4, task=task)
    for split in SPLITS:
        batch = sample_batch(config, split, range(40))
        drawn = [batch.problem(row) for row in range(40)]
        assert {split_of(problem.structure) for problem in drawn} == {split}
        assert [problem.structure for problem in drawn] == list(batch.structure)
        assert sample_batch(config, split, [17]).problem(0) == drawn[17]
        assert {problem.n_ops for problem in drawn} == {4}
        assert {len(problem.order) for problem in drawn} == {space.n_quantities(4)}
        assert all(space.oracle(problem) == problem.answer for problem in drawn)
    seeds = [SamplerConfig(n_ops=4, task=task, seed=seed) for seed in (0, 1)]
    assert len({sample_batch(config, "train", range(40)).structure for config in seeds}) == 2


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_task_refuses_settings_that_it_does_not_have(task):
    with pytest.raises(ValueError, match="cannot read the setting 'colour=3'"):
        parse_task(f"{task}:colour=3")


@pytest.mark.parametrize("surface", sorted(SURFACES))
@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_a_surface_raises_on_no_solution_text(surface, text):
    module = SURFACES[surface]
    trace = module.parse(text)
    assert len(module.sentences(text)) == len(trace.steps)
    assert module.looks_like(text) in (True, False)


@pytest.mark.parametrize("surface", sorted(SURFACES))
def test_a_surface_states_the_modulus_and_its_own_name(surface):
    module = SURFACES[surface]
    assert surface == module.NAME
    assert "31" in module.system_message(31)
    assert module.VOCABULARY_SAMPLE


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_missing_member_is_named(kind):
    registry = REGISTRIES[kind]
    with pytest.raises(TypeError, match=registry.members[1]):
        registry.register(types.SimpleNamespace(NAME="half a thing"))
    assert "half a thing" not in registry


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_name_that_does_not_exist_is_answered_with_those_that_do(kind):
    registry = REGISTRIES[kind]
    with pytest.raises(ValueError, match=f"unknown {kind} 'nothing'; use {', '.join(registry)}"):
        registry.find("nothing")


def test_a_class_with_an_abstract_method_is_refused_by_its_name():
    class Half(Method):
        NAME = "half"

        @classmethod
        def parse(cls, parameter):
            return cls()

    with pytest.raises(TypeError, match="'half' lacks steps"):
        METHODS.register(Half)


def test_a_taken_name_is_refused_and_the_same_item_may_register_again():
    assert SURFACES.register(english) is english
    with pytest.raises(ValueError, match="there is a surface 'english' already"):
        SURFACES.register(types.SimpleNamespace(**{name: getattr(english, name) for name in SURFACES.members}))


def test_plugins_that_cannot_be_imported_are_named(monkeypatch):
    monkeypatch.setenv("ZIPTHOUGHT_PLUGINS", "no_such_module")
    monkeypatch.setattr("zipthought.core.registry._loaded", False)
    with pytest.raises(ValueError, match="ZIPTHOUGHT_PLUGINS names the module 'no_such_module'"):
        Registry("thing", ()).find("anything")
