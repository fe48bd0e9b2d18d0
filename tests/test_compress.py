"""`zipthought compress` on files: no record is lost or changed, and every reject has its reason."""

import json
import random
import sys
from pathlib import Path

import pytest

from zipthought.cli import main
from zipthought.records.schema import record_id
from zipthought.solutions import countdown, gsm8k
from zipthought.solutions.compress import CompressConfig, compress_file
from zipthought.solutions.methods import WriteContext, compress_solution

GOOD = {"question": "How many?", "answer": "It is 2 + 3 = 5.\nSo 5 * 4 = <<5*4=20>>20.\n#### 20"}
FORMATS = ("composed:2", "implicit:2", "answer-only", "random-steps:0.6", "prose")


def rows(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def run(tmp_path, text, name="in.jsonl", formats=("composed:2",), **settings):
    source = tmp_path / name
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    config = CompressConfig(input=source, output=tmp_path / "out.jsonl", format=formats, **settings)
    summary = compress_file(config)
    return summary, rows(config.output), rows(config.rejects_path)


def test_a_record_in_every_format(tmp_path):
    summary, out, rejects = run(tmp_path, json.dumps({**GOOD, "id": "a-1"}), formats=FORMATS)
    assert rejects == []
    assert [row["format"] for row in out] == ["composed", "implicit", "answer-only", "random-steps", "prose"]
    for row in out:
        assert row["source_id"] == "a-1"
        assert row["id"] == record_id(row)
        assert row["completion"].endswith("#### 20")
        assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
        assert row["messages"][2]["content"] == row["completion"]
    assert out[0]["completion"] == "So (2+3)*4 = <<(2+3)*4=20>>20.\n#### 20".replace("(2+3)*4 =", "(2 + 3) * 4 =")
    assert summary["formats"]["prose"]["tokens_before"] == summary["formats"]["prose"]["tokens_after"]


BROKEN = [
    (b'{"question": "a"', "broken_json"),
    (b"", "empty_line"),
    (b"[1, 2]", "not_an_object"),
    (b'"text"', "not_an_object"),
    (b'{"question": "a"}', "missing_field"),
    (b'{"question": "a", "answer": 5.5}', "no_final_answer"),
    (b'{"question": "a", "answer": null}', "missing_field"),
    (b'{"text": "a"}', "missing_field"),
    (b'{"question": "a\xff", "answer": "b"}', "not_utf8"),
    (b'{"question": "a\\ud83d", "answer": "2+3=5\\n#### 5"}', "not_utf8"),  # Half of a surrogate pair.
    (b'{"question": "a", "answer": "\\uDE00 2+3=5\\n#### 5"}', "not_utf8"),
    (b'{"question": "a", "answer": "2+3=5\\n#### 5", "id": "\\ud83d"}', "not_utf8"),
    (b"[" * 100_000, "broken_json"),
    (b'{"question": "a", "answer": "2+2=<<2+2=5>>5\\n#### 5"}', "wrong_arithmetic"),
    (b'{"question": "a", "answer": "1/0=<<1/0=5>>5\\n#### 5"}', "division_by_zero"),
    (b'{"question": "a", "n": ' + b"9" * 5000 + b"}", "broken_json"),
    (b'{"messages": [{"role": "user", "content": "a"}]}', "no_solution_turn"),
    (b'{"messages": "a"}', "missing_field"),
]


def test_input_is_output_and_rejects(tmp_path):
    lines = [json.dumps(GOOD).encode(), *(line for line, _ in BROKEN), json.dumps(GOOD).encode()]
    summary, out, rejects = run(tmp_path, b"\n".join(lines))
    assert summary["input"] == len(lines) == len(out) + len(rejects)
    assert summary["verified"] == len(out) == 2
    assert [row["reason"] for row in rejects] == [reason for _, reason in BROKEN]
    assert [row["source_line"] for row in rejects] == list(range(2, len(BROKEN) + 2))
    assert sum(summary["reasons"].values()) == summary["rejected"]
    for row, (line, _) in zip(rejects, BROKEN, strict=True):
        if "original" in row:
            assert row["original"].rstrip("\n").encode() == line
        else:
            assert row["reason"] == "not_utf8"


def test_half_a_surrogate_pair_is_rejected_and_a_whole_one_is_read(tmp_path, tiny_base):
    half = json.dumps({**GOOD, "question": "How many \ud83d?"})
    whole = json.dumps({**GOOD, "question": "How many \U0001f600?"})
    for tokenizer in ("", str(tiny_base)):
        _, out, rejects = run(tmp_path, f"{half}\n{whole}\n", formats=FORMATS, tokenizer=tokenizer, overwrite=True)
        assert [row["reason"] for row in rejects] == ["not_utf8"]
        assert rejects[0]["original"].strip() == half
        assert {row["prompt"] for row in out} == {"How many \U0001f600?"}


def test_a_line_of_ten_megabytes(tmp_path):
    words = "and so on " * 1_000_000
    long = {"question": "a", "answer": f"{words}\nIt is 2 + 3 = 5.\n#### 5"}
    digits = {"question": "a", "answer": "9" * 10_000_000}
    summary, out, rejects = run(tmp_path, f"{json.dumps(long)}\n{json.dumps(digits)}\n", formats=("composed:2",))
    assert (len(out), [row["reason"] for row in rejects]) == (1, ["no_final_answer"])
    assert summary["input"] == 2


SENTENCES = "It is 2 + 3 = 5.\nSo 5 * 4 = 20.\n"


@pytest.mark.parametrize(
    ("record", "system"),
    [
        ({"system": "Be a cook.", "question": "How many?", "answer": GOOD["answer"]}, "Be a cook."),
        (
            {
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "developer", "content": "Be brief."},
                    {"role": "user", "content": "How many?"},
                    {"role": "assistant", "content": GOOD["answer"]},
                ]
            },
            "Be kind.\nBe brief.",
        ),
        ({"question": "How many?", "answer": GOOD["answer"]}, "End with a line '#### <answer>'."),
        ({"question": "How many?", "solution": SENTENCES, "answer": "20"}, "End with a line '#### <answer>'."),
        ({"question": "How many?", "answer": f"{SENTENCES}\\boxed{{20}}"}, "Put the final answer in \\boxed{}."),
        ({"question": "How many?", "answer": f"{SENTENCES}The answer is 20."}, "End with 'The answer is <answer>.'"),
        ({"question": "How many?", "answer": f"{SENTENCES}<answer>20</answer>"}, "in <answer></answer>."),
        ({"question": countdown.EXAMPLE.question, "answer": countdown.EXAMPLE.solution}, countdown.SYSTEM),
    ],
)
def test_the_system_message_fits_the_completion(tmp_path, record, system):
    _, out, _ = run(tmp_path, json.dumps(record))
    message = out[0]["messages"][0]
    assert message["role"] == "system"
    assert message["content"].endswith(system)


