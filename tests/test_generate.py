"""Generation: the fast path is the exact path, shards are the whole, files are whole or absent."""

from __future__ import annotations

import dataclasses
import importlib
import io
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import zipthought.data.generate as generation
import zipthought.data.lines as lines
from zipthought.core.formats import Format, parse_format
from zipthought.data.fastpath import PLAIN, FastWriter, Kernels, supports
from zipthought.data.files import atomic_open
from zipthought.data.generate import ExactWriter, GenerateConfig, generate
from zipthought.data.records import problem_of, read_records, record_id
from zipthought.data.sampling import Batch, SamplerConfig, sample_batch
from zipthought.surfaces import verify


def joined(blocks: Iterator[list[bytes]]) -> list[bytes]:
    return [b"".join(parts) for parts in zip(*blocks, strict=True)]


def both_kernels() -> list[Kernels]:
    """The plain ones, and those in compiled code where there is any."""
    return list(dict.fromkeys([PLAIN, generation.large_job_kernels()]))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with a look after what its raw copies are trusted with."""
    if generation.large_job_kernels() is PLAIN:
        pytest.skip("numba is not installed, or told not to compile")
    module = importlib.import_module("zipthought.data.compiled")
    assemble = module._assemble

    def checked(out: np.ndarray, *args: object) -> int:
        end = assemble(out, *args)
        assert 0 < end <= len(out)
        return end

    monkeypatch.setattr(module, "_assemble", checked)
    return module


def assert_fast_is_exact(config: SamplerConfig, formats: list[Format], surface: str, indices: range) -> None:
    assert supports(config, "forward")
    batch = sample_batch(config, "train", indices)
    exact = joined(ExactWriter(formats, "forward", surface, "train").blocks(batch))
    for kernels in both_kernels():
        drawn = sample_batch(config, "train", indices, kernels.drawing)
        fast = joined(FastWriter(config, formats, surface, "train", kernels).blocks(drawn))
        for fmt, one, other in zip(formats, fast, exact, strict=True):
            assert one == other, f"{config} {fmt} {surface}"


def some_formats(n_ops: int) -> list[Format]:
    ks = sorted({2, 3, n_ops - 1, n_ops, n_ops + 1} - {0, 1})
    texts = ["explicit", "answer-only", "implicit:1", *(f"{name}:{k}" for name in ("composed", "implicit") for k in ks)]
    return [parse_format(text) for text in texts]


@pytest.mark.parametrize("surface", ["english", "terse"])
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
    surface=st.sampled_from(["english", "terse"]),
)
@settings(max_examples=40, deadline=None)
def test_fast_is_exact_anywhere(
    n_ops: int, modulus: int, number_range: int, seed: int, operators: str, k: int, surface: str
) -> None:
    # So many structures that some are in the train split: 0.2**20 is 1e-14.
    steps = sum(number_range - 1 - (op == "*") for op in operators)
    assume((number_range - 1) * steps**n_ops >= 20)
    config = SamplerConfig(n_ops=n_ops, modulus=modulus, number_range=number_range, seed=seed, operators=operators)
    formats = [parse_format(f"composed:{k}"), parse_format(f"implicit:{k}")]
    assert_fast_is_exact(config, formats, surface, range(seed % 1000, seed % 1000 + 2))


def test_fast_is_exact_with_and_without_kept_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_TABLE", 10)
    monkeypatch.setattr(lines, "BLOCK", 5)
    assert_fast_is_exact(SamplerConfig(n_ops=6), some_formats(6), "english", range(300))


@pytest.mark.parametrize("surface", ["english", "terse"])
@pytest.mark.parametrize(
    ("config", "first"),
    [
        (SamplerConfig(n_ops=1), 2**62 - 40),
        (SamplerConfig(n_ops=30, modulus=10**9, number_range=10**4), 0),
        (SamplerConfig(n_ops=200), 10**6),
    ],
    ids=["long indices", "long numbers", "many blocks"],
)
def test_compiled_code_keeps_within_its_buffer(
    compiled: ModuleType, monkeypatch: pytest.MonkeyPatch, config: SamplerConfig, first: int, surface: str
) -> None:
    monkeypatch.setattr(compiled, "BUFFER", 100_000)
    assert_fast_is_exact(config, some_formats(config.n_ops), surface, range(first, first + 20))


def test_large_jobs_run_in_compiled_code_where_there_is_any(
    compiled: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    class Spy(FastWriter):
        def __init__(self, *args: object) -> None:
            used.append(args[-1])
            super().__init__(*args)  # type: ignore[arg-type]

    kernels = generation.large_job_kernels()
    monkeypatch.setattr(generation, "FastWriter", Spy)
    monkeypatch.setattr(generation, "large_job_kernels", lambda: kernels)
    monkeypatch.setattr(generation, "COMPILED_FROM", 300)
    made = []
    for count in (149, 150):
        config = GenerateConfig(n_ops=(4,), count=count, format=("explicit", "implicit:2"), output_dir=tmp_path)
        generate(config)
        made.append(contents(tmp_path))
    assert used == [PLAIN, compiled.COMPILED]
    assert all(made[1][name].startswith(made[0][name]) for name in made[0])


def test_without_numba_and_where_it_may_not_compile_all_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    with monkeypatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", 1)
        assert generation.large_job_kernels() is PLAIN
    monkeypatch.setitem(sys.modules, "numba", None)
    assert generation.large_job_kernels() is PLAIN


@pytest.mark.parametrize("trouble", ["no place", "torn"])
def test_what_numba_cannot_keep_or_read_is_done_without(tmp_path: Path, compiled: ModuleType, trouble: str) -> None:
    script = """
