"""Exports: every target from our records and from real solutions, and the rewards that go with them."""

import json
import re
import runpy
import sys

import pytest

from zipthought.cli import main
from zipthought.data.compress import CompressConfig, compress_file
from zipthought.data.export import TARGETS, export_records
from zipthought.data.generate import GenerateConfig, generate
from zipthought.data.records import read_records
from zipthought.train.interfaces import compute_score, process_results, record_of, trl_reward

SOLUTION = "It is 2 + 3 = 5.\nSo 5 * 4 = <<5*4=20>>20.\n#### 20"
COUNTDOWN = {
    "question": "Using the numbers [3, 4, 5], create an equation that equals 35.",
    "answer": "3 + 4 = 7\n7 * 5 = 35\n#### 35",
}


@pytest.fixture(scope="session")
def ours(tmp_path_factory):
    """A file of our records in all three splits."""
    directory = tmp_path_factory.mktemp("ours")
    lines = []
    for split in ("train", "validation", "test"):
        config = GenerateConfig(
            n_ops=(3, 5), count=4, split=split, format=("composed:2",), output_dir=directory / split
        )
        lines.append((generate(config)["files"]["composed:2"]).read_text())
    path = directory / "all.jsonl"
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """A file of compressed real solutions."""
    directory = tmp_path_factory.mktemp("real")
    rows = [{"question": f"How many, {i}?", "answer": SOLUTION} for i in range(20)]
    (directory / "in.jsonl").write_text("\n".join(map(json.dumps, [*rows, COUNTDOWN])))
    config = CompressConfig(input=directory / "in.jsonl", output=directory / "out.jsonl", format=("composed:2",))
    assert compress_file(config)["verified"] == 21
    return config.output


@pytest.fixture(params=["ours", "real"])
def records(request):
    return request.getfixturevalue(request.param)


def rows_of(path):
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("target", TARGETS)
def test_every_record_with_its_system_message_in_its_split(records, target, tmp_path):
    summary = export_records(records, target, tmp_path)
    expected = list(read_records(records))
    assert summary["records"] == len(expected)
    module = TARGETS[target]
    for split, count in summary["splits"].items():
        rows = rows_of(tmp_path / module.path_of(split))
        given = [record for record in expected if record["split"] == split]
        assert len(rows) == count == len(given)
        for row, record in zip(rows, given, strict=True):
            text = json.dumps(row)
            assert json.dumps(record["messages"][0]["content"])[1:-1] in text
            assert json.dumps(record["prompt"])[1:-1] in text
    assert len(summary["files"]) > len(summary["splits"])
    for path in tmp_path.rglob("*"):
        if path.suffix in (".sh", ".py", ".md", ".yaml", ".toml"):
            assert not re.search(r"@[A-Z_]+@", path.read_text())


def gold_and_wrong(record):
    wrong = "21" if record["answer"] != "21" else "22"
    text = record["completion"]
    return text, text.rpartition(record["answer"])[0] + wrong + text.rpartition(record["answer"])[2]


def test_rewards_pay_for_gold_alone(records, tmp_path):
    export_records(records, "verl", tmp_path / "verl")
    export_records(records, "trl-grpo", tmp_path / "trl")
    export_records(records, "lm-eval", tmp_path / "lm")
    for split in {record["split"] for record in read_records(records)}:
        given = [record for record in read_records(records) if record["split"] == split]
        for row, record in zip(rows_of(tmp_path / "verl" / f"{split}.parquet"), given, strict=True):
            gold, wrong = gold_and_wrong(record)
            call = (row["data_source"], gold, row["reward_model"]["ground_truth"], row["extra_info"])
            assert compute_score(*call) == {"score": 1.0, "faithful": 1.0, "parsed": 1.0, "skipped": 0.0}
            assert compute_score(call[0], wrong, *call[2:])["score"] == 0.0
        rows = rows_of(tmp_path / "trl" / f"{split}.jsonl")
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        for name in ("outcome", "faithful", "outcome+length:0"):
            reward = trl_reward(name)
            prompts = columns.pop("prompt") if "prompt" in columns else []
            texts = [gold_and_wrong(record) for record in given]
            assert reward(prompts, [gold for gold, _ in texts], **columns) == [1.0] * len(given)
            chats = [[{"role": "assistant", "content": gold}] for gold, _ in texts]
            assert reward(prompts, chats, **columns) == [1.0] * len(given)
            assert reward(prompts, [wrong for _, wrong in texts], **columns) == [0.0] * len(given)
        for row, record in zip(rows_of(tmp_path / "lm" / f"{split}.jsonl"), given, strict=True):
            assert process_results(row, [record["completion"]]) == {"acc": 1.0, "faithful": 1.0}


