"""`zipthought compress` on files: no record is lost or changed, and every reject has its reason."""

import json
import random
import re
import sys
from pathlib import Path

import pytest

from zipthought.cli import main
from zipthought.records.schema import check_record, record_id
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


@pytest.mark.parametrize(
    "record",
    [
        {"question": "How many?", "cot": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.", "answer": "20"},
        {"question": "How many?", "cot": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.", "answer": 20},
        {"instruction": "How many?", "input": "", "output": GOOD["answer"]},
        {"conversations": [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": GOOD["answer"]}]},
        {
            "messages": [
                {"role": "system", "content": "Be good."},
                {"role": "user", "content": "How many?"},
                {"role": "assistant", "content": GOOD["answer"]},
            ]
        },
        {"question": "How many?", "steps": ["2 + 3 = <<2+3=5>>5", "<<5*4=20>>"], "answer": "20"},
        {"question": "How many?", "rationale": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.", "answer": "20", "correct": "A"},
        {"question": "How many?", "solution": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.", "answer": 20},
        {"problem": "How many?", "solution": GOOD["answer"], "answer": None},
        {"query": "How many?", "response": GOOD["answer"]},
        {"instruction": "How many?", "output": GOOD["answer"], "answer": "20.0"},
        {"prompt": "How many?", "completion": GOOD["answer"]},
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}],
            "completion": [{"role": "assistant", "content": GOOD["answer"]}],
        },
        {"prompt": [{"role": "user", "content": "How many?"}], "response": GOOD["answer"]},
        {"conversations": [{"role": "user", "content": "How many?"}, {"role": "model", "content": GOOD["answer"]}]},
        {
            "question": "unused",
            "answer": "20",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "How many?"}]},
                {"role": "assistant", "content": [{"type": "text", "value": GOOD["answer"]}]},
            ],
        },
    ],
)
def test_layouts(tmp_path, record):
    _, out, rejects = run(tmp_path, json.dumps(record))
    assert rejects == []
    assert out[0]["prompt"] == "How many?"
    assert out[0]["answer"] == "20"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"question": "How many?", "solution": GOOD["answer"], "answer": "21"}, "conflicting_finals"),
        ({"instruction": "How many?", "output": GOOD["answer"], "answer": "21"}, "conflicting_finals"),
        ({"question": "How many?", "steps": ["<<2+3=5>>", 7], "answer": "5"}, "missing_field"),
        ({"query": "How many?", "solution": GOOD["answer"]}, "missing_field"),
        ({"prompt": [{"role": "user", "content": "a"}], "completion": True}, "missing_field"),
        (
            {"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "user", "content": "b"}]},
            "no_solution_turn",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}, {"role": "assistant", "content": "5"}]},
            "missing_field",
        ),
    ],
)
def test_records_whose_fields_do_not_fit(tmp_path, record, reason):
    _, _, rejects = run(tmp_path, json.dumps(record))
    assert [row["reason"] for row in rejects] == [reason]


@pytest.mark.parametrize("answer", ["21", None])
def test_a_named_answer_counts_in_every_layout(tmp_path, answer):
    turns = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": GOOD["answer"]}]
    record = {"messages": turns, **({"label": {"value": answer}} if answer else {})}
    (tmp_path / "in.jsonl").write_text(json.dumps(record))
    config = CompressConfig(input=tmp_path / "in.jsonl", output=tmp_path / "out.jsonl", answer_field="label.value")
    reason = "conflicting_finals" if answer else "missing_field"
    assert compress_file(config)["reasons"] == {reason: 1}


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


VERL = """
[[layout]]
name = "verl"
question = "extra_info.question"
solution = "extra_info.answer"
answer = "reward_model.ground_truth"
"""


