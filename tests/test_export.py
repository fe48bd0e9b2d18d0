"""Exports: every target from our records and from real solutions, and the rewards that go with them."""

import json
import pickle
import re
import runpy
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipthought.cli import main
from zipthought.core.pieces import count_pieces
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.records.export import EXPORTS, export_records
from zipthought.records.export.segments import segments_of
from zipthought.records.reading import problem_of, read_records, verdict_of
from zipthought.records.schema import make_record
from zipthought.solutions import FAMILIES
from zipthought.solutions.compress import CompressConfig, compress_file
from zipthought.surfaces import SURFACES
from zipthought.tasks.splits import SPLITS
from zipthought.train.interfaces import (
    COLUMNS,
    compute_score,
    process_results,
    record_of,
    trl_reward,
    verifiers_outcome,
)

SOLUTION = "It is 2 + 3 = 5.\nSo 5 * 4 = <<5*4=20>>20.\n#### 20"
COUNTDOWN = {
    "question": "Using the numbers [3, 4, 5], create an equation that equals 35.",
    "answer": "3 + 4 = 7\n7 * 5 = 35\n#### 35",
}


OWN_NOTATION = ("coconut", "icot")
"""The targets that state the final answer in their own way, and so leave out a message that asks for another one."""


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
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".txt":
        return path.read_text().splitlines()
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
            if records.parent.name.startswith("ours") or target not in OWN_NOTATION:
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


def test_a_reward_of_trl_survives_pickling_and_compares_the_completions_of_a_problem(records):
    """Asynchronous trainers send it to other processes. Completions of a problem come one after another."""
    given = read_records(records)
    first, second = next(given), next(given)
    rows = [record for record in (first, second) for _ in range(3)]
    columns = {"question": [r["prompt"] for r in rows]} | {n: [r[n] for r in rows] for n in COLUMNS[1:]}
    texts = [text for record in (first, second) for text in (*gold_and_wrong(record), gold_and_wrong(record)[0])]
    ids = [[0] * n for n in (10, 5, 30, 20, 1, 20)]
    reward = pickle.loads(pickle.dumps(trl_reward("group-length:alpha=0.5")))
    assert reward.__name__ == "group_length"
    short, wrong, long, *others = reward([None] * 6, texts, completion_ids=ids, **columns)
    assert 1 > short > long > wrong == 0
    assert others == [0.75, 0, 0.75], "two right answers of equal length"
    with pytest.raises(ValueError, match="rewards by name are"):
        trl_reward("cosin:limit=3")


def test_the_rewards_of_one_completion_at_a_time(records, ours, tmp_path, monkeypatch):
    """verl and verifiers score one completion at a time, in tokens of the model that the environment names."""
    record = next(read_records(records))
    gold, wrong = gold_and_wrong(record)
    call = {"data_source": "zipthought", "ground_truth": record["answer"], "extra_info": record_row(record)}
    monkeypatch.setenv("REWARD", "outcome+length:0.001")
    monkeypatch.setenv("MODEL", "")
    export_records([ours], "verl", tmp_path)
    module = runpy.run_path(str(tmp_path / "reward.py"))
    assert module["compute_score"](solution_str=wrong, **call)["score"] == 0
    by_pieces = module["compute_score"](solution_str=gold, **call)["score"]
    assert by_pieces == pytest.approx(1 - 0.001 * count_pieces(gold))
    assert verifiers_outcome(gold, call["extra_info"], reward="outcome+length:0.001") == by_pieces
    with pytest.raises(ValueError, match="compares the completions of a problem"):
        compute_score(solution_str=gold, reward="group-length:alpha=0.5", **call)


def record_row(record):
    return {"question": record["prompt"], **{name: record[name] for name in COLUMNS[1:]}}


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
        ({"FILE_TYPE": "csv"}, "use jsonl, json, txt, parquet"),
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


ENGLISH = {
    "surface": "english",
    "modulus": 23,
    "prompt": "The number of kites equals 3. The number of drums equals the number of kites plus 4. "
    "The number of oaks equals the number of drums times 2. What is the number of oaks?",
    "answer": "14",
}
TERSE = ENGLISH | {"surface": "terse", "prompt": "kites = 3 . drums = kites + 4 . oaks = drums * 2 . ? oaks"}
PROSE = {"surface": "gsm8k", "prompt": "What is it?", "answer": "20"}
GAME = {"surface": "countdown", "prompt": COUNTDOWN["question"], "answer": "35"}


def record_like(base, completion, system="Solve it."):
    turns = [("system", system), ("user", base["prompt"]), ("assistant", completion)]
    return base | {
        "completion": completion,
        "split": "train",
        "messages": [{"role": role, "content": content} for role, content in turns],
    }


