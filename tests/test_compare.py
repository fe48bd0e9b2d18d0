"""`zipthought compare`: measures by hand, equal budgets, no test question trained on, resuming, the Pareto front."""

import json

import numpy as np
import pytest

from zipthought.cli import main
from zipthought.comparing.config import NamedFile
from zipthought.comparing.rows import read_row, saving
from zipthought.core.pieces import count_pieces
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.solutions.layouts import Reading

QUESTIONS = [f"Ann has {a} boxes with 3 eggs each, and eats 2 eggs. How many eggs are left?" for a in (4, 5, 6)]
LONG = [
    "4 * 3 = 12\n12 - 2 = 10\n#### 10",
    "5 * 3 = 15\n15 - 2 = 13\n#### 13",
    "6 * 3 = 18\n18 - 2 = 16\n#### 16",
]


def write(path, texts, questions=QUESTIONS, answers=("10", "13", "16")):
    rows = zip(questions, texts, answers, strict=True)
    path.write_text("".join(json.dumps({"question": q, "answer": f"{t}"}) + "\n" for q, t, _ in rows))
    return path


def row_of(path, name=""):
    return read_row(NamedFile(path, name), Reading(), count_pieces, lambda done: None)


def test_measures_by_hand(tmp_path):
    reference = row_of(write(tmp_path / "long.jsonl", LONG), "long")
    assert (reference.right, reference.verified, reference.readable) == (1, 1, 1)
    texts = [
        "(4 * 3) - 2 = 10\n#### 10",  # Right, in one step.
        "5 * 3 = 16\n15 - 2 = 13\n#### 13",  # The right answer after a false step.
        "6 * 3 = 18\n18 - 2 eggs = y boxes of 5 = 16\n#### 16",  # An equation that cannot be read leads to the answer.
    ]
    row = row_of(write(tmp_path / "short.jsonl", texts))
    assert row.name == "short"
    assert row.right == 1
    assert row.verified == pytest.approx(1 / 3)
    assert row.readable == pytest.approx(2 / 3)
    before, after = [count_pieces(text) for text in LONG], [count_pieces(text) for text in texts]
    saved = saving(row, reference)
    assert saved.shared == 3
    assert saved.saved == pytest.approx(1 - sum(after) / sum(before))
    shares = [1 - a / b for a, b in zip(after, before, strict=True)]
    assert (saved.p10, saved.p90) == pytest.approx(tuple(np.percentile(shares, [10, 90])))


def test_only_shared_questions_count_and_samples_of_one_are_averaged(tmp_path):
    reference = row_of(write(tmp_path / "a.jsonl", LONG[:2], QUESTIONS[:2], ("10", "13")), "a")
    short = ["4 * 3 - 2 = 10\n#### 10", LONG[0], LONG[2]]
    row = row_of(write(tmp_path / "b.jsonl", short, [QUESTIONS[0].upper(), QUESTIONS[0], QUESTIONS[2]]), "b")
    saved = saving(row, reference)
    mean = (count_pieces(short[0]) + count_pieces(LONG[0])) / 2
    assert (saved.shared, row.records) == (1, 3)
    assert saved.saved == pytest.approx(1 - mean / count_pieces(LONG[0]))
    none = saving(row_of(write(tmp_path / "c.jsonl", LONG[2:], QUESTIONS[2:], ("16",)), "c"), reference)
    assert (none.shared, none.saved) == (0, None)