def test_layouts_of_a_file_come_first(tmp_path):
    nested = {"extra_info": {"question": "How many?", "answer": GOOD["answer"]}, "reward_model": {"ground_truth": "20"}}
    usual = {"problem": "How many?", "solution": GOOD["answer"]}
    (tmp_path / "layouts.toml").write_text(VERL)
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(record) for record in (nested, usual, usual | nested)))
    options = ["--layout-file", str(tmp_path / "layouts.toml"), "--output", str(tmp_path / "out.v2"), "--workers", "2"]
    assert main(["compress", str(tmp_path / "in.jsonl"), *options]) == 0
    assert [row["answer"] for row in rows(tmp_path / "out.v2" / "composed-2.jsonl")] == ["20"] * 3
    (tmp_path / "in.jsonl").write_text(
        json.dumps({"extra_info.question": "How many?", "extra_info": nested["extra_info"]})
    )
    assert main(["compress", str(tmp_path / "in.jsonl"), *options, "--layout", "verl"]) == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("layout = 3", "[[layout]] tables"),
        ("[[layout]]\nname = 'a'\nquestion = 'q'", "a layout needs a name"),
        ("[[layout]]\nname = 'a'\nturns = 't'\nquestion = 'q'\nsolution = 's'", "a layout needs a name"),
        ("[[layout]]\nname = 'a'\ntopic = 'q'", "no 'topic'"),
        ("[[layout]]\nname = 'a'\nquestion = 3", "must be text"),
        (VERL + VERL, "'verl' exists already"),
        (VERL.replace("verl", "alpaca"), "'alpaca' exists already"),
        ("layout", "not valid TOML"),
    ],
)
def test_faults_of_a_layout_file(tmp_path, text, fault):
    (tmp_path / "layouts.toml").write_text(text)
    with pytest.raises(ValueError, match=re.escape(fault)):
        CompressConfig(input=tmp_path / "in", output=tmp_path / "out", layout_file=tmp_path / "layouts.toml")


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


def test_fields_by_flag(tmp_path):
    record = {"q": "How many?", "s": "It is 2 + 3 = 5.", "final": "5", "key": 7}
    (tmp_path / "in.jsonl").write_text(json.dumps(record))
    flags = ["--question-field", "q", "--solution-field", "s", "--answer-field", "final", "--id-field", "key"]
    assert main(["compress", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl"), *flags]) == 0
    assert rows(tmp_path / "out.jsonl")[0]["source_id"] == "7"


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
        (["--question-field", "q"], "go together"),
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


@pytest.mark.parametrize(
    ("wrapper", "count"),
    [
        ({"version": "1.0", "data": [GOOD, GOOD]}, 2),
        ({"train": [GOOD], "test": [GOOD, GOOD], "meta": {"by": "us"}}, 3),
        ({**GOOD, "notes": [{"a": 1}]}, 1),
        ({"messages": [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": GOOD["answer"]}]}, 1),
    ],
)
def test_lists_of_records_under_keys(tmp_path, wrapper, count):
    summary, _, _ = run(tmp_path, json.dumps(wrapper), "in.json")
    assert (summary["input"], summary["verified"]) == (count, count)


DIALOGUE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Tom fills 4 bags with 6 nuts each. How many nuts?"},
    {"role": "assistant", "content": "4 * 6 = 24.\n#### 24"},
    {"role": "user", "content": "He eats 5 of them and shares the rest with 18 friends."},
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "count", "arguments": "{}"}}]},
    {"role": "tool", "content": "ok"},
    {"role": "assistant", "content": "24 - 5 = 19 are left.\n19 * 2 = 38 halves.\n#### 38"},
]


