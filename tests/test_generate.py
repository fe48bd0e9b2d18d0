"""Generation: the fast path is the exact path, shards are the whole, files are whole or absent."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import zipthought.generation.fragments as fragments
import zipthought.generation.generate as generation
import zipthought.generation.sinks as sinks
from zipthought.core.methods import Method, parse_method
from zipthought.files.atomic import atomic_files
from zipthought.generation.fast import FastWriter, supports
from zipthought.generation.generate import ExactWriter, GenerateConfig, generate
from zipthought.records.reading import problem_of, read_records
from zipthought.records.schema import record_id
from zipthought.surfaces import SURFACES, verify
from zipthought.tasks.sampling import ProblemBatch, SamplerConfig, sample_batch

FAST_SURFACES = [
    name for name in SURFACES if supports(SamplerConfig(n_ops=3), parse_method("explicit"), name, "forward")
]


def joined(blocks: Iterator[list[bytes]]) -> list[bytes]:
    return [b"".join(parts) for parts in zip(*blocks, strict=True)]


def assert_fast_is_exact(config: SamplerConfig, formats: list[Method], surface: str, indices: range) -> None:
    assert all(supports(config, method, surface, "forward") for method in formats)
    batch = sample_batch(config, "train", indices)
    exact = joined(ExactWriter(formats, "forward", surface, "train").blocks(batch))
    fast = joined(FastWriter(config, formats, surface, "train").blocks(batch))
    for fmt, one, other in zip(formats, fast, exact, strict=True):
        assert one == other, f"{config} {fmt} {surface}"


def some_formats(n_ops: int) -> list[Method]:
    ks = sorted({2, 3, n_ops - 1, n_ops, n_ops + 1} - {0, 1})
    texts = ["explicit", "answer-only", "implicit:1", *(f"{name}:{k}" for name in ("composed", "implicit") for k in ks)]
    return [parse_method(text) for text in texts]


@pytest.mark.parametrize("surface", FAST_SURFACES)
@pytest.mark.parametrize("n_ops", [1, 2, 3, 10, 64])
@pytest.mark.parametrize(("modulus", "number_range"), [(2, 5), (7, 40), (23, 5), (100, 11)])
def test_fast_is_exact(n_ops: int, modulus: int, number_range: int, surface: str) -> None:
    # (7, 40): constants exceed the modulus, so that a start is written `= 30 = 2`.
    config = SamplerConfig(n_ops=n_ops, modulus=modulus, number_range=number_range, seed=n_ops)
    assert_fast_is_exact(config, some_formats(n_ops), surface, range(2 if n_ops == 64 else 12))


@given(
    n_ops=st.integers(1, 20),
    modulus=st.one_of(st.integers(2, 120), st.sampled_from([10**6, 10**12])),
    number_range=st.one_of(st.integers(3, 12), st.integers(13, 5000)),
    seed=st.integers(-5, 2**64),
    operators=st.sampled_from(["+-*", "*-", "-+", "*", "+"]),
    k=st.integers(1, 22),
    surface=st.sampled_from(FAST_SURFACES),
)
@settings(max_examples=40, deadline=None)
def test_fast_is_exact_anywhere(
    n_ops: int, modulus: int, number_range: int, seed: int, operators: str, k: int, surface: str
) -> None:
    # So many structures that some are in the train split: 0.2**20 is 1e-14.
    steps = sum(number_range - 1 - (op == "*") for op in operators)
    assume((number_range - 1) * steps**n_ops >= 20)
    config = SamplerConfig(n_ops=n_ops, modulus=modulus, number_range=number_range, seed=seed, operators=operators)
    formats = [parse_method(f"composed:{k}"), parse_method(f"implicit:{k}")]
    assert_fast_is_exact(config, formats, surface, range(seed % 1000, seed % 1000 + 2))


def test_fast_is_exact_with_and_without_kept_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "MAX_TABLE", 10)
    monkeypatch.setattr(fragments, "BLOCK", 5)
    assert_fast_is_exact(SamplerConfig(n_ops=6), some_formats(6), "english", range(300))


def test_fragments_are_made_once_where_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, codes = fragments.Bank(), np.array([3, 1])
    bank.add(5, "word {} ".format)
    assert bank.table(codes)[0] is bank.table(codes)[0]
    monkeypatch.setattr(fragments, "MAX_TABLE", 4)
    texts, rows = bank.table(codes)
    assert texts[rows].tolist() == ["word 3 ", "word 1 "]


def test_what_has_no_fast_path() -> None:
    explicit = parse_method("explicit")
    assert supports(SamplerConfig(n_ops=3), explicit, "english", "forward")
    assert not supports(SamplerConfig(n_ops=3), explicit, "english", "backward")
    assert not supports(SamplerConfig(n_ops=3, task="tree"), explicit, "english", "forward")
    assert not supports(SamplerConfig(n_ops=3, modulus=10**20), explicit, "english", "forward")
    assert not supports(SamplerConfig(n_ops=3), parse_method("random-steps:0.5"), "english", "forward")


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.mark.parametrize(
    "options", [{}, {"order": "backward"}, {"task": "tree:width=2"}, {"surface": "terse", "split": "test"}], ids=str
)
def test_shards_one_after_the_other_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict
) -> None:
    common = {"n_ops": (4, 1, 7), "count": 11, "format": ("explicit", "composed:2", "answer-only"), **options}
    whole = generate(GenerateConfig(**common, output_dir=tmp_path / "whole"))
    assert whole["records"] == 99
    monkeypatch.setattr(sinks, "CHUNK", 5000)
    assert list(whole["files"]) == ["explicit", "composed:2", "answer-only"]
    parts = [GenerateConfig(**common, output_dir=tmp_path / "parts", shards=4, shard=i) for i in range(4)]
    for part in reversed(parts):
        assert set(generate(part)["files"]) == set(whole["files"])
    for fmt, path in whole["files"].items():
        name = fmt.replace(":", "-")
        shards = [(tmp_path / "parts" / f"{name}.shard-{i}-of-4.jsonl").read_bytes() for i in range(4)]
        assert path.read_bytes() == b"".join(shards)
        assert [len(shard.splitlines()) for shard in shards] == [8, 8, 8, 9]


def test_more_shards_than_records(tmp_path: Path) -> None:
    made = [
        generate(GenerateConfig(n_ops=(2,), count=1, output_dir=tmp_path, shards=3, shard=i))["records"]
        for i in range(3)
    ]
    assert made == [0, 0, 1]


def test_the_same_problems_stand_in_each_file(tmp_path: Path) -> None:
    formats = ("explicit", "composed:3", "implicit:2", "answer-only")
    made = generate(GenerateConfig(n_ops=(5, 3), count=20, format=formats, output_dir=tmp_path))
    columns = {fmt: list(read_records(path)) for fmt, path in made["files"].items()}
    for records in zip(*columns.values(), strict=True):
        assert len({record["prompt"] for record in records}) == 1
        assert len({record["structure"] for record in records}) == 1
        assert len({record["id"] for record in records}) == len(formats)
        assert [record["k"] for record in records] == [1, 3, 2, records[0]["n_ops"]]
    assert [record["index"] for record in columns["explicit"]] == [*range(20), *range(20)]
    assert [record["n_ops"] for record in columns["explicit"]] == [5] * 20 + [3] * 20


def test_a_rerun_adds_nothing(tmp_path: Path) -> None:
    config = GenerateConfig(n_ops=(3,), count=30, output_dir=tmp_path)
    generate(config)
    before = contents(tmp_path)
    generate(config)
    assert contents(tmp_path) == before


SCRIPT = """
import sys
from pathlib import Path
from zipthought.generation.generate import GenerateConfig, generate
for order in ("forward", "hierarchical"):
    for shards in (1, 3):
        for shard in range(shards):
            generate(GenerateConfig(n_ops=(3, 8), count=25, format=("explicit", "implicit:2"), order=order,
                     output_dir=Path(sys.argv[1]) / order, shards=shards, shard=shard))