@pytest.mark.parametrize(
    ("end", "alone"),
    [
        ("#### 20\n", "#### 20"),
        ("So the answer is 20. I hope this helps.", "So the answer is 20."),
        ("Thus, it is \\(\\boxed{20}\\).\n\n### Check\n20 / 4 = 5.", "\\boxed{20}"),
        ("\\boxed{20}\n</think>\nIt is \\boxed{20}", "\\boxed{20}"),
    ],
)
def test_answer_only_is_the_final_answer_alone(tmp_path, end, alone):
    record = {"question": "How many?", "answer": SENTENCES + end}
    assert run(tmp_path, json.dumps(record), formats=("answer-only",))[1][0]["completion"] == alone


def test_all_types_of_files_give_the_same_records(tmp_path):
    import gzip

    import pyarrow

    question, steps = "How many, or\t more?", "2 + 3 = <<2+3=5>>5 <<5*4=20>>"
    lines = json.dumps({"question": question, "solution": steps, "answer": "20"}) + "\n"
    (tmp_path / "in.csv").write_text(f'\ufeffquestion,solution,answer\n"{question}",{steps},20\n')
    (tmp_path / "in.json").write_text(json.dumps(json.loads(lines), indent=1) + "\n")
    (tmp_path / "in.txt").write_text(f"{question}||{steps} #### 20\n")
    with gzip.open(tmp_path / "in.jsonl.gz", "wt") as file:
        file.write(lines)
    with pyarrow.output_stream(str(tmp_path / "in.jsonl.zst"), compression="zstd") as stream:
        stream.write(lines.encode())
    (tmp_path / "in.jsonl").write_text(lines)
    files = ["in.jsonl", "in.csv", "in.json", "in.txt", "in.jsonl.gz", "in.jsonl.zst"]
    written = []
    for name in files:
        compress_file(CompressConfig(input=tmp_path / name, output=tmp_path / "out.jsonl"))
        written.append([{**row, "id": "", "source_id": ""} for row in rows(tmp_path / "out.jsonl")])
    assert written == written[:1] * len(files)


