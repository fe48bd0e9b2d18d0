"""Corrupt records, sources and Parquet files: one line for each fault, never a traceback, and bounded memory."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zipthought.cli import main
from zipthought.commands.verify import verify
from zipthought.files.json_text import DuplicateKeyError, parse_json
from zipthought.files.parquet import BadRow, read_rows
from zipthought.files.sources import read_source
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.records.export import EXPORTS, export_records
from zipthought.records.reading import BadLine, read_records
from zipthought.records.schema import FIELDS, check_record
from zipthought.solutions.compress import CompressConfig, compress_file

SOLUTIONS = [
    {"question": "How many?", "answer": "It is 2 + 3 = 5.\nSo 5 * 4 = <<5*4=20>>20.\n#### 20"},
    {
        "question": "Using the numbers [3, 4, 5], create an equation that equals 35.",
        "answer": "3 + 4 = 7\n7 * 5 = 35\n#### 35",
    },
]
FOREIGN = {
    "problem": "The number of kites equals 3. The number of drums equals the number of kites plus 4.",
    "question": "What is the number of drums?",
    "solution": "Define kites as QB; so QB = 3. Answer: 7.",
    "modulus": 23,
}


def turns(*contents: str) -> str:
    """Messages as JSON, from the JSON of their contents."""
    roles = ("system", "user", "assistant")
    return "[" + ",".join(f'{{"role":"{r}","content":{c}}}' for r, c in zip(roles, contents, strict=False)) + "]"


VALUES = (
    *(None, "null", "true", "0", "1", "2", "-1", "1.5", "1e999", "NaN", "-Infinity"),
    *("1" + "0" * 30, "9" * 400, "9" * 4000, "9" * 5000, "-" + "9" * 4000),
    *('""', '"x"', '"\\ud800"', '"\\u0000"', '"a\\u0000\\u001b[31m\\u202e"', f'"{"1" * 5000}"', f'"{"(" * 3000}"'),
    *('"train\\n"', '"../../x"', '"/etc/x"', '"CON"', '"23"', '"composed"', '"composed:2:3"', '"random-steps"'),
    *('"gsm8k"', '"countdown"', '"terse"', '"unknown"', '"{x}"', '"%s"', '"1/0"', '"0x10"', '"1_000"', '"²"', '"nan"'),
    *("[]", "[1]", '["a"]', "{}", '{"a":1}', '[{"role":"system"}]', "[[],[],[]]", '[{"role":[],"content":{}},{},{}]'),
    *("[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "[" * 100_000),
    *(turns('"\\ud800"', '"\\u0000"', '"x"'), turns('"a"', "1", '"x"'), turns('"a"', '"b"', "[[1]]")),
    *('"The number of kites equals ' + "9" * 5000 + '. What is the number of kites?"', '"kites = 3 plus . ? kites"'),
)  # fmt: skip
"""JSON of values that a field may have; None leaves it out."""
OTHER_FIELDS = ("problem", "question", "solution", "parameter", "share", "tokens", "extra")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Good records of every origin."""
    directory = tmp_path_factory.mktemp("bases")
    found = []
    for surface, fmt, task in (("english", "composed:2", "chain"), ("terse", "implicit:2", "chain")):
        config = GenerateConfig(n_ops=(3,), count=1, format=(fmt,), surface=surface, task=task, output_dir=directory)
        found.append(json.loads(generate(config)["files"][fmt].read_text()))
    (directory / "in.jsonl").write_text("\n".join(map(json.dumps, SOLUTIONS)))
    formats = ("composed:2", "random-steps:0.5")
    compress_file(CompressConfig(input=directory / "in.jsonl", output=directory / "out.jsonl", format=formats))
    found += map(json.loads, (directory / "out.jsonl").read_text().splitlines())
    return [*found, FOREIGN]


def with_value(base: dict, field: str, value: str | None) -> bytes:
    """The line of a record with another value of a field."""
    parts = {name: json.dumps(content) for name, content in base.items()} | {field: value}
    return ("{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in parts.items() if v is not None) + "}").encode()


def corrupt_lines(bases: list[dict]) -> Iterator[bytes]:
    for base in bases:
        for field, value in itertools.product([*base, *(set(OTHER_FIELDS) - set(base))], VALUES):
            yield with_value(base, field, value)
        good = json.dumps(base).encode()
        yield from (b"\xef\xbb\xbf" + good, good[:50] + b"\xff" + good[50:], good + b"\r\n", b"\n\n", b"[]", b"3")
        yield from (good[:-5], good[:-1] + b',"answer":"1"}', b"\0" * 10, good + good, good.decode().encode("utf-16"))