def row_of(target, record, tmp_path):
    """The one row of a target for a record."""
    (tmp_path / "in.jsonl").write_text(json.dumps(record))
    export_records([tmp_path / "in.jsonl"], target, tmp_path / "out")
    (row,) = rows_of(tmp_path / "out" / EXPORTS[target].path_of("train"))
    return row


SEGMENTED = [
    (
        ENGLISH,
        ["Define kites as QB; so QB = 3. ", "Define drums as MX; so MX = QB + 4 = 3 + 4 = 7. "],
        "Answer: 7.",
        "a sentence is a step",
    ),
    (ENGLISH, ["A.", " . ", "B. "], "Answer: 7.", "a sentence without text is a step that cannot be read"),
    (ENGLISH, [], "Answer: 14.", "the answer alone"),
    (ENGLISH, ["kites = 3. ", "drums = 7."], None, "no answer"),
    (TERSE, ["kites = 3 . ", "drums = kites + 4 = 3 + 4 = 7 . "], "answer 14 .", "full stops with blanks"),
    (PROSE, ["It is 2 + 3 = 5. Good.\n", "So 5 * 4 = 20.\n"], "#### 20", "a line may have several sentences"),
    (PROSE, ["It is 2 + 3 = 5. ", "So 5 * 4 = 20. "], "The answer is 20.", "sentences of one line"),
    (PROSE, ["So 5 * 4 = 20, so "], "the answer is 20.", "an answer in the sentence of a step"),
    (PROSE, ["2 + 3 = 5\n\n", "5 * 4 = 20\n"], "#### 20", "an empty line"),
    (PROSE, ["\\[\n2 + 3 = 5\n\\]\n", "5 * 4 = 20\n"], "#### 20", "displayed mathematics is one part"),
    (PROSE, [], "\n#### 20", "blanks are no part"),
    (PROSE, ["5 * 4 = 20"], None, "no answer"),
    (GAME, ["3 + 4 = 7\n"], "<answer>(3 + 4) * 5</answer>", "an expression as the answer"),
]


@pytest.mark.parametrize(("base", "steps", "final", "why"), SEGMENTED, ids=[row[-1] for row in SEGMENTED])
def test_a_completion_is_its_steps_and_its_answer(base, steps, final, why):
    texts = [*steps, *([final] if final else [])]
    record = record_like(base, "".join(texts))
    segments = segments_of(record)
    assert list(segments.texts) == texts
    assert segments.final == (len(steps) if final else None)
    assert len(segments.steps) == len(verdict_of(record, record["completion"]).steps)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([ENGLISH, TERSE, PROSE, GAME]),
    st.lists(
        st.sampled_from(
            [
                "2 + 3 = 5",
                "= ",
                ". ",
                " . ",
                "\n",
                " ",
                "#### 20",
                "Answer: 14.",
                "answer 14 .",
                "<think>",
                "</think>",
                "A",
            ]
        ),
        max_size=12,
    ).map("".join),
)
def test_the_parts_of_any_text_are_the_text(base, text):
    record = record_like(base, text)
    segments = segments_of(record)
    assert "".join(segments.texts) == text
    assert all(part.strip() for part in segments.texts) or not text.strip()
    assert len(segments.steps) == len(verdict_of(record, text).steps)
    assert all(0 <= part < len(segments.texts) for part in (*segments.steps, segments.final or 0))


@pytest.mark.parametrize("name", [*SURFACES, *FAMILIES])
def test_every_surface_and_family_says_where_its_steps_are(name):
    if name in FAMILIES:
        question, completion, answer = FAMILIES[name].EXAMPLE
        record = record_like({"surface": name, "prompt": question, "answer": answer}, completion)
    else:
        record = make_record(problem_of(ENGLISH), "explicit", surface=name)
    segments = segments_of(record)
    assert len(segments.steps) == len(segments.texts) - 1 == segments.final


def test_coconut_leaves_out_the_answer_alone(tmp_path):
    row = row_of("coconut", record_like(PROSE, "2 + 3 = 5\n\n5 * 4 = 20\n#### 20\nDone."), tmp_path)
    assert row == {"question": "Solve it.\nWhat is it?", "steps": ["2 + 3 = 5", "5 * 4 = 20", "Done."], "answer": "20"}
    boxed = record_like(PROSE, "So it is $5 \\times 4 = \\boxed{20}$.", system=FAMILIES["gsm8k"].SYSTEMS["boxed"])
    assert row_of("coconut", boxed, tmp_path / "out")["steps"] == ["So it is $5 \\times 4 = \\boxed{20}$."]
    game = record_like(GAME, "<answer>(3 + 4) * 5</answer>", system=FAMILIES["countdown"].SYSTEM)
    row = row_of("coconut", game, tmp_path / "out" / "out")
    assert row == {"question": GAME["prompt"], "steps": ["<answer>(3 + 4) * 5</answer>"], "answer": "35"}


