"""Contracts of tasks, methods, orders and surfaces: every property here runs over everything that is registered."""

from __future__ import annotations

import itertools
import re
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipthought.core import registry
from zipthought.core.compress import compress
from zipthought.core.methods import METHODS, FixedMethod, Method, ScoredMethod, parse_method
from zipthought.core.orders import ORDERS, Order
from zipthought.core.registry import PluginError, Registry
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.models.loading import load
from zipthought.records.chat import token_budget
from zipthought.records.pruned import make_records, unscored
from zipthought.records.reading import problem_of
from zipthought.records.schema import format_of, record_id
from zipthought.surfaces import SURFACES, english, verify
from zipthought.tasks import TASKS, Task, parse_task
from zipthought.tasks.draws import Draws
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
        [(task, order) for task in TASKS for order in parse_task(task).orders], FORMATS, SURFACES
    )
]


def records_of(numbered, fmt, order, surface):
    """Records of (index, problem). A method that needs a model has one that scores all words the same."""
    return make_records(numbered, fmt, order, surface, scorer=unscored)


def problems(task: str, count: int = 6, n_ops: tuple[int, ...] = (3, 6)):
    for n in n_ops:
        config = SamplerConfig(n_ops=n, task=task, seed=n)
        batch = sample_batch(config, "train", range(count))
        yield from (batch.problem(row) for row in range(count))


@pytest.mark.parametrize(("task", "order", "fmt", "surface"), CASES)
def test_traces_are_read_back_and_are_faithful_where_the_method_says_so(task, order, fmt, surface):
    method, module = parse_method(fmt), SURFACES[surface]
    if isinstance(method, ScoredMethod):
        numbered = list(enumerate(problems(task)))
        for (_, problem), record in zip(numbered, records_of(numbered, fmt, order, surface), strict=True):
            assert verify(record["completion"], problem, surface).answer == "correct"
        return
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
    (record,) = records_of([(0, problem)], fmt, order, surface)
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
        if method.needs:
            with pytest.raises(ValueError, match=f"format {fmt} needs a model"):
                compress(problem, method)
            continue
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
    items = REGISTRIES[kind]
    with pytest.raises(TypeError, match=f"the {kind} 'half' lacks .*{items.members[1]}"):
        items.register(types.SimpleNamespace(NAME="half"))
    assert "half" not in items


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_class_is_not_taken_for_an_instance_nor_an_instance_for_a_class(kind):
    items = REGISTRIES[kind]
    members = {**dict.fromkeys(items.members, 1), "NAME": "half"}
    half = type("Half", (), members)
    with pytest.raises(TypeError, match=r"'half' was registered as .*; register (its class|an instance)"):
        items.register(half() if items.classes else half)
    assert "half" not in items
    try:
        assert items.register(half if items.classes else half()) is items["half"]
    finally:
        items.unregister("half")


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_name_that_does_not_exist_is_answered_with_those_that_do(kind):
    items = REGISTRIES[kind]
    with pytest.raises(ValueError, match=f"unknown {kind} 'nothing'; use ") as caught:
        items.find("nothing")
    assert all(name in str(caught.value) for name in items)


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


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "No module named 'broken_plugin'"),
        ("import no_such_package", "No module named 'no_such_package'"),
        (
            "from zipthought.surfaces import SURFACES\nclass S: NAME = 's'\nSURFACES.register(S)",
            "TypeError: the surface 's'",
        ),
        ("raise ValueError('half way')", "ValueError: half way"),
        ("def f(:", "SyntaxError"),
    ],
    ids=["missing", "missing package", "lacks a member", "raises", "syntax"],
)
def test_a_plugin_that_cannot_be_loaded_is_named_every_time(monkeypatch, tmp_path, source, says):
    if source:
        (tmp_path / "broken_plugin.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("ZIPTHOUGHT_PLUGINS", "broken_plugin")
    monkeypatch.setattr(registry, "plugins", registry._Plugins())
    for _ in range(2):
        with pytest.raises(PluginError, match=f"module 'broken_plugin' of ZIPTHOUGHT_PLUGINS.*{re.escape(says)}"):
            Registry("thing", ()).find("anything")


def test_threads_wait_until_the_plugins_are_loaded(monkeypatch, tmp_path):
    (tmp_path / "slow_plugin.py").write_text(
        "import time\nfrom zipthought.core.methods import METHODS, Explicit\n"
        "METHODS.find('explicit')\ntime.sleep(0.2)\n"
        "class Slow(Explicit):\n    NAME = 'slow'\nMETHODS.register(Slow)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("ZIPTHOUGHT_PLUGINS", "slow_plugin")
    monkeypatch.setattr(registry, "plugins", registry._Plugins())
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: str(parse_method("slow")), range(4)))
        assert found == ["slow"] * 4
    finally:
        METHODS.unregister("slow")


@pytest.mark.parametrize("name", ["", "a:b", "a/b", "../up", "a b", "-a", 3, "naïve"])
def test_names_are_fit_for_formats_and_files(name):
    item = types.SimpleNamespace(NAME=name, steps=len, chains_only=False)
    with pytest.raises(ValueError, match="cannot have the name"):
        ORDERS.register(item)


def test_a_class_that_is_defined_again_replaces_the_first():
    things = Registry("thing", (), classes=True)

    def define():
        class Thing:
            NAME = "thing"

        return Thing

    first, second = things.register(define()), things.register(define())
    assert things["thing"] is second is not first


def test_purposes_that_share_a_beginning_are_drawn_apart():
    draws = Draws(np.uint64(1), np.arange(5), 0)
    assert not np.array_equal(draws.bits("leaf_values", 4), draws.bits("leaf_operators", 4))


def test_an_added_order_serves_chains_and_changes_no_limit(tiny_base):
    tokenizer = load(str(tiny_base))[1]
    some = [(problem, "terse") for problem in problems("chain")]
    before = token_budget(tokenizer, some)

    def padded(problem, k, results_only):
        return ORDERS["forward"].write(problem, k, results_only) * 3

    ORDERS.register(Order("padded", padded, chains_only=True))
    try:
        assert "padded" in parse_task("chain").orders
        assert "padded" not in parse_task("tree").orders
        assert token_budget(tokenizer, some) == before < token_budget(tokenizer, some, ("padded",))
    finally:
        ORDERS.unregister("padded")


def test_a_task_has_one_text():
    assert str(parse_task("tree:depth=0,width=3")) == "tree"
    assert str(parse_task("tree:depth=2,width=4")) == "tree:width=4,depth=2"


def test_formats_that_would_share_a_file_are_refused():
    class Dashed(FixedMethod):
        NAME = "composed-2"

        def steps(self, problem, order):
            return ()

    METHODS.register(Dashed)
    try:
        with pytest.raises(ValueError, match="have the same file"):
            GenerateConfig(n_ops=(3,), format=("composed:2", "composed-2"))
    finally:
        METHODS.unregister("composed-2")


def test_generate_refuses_what_an_addition_writes_wrongly(tmp_path):
    class Lossy(FixedMethod):
        NAME = "lossy"

        def steps(self, problem, order):
            return ORDERS[order].steps(problem, 1)[:-1]

    METHODS.register(Lossy)
    try:
        with pytest.raises(ValueError, match=r"format lossy.*is not faithful"):
            generate(GenerateConfig(n_ops=(3,), count=4, format=("explicit", "lossy"), output_dir=tmp_path))
        assert not list(tmp_path.iterdir())
    finally:
        METHODS.unregister("lossy")