def check_exports(tmp_path: Path, lines: Iterator[bytes]) -> int:
    """Export each line as a file. Returns the number of runs. Anything but a `ValueError` passes through."""
    path, runs = tmp_path / "in.jsonl", 0
    for line, target in zip(lines, itertools.cycle(sorted(EXPORTS)), strict=False):
        path.write_bytes(line)
        with contextlib.suppress(ValueError):
            export_records([path], target, tmp_path / "out", overwrite=True)
        runs += 1
    return runs


@pytest.fixture
def no_sync(monkeypatch):
    """Files that are gone after the test need no flush to the disk."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.mark.long
def test_verify_and_compress_read_a_file_of_corrupt_records_to_its_end(bases, tmp_path, capsys):
    lines = [line for line in corrupt_lines(bases) if b"\n" not in line]
    assert len(lines) > 4000
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join(lines))
    assert verify(path, json=True) in (1, 2)
    counts = json.loads(capsys.readouterr().out)
    assert counts["records"] + counts["bad_lines"] == len(lines)
    assert min(counts["records"], counts["bad_lines"]) > 1000
    summary = compress_file(CompressConfig(input=path, output=tmp_path / "c.jsonl", workers=1))
    assert summary["input"] == len(lines)


def test_no_corrupt_record_is_a_traceback_of_export(bases, tmp_path, no_sync):
    assert check_exports(tmp_path, itertools.islice(corrupt_lines(bases), 0, None, 19)) > 200


@pytest.mark.slow
def test_no_corrupt_record_of_all_is_a_traceback_of_export(bases, tmp_path, no_sync):
    assert check_exports(tmp_path, itertools.chain.from_iterable(corrupt_lines(bases) for _ in range(4))) > 15_000


def test_a_fault_is_one_line_with_its_file_and_number(bases, tmp_path, capsys):
    path = tmp_path / "in.jsonl"
    good = json.dumps(bases[0]).encode()
    faults = [with_value(bases[0], field, value) for field in FIELDS for value in ("[1]", "[" * 100_000, '"\\ud800"')]
    for fault in [*faults, good[:-9], good[:-1] + b',"k":2}', b"[]", b"\xff"]:
        path.write_bytes(good + b"\n" + fault)
        code = main(["export", str(path), "--to", "hf", "--output-dir", str(tmp_path / "out")])
        said = capsys.readouterr().err.splitlines()
        assert (code, len(said)) == (2, 1), (fault[:100], said)
        assert f"{path}, line 2: " in said[0]
        assert len(said[0]) < 600
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.*"))


def test_verify_goes_on_after_a_line_that_it_cannot_read(bases, tmp_path, capsys):
    good = json.dumps(bases[0])
    lines = [good, good[:-1] + ',"answer":"1"}', with_value(bases[0], "modulus", "[1]").decode(), "{", good]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    assert main(["verify", str(tmp_path / "in.jsonl"), "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out) | {"answers": 0, "steps": 0} == {
        "records": 2, "faithful": 2, "answers": 0, "steps": 0, "bad_lines": 3
    }  # fmt: skip
    assert "line 2: not read: the key 'answer' occurs twice in an object" in said.err


def test_a_line_of_a_hundred_megabytes(bases, tmp_path, capsys):
    path = tmp_path / "in.jsonl"
    path.write_bytes(
        json.dumps(bases[0]).encode() + b"\n" + with_value(bases[0], "extra", '"' + "x" * 100_000_000 + '"')
    )
    assert main(["verify", str(path), "--json"]) == 0


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 1}', '{"a": {"b": [{"c": 1, "d": 2, "c": 3}]}}', '{"a": 1, "b": 2, "\\u0061": 3}']
)
def test_a_key_that_occurs_twice_is_refused_by_name(text):
    with pytest.raises(DuplicateKeyError, match=r"the key '[ac]' occurs twice"):
        parse_json(text)


def test_a_key_that_occurs_twice_among_many_is_found_in_linear_time():
    pairs = ",".join(f'"{i}":1' for i in range(200_000))
    start = time.process_time()
    with pytest.raises(DuplicateKeyError, match="'199999' occurs twice"):
        parse_json("{" + pairs + ',"199999":2}')
    assert time.process_time() - start < 5


@pytest.mark.parametrize("field", [*(field for field in FIELDS if field != "messages"), "parameter", "share", "tokens"])
def test_each_field_has_its_type(bases, field):
    for base in bases[:3]:
        check_record(base)
        with pytest.raises(ValueError, match=f"'{field}' must be"):
            check_record(base | {field: [1]})


# Sources of compress.


def compressed(path: Path, tmp_path: Path) -> tuple[int, dict[str, int], list[dict]]:
    """How many solutions verified, the reasons of the others, and their lines."""
    out = tmp_path / "compressed.jsonl"
    summary = compress_file(CompressConfig(input=path, output=out, workers=1))
    rejects = [json.loads(line) for line in (tmp_path / "compressed.jsonl.rejects.jsonl").read_text().splitlines()]
    return summary["verified"], summary["reasons"], rejects


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"n": ' + "9" * 5000 + "}", "broken_json"),
        ('{"n": {"m": [-' + "9" * 5000 + "]}}", "broken_json"),
        ('{"question": "a", "question": "b"}', "duplicate_key"),
        ('{"messages": [{"role": ' + "[" * 400 + "]" * 400 + '}, {"role": "user"}]}', "no_solution_turn"),
        ('{"question": "\\ud800", "answer": "#### 5"}', "not_utf8"),
    ],
)
def test_one_bad_element_is_one_reject_and_the_others_go_on(tmp_path, suffix, bad, reason):
    good = json.dumps(SOLUTIONS[0])
    text = f"[{good}, {bad}, {good}]" if suffix == "json" else f"{good}\n{bad}\n{good}"
    path = tmp_path / f"in.{suffix}"
    path.write_text(text)
    verified, reasons, rejects = compressed(path, tmp_path)
    assert (verified, reasons) == (2, {reason: 1})
    assert rejects[0]["source_line"] == 2
    assert rejects[0]["original"].strip() == bad


def with_bad_text(values: list[bytes]) -> pa.Array:
    """A column of strings, whether or not they are UTF-8."""
    return pa.array(values, pa.binary()).view(pa.string())


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_one_row_of_bad_utf8_and_an_unused_column_of_nanoseconds(tmp_path, kind):
    answer = SOLUTIONS[0]["answer"].encode()
    table = pa.table(
        {
            "question": with_bad_text([b"How many?", b"How \xff many?", b"How many?"]),
            "answer": with_bad_text([answer] * 3),
            "time": pa.array([1, 2, 3], pa.timestamp("ns")),
        }
    )
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    verified, reasons, rejects = compressed(path, tmp_path)
    assert (verified, reasons) == (2, {"not_utf8": 1})
    assert rejects[0]["source_line"] == 2
    if kind == "parquet":
        rows = list(read_records(path))
        assert isinstance(rows[1], BadLine)
        assert "column 'question'" in rows[1].reason
        assert rows[0]["time"] == "1970-01-01 00:00:00.000000001"


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([2**62 + 1], pa.timestamp("ns")), "2116-02-20 23:53:38.427387905"),
        (pa.array([86399999999999], pa.time64("ns")), "23:59:59.999999999"),
        (pa.array([2**31 - 1], pa.int32()).view(pa.date32()), None),
        (pa.array([2**62], pa.timestamp("us")), None),
        (pa.array([7], pa.timestamp("us", "Nowhere/Bad")), "7"),
        (pa.array([[{"time": 2**62 + 1}]], pa.list_(pa.struct([("time", pa.timestamp("ns"))]))), None),
    ],
    ids=str,
)
def test_what_python_cannot_represent_is_text(tmp_path, column, text):
    pq.write_table(pa.table({"x": column, "question": ["a"]}), tmp_path / "in.parquet")
    ((row),) = read_records(tmp_path / "in.parquet")
    assert row["question"] == "a"
    assert text is None or row["x"] == text
    json.dumps(row)


def test_two_columns_of_one_name_are_refused(tmp_path):
    pq.write_table(
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["answer"] * 2), tmp_path / "a.parquet"
    )
    pair = pa.StructArray.from_arrays([pa.array(["a"]), pa.array(["b"])], ["role", "role"])
    pq.write_table(pa.table({"messages": pa.ListArray.from_arrays([0, 1], pair)}), tmp_path / "b.parquet")
    for name, says in (("a", "two columns 'answer'"), ("b", "two fields of one name: role")):
        with pytest.raises(ValueError, match=says):
            list(read_source(tmp_path / f"{name}.parquet"))


def test_bad_utf8_in_lists_of_turns(tmp_path):
    content = with_bad_text([b"a", b"\xff", b"a", b"b"])
    rows = pa.StructArray.from_arrays([pa.array(["user", "assistant"] * 2), content], ["role", "content"])
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"messages": pa.ListArray.from_arrays([0, 2, 4], rows)}), path)
    first, second = read_rows(path)
    assert isinstance(first, BadRow)
    assert first.cells["messages"][1] == {"role": "assistant", "content": "\udcff"}
    assert second == {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def bomb(kind: str, path: Path) -> None:
    """A Parquet file of about a thousand bytes that states gigabytes. A name with a dot is one name."""
    if kind == "one value for all rows":
        column = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), ["a" * 4_000_000])
        table = pa.table({"question": column, "answer": ["#### 5"] * 1000})
    else:
        items = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), 3_000_000), ["user"])
        turns = pa.ListArray.from_arrays([0, 3_000_000], pa.StructArray.from_arrays([items], ["role"]))
        table = pa.table({"all.messages": turns, "answer": ["#### 5"]})
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=1 << 30, store_schema=False)
    assert path.stat().st_size < 2000


MEASURE = """
import re, sys
from pathlib import Path
from zipthought.files.parquet import read_rows
try:
    print(sum(1 for _ in read_rows(Path(sys.argv[1]), sys.argv[2:])))