def test_coconut_rows_say_what_the_records_say(ours, tmp_path):
    export_records([ours], "coconut", tmp_path)
    rows = [row for split in SPLITS for row in rows_of(tmp_path / f"{split}.json")]
    for row, record in zip(rows, read_records(ours), strict=True):
        assert row["question"] == f"{record['messages'][0]['content']}\n{record['prompt']}"
        assert " ".join([*row["steps"], f"Answer: {row['answer']}."]) == record["completion"]
    assert (tmp_path / "coconut.yaml").read_text().count(str(tmp_path)) == 2


def test_icot_is_read_back_as_the_same_solutions(tmp_path):
    texts = [
        SOLUTION,
        "2 + 3 = 5\n5 * 4 = 20\n#### 20",  # 5 5 * 4 without a full stop.
        "2 + 3 = 5!\n\n  5 * 4 = 20 \nThe answer is 20.",
        "<think>\n2 + 3 = 6. No, wait, 2 + 3 = 5.\n</think>\nIt is 5 * 4 = \\boxed{20}.",
    ]
    rows = [{"question": f"How many,\n{i}?", "answer": text} for i, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, [*rows, COUNTDOWN])))
    first = CompressConfig(input=tmp_path / "in.jsonl", output=tmp_path / "first.jsonl", format=("prose",))
    assert compress_file(first)["verified"] == 5
    export_records([first.output], "icot", tmp_path / "icot")
    files = sorted((tmp_path / "icot").glob("*.txt"))
    seen = []
    for file in files:
        again = CompressConfig(input=file, output=tmp_path / f"{file.stem}.jsonl", format=("prose",))
        assert compress_file(again)["rejected"] == 0
        seen += read_records(again.output)
    key = lambda record: record["prompt"]  # noqa: E731
    for before, after in zip(sorted(read_records(first.output), key=key), sorted(seen, key=key), strict=True):
        assert after["prompt"] == before["prompt"].replace("\n", " ")
        assert after["answer"] == before["answer"]
        judged = [verdict_of(record, record["completion"]) for record in (before, after)]
        assert judged[0].steps == judged[1].steps
        assert judged[1].faithful


