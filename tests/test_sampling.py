"""The sampler: items are pure functions of (seed, split, n_ops, index), and splits follow from structures."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipthought.core.problem import Problem
from zipthought.tasks.draws import Draws, _shuffled
from zipthought.tasks.names import N_ALIASES, alias_table, nouns
from zipthought.tasks.sampling import SamplerConfig, sample, sample_batch
from zipthought.tasks.splits import SPLITS, in_split, split_of

ARRAYS = ("op", "left", "right", "constant", "distractors", "distractor_constant", "name", "alias", "sentence")
CONFIGS = [
    SamplerConfig(n_ops=1),
    SamplerConfig(n_ops=10, seed=3),
    SamplerConfig(n_ops=5, modulus=7, number_range=40),  # Constants of two digits take the general digest.
    SamplerConfig(n_ops=40, modulus=100),  # Most rows of names repeat a place.
    SamplerConfig(n_ops=4, operators="*-", number_range=11),
    SamplerConfig(n_ops=6, task="tree", seed=-1),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("split", SPLITS)
def test_an_item_alone_is_the_item_in_a_batch(config: SamplerConfig, split: str) -> None:
    batch = sample_batch(config, split, range(30))
    shuffled = sample_batch(config, split, [29, 3, 17])
    for row, index in enumerate([29, 3, 17]):
        alone = sample_batch(config, split, [index])
        for array in ARRAYS:
            whole = getattr(batch, array)[index]
            assert np.array_equal(whole, getattr(alone, array)[0])
            assert np.array_equal(whole, getattr(shuffled, array)[row])
        assert batch.structure[index] == alone.structure[0] == shuffled.structure[row]
        assert sample(config, split, index) == batch.problem(index)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("split", SPLITS)
def test_structures_are_those_of_the_problems_and_of_the_split(config: SamplerConfig, split: str) -> None:
    batch = sample_batch(config, split, range(200))
    assert {split_of(structure) for structure in batch.structure} == {split}
    for row in range(40):
        problem = batch.problem(row)
        assert problem.structure == batch.structure[row]
        assert problem.n_ops == config.n_ops
        constants = [d.right for d in problem.definitions.values() if not isinstance(d, int) and d.op == "*"]
        assert all(c >= 2 for c in constants if isinstance(c, int))


def test_the_items_of_the_first_release() -> None:
    # A model is trained on these draws: another value here means that its data cannot be made again.
    batch = sample_batch(SamplerConfig(n_ops=10), "train", range(3))
    assert [structure[:16] for structure in batch.structure] == [
        "9782c7a3184e061a",
        "3023f282b6c2daa8",
        "558a585ce5ff944b",
    ]
    assert [nouns()[i] for i in batch.name[0, :3].tolist()] == ["orchids", "compasses", "staircases"]
    assert [alias_table()[i] for i in batch.alias[0, :3].tolist()] == ["RY", "TW", "TV"]


def test_the_split_of_many_is_the_split_of_each():
    digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(500)]
    edges = ["0" * 56 + last for last in ("00000000", "cccccccc", "cccccccd", "e6666666", "e6666667", "ffffffff")]
    for split in SPLITS:
        raw = np.frombuffer(bytes.fromhex("".join(digests + edges)), dtype=np.uint8).reshape(-1, 32)
        assert in_split(raw, split).tolist() == [split_of(d) == split for d in digests + edges]


@given(
    seeds=st.lists(st.integers(-(2**70), 2**70), min_size=2, max_size=3, unique=True),
    n_ops=st.lists(st.sampled_from([1, 2, 3, 9]), min_size=1, max_size=2, unique=True),
)
@settings(max_examples=15, deadline=None)
def test_splits_are_disjoint_for_any_seeds_and_n_ops(seeds: list[int], n_ops: list[int]) -> None:
    found: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split in SPLITS:
        for seed in seeds:
            for n in n_ops:
                found[split].update(sample_batch(SamplerConfig(n_ops=n, seed=seed), split, range(60)).structure)
    assert not found["train"] & found["test"]
    assert not found["train"] & found["validation"]
    assert not found["validation"] & found["test"]


def test_neighbouring_seeds_share_nothing() -> None:
    one, two = (set(sample_batch(SamplerConfig(n_ops=12, seed=s), "train", range(500)).structure) for s in (0, 1))
    assert not one & two


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_the_structure_ignores_names_sentence_order_and_distractors(data: st.DataObject) -> None:
    task = data.draw(st.sampled_from(["chain", "tree"]))
    config = SamplerConfig(n_ops=data.draw(st.integers(2, 8)), task=task)
    problem = sample(config, "test", data.draw(st.integers(0, 10**6)))
    names = dict(zip(problem.definitions, data.draw(st.permutations(nouns()[:40])), strict=False))

    def renamed(definition: object) -> object:
        if isinstance(definition, int):
            return definition
        op, left, right = definition  # type: ignore[misc]
        return type(definition)(op, names.get(left, left), names.get(right, right))

    told = data.draw(st.permutations([name for name in problem.definitions if name in problem.position]))
    definitions = {names[name]: renamed(problem.definitions[name]) for name in told}
    same = Problem(problem.modulus, {**definitions, "strangers": 4}, names[problem.target])  # type: ignore[dict-item]
    assert same.structure == problem.structure
    assert Problem(problem.modulus + 1, problem.definitions, problem.target).structure != problem.structure


@pytest.mark.parametrize(("count", "population"), [(1, 3), (11, 676), (21, 1040), (40, 1040), (60, 1040), (12, 12)])
def test_distinct_draws_are_a_fisher_yates_shuffle(count: int, population: int) -> None:
    draws = Draws(np.uint64(7), np.arange(300), 0)
    distinct = draws.distinct("name", count, population)
    chosen = draws.integers("name", count, np.arange(count), np.full(count, population))
    assert np.array_equal(distinct, _shuffled(chosen, population))
    assert all(len(set(row)) == count for row in distinct.tolist())
    assert distinct.min() >= 0
    assert distinct.max() < population


def test_names_and_aliases_are_distinct() -> None:
    batch = sample_batch(SamplerConfig(n_ops=10), "train", range(500))
    assert all(len(set(row)) == len(row) for row in batch.name.tolist())
    assert all(len(set(row)) == len(row) and max(row) < N_ALIASES for row in batch.alias.tolist())
    assert 1 <= batch.distractors.min() <= batch.distractors.max() == batch.config.max_distractors


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n_ops": 0}, "n_ops must be at least 1"),
        ({"n_ops": 3, "modulus": 1}, "modulus must be at least 2"),
        ({"n_ops": 3, "number_range": 2}, "at least 3 with the operator"),  # No constant for `*`.
        ({"n_ops": 3, "number_range": 1}, "no constant fits"),
        ({"n_ops": 3, "task": "graph"}, "unknown task"),
        ({"n_ops": 3, "operators": "++"}, "each once"),
        ({"n_ops": 3, "task": "tree:width=5"}, "width must be"),
        ({"n_ops": 3, "task": "tree:depth=4"}, r"depth must be 1\.\.n_ops"),
        ({"n_ops": 3, "task": "chain:depth=3"}, "'chain' cannot read the setting 'depth=3'; it takes no settings"),
        ({"n_ops": 3, "task": "tree:width=2,width=3"}, "cannot read the setting 'width=3'"),
        ({"n_ops": 3, "task": "tree:width"}, "cannot read the setting 'width'; it takes width=1, depth=1"),
        ({"n_ops": 345, "task": "tree:width=346"}, "691 aliases .* at most 330 operations"),
        ({"n_ops": 500, "task": "tree:width=100"}, "1100 names .* at most 470 operations"),
        ({"n_ops": 600}, "names .* at most 519 operations"),  # More quantities than nouns: an error, never shrunk.
    ],
)
def test_configurations_that_are_refused(settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SamplerConfig(**settings)


@pytest.mark.parametrize("depth", [4, 5, 6])
def test_trees_of_a_depth(depth: int) -> None:
    config = SamplerConfig(n_ops=6, task=f"tree:width=4,depth={depth}")
    batch = sample_batch(config, "test", range(40))
    problems = [batch.problem(row) for row in range(40)]
    assert {(p.n_ops, p.width, p.depth) for p in problems} == {(6, 4, depth)}
    assert {split_of(p.structure) for p in problems} == {"test"}
    assert sample_batch(config, "test", [7]).problem(0) == problems[7]
    assert len({SamplerConfig(n_ops=6, task=f"tree:width=4,depth={d}").key("test") for d in (0, 4, 5, 6)}) == 4


def test_a_depth_that_no_tree_has_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"depth=1: the space is too small.* loosen the task's settings"):
        sample_batch(SamplerConfig(n_ops=6, task="tree:width=4,depth=1"), "train", [0])


def test_a_split_without_structures_is_an_error_and_not_an_endless_loop() -> None:
    config = SamplerConfig(n_ops=1, number_range=2, operators="+")  # One structure, so two splits are empty.
    empty = [split for split in SPLITS if split != split_of(sample_batch_any(config))]
    for split in empty:
        with pytest.raises(ValueError, match="too small"):
            sample_batch(config, split, [0])
    with pytest.raises(ValueError, match="unknown split"):
        sample_batch(config, "dev", [0])
    with pytest.raises(ValueError, match="index must be at least 0"):
        sample_batch(config, "train", [-1])


def sample_batch_any(config: SamplerConfig) -> str:
    """The only structure of a configuration that has one."""
    for split in SPLITS:
        try:
            return sample_batch(config, split, [0]).structure[0]
        except ValueError:
            continue
    raise AssertionError("no split has a structure")


@pytest.mark.parametrize("config", [SamplerConfig(n_ops=1), SamplerConfig(n_ops=2, number_range=3, operators="*-")])
def test_the_number_of_structures_is_that_which_is_found(config):
    found = {s for split in SPLITS for s in sample_batch(config, split, range(3000)).structure}
    assert len(found) == config.space.count_structures(config)