"""


def test_other_processes_with_other_hash_seeds_make_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for hash_seed in ("1", "2"):
        directory = tmp_path / hash_seed
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", SCRIPT, str(directory)], check=True, env=environment)
        made.append({order: contents(directory / order) for order in ("forward", "hierarchical")})
    assert made[0] == made[1]
    for files in made[0].values():
        for name in ("explicit", "implicit-2"):
            assert files[f"{name}.jsonl"] == b"".join(files[f"{name}.shard-{i}-of-3.jsonl"] for i in range(3))


@pytest.mark.parametrize("file_type", ["jsonl", "parquet"])
def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_type: str) -> None:
    config = GenerateConfig(
        n_ops=(3,), count=40, format=("explicit", "composed:2"), output_dir=tmp_path, file_type=file_type
    )
    monkeypatch.setattr(generation, "BATCH", 10)
    calls = []

    def failing(*args: object) -> ProblemBatch:
        calls.append(args)
        if len(calls) == 4:
            raise OSError("the disk is full")
        return sample_batch(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(generation, "sample_batch", failing)
    with pytest.raises(OSError, match="disk is full"):
        generate(config)
    assert list(tmp_path.iterdir()) == []

    (tmp_path / f"explicit.{file_type}").write_bytes(b"from an earlier run")
    calls.clear()
    with pytest.raises(OSError, match="disk is full"):
        generate(config)
    assert contents(tmp_path) == {f"explicit.{file_type}": b"from an earlier run"}


@pytest.mark.parametrize("failing", [1, 2, 5], ids="write {}".format)
def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    writes = itertools.count(1)

    class FullDisk(io.BytesIO):
        """One of several writes fails: it must not be taken for written."""

        def write(self, data: object) -> int:
            if next(writes) == failing:
                raise OSError("the disk is full")
            return super().write(data)  # type: ignore[arg-type]

    @contextmanager
    def full_disk(**options: bool) -> Iterator[Callable[[Path], FullDisk]]:
        with atomic_files(**options) as open_file:
            yield lambda path: FullDisk(bool(open_file(path)) * b"")

    monkeypatch.setattr(generation, "BATCH", 20)
    monkeypatch.setattr(sinks, "CHUNK", 20_000)
    monkeypatch.setattr(generation, "atomic_files", full_disk)
    with pytest.raises(OSError, match="disk is full"):
        generate(GenerateConfig(n_ops=(3,), count=100, output_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_files_get_their_names_only_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "BATCH", 10)
    seen = []

    def on_progress(done: int, total: int) -> None:
        seen.append((done, total))
        assert not list(tmp_path.glob("*.jsonl"))

    config = GenerateConfig(n_ops=(2, 3), count=15, format=("explicit", "answer-only"), output_dir=tmp_path)
    generate(config, on_progress)
    assert seen == [(20, 60), (30, 60), (50, 60), (60, 60)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answer-only.jsonl", "explicit.jsonl"]


def test_parquet_holds_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "BATCH", 16)
    monkeypatch.setattr(sinks, "ROW_GROUP", 16)
    common = {"n_ops": (3, 5), "count": 20, "format": ("composed:2",), "output_dir": tmp_path}
    lines = generate(GenerateConfig(**common))["files"]["composed:2"]
    table = generate(GenerateConfig(**common, file_type="parquet"))["files"]["composed:2"]
    records = list(read_records(table))
    assert records == list(read_records(lines))
    assert all(record_id(record) == record["id"] for record in records)

    parquet = pytest.importorskip("pyarrow.parquet")
    file = parquet.ParquetFile(table)
    assert file.num_row_groups > 1
    turn = file.schema_arrow.field("messages").type.value_type
    assert [field.name for field in turn] == ["role", "content"]


def test_every_record_is_faithful(tmp_path: Path) -> None:
    formats = ("explicit", "composed:2", "implicit:3", "answer-only")
    for order in ("forward", "backward", "hierarchical"):
        config = GenerateConfig(n_ops=(1, 6), count=5, format=formats, order=order, output_dir=tmp_path / order)
        made = generate(config)
        for path in made["files"].values():
            for record in read_records(path):
                problem = problem_of(record)
                verdict = verify(record["completion"], problem)
                assert verdict.faithful, record["completion"]
                assert record["answer"] == str(problem.answer)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_ops": ()}, "n_ops is empty"),
        ({"n_ops": (3, 3)}, "n_ops has a value twice"),
        ({"n_ops": (3, 0)}, "n_ops must be at least 1"),  # Not the first value: still found before a file is made.
        ({"count": 0}, "count must be at least 1"),
        ({"format": ()}, "format is empty"),
        ({"format": ("explicit", "composed")}, "needs a granularity"),
        ({"format": ("composed:0",)}, "at least 1"),
        ({"format": ("explicit", "composed:1")}, "given twice"),  # One format under two names.
        ({"order": "sideways"}, "unknown order"),
        ({"order": "backward", "task": "tree"}, "has no order"),
        ({"task": "tree", "n_ops": (1,)}, "width must be"),
        ({"surface": "french"}, "unknown surface"),
        ({"split": "dev"}, "unknown split"),
        ({"shards": 0}, "shards must be at least 1"),
        ({"shards": 4, "shard": 4}, r"shard must be 0\.\.3"),
        ({"shard": -1}, "shard must be"),
        ({"file_type": "csv"}, "unknown file type"),
        ({"number_range": 2}, "number_range must be at least 3"),
    ],
)
def test_configurations_that_are_refused(tmp_path: Path, options: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        GenerateConfig(**{"n_ops": (3,), "output_dir": tmp_path, **options})
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for directory in (taken, taken / "below"):
        with pytest.raises(NotADirectoryError):
            generate(GenerateConfig(n_ops=(3,), count=1, output_dir=directory))