def test_wrong_records_of_zipthought_are_found(tmp_path):
    generate(GenerateConfig(n_ops=(3,), count=4, surface="terse", output_dir=tmp_path))
    path = tmp_path / "explicit.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    right = int(records[0]["answer"])
    records[0]["completion"] = records[0]["completion"].replace(f"answer {right} .", f"answer {(right + 1) % 23} .")
    records[1]["completion"] = records[1]["completion"].replace(" . answer", " . so it goes . answer")
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    row = row_of(path)
    assert (row.name, row.right, row.verified, row.readable, row.unjudged) == ("explicit", 0.75, 0.5, 0.75, 0)
    records[2]["prompt"] = "no problem"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    row = row_of(path)
    assert (row.right, row.unjudged) == (0.5, 1)
    assert "line 3" in row.unjudged_reason


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("a.jsonl bad.jsonl --output o.md", "bad.jsonl, line 2: torn JSON"),
        ("a.jsonl a.jsonl --output o.md", "two rows have the name 'a'; give them names, as NAME=FILE"),
        ("=a.jsonl --output o.md", "a row is FILE or NAME=FILE"),
        ("a.jsonl --output o.txt", "ends in .md or .html"),
        ("a.jsonl --output o.md --model neutral", "--model and --test go together"),
        ("a.jsonl --output o.md --model neutral --test a.jsonl --seeds 1 1", "each once"),
        ("a.jsonl --output o.md --model nowhere --test a.jsonl", "no model at 'nowhere'"),
        ("a.jsonl --output mine.md", "mine.md exists; give --overwrite"),
        ("none.jsonl --output o.md", "none.jsonl: No such file"),
        ("empty.jsonl --output o.md", "empty.jsonl holds no records"),
    ],
)
def test_errors_name_what_to_do(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.jsonl", LONG)
    (tmp_path / "bad.jsonl").write_text((tmp_path / "a.jsonl").read_text().splitlines()[0] + "\n{\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "mine.md").write_text("mine")
    assert main(["compare", *arguments.split()]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "o.md").exists()


def test_a_page_without_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "long.jsonl", LONG)
    write(tmp_path / "short.jsonl", [LONG[0], "(5 * 3) - 2 = 13\n#### 13", "6 * 3 - 2 = 16\n#### 16"])
    name = "<b>`|x"
    command = ["compare", "long.jsonl", f"{name}=short.jsonl", "--reference", "long.jsonl", "--output"]
    assert main([*command, "o.md", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in made["rows"]] == ["long", name]
    assert [row["front"] for row in made["rows"]] == [False, True]
    assert made["rows"][0]["saved"] == 0
    assert made["files"] == ["o.md"]
    text = (tmp_path / "o.md").read_text()
    assert "\\<b\\>\\`\\|x | 3 | 3 |" in text
    assert "zipthought compare long.jsonl" in text
    assert not (tmp_path / "o.md.results.json").exists()
    assert main([*command, "o.html"]) == 0
    page = (tmp_path / "o.html").read_text()
    assert "<b>" not in page
    assert page.count("<circle") == 2
    assert main([*command, "o.md"]) == 0  # The page of an earlier run is replaced.
    assert (tmp_path / "o.md").read_text() == text


# Training.


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiny_base):
    directory = tmp_path_factory.mktemp("compare")
    formats = ("explicit", "composed:2", "answer-only")
    generate(GenerateConfig(n_ops=(2,), count=24, surface="terse", format=formats, output_dir=directory))
    generate(GenerateConfig(n_ops=(2,), count=4, surface="terse", split="test", output_dir=directory / "t"))
    (directory / "t/explicit.jsonl").rename(directory / "test.jsonl")
    return directory


ROWS = ["explicit.jsonl", "composed-2.jsonl"]


def command_of(base, rows, more=()):
    options = ["--test", "test.jsonl", "--budget-tokens", "1200", "--batch-size", "4", "--max-new-tokens", "8"]
    return ["compare", *rows, "--model", str(base), *options, "--seeds", "0", "1", "--threads", "1", *more]


@pytest.fixture
def trained(monkeypatch):
    """The runs that were trained: (row, seed), and the records of each; `stop` names the run that is killed."""
    from zipthought.comparing import training

    class Spy:
        runs, records, stop = [], [], None

    Spy.runs, Spy.records = [], []
    fine_tune = training.fine_tune

    def watched(model, tokenizer, records, config, **more):
        if len(Spy.runs) == Spy.stop:
            raise KeyboardInterrupt
        Spy.runs.append(config.seed)
        Spy.records.append(list(records))
        return fine_tune(model, tokenizer, records, config, **more)

    monkeypatch.setattr(training, "fine_tune", watched)
    return Spy


def test_a_stopped_comparison_goes_on_and_a_new_row_trains_that_row_alone(
    data, tiny_base, tmp_path, monkeypatch, capsys, trained
):
    monkeypatch.chdir(data)
    whole, again = tmp_path / "w/o.md", tmp_path / "o.md"
    assert main(command_of(tiny_base, ROWS, ["--output", str(whole), "--json"])) == 0
    made = json.loads(capsys.readouterr().out)
    assert trained.runs == [0, 0, 1, 1]
    for row in made["rows"]:  # Equal budgets: within half of the largest possible batch.
        assert abs(row["trained"]["tokens"] - 1200) <= 4 * 80 / 2
        assert row["trained"]["seeds"] == 2
        assert 0 <= row["trained"]["accuracy"]["low"] <= row["trained"]["accuracy"]["high"] <= 1
    composed, explicit = made["rows"][1]["trained"], made["rows"][0]["trained"]
    assert composed["epochs"] >= explicit["epochs"]  # Shorter solutions.

    trained.runs.clear()
    trained.stop = 1
    assert main(command_of(tiny_base, ROWS, ["--output", str(again)])) == 130
    assert trained.runs == [0]
    assert not again.exists()
    trained.stop = None
    assert main(command_of(tiny_base, ROWS, ["--output", str(again)])) == 0
    assert trained.runs == [0, 0, 1, 1]
    assert again.read_text().replace(str(again), str(whole)) == whole.read_text()

    trained.runs.clear()
    trained.records.clear()
    assert main(command_of(tiny_base, [*ROWS, "answer-only.jsonl"], ["--output", str(again)])) == 0
    assert trained.runs == [0, 1]
    assert {record["format"] for record in trained.records[0]} == {"answer-only"}
    assert "| answer-only |" in again.read_text()
    again.write_text("zipthought")
    (tmp_path / "o.md.results.json").write_text("{}")
    assert main(command_of(tiny_base, ROWS, ["--output", str(again)])) == 2
    assert "holds no results of zipthought compare" in capsys.readouterr().err


def test_test_questions_are_never_trained_on(data, tiny_base, tmp_path, monkeypatch, capsys, trained):
    """Records of the test questions: one as it is, and one with other names, both of them said to be of `train`."""
    from zipthought.records.reading import problem_of
    from zipthought.records.schema import make_record
    from zipthought.tasks.dressing import redress

    monkeypatch.chdir(data)
    test = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    dressed = make_record(redress(problem_of(test[1]), 1), "explicit", surface="terse")
    assert dressed["prompt"] != test[1]["prompt"]
    planted = tmp_path / "planted.jsonl"
    lines = [json.dumps({**record, "split": "train"}) for record in (test[0], dressed)]
    planted.write_text((data / "explicit.jsonl").read_text() + "\n".join(lines) + "\n" + json.dumps(test[2]) + "\n")
    output = ["--output", str(tmp_path / "o.md"), "--json", "--limit", "2"]
    assert main(command_of(tiny_base, [f"p={planted}"], [*output, "--seeds", "0"])) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["trained"]["left_out"] == {"overlap": 1, "overlap_structure": 1, "held_out": 1}
    (records,) = trained.records
    assert not {r["structure"] for r in records} & {r["structure"] for r in test[:2]}
    assert row["trained"]["examples"] == 24
    text = (tmp_path / "o.md").read_text()
    assert "1 overlap, 1 overlap_structure, 1 held_out" in text
    assert "of one seed, with Wilson's 95% interval" in text
    alone = tmp_path / "alone.jsonl"
    alone.write_text(lines[0] + "\n")
    assert main(command_of(tiny_base, [str(alone)], output)) == 2
    assert "nothing is left to train on" in capsys.readouterr().err


def test_the_updates_come_closest_to_the_budget():
    from zipthought.comparing.training import updates_for
    from zipthought.train.batches import EpochBatches, Example

    lengths = [10, 20, 30, 40, 50]
    batches = EpochBatches([Example([1] * n, 1) for n in lengths], 2, 0, 0)
    totals = np.cumsum([sum(lengths[i] for i in batches.indices(step)) for step in range(12)])
    for budget in range(1, 450):
        updates, tokens = updates_for(batches, lengths, budget)
        assert tokens == totals[updates - 1]
        assert abs(tokens - budget) == min(abs(totals - budget))


def test_pareto_front_by_hand():
    from zipthought.comparing.table import pareto_front

    points = [(0.9, 40), (0.9, 50), (0.5, 40), (0.5, 10), (0.1, 5), (0.5, 10), None, (0.1, 30)]
    assert pareto_front(points) == [True, False, False, True, True, True, False, False]


def test_intervals():
    from scipy.stats import t

    from zipthought.comparing.table import accuracy_of
    from zipthought.evaluation.intervals import wilson

    assert accuracy_of(["1100"]) == pytest.approx(wilson(0.5, 4))
    seeds = ["1" * 60 + "0" * 40, "1" * 50 + "0" * 50, "1" * 55 + "0" * 45]
    value, low, high = accuracy_of(seeds)
    assert value == pytest.approx(0.55)
    error = (high - low) / 2 / t.ppf(0.975, 2)
    assert 0.045 < error < 0.065  # sqrt(0.55 * 0.45 / 100) of the questions, and 0.05 / sqrt(3) of the seeds.
    value, low, high = accuracy_of(["0000", "0000"])
    assert (value, low) == (0, 0)
    assert high > 0.5  # Nothing was right, but with two seeds and four questions that says little.