except ValueError as error:
    print(error)
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize(
    ("kind", "columns", "says", "megabytes"),
    [
        ("one value for all rows", [], "1000", 500),
        ("one value for all rows", ["answer"], "1000", 150),
        ("one list of millions", [], "column 'all.messages.list.element.role' states 3,000,000 values in 1 rows", 150),
        ("one list of millions", ["answer"], "1", 150),
    ],
)
def test_a_bomb_of_a_thousand_bytes_takes_bounded_memory(tmp_path, kind, columns, says, megabytes):
    path = tmp_path / "bomb.parquet"
    bomb(kind, path)
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path), *columns], capture_output=True, text=True)
    said, peak = done.stdout.splitlines()
    assert says in said, done.stderr
    assert int(peak) < megabytes


def test_a_page_of_zeros_is_refused(tmp_path):
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"question": ["a" * 70_000_000]}), path, compression="zstd", use_dictionary=False)
    with pytest.raises(ValueError, match=r"column 'question' states 70,000,0.. bytes in .* compressed"):
        list(read_rows(path))


def test_millions_of_rows_in_a_thousand_bytes_are_refused(tmp_path):
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"question": pa.nulls(2_000_000, pa.string())}), path)
    with pytest.raises(ValueError, match=r"states 2,000,000 rows in [0-9,]+ bytes"):
        next(read_rows(path))