import sys, warnings
from pathlib import Path
import numba.core.caching as caching
import zipthought.data.generate as generation
if sys.argv[1] == "no place":
    caching.CacheImpl._locator_classes = []
else:
    assert generation.large_job_kernels() is not generation.PLAIN
    for path in Path(sys.argv[2]).rglob("*.nbi"):
        path.write_bytes(b"")
    del sys.modules["zipthought.data.compiled"]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    assert generation.large_job_kernels() is generation.PLAIN
assert "no compiled code" in str(said[0].message)
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", script, trouble, str(tmp_path)]
    subprocess.run(command, check=True, env=environment)


@pytest.mark.parametrize(
    ("config", "rows"),
    [
        (SamplerConfig(n_ops=1, seed=3), range(7, 507)),
        (SamplerConfig(n_ops=9, modulus=10**12, number_range=5000, operators="*-"), range(2**62 - 300, 2**62)),
        (SamplerConfig(n_ops=40, seed=-1), range(500)),
        (SamplerConfig(n_ops=400), range(20)),
        (SamplerConfig(n_ops=4, task="tree", width=3, depth=3), range(500)),
        (SamplerConfig(n_ops=4), range(0)),
    ],
    ids=str,
)
def test_compiled_code_draws_the_same_items(compiled: ModuleType, config: SamplerConfig, rows: range) -> None:
    plain = sample_batch(config, "validation", rows)
    other = sample_batch(config, "validation", rows, compiled.COMPILED.drawing)
    assert plain.structure == other.structure
    told = np.arange(plain.sentence.shape[1]) < (config.n_quantities + plain.distractors)[:, None]
    assert (plain.sentence[told] == other.sentence[told]).all()
    for field in dataclasses.fields(Batch):
        if field.name not in ("config", "sentence"):
            assert (getattr(plain, field.name) == getattr(other, field.name)).all(), field.name


def test_keys_that_tie_are_ordered_too(compiled: ModuleType) -> None:
    keys = np.array([5, 2, 5, 2, 9, 5], dtype=np.uint64)
    places = np.full(len(keys), -1)
    compiled._order(keys, places)
    assert places.tolist() == np.argsort(keys, kind="stable").tolist()


def test_fragments_are_made_once_where_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, codes = lines.Bank(), np.array([3, 1])
    bank.add(5, "word {} ".format)
    assert bank.flat(codes)[0] is bank.flat(codes)[0]
    monkeypatch.setattr(lines, "MAX_TABLE", 4)
    text, bounds, places = bank.flat(codes)
    assert [bytes(text[bounds[i] : bounds[i + 1]]) for i in places] == [b"word 3 ", b"word 1 "]


def test_what_has_no_fast_path() -> None:
    assert not supports(SamplerConfig(n_ops=3), "backward")
    assert not supports(SamplerConfig(n_ops=3, task="tree"), "forward")
    assert not supports(SamplerConfig(n_ops=3, modulus=10**20), "forward")


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.mark.parametrize(
    "options", [{}, {"order": "backward"}, {"task": "tree", "width": 2}, {"surface": "terse", "split": "test"}], ids=str
)
def test_shards_one_after_the_other_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict
) -> None:
    common = {"n_ops": (4, 1, 7), "count": 11, "format": ("explicit", "composed:2", "answer-only"), **options}
    whole = generate(GenerateConfig(**common, output_dir=tmp_path / "whole"))
    assert whole["records"] == 99
    monkeypatch.setattr(generation, "CHUNK", 5000)
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
from zipthought.data.generate import GenerateConfig, generate
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

    def failing(*args: object) -> Batch:
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
    def open_full(path: Path, durable: bool) -> Iterator[FullDisk]:
        with atomic_open(path, durable=durable):
            yield FullDisk()

    monkeypatch.setattr(generation, "BATCH", 20)
    monkeypatch.setattr(generation, "CHUNK", 20_000)
    monkeypatch.setattr(generation, "atomic_open", open_full)
    threads = threading.active_count()
    with pytest.raises(OSError, match="disk is full"):
        generate(GenerateConfig(n_ops=(3,), count=100, output_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == threads


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
        made = generate(GenerateConfig(n_ops=(1, 6), count=5, format=formats, order=order, output_dir=tmp_path))
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
        ({"order": "backward", "task": "tree"}, "needs a chain"),
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