def test_lines_of_text_that_are_no_record(tmp_path):
    _, out, rejects = run(tmp_path, "a question alone\n\nHow many?||<<2+3=5>>\nHow many?||<<2+3=5>> #### 5\n", "in.txt")
    assert [row["answer"] for row in out] == ["5"]
    assert [row["reason"] for row in rejects] == ["broken_json", "empty_line", "no_final_answer"]


def test_a_damaged_compressed_file(tmp_path, monkeypatch, capsys):
    import gzip

    monkeypatch.chdir(tmp_path)
    Path("in.jsonl.gz").write_bytes(gzip.compress(json.dumps(GOOD).encode() * 500)[:-20])
    Path("in.jsonl.zst").write_bytes(b"no frame")
    for name in ("in.jsonl.gz", "in.jsonl.zst"):
        assert main(["compress", name, "--output", "out.jsonl"]) == 2
        assert name in capsys.readouterr().err
        assert not Path("out.jsonl").exists()


def test_json_parquet_and_dataset_directories_give_the_same_records(tmp_path):
    import pyarrow
    import pyarrow.parquet

    records = [{**GOOD, "id": str(i)} for i in range(50)]
    expected = run(tmp_path, "\n".join(map(json.dumps, records)))[1]
    assert run(tmp_path, json.dumps(records, indent=2), "in.json")[1] == expected
    table = pyarrow.Table.from_pylist(records)
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    directory = tmp_path / "dataset" / "train"
    directory.mkdir(parents=True)
    path = str(directory / "data-00000-of-00001.arrow")
    with pyarrow.OSFile(path, "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=7)
    for source in (tmp_path / "in.parquet", tmp_path / "dataset"):
        compress_file(CompressConfig(input=source, output=tmp_path / "out.jsonl"))
        assert rows(tmp_path / "out.jsonl") == expected


def test_json_arrays_are_read_element_by_element(tmp_path, monkeypatch):
    from zipthought.files import sources

    monkeypatch.setattr(sources, "CHUNK", 16)
    text = json.dumps([GOOD, 12, {"a": [1, {"b": "]"}]}, "x, y", 3.5], indent=1)
    (tmp_path / "a.json").write_text(text)
    items = [json.loads(item.text) for item in sources.read_source(tmp_path / "a.json")]
    assert items == json.loads(text)
    (tmp_path / "b.json").write_text(text[:-20])
    items = list(sources.read_source(tmp_path / "b.json"))
    assert [json.loads(item.text) for item in items[:2]] == [GOOD, 12]
    assert "".join(item.text.decode() for item in items).startswith("{")
    for rest in ("[1]", json.dumps(GOOD), "]", "and more " * 9):
        (tmp_path / "d.json").write_text(f"{text} \n{rest}")
        items = list(sources.read_source(tmp_path / "d.json"))
        assert [json.loads(item.text) for item in items[:-1]] == json.loads(text)
        assert items[-1].text == f"] \n{rest}".encode()
    (tmp_path / "d.json").write_text(f"{text} \n ")
    assert len(list(sources.read_source(tmp_path / "d.json"))) == len(json.loads(text))
    (tmp_path / "c.json").write_text(json.dumps(GOOD))
    assert [json.loads(item.text) for item in sources.read_source(tmp_path / "c.json")] == [GOOD]


def test_text_after_an_array_is_rejected(tmp_path):
    summary, out, rejects = run(tmp_path, f"{json.dumps([GOOD])}\n{json.dumps([GOOD])}", "in.json")
    assert (summary["input"], len(out)) == (2, 1)
    assert [row["reason"] for row in rejects] == ["broken_json"]
    assert json.dumps(GOOD) in rejects[0]["original"]


def test_the_number_of_processes_changes_nothing(tmp_path, monkeypatch):
    from zipthought.solutions.compress import work

    monkeypatch.setattr(work, "BATCH_RECORDS", 7)
    rng = random.Random(0)
    lines = [rng.choice([json.dumps(GOOD), "{", json.dumps({**GOOD, "id": i})]) for i in range(60)]
    one = run(tmp_path, "\n".join(lines), formats=FORMATS, workers=1)
    two = run(tmp_path, "\n".join(lines), formats=FORMATS, workers=2)
    assert one == two


def test_a_directory_receives_a_file_per_format(tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps(GOOD))
    assert main(["compress", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "d"), "--format", *FORMATS]) == 0
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "answer-only.jsonl",
        "composed-2.jsonl",
        "implicit-2.jsonl",
        "prose.jsonl",
        "random-steps-0.6.jsonl",
    ]
    assert (tmp_path / "d.rejects.jsonl").read_text() == ""