def test_a_damaged_parquet_file_is_one_line(tmp_path):
    """Each run either reads rows or raises `ValueError`."""
    table = pa.table({"question": [f"How many {i}?" for i in range(50)], "messages": [[{"role": "user"}]] * 50})
    rng, path, refused = random.Random(0), tmp_path / "in.parquet", 0
    for codec in ("none", "snappy", "zstd"):
        pq.write_table(table, path, compression=codec)
        whole = path.read_bytes()
        for _ in range(60):
            damaged = bytearray(whole[: rng.choice([len(whole), len(whole), rng.randrange(len(whole))])])
            for _ in range(rng.choice([0, 1, 5]) if damaged else 0):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path.write_bytes(damaged)
            try:
                list(read_rows(path))
            except ValueError as error:
                refused += str(path) in str(error)
    assert refused > 60


def test_a_file_of_other_columns_is_refused_with_those_that_it_has(tmp_path):
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "in.parquet")
    with pytest.raises(ValueError, match=r"none of the columns question, .*; it has text, label"):
        list(read_source(tmp_path / "in.parquet", ["question", "answer"]))


def test_rows_that_do_not_fit_one_table_are_named(bases, tmp_path):
    path = tmp_path / "in.jsonl"
    values = ["1"] * 20 + ['"text"'] + ["2"] * 20
    path.write_bytes(b"\n".join(with_value(bases[0], "extra", value) for value in values))
    with pytest.raises(ValueError, match=r"in\.jsonl, line 21: not possible in Parquet"):
        export_records([path], "hf", tmp_path / "out")
    path.write_bytes(with_value(bases[0], "extra", '{"a": {}}'))
    with pytest.raises(ValueError, match=r"line 1: .*an object without fields"):
        export_records([path], "hf", tmp_path / "out")
