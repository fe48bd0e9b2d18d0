"""Exports: every target from our records and from real solutions, and the rewards that go with them."""

import json
import re
import runpy
import sys
from types import SimpleNamespace

import pytest

from zipthought.cli import main
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.records.export import EXPORTS, export_records
from zipthought.records.reading import read_records
from zipthought.solutions.compress import CompressConfig, compress_file
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


@pytest.mark.parametrize("target", sorted(EXPORTS))
def test_every_record_with_its_system_message_in_its_split(records, target, tmp_path):
    summary = export_records([records], target, tmp_path)
    expected = list(read_records(records))
    assert summary["records"] == len(expected)
    module = EXPORTS[target]
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
    export_records([records], "verl", tmp_path / "verl")
    export_records([records], "trl-grpo", tmp_path / "trl")
    export_records([records], "lm-eval", tmp_path / "lm")
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


def test_a_file_of_several_formats_is_exported_whole_with_a_word_of_it_or_in_part(tmp_path, capsys):
    rows = [{"question": f"How many, {i}?", "answer": SOLUTION} for i in range(3)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    formats = ("composed:2", "implicit:2", "random-steps:0.5")
    config = CompressConfig(input=tmp_path / "in.jsonl", output=tmp_path / "out.jsonl", format=formats)
    compress_file(config)
    command = ["export", str(config.output), "--to", "trl-sft", "--output-dir", str(tmp_path / "o"), "--json"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["formats"] == dict.fromkeys(formats, 3)
    assert "the export mixes composed:2, implicit:2, random-steps:0.5" in said.err
    assert main([*command, "--format", "implicit:2", "--overwrite"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["records"] == 3
    assert said.err == ""
    assert main([*command, "--format", "implicit:3"]) == 2
    assert "no records in implicit:3" in capsys.readouterr().err


def test_llamafactory_names_every_column(ours, tmp_path):
    export_records([ours], "llamafactory", tmp_path)
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert set(info) == {"zipthought_train", "zipthought_validation", "zipthought_test"}
    for entry in info.values():
        row = rows_of(tmp_path / entry["file_name"])[0]
        assert set(entry["columns"].values()) == set(row)


def test_llamafactory_keeps_what_is_registered(tmp_path):
    info = tmp_path / "out" / "dataset_info.json"
    for split in ("train", "test", "test"):
        (tmp_path / "in.jsonl").write_text(like(split=split))
        export_records([tmp_path / "in.jsonl"], "llamafactory", tmp_path / "out")
        info.write_text(json.dumps(json.loads(info.read_text()) | {"theirs": {"file_name": "a.json"}}))
    assert list(json.loads(info.read_text())) == ["zipthought_train", "theirs", "zipthought_test"]
    for text in ("{", "[]", "\xff", "[" * 100_000):
        info.write_text(text, "latin-1")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ValueError, match=r"dataset_info\.json is not"):
            export_records([tmp_path / "in.jsonl"], "llamafactory", tmp_path / "out")
        assert sorted(tmp_path.rglob("*")) == before


def test_emitted_reward_modules_run(ours, tmp_path):
    for target, name in (("verl", "compute_score"), ("trl-grpo", "reward")):
        export_records([ours], target, tmp_path / target)
        assert callable(runpy.run_path(str(tmp_path / target / "reward.py"))[name])
    assert not [name for name in sys.modules if name in ("verl", "trl")]


def test_records_of_no_columns_of_a_reward():
    assert record_of({"question": "a"}) == {"prompt": "a", "surface": None, "modulus": None, "answer": None}


TURNS = [{"role": role, "content": "a"} for role in ("system", "user", "assistant")]
NO_MESSAGES = (None, 5, "x", [], [1, 2, 3], TURNS[1:], [*TURNS, TURNS[1]], TURNS[::-1])


def like(**fields):
    """A line of a record with other fields."""
    return json.dumps({"prompt": "a", "completion": "a", "answer": "5", "messages": TURNS, "split": "train"} | fields)


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        ("{", ["--to", "verl"], "line 1: torn JSON"),
        ('{"prompt": "a"}', ["--to", "verl"], "line 1: the record has no 'messages'"),
        ("", ["--to", "verl"], "no records"),
        ('{"prompt": "a"}', ["--to", "other"], "unknown target 'other'"),
        (like(split="../../evil"), ["--to", "verl"], "line 1: 'split' must be train, validation, test"),
        (like(split=["train"]), ["--to", "trl-sft"], "line 1: 'split' must be train, validation, test"),
        (like(split="Train"), ["--to", "hf"], "line 1: 'split' must be train, validation, test"),
        (like(prompt=5), ["--to", "trl-sft"], "line 1: 'prompt' must be text, got int"),
        (like(completion=None), ["--to", "hf"], "line 1: 'completion' must be text, got NoneType"),
        (like(answer=5), ["--to", "verl"], "line 1: 'answer' must be text, got int"),
        *((like(messages=said), ["--to", "llamafactory"], "line 1: 'messages' must be") for said in NO_MESSAGES),
        (like(messages=[*TURNS[:2], {"role": "assistant"}]), ["--to", "trl-sft"], "line 1: 'content' must be text"),
    ],
)
def test_one_line_for_what_cannot_be_done(tmp_path, capsys, content, flags, message):
    (tmp_path / "in.jsonl").write_text(content)
    assert main(["export", str(tmp_path / "in.jsonl"), *flags, "--output-dir", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*") if path.name != "out"] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("target", "taken"), [("verl", "train.parquet"), ("hf", "README.md"), ("trl-grpo", "reward.py")]
)
def test_a_directory_in_the_place_of_a_file(ours, tmp_path, target, taken):
    (tmp_path / taken).mkdir()
    with pytest.raises(IsADirectoryError, match=f"{taken} is a directory"):
        export_records([ours], target, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == [taken]


def test_a_record_without_a_split_is_of_train(tmp_path):
    record = {field: value for field, value in json.loads(like()).items() if field != "split"}
    (tmp_path / "in.jsonl").write_text(json.dumps(record))
    assert export_records([tmp_path / "in.jsonl"], "trl-sft", tmp_path / "out")["splits"] == {"train": 1}


def test_twice_is_once(ours, tmp_path, capsys):
    for _ in range(2):
        assert main(["export", str(ours), "--to", "hf", "--output-dir", str(tmp_path), "--json"]) == 0
        summary = json.loads(capsys.readouterr().out)
    assert summary["splits"] == {"train": 8, "validation": 8, "test": 8}
    assert len(rows_of(tmp_path / "data" / "test-00000-of-00001.parquet")) == 8


def test_files_of_several_splits_are_one_export(tmp_path, capsys):
    files = []
    for split in ("train", "test"):
        generate(GenerateConfig(n_ops=(2,), count=5, split=split, output_dir=tmp_path / split))
        files.append(str(tmp_path / split / "explicit.jsonl"))
    out = tmp_path / "out"
    for named in (files[:1], files[1:], files):
        assert main(["export", *named, "--to", "hf", "--output-dir", str(out), "--overwrite", "--json"]) == 0
        said = capsys.readouterr()
        summary, card = json.loads(said.out), (out / "README.md").read_text()
        earlier = named == files[1:]
        assert summary["earlier"] == [str(out / "data/train-00000-of-00001.parquet")] * earlier
        assert ("of an earlier export" in said.err) == earlier
    assert summary["splits"] == {"train": 5, "test": 5}
    assert "- train: 5 records" in card
    assert "- test: 5 records" in card


@pytest.mark.parametrize("names", [[], ["in.jsonl", "in.jsonl"]])
def test_no_file_or_one_twice_is_refused(tmp_path, names):
    (tmp_path / "in.jsonl").write_text(like())
    with pytest.raises(ValueError, match="each once"):
        export_records([tmp_path / name for name in names], "hf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bad_line_is_told_with_its_own_file(tmp_path):
    (tmp_path / "in.jsonl").write_text(like() + "\n" + like())
    (tmp_path / "torn.jsonl").write_text(like() + '\n{"torn')
    with pytest.raises(ValueError, match=r"torn\.jsonl, line 2"):
        export_records([tmp_path / "in.jsonl", tmp_path / "torn.jsonl"], "hf", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"FILE_TYPE": "csv"}, "use jsonl or parquet"),
        ({"path_of": lambda split: "data.jsonl"}, "must be distinct"),
        ({"path_of": lambda split: f"../{split}.jsonl"}, "inside its directory"),
        ({"extra_files": lambda *_: {"train.jsonl": ""}}, "must be distinct"),
    ],
    ids=["file type", "one file for all splits", "outside", "text over data"],
)
def test_targets_that_would_lose_data_are_refused(records, tmp_path, change, says):
    base = {name: getattr(EXPORTS["trl-sft"], name) for name in EXPORTS.members}
    EXPORTS.register(SimpleNamespace(**base | {"NAME": "strange"} | change))
    try:
        with pytest.raises(ValueError, match=says):
            export_records([records], "strange", tmp_path / "out")
        assert not (tmp_path / "out").exists()
    finally:
        EXPORTS.unregister("strange")