@pytest.mark.parametrize(
    ("base", "text", "says"),
    [
        (PROSE | {"prompt": "Is it a || b?"}, SOLUTION, "line 1: the question has '||'"),
        (PROSE | {"prompt": "Is it #### b?"}, SOLUTION, "line 1: the question has '####'"),
        (PROSE, f"|| is parallel.\n{SOLUTION}", "line 1: the completion has '||'"),
        (PROSE, "#### Step\nOne.\n" + SOLUTION, "line 1: the completion has '####'"),
        (
            PROSE | {"answer": "30"},
            "x + 2x + (1/2)x = 105\n(7/2)x = 105\nx = 105(2/7) = 30 players\n#### 30",
            "line 1: the completion has lines that cannot stand on one line",
        ),
        (PROSE | {"answer": "many"}, SOLUTION, "line 1: the right answer is neither a number"),
    ],
)
def test_icot_refuses_what_its_layout_cannot_hold(tmp_path, base, text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        row_of("icot", record_like(base, text), tmp_path)
    assert not list((tmp_path / "out").glob("*"))


LABELLED = [
    (PROSE, "It is 2 + 3 = 5.\nSo 5 * 4 = 20.\n#### 20", [1, 1, 1], "all valid"),
    (PROSE, "It is 2 + 3 = 6.\nSo 6 * 4 = 24.\n#### 24", [0, 1, 0], "each part on its own"),
    (PROSE, "Hello.\nIt is 2 + 3 = 6, 1 + 1 = 2.\n#### 20", [1, 0, 1], "one false equation of two"),
    (PROSE, "It is 5 * 4 = 20.\n#### 21", [1, 0], "a wrong answer"),
    (PROSE, "It is 5 * 4 = 20.\n#### 20 or 21", [1, 0], "an answer that cannot be read"),
    (PROSE, "It is 5 * 4 = 20.\n#### 20\n#### 21", [1, 1, 0], "two answers: the last has the verdict"),
    (PROSE, "It is 5 * 4 = 20.", [1], "no answer"),
    (PROSE, "So it is 5 * 4 = \\boxed{20}.", [1], "the answer is the result of the step"),
    (PROSE, "So it is 5 * 4 = \\boxed{21}.", [0], "a false step that is the answer"),
    (PROSE, "<think>\n5 * 4 = 21. No, wait.\n</think>\n5 * 4 = 20\n#### 20", [1, 1, 1, 1, 1], "taken back"),
    (PROSE, "5 * 4 = 21. No, wait.\n5 * 4 = 20\n#### 20", [0, 1, 1], "nothing is taken back outside of a trace"),
    (GAME, COUNTDOWN["answer"], [1, 1, 1], "all valid"),
    (GAME, "3 + 4 = 7\n30 + 5 = 35\n#### 35", [1, 0, 0], "a number that is not available"),
    (GAME, "3 * 4 = 12\n#### 12", [1, 0], "not the target"),
    (GAME, "3 + 4 = 7\n<answer>(3 + 4) * 5</answer>", [1, 1], "an expression"),
    (GAME, "<answer>7 * 5</answer>", [0], "an expression of other numbers"),
    (ENGLISH, "kites = 3. drums = 7. oaks = 14. Answer: 14.", [1, 1, 1, 1], "all valid"),
    (ENGLISH, "kites = 3. drums = 8. oaks = 16. Answer: 16.", [1, 0, 1, 0], "each step on the stated value"),
    (ENGLISH, "kites = 3. Hello. oaks = 14. Answer: 14", [1, 0, 1, 0], "unparseable, malformed"),
    (TERSE, "kites = 3 . drums = kites + 4 = 3 + 4 = 8 . answer 14 .", [1, 0, 1], "a false step"),
]


@pytest.mark.parametrize(
    ("base", "text", "labels", "why"), LABELLED, ids=[f"{r[0]['surface']}: {r[-1]}" for r in LABELLED]
)
def test_stepwise_labels_each_part_by_its_steps_and_the_answer(tmp_path, base, text, labels, why):
    row = row_of("stepwise", record_like(base, text), tmp_path)
    assert row["labels"] == list(map(bool, labels)), why
    assert "".join(row["completions"]) == text
    assert row["prompt"] == f"Solve it.\n{base['prompt']}\n"


def test_stepwise_rows_of_gold_are_true(records, tmp_path):
    summary = export_records([records], "stepwise", tmp_path)
    rows = [row for split in summary["splits"] for row in rows_of(tmp_path / f"{split}.jsonl")]
    assert all(all(row["labels"]) for row in rows)
    given = sorted(record["completion"] for record in read_records(records))
    assert sorted("".join(row["completions"]) for row in rows) == given


def test_a_family_that_does_not_say_where_its_steps_are_is_named(tmp_path):
    silent = {name: getattr(FAMILIES["gsm8k"], name) for name in FAMILIES.members}
    FAMILIES.register(SimpleNamespace(**silent | {"NAME": "silent"}))
    try:
        with pytest.raises(ValueError, match=r"line 1: the family 'silent' has no step_offsets"):
            row_of("stepwise", record_like(PROSE | {"surface": "silent"}, SOLUTION), tmp_path)
    finally:
        FAMILIES.unregister("silent")


@pytest.mark.parametrize(
    ("base", "text", "reasoning", "content"),
    [
        (PROSE, SOLUTION, "It is 2 + 3 = 5.\nSo 5 * 4 = <<5*4=20>>20.", "#### 20"),
        (PROSE, f"{SOLUTION}\nDone.", "It is 2 + 3 = 5.\nSo 5 * 4 = <<5*4=20>>20.", "#### 20\nDone."),
        (PROSE, "<think>\n5 * 4 = 20\n</think>\n\nIt is 20.\n#### 20", "5 * 4 = 20", "It is 20.\n#### 20"),
        (PROSE, "5 * 4 = 20\n</think>\n#### 20", "5 * 4 = 20", "#### 20"),  # Some templates write the first tag.
        (PROSE, "<thinking>5 * 4 = 20</thinking>#### 20", "5 * 4 = 20", "#### 20"),
        (PROSE, "<think>\n\n</think>\n#### 20", "", "#### 20"),
        (PROSE, "#### 20", "", "#### 20"),
        (PROSE, "I do not know.", "", "I do not know."),
        (ENGLISH, "kites = 3. drums = 7. Answer: 7.", "kites = 3. drums = 7.", "Answer: 7."),
    ],
)
def test_chat_reasoning_divides_steps_and_answer(tmp_path, base, text, reasoning, content):
    messages = row_of("chat-reasoning", record_like(base, text), tmp_path)["messages"]
    assert [turn["role"] for turn in messages] == ["system", "user", "assistant"]
    assert messages[-1] == {"role": "assistant", "reasoning_content": reasoning, "content": content}


@pytest.mark.parametrize(
    "text", ["<think>5 * 4 = 20", "So. <think>5</think>#### 20", "<think>5</think><think>4</think>#### 20"]
)
def test_chat_reasoning_refuses_tags_in_other_places(tmp_path, text):
    with pytest.raises(ValueError, match="line 1: the completion has a <think> tag"):
        row_of("chat-reasoning", record_like(PROSE, text), tmp_path)