def test_tokens_of_a_tokenizer(tmp_path, tiny_base):
    summary, _, _ = run(tmp_path, json.dumps(GOOD), tokenizer=str(tiny_base))
    assert summary["formats"]["composed:2"]["tokens_after"] > 0
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        run(tmp_path, json.dumps(GOOD), tokenizer=str(tmp_path))
    for text in ("{}", '{"model": 5}', "5", "null", "[" * 100_000, ""):
        (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(ValueError, match=r"tokenizer\.json is not the tokenizer"):
            run(tmp_path, json.dumps(GOOD), tokenizer=str(tmp_path))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format", "explicit"], "prose"),
        (["--format", "composed:0"], "at least 1"),
        (["--layout", "other"], "unknown layout"),
        (["--question-field", "q"], "goes with"),
        (["--family", "other"], "unknown family"),
        (["--output", "in.jsonl"], "is the input"),
        (["--output", "out.txt"], ".jsonl file or a directory"),
        (["--workers", "-1"], "at least 0"),
    ],
)
def test_a_bad_option_is_one_line_of_error(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text(json.dumps(GOOD))
    defaults = [] if "--output" in flags else ["--output", "out.jsonl"]
    assert main(["compress", "in.jsonl", *defaults, *flags]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


@pytest.mark.parametrize("taken", ["out.jsonl", "out.jsonl.rejects.jsonl", "out/composed-2.jsonl", "out.rejects.jsonl"])
def test_a_directory_with_the_name_of_an_output_file(tmp_path, monkeypatch, capsys, taken):
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text(json.dumps(GOOD))
    Path(taken).mkdir(parents=True)
    output = "out.jsonl" if taken.startswith("out.jsonl") else "out"
    assert main(["compress", "in.jsonl", "--output", output]) == 2
    assert f"compress: {taken} is a directory" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "in.jsonl"]


@pytest.mark.parametrize("name", ["missing.jsonl", "in.pdf", "in.parquet.gz", "empty"])
def test_unreadable_inputs(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    Path("in.pdf").write_text("a")
    Path("empty").mkdir()
    assert main(["compress", name, "--output", "out.jsonl"]) == 2
    assert name in capsys.readouterr().err
    assert not Path("out.jsonl").exists()


def test_summary_as_json(tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text(json.dumps(GOOD) + "\n{\n")
    assert main(["compress", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["input"] == 2
    assert summary["reasons"] == {"broken_json": 1}
    assert set(summary["formats"]["composed:2"]) >= {"records", "tokens_before", "tokens_after"}


def test_random_steps_take_linear_time():
    """The text is written and counted a number of times that grows with the logarithm of its steps."""
    texts = []

    def count(text):
        texts.append(text)
        return len(text.split())

    for size in (100, 3000):
        texts.clear()
        lines = "".join(f"She adds {i} + 1 = {i + 1} pens.\n" for i in range(1, size))
        solution = gsm8k.read("How many?", f"{lines}#### {size}")
        short = compress_solution(solution, "random-steps:0.3", WriteContext(seed="0", count=count))
        assert len(texts) <= 2 * size.bit_length() + 3
        assert abs(len(short.split()) / len(f"{lines}#### {size}".split()) - 0.3) < 8 / size


def test_records_with_too_many_unread_equations_are_rejected(tmp_path):
    rows = [
        {"question": "Add.", "answer": "3 + 4 = 7\n#### 7"},
        {"question": "Add.", "answer": "2 boxes + 3 eggs = 15 eggs\n3 + 4 = 7\n#### 7"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    assert run(tmp_path, text)[0]["unread_equations"] == 1
    summary = run(tmp_path, text, max_unread=0, overwrite=True)[0]
    assert (summary["verified"], summary["reasons"]) == (1, {"unread_equations": 1})
    with pytest.raises(ValueError, match="max_unread must be at least 0"):
        run(tmp_path, text, max_unread=-1)


def test_records_say_how_many_equations_were_not_read(tmp_path):
    _, (record,), _ = run(tmp_path, json.dumps({**GOOD, "answer": f"Let f(x) = 4.\n{GOOD['answer']}"}))
    assert record["unread"] == 1


def test_a_record_is_explained(tmp_path, capsys):
    false = {"id": "f", "question": "Add 4.", "answer": "4 + 3 = 8.\n#### 8"}
    text = "\n".join(json.dumps(record) for record in ({**GOOD, "id": "a"}, false, {**GOOD, "id": "c"}))
    (tmp_path / "in.jsonl").write_text(text)
    assert main(["compress", str(tmp_path / "in.jsonl"), "--explain", "f", "a", "--json"]) == 0
    good, bad = json.loads(capsys.readouterr().out)["records"]
    assert (good["source_id"], good["verdict"], good["final"]) == ("a", "verified", "20")
    assert [(one["verdict"], one["operands"]) for one in good["equations"]] == [
        ("holds", ["2: new", "3: new"]),
        ("holds", ["5: step 1", "4: new"]),
    ]
    assert good["texts"][0]["format"] == "composed:2"
    assert (bad["verdict"], bad["equations"][0]["verdict"]) == ("wrong_arithmetic", "wrong_arithmetic")
    assert main(["compress", str(tmp_path / "in.jsonl"), "--explain-first", "2"]) == 0
    shown = capsys.readouterr().out
    assert "a (record 1): verified" in shown
    assert "4 + 3 = 8" in shown
    assert main(["compress", str(tmp_path / "in.jsonl"), "--explain", "z"]) == 2
    assert "no record with the id z" in capsys.readouterr().err
    assert main(["compress", str(tmp_path / "in.jsonl")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


@pytest.mark.parametrize("command", ["compress", "verify"])
def test_a_dataset_of_the_hub_without_its_package(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.chdir(tmp_path)
    options = ["--output", "o.jsonl"] if command == "compress" else []
    assert main([command, "hf:org/name:main:train", *options]) == 2
    assert "install zipthought[hub]" in capsys.readouterr().err
    assert main([command, "hf:org/name:main:train:more", *options]) == 2
    assert "name a dataset as hf:org/name" in capsys.readouterr().err