def test_gold_that_cannot_be_read_is_skipped_not_paid():
    row = {"question": "What is it?", "surface": "english", "modulus": 23, "answer": "7"}
    assert trl_reward("outcome")([None], ["Answer: 7."], **{k: [v] for k, v in row.items()}) == [None]
    assert compute_score("zipthought", "Answer: 7.", "7", row)["skipped"] == 1.0
    real = {"question": "What?", "surface": "gsm8k", "modulus": None, "answer": "many"}
    assert compute_score("zipthought", "#### many", "many", real) == {
        "score": 0.0,
        "faithful": 0.0,
        "parsed": 0.0,
        "skipped": 1.0,
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#### 20\n#### 21", "two finals"),
        ("#### 20 or 21", "two numbers"),
        ("20", "no final"),
        ("", "nothing"),
        ("#### ２０", "digits of another script"),
        ("#### 2 0", "two numbers"),
        ("#### " + "9" * 1_000_000, "too long"),
        ("#### 20x", "an unknown, not a number"),
        ("What is it? #### 21", "wrong"),
    ],
)
def test_attacks_on_real_answers_earn_nothing(text, why):
    row = {"question": "What is it?", "surface": "gsm8k", "modulus": None, "answer": "20"}
    assert compute_score("zipthought", text, "20", row)["score"] == 0.0, why


def test_countdown_pays_for_steps_that_make_the_number():
    row = {"question": COUNTDOWN["question"], "surface": "countdown", "modulus": None, "answer": "35"}
    assert compute_score("zipthought", COUNTDOWN["answer"], "35", row)["score"] == 1.0
    assert compute_score("zipthought", "#### 35", "35", row)["score"] == 0.0
    assert compute_score("zipthought", "30 + 5 = 35\n#### 35", "35", row)["score"] == 0.0


def test_llamafactory_names_every_column(ours, tmp_path):
    export_records(ours, "llamafactory", tmp_path)
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert set(info) == {"zipthought_train", "zipthought_validation", "zipthought_test"}
    for entry in info.values():
        row = rows_of(tmp_path / entry["file_name"])[0]
        assert set(entry["columns"].values()) == set(row)


def test_emitted_reward_modules_run(ours, tmp_path):
    for target, name in (("verl", "compute_score"), ("trl-grpo", "reward")):
        export_records(ours, target, tmp_path / target)
        assert callable(runpy.run_path(str(tmp_path / target / "reward.py"))[name])
    assert not [name for name in sys.modules if name in ("verl", "trl")]


def test_records_of_no_columns_of_a_reward():
    assert record_of({"question": "a"}) == {"prompt": "a", "surface": None, "modulus": None, "answer": None}


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        ("{", ["--to", "verl"], "line 1: torn JSON"),
        ('{"prompt": "a"}', ["--to", "verl"], "line 1: the record has no 'messages'"),
        ("", ["--to", "verl"], "no records"),
        ('{"prompt": "a"}', ["--to", "other"], "unknown target 'other'"),
    ],
)
def test_one_line_for_what_cannot_be_done(tmp_path, capsys, content, flags, message):
    (tmp_path / "in.jsonl").write_text(content)
    assert main(["export", str(tmp_path / "in.jsonl"), *flags, "--output-dir", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_twice_is_once(ours, tmp_path, capsys):
    for _ in range(2):
        assert main(["export", str(ours), "--to", "hf", "--output-dir", str(tmp_path), "--json"]) == 0
        summary = json.loads(capsys.readouterr().out)
    assert summary["splits"] == {"train": 8, "validation": 8, "test": 8}
    assert len(rows_of(tmp_path / "data" / "test-00000-of-00001.parquet")) == 8