def test_the_last_solution_of_a_dialogue_keeps_what_was_said_before(tmp_path):
    _, (record,), rejects = run(tmp_path, json.dumps({"messages": DIALOGUE, "id": "d"}))
    assert rejects == []
    assert record["source_id"] == "d"
    assert record["prompt"].startswith("Tom fills 4 bags")
    assert record["prompt"].endswith("\n\nok")
    roles = [turn["role"] for turn in record["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "tool", "assistant"]
    assert record["messages"][4]["tool_calls"] == DIALOGUE[4]["tool_calls"]
    assert record["messages"][-1]["content"] == record["completion"] == "(24 - 5) * 2 = 38 halves.\n#### 38"
    check_record(record)


def test_each_solution_of_a_dialogue_and_all_of_them_in_one_split(tmp_path):
    wrong = [*DIALOGUE, {"role": "user", "content": "More?"}, {"role": "assistant", "content": "1 + 1 = 3.\n#### 3"}]
    text = "\n".join(json.dumps({"messages": turns, "id": "d"}) for turns in (DIALOGUE, wrong))
    summary, out, rejects = run(tmp_path, text, turns="each")
    assert (summary["input"], summary["verified"], len(rejects)) == (5, 4, 1)
    assert [row["source_id"] for row in out] == ["d/1", "d/2", "d/1", "d/2"]
    assert rejects[0]["source_id"] == "d/3"
    assert rejects[0]["reason"] == "wrong_arithmetic"
    assert len({row["split"] for row in out}) == len({row["structure"] for row in out}) == 1


@pytest.mark.parametrize("field", ["reasoning_content", "thinking", "reasoning"])
def test_a_train_of_thought_stays_in_its_field(tmp_path, field):
    thoughts = "First 3 * 5 = 15.\nThen 15 + 4 = 19. Right."
    turns = [
        {"role": "user", "content": "How many?"},
        {"role": "assistant", field: thoughts, "content": "It is \\boxed{19}."},
    ]
    text = "\n".join(
        json.dumps(record)
        for record in (
            {"messages": turns},
            {"question": "How many?", field: thoughts, "answer": "19"},
            {"prompt": turns[:1], "completion": "It is \\boxed{19}.", field: thoughts},
        )
    )
    _, out, rejects = run(tmp_path, text, formats=("composed:2", "answer-only"))
    assert rejects == []
    for record in out:
        last = record["messages"][-1]
        if record["format"] == "answer-only":
            assert field not in last
            assert last["content"] in ("19", "\\boxed{19}")
        else:
            assert last[field].endswith("Then 3 * 5 + 4 = 19. Right.")
            assert last["content"] in ("19", "It is \\boxed{19}.")
            assert record["completion"] == f"<think>\n{last[field]}\n</think>\n\n{last['content']}"
        assert gsm8k.verify(record["prompt"], record["completion"], record["answer"]).faithful


def test_parts_of_a_message_that_are_thoughts(tmp_path):
    parts = [{"type": "thinking", "thinking": "3 * 5 = 15"}, {"type": "text", "text": "So \\boxed{15}."}]
    turns = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": parts}]
    _, (record,), _ = run(tmp_path, json.dumps({"messages": turns}))
    assert record["messages"][-1] == {
        "role": "assistant",
        "content": "So \\boxed{15}.",
        "reasoning_content": "3 * 5 = 15",
    }


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"rationale": "3 * 5 = 15. Answer - B", "correct": "B"}, None),
        ({"rationale": "3 * 5 = 15.\nThe correct option is (B).", "correct": "B"}, None),
        ({"rationale": "3 * 5 = 15, so \\boxed{15}", "correct": "B"}, None),
        ({"rationale": "3 * 5 = 15", "correct": "B"}, None),
        ({"rationale": "3 * 5 = 15. Ans. C", "correct": "B"}, "conflicting_finals"),
        ({"rationale": "3 * 5 = 15. Answer: B. No, answer: C", "correct": "B"}, "conflicting_finals"),
        ({"rationale": "3 * 4 = 12. Answer: B", "correct": "B"}, "final_not_derived"),
        ({"rationale": "3 * 5 = 15, so \\boxed{12}", "correct": "B"}, "conflicting_finals"),
        ({"solution": "3 * 5 = 15. The answer is B) 15.", "answer": "B"}, None),
    ],
)
def test_options(tmp_path, record, reason):
    options = ["A) 12", "B) 15", "C) 18 eggs", "D) None of these"]
    summary, out, _ = run(tmp_path, json.dumps({"question": "How many?", "options": options, **record}))
    assert summary["reasons"] == ({reason: 1} if reason else {})
    if out:
        assert out[0]["answer"] in ("B", "15")
        assert out[0]["prompt"].endswith("B) 15\nC) 18 eggs\nD) None of these")
        assert gsm8k.verify(out[0]["prompt"], out[0]["completion"], "B").faithful


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
