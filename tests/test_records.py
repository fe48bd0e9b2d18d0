"""Records: their identity, their fields, and the reader that loses no line and guesses none."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipthought.records.chat import messages
from zipthought.records.reading import BadLine, problem_of, read_records, solution_of
from zipthought.records.schema import FIELDS, canonical_json, make_record, record_id
from zipthought.surfaces import SURFACES
from zipthought.tasks.sampling import SamplerConfig, sample, sample_batch

PROBLEM = sample(SamplerConfig(n_ops=4), "train", 2)
FOREIGN = {
    "problem": "The number of kites equals 3. The number of drums equals the number of kites plus 4.",
    "question": "What is the number of drums?",
    "solution": "Define kites as QB; so QB = 3. Define drums as MX; so MX = QB + 4 = 3 + 4 = 7. Answer: 7.",
    "modulus": 23,
}


@given(
    n_ops=st.integers(1, 8),
    index=st.integers(0, 10**9),
    fmt=st.sampled_from(["explicit", "composed:2", "composed:5", "implicit:2", "answer-only"]),
    order=st.sampled_from(["forward", "backward", "hierarchical"]),
    surface=st.sampled_from(sorted(SURFACES)),
)
@settings(max_examples=60, deadline=None)
def test_a_record_states_its_problem(n_ops: int, index: int, fmt: str, order: str, surface: str) -> None:
    problem = sample(SamplerConfig(n_ops=n_ops, modulus=7), "validation", index)
    record = make_record(problem, fmt, order, surface, "validation", index)
    assert tuple(record) == FIELDS
    assert problem_of(record) == problem
    assert record["structure"] == problem.structure
    assert len(record["structure"]) == 64
    assert (record["n_ops"], record["modulus"], record["answer"]) == (n_ops, 7, str(problem.answer))
    assert record["messages"] == messages(record["prompt"], record["completion"], 7, surface)
    assert json.loads(canonical_json(record)) == record


def test_the_id_can_be_computed_again_by_anyone() -> None:
    record = make_record(PROBLEM, "composed:2", index=2)
    content = {field: record[field] for field in FIELDS if field != "id"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert record["id"] == hashlib.sha256(text.encode()).hexdigest()[:16] == record_id(record)
    for field in FIELDS[1:]:
        assert record_id({**record, field: "another"}) != record["id"]


@pytest.mark.parametrize(
    ("fmt", "k"),
    [("explicit", 1), ("composed:1", 1), ("composed:3", 3), ("implicit:9", 9), ("answer-only", 4)],
)
def test_k(fmt: str, k: int) -> None:
    record = make_record(PROBLEM, fmt)
    assert record["k"] == k
    assert record["format"] == ("explicit" if fmt == "composed:1" else fmt.split(":")[0])


def test_aliases_are_those_of_the_item() -> None:
    batch = sample_batch(SamplerConfig(n_ops=3), "train", [5])
    aliases = batch.aliases(0)
    record = make_record(batch.problem(0), "explicit", aliases=aliases)
    assert all(f"Define {name} as {alias};" in record["completion"] for name, alias in aliases.items())


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown format"):
        make_record(PROBLEM, "zipped")
    with pytest.raises(ValueError, match="unknown order"):
        make_record(PROBLEM, "explicit", order="up")
    with pytest.raises(ValueError, match="unknown surface"):
        make_record(PROBLEM, "explicit", surface="french")


def test_bad_lines_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    good = canonical_json(make_record(PROBLEM, "explicit")).encode()
    lines = [
        (b"\xef\xbb\xbf" + good, None),  # A byte order mark, as some editors write it.
        (b"", "empty line"),
        (b"  \t", "empty line"),
        (good[: len(good) // 2], "torn JSON"),
        (good, None),
        (b"[1, 2]", "not an object, but a JSON array"),
        (b"null", "not an object, but a JSON literal"),
        (b'"text"', "not an object, but a JSON string"),
        (b"17", "not an object, but a JSON number"),
        (good[:100] + b"\xff" + good[100:], "not UTF-8 (byte 101 of the line)"),
        (b"[" * 200_000, "torn JSON"),  # Deeper than the parser recurses.
        (b'{"n": ' + b"9" * 5000 + b"}", "torn JSON"),  # More digits than Python converts.
        (good + b"\r", None),
        (good[:-1], "torn JSON"),  # The last line of a file that was cut off.
    ]
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"\n".join(line for line, _ in lines))
    read = list(read_records(path))
    assert len(read) == len(lines)
    for number, (item, (_, reason)) in enumerate(zip(read, lines, strict=True), 1):
        if reason is None:
            assert isinstance(item, dict)
            assert record_id(item) == item["id"]
        else:
            assert isinstance(item, BadLine)
            assert item.number == number
            assert item.reason.startswith(reason)


def test_reading_streams(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    reader = read_records(path)
    assert next(reader) == {"a": 1}
    reader.close()  # type: ignore[attr-defined]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_records(tmp_path / "none.jsonl"))
    with pytest.raises(FileNotFoundError):
        list(read_records(tmp_path / "none.parquet"))
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match="not a Parquet file"):
        list(read_records(torn))


def test_a_foreign_record() -> None:
    problem = problem_of(FOREIGN)
    assert (problem.answer, problem.n_ops, problem.modulus) == (7, 1, 23)
    assert solution_of(FOREIGN) == FOREIGN["solution"]
    without = {field: value for field, value in FOREIGN.items() if field != "modulus"}
    assert problem_of(without, modulus=5).answer == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"modulus": None}, "no modulus"),
        ({"modulus": 1}, "at least 2"),
        ({"modulus": "23"}, "whole number"),
        ({"modulus": True}, "whole number"),
        ({"question": None}, "no 'question'"),
        ({"problem": None}, "neither 'prompt' nor 'problem'"),
        ({"problem": ["The number"]}, "'problem' must be text"),
        ({"problem": "Kites: 3."}, "cannot read the problem"),
        ({"prompt": [{"role": "user", "content": "?"}]}, "'prompt' must be text"),
        ({"prompt": "x", "surface": "french"}, "unknown surface"),
    ],
)
def test_records_without_a_problem(changes: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        problem_of({**FOREIGN, **changes})


def test_two_moduli_that_differ_are_an_error() -> None:
    with pytest.raises(ValueError, match="23, but 7"):
        problem_of(FOREIGN, modulus=7)
    with pytest.raises(ValueError, match="no 'solution'"):
        solution_of({"problem": "x"})
