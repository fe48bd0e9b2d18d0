"""`zipthought mix`: shares, tags, order, duplicates, overlaps with evaluation files, recipes, cards, and the hub."""

import io
import json
import random
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st

from zipthought.cli import main
from zipthought.core.pieces import count_pieces
from zipthought.evaluation.questions import Question, read_questions
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.mixing import disk, run, spool
from zipthought.mixing.choice import choose, generator, largest_remainder
from zipthought.mixing.config import MixConfig, Recipe, SourceFile, load_recipe
from zipthought.mixing.examples import Example
from zipthought.mixing.near import RECALL, rows_of_band
from zipthought.mixing.overlap import EvaluationQuestions
from zipthought.mixing.run import mix as run_mix
from zipthought.mixing.spool import Spool
from zipthought.mixing.tags import on_grid
from zipthought.mixing.texts import guard, jaccard, shingles, words_of
from zipthought.records.reading import problem_of, read_records
from zipthought.records.schema import record_id
from zipthought.solutions.layouts import Reading
from zipthought.surfaces import get_surface
from zipthought.tasks.dressing import redress

STORY = (
    "Every morning the baker on Mill Street prepares {a} trays of rolls, and each tray holds {b} rolls. A school buys "
    "{c} of these rolls before lunch. How many rolls are left for the other customers of the bakery?"
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("inputs")
    formats = ("explicit", "composed:2", "answer-only")
    generate(GenerateConfig(n_ops=(4, 5), count=60, format=formats, output_dir=directory))
    generate(GenerateConfig(n_ops=(4, 5), count=60, format=("explicit",), seed=1, output_dir=directory / "other"))
    write(directory / "stories.jsonl", [story(a, b, c) for a in (4, 5) for b in (6, 7) for c in (8, 9)])
    return directory


def story(a, b, c):
    solution = f"She has {a}*{b} = <<{a}*{b}={a * b}>>{a * b} rolls, so {a * b}-{c} = "
    return {"question": STORY.format(a=a, b=b, c=c), "answer": f"{solution}{a * b - c} are left.\n#### {a * b - c}"}


def write(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def rows(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def mix(capsys, *arguments, code=0):
    """The counts of a mixture in out.jsonl, and what was said."""
    assert main(["mix", *arguments, "--output", "out.jsonl", "--json"]) == code
    said = capsys.readouterr()
    return json.loads(said.out) if code == 0 else None, said.err


def sources(counts):
    return Counter(row["mixed_from"] for row in rows("out.jsonl")), [one["records"] for one in counts["sources"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["explicit.jsonl:0.7", "composed-2.jsonl:0.3", "--count", "100"], [70, 30]),
        (["explicit.jsonl:2", "composed-2.jsonl:1", "--count", "101"], [67, 34]),
        (["explicit.jsonl:3", "composed-2.jsonl:1"], [120, 40]),
        (["explicit.jsonl=11", "composed-2.jsonl=13"], [11, 13]),
        (["explicit.jsonl", "composed-2.jsonl"], [120, 120]),
        (["explicit.jsonl", "composed-2.jsonl", "--count", "50"], [25, 25]),
        (["explicit.jsonl:1", "composed-2.jsonl:2", "--repeat", "--count", "450"], [150, 300]),
    ],
)
def test_shares_of_examples_are_exact(here, capsys, arguments, expected):
    counts, _ = mix(capsys, *arguments)
    assert sources(counts) == (dict(zip(("explicit.jsonl", "composed-2.jsonl"), expected, strict=True)), expected)
    assert counts["records"] == sum(expected)


def test_shares_of_tokens_are_within_a_record(here, capsys):
    counts, _ = mix(capsys, "explicit.jsonl:0.6", "answer-only.jsonl:0.4", "--by", "tokens", "--count", "1000")
    by_file = Counter()
    for row in rows("out.jsonl"):
        by_file[row["mixed_from"]] += count_pieces(row["completion"])
    assert [one["tokens"] for one in counts["sources"]] == [by_file["explicit.jsonl"], by_file["answer-only.jsonl"]]
    longest = max(count_pieces(row["completion"]) for row in rows("explicit.jsonl"))
    for one in counts["sources"]:
        assert abs(one["tokens"] - one["wanted"]) <= longest / 2
    assert [one["wanted"] for one in counts["sources"]] == [600, 400]


def test_a_file_that_runs_out_is_named_and_repeats_only_if_wanted(here, capsys):
    arguments = ["explicit.jsonl=300", "composed-2.jsonl=10"]
    counts, said = mix(capsys, *arguments)
    assert sources(counts)[1] == [120, 10]
    assert counts["sources"][0]["short"]
    assert "explicit.jsonl has 120 of 300 examples" in said
    counts, said = mix(capsys, *arguments, "--repeat")
    assert "has 120" not in said
    assert set(Counter(row["id"] for row in rows("out.jsonl") if row["mixed_from"] == "explicit.jsonl").values()) == {
        2,
        3,
    }


def test_a_mixture_is_a_function_of_its_recipe_and_seed(here, capsys):
    arguments = ["explicit.jsonl:1", "composed-2.jsonl:1", "--count", "60"]
    made = []
    for seed in ("0", "0", "1"):
        mix(capsys, *arguments, "--seed", seed)
        made.append((Path("out.jsonl").read_bytes(), Path("out.jsonl.card.md").read_bytes()))
    assert made[0] == made[1]
    ids = [{json.loads(line)["id"] for line in data.splitlines()} for data, _ in made]
    assert ids[0] != ids[2]
    assert made[0][1] != made[2][1]


@pytest.mark.parametrize("order", ["shuffled", "length", "curriculum"])
def test_order(here, capsys, order):
    files = ["answer-only.jsonl", "composed-2.jsonl", "explicit.jsonl"]
    mix(capsys, *files, "--order", order)
    made = rows("out.jsonl")
    lengths = [count_pieces(row["completion"]) for row in made]
    levels = [{"explicit": 0}.get(row["format"], row["k"]) for row in made]
    assert (lengths == sorted(lengths)) is (order == "length")
    assert (levels == sorted(levels)) is (order == "curriculum")
    first = [row["index"] for row in made if row["format"] == "explicit"]
    assert first != sorted(first)  # Also the ties of a curriculum are shuffled.


def test_tags_are_the_ratio_of_tokens_and_leave_the_problem_alone(here, capsys):
    counts, _ = mix(capsys, "explicit.jsonl", "composed-2.jsonl", "answer-only.jsonl", "--tag", "ratio")
    made = rows("out.jsonl")
    explicit = {row["structure"]: count_pieces(row["completion"]) for row in rows("explicit.jsonl")}
    for row in made:
        ratio = count_pieces(row["completion"]) / explicit[row["structure"]]
        assert row["keep"] == max(0.1, round(ratio, 1))
        assert row["messages"][1]["content"] == f"<keep:{row['keep']:g}> {row['prompt']}"
        assert problem_of(row).structure == row["structure"]
        assert row["id"] == record_id(row)
    assert counts["tags"] == dict(sorted(Counter(f"{row['keep']:g}" for row in made).items()))
    assert len(counts["tags"]) > 2
    assert main(["verify", "out.jsonl"]) == 0


def test_training_evaluation_and_exports_read_the_same_tagged_prompt(here, capsys, tiny_base):
    from zipthought.train.prompts import _prompt_of_record

    mix(capsys, "composed-2.jsonl", "--tag", "ratio", "--count", "5")
    row = rows("out.jsonl")[0]
    (question, *_) = read_questions(Path("out.jsonl"), Reading(), 23)
    assert isinstance(question, Question)
    assert question.turns == row["messages"][:-1]
    assert question.text == row["prompt"]  # What is verified.
    assert main(["export", "out.jsonl", "--to", "trl-sft", "--output-dir", "sft"]) == 0
    assert rows("sft/train.jsonl")[0]["prompt"] == row["messages"][:-1]

    class Words:
        """A tokenizer without a chat template that knows every character."""

        chat_template = bos_token_id = unk_token_id = None

        def __call__(self, text, **_):
            return SimpleNamespace(input_ids=[ord(letter) for letter in text])

    assert _prompt_of_record(Words(), row).turns == row["messages"][:-1]
    assert main(["train", "sft", "--model", str(tiny_base), "--data", "out.jsonl", "--output-dir", "m"]) == 2
    assert "does not know this text" in capsys.readouterr().err  # A word-level vocabulary has no tags.


def test_a_tag_for_all_and_a_second_mixture(here, capsys):
    mix(capsys, "explicit.jsonl", "--tag", "0.5", "--count", "7")
    assert {row["keep"] for row in rows("out.jsonl")} == {0.5}
    Path("out.jsonl").rename("first.jsonl")
    mix(capsys, "first.jsonl", "--tag", "ratio")
    assert all(row["messages"][1]["content"] == f"<keep:1> {row['prompt']}" for row in rows("out.jsonl"))
    mix(capsys, "first.jsonl")
    assert all("keep" not in row and row["messages"][1]["content"] == row["prompt"] for row in rows("out.jsonl"))


def test_ratios_of_compressed_solutions_and_of_those_that_do_not_say(here, capsys):
    write(Path("s.jsonl"), [story(a, 6, 8) for a in range(3, 30)])
    assert main(["compress", "s.jsonl", "--output", "c.jsonl", "--format", "composed:2"]) == 0
    capsys.readouterr()
    mix(capsys, "c.jsonl", "--tag", "ratio", "--tag-step", "0.05")
    for row in rows("out.jsonl"):
        assert row["keep"] == pytest.approx(round(row["tokens"] / row["tokens_source"] * 20) / 20)
    write(Path("sampled.jsonl"), [{**row, "format": "sampled", "tokens_source": None} for row in rows("c.jsonl")])
    _, said = mix(capsys, "sampled.jsonl", "--tag", "ratio", code=2)
    assert "sampled.jsonl, line 1: a record of the format 'sampled' does not say" in said
    mix(capsys, "sampled.jsonl", "--tag", "0.5")


@given(st.floats(0.001, 3), st.sampled_from([0.05, 0.1, 0.2, 0.25, 1.0]))
def test_the_grid_of_tags(ratio, step):
    found = on_grid(ratio, step)
    assert step <= found <= 1
    assert found / step == pytest.approx(round(found / step))
    assert abs(found - min(1, max(step, ratio))) <= step / 2 + 1e-6


def edited(text, rng, edits=2):
    """Some long words of a text with a letter twice."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    for index in rng.sample(long, edits):
        words[index] = words[index][:2] + words[index][1:]
    return " ".join(words)


def test_duplicates_are_removed_and_other_problems_stay(here, capsys):
    rng = random.Random(0)
    own = rows("stories.jsonl")
    exact = [{**row, "question": row["question"].upper() + " "} for row in own]
    near = [{**row, "question": edited(row["question"], rng)} for row in own]
    write(Path("data.jsonl"), [*own, *exact, *near])
    counts, _ = mix(capsys, "data.jsonl")
    assert counts["removed"] == {"duplicate": len(own)}
    counts, _ = mix(capsys, "data.jsonl", "--near-duplicates", "0.6", "--removed", "gone.jsonl")
    assert counts["removed"] == {"duplicate": len(own), "near_duplicate": len(own)}
    assert {row["prompt"] for row in rows("out.jsonl")} == {
        row["question"] for row in own
    }  # All eight, the first ones.
    gone = rows("gone.jsonl")
    assert len(gone) == 2 * len(own)
    for row in gone:
        line, of = (int(text.split()[-1]) for text in (row["source_id"], row["detail"]))
        assert (line - 1) % len(own) == (of - 1) % len(own)
        assert of < line
        assert row["reason"] == ("duplicate" if line <= 2 * len(own) else "near_duplicate")


def test_formats_of_one_problem_are_no_duplicates(here, capsys):
    files = ["explicit.jsonl", "composed-2.jsonl", "answer-only.jsonl"]
    counts, _ = mix(capsys, *files, "--near-duplicates", "0.5")
    assert counts["removed"] == {}
    write(Path("again.jsonl"), rows("explicit.jsonl"))
    counts, _ = mix(capsys, *files, "again.jsonl", "--near-duplicates", "0.5")
    assert counts["removed"] == {"duplicate": 120}
    assert counts["sources"][3]["removed"] == {"duplicate": 120}


def test_near_duplicates_of_synthetic_problems_have_the_same_structure(here, capsys):
    row = rows("explicit.jsonl")[0]
    reworded = {**row, "prompt": row["prompt"].replace("What is the number", "How large is the number")}
    write(Path("data.jsonl"), [row, reworded, {**reworded, "prompt": f"{reworded['prompt']} ", "structure": "other"}])
    counts, _ = mix(capsys, "data.jsonl", "--near-duplicates", "0.6")
    assert counts["removed"] == {"duplicate": 1, "near_duplicate": 1}


def test_evaluation_questions_are_removed(here, capsys):
    rng = random.Random(1)
    own = rows("stories.jsonl")
    asked, others = own[:3], own[3:]
    write(Path("eval.jsonl"), [*({"question": row["question"].lower()} for row in asked), {"text": "no question"}])
    near = {"question": edited(asked[0]["question"], rng, 1), "answer": "They are 16.\n#### 16"}
    write(Path("data.jsonl"), [*own, near])
    arguments = ["data.jsonl", "--exclude", "eval.jsonl"]
    counts, said = mix(capsys, *arguments, "--removed", "gone.jsonl")
    assert counts["removed"] == {"overlap": 3, "overlap_near": 1}
    assert counts["evaluation_questions"] == 3
    assert counts["evaluation_unread"] == 1
    assert "1 records of the evaluation files have no question" in said
    assert {row["prompt"] for row in rows("out.jsonl")} == {row["question"] for row in others}
    assert rows("gone.jsonl")[-1]["detail"].endswith(" eval.jsonl, line 1")
    counts, _ = mix(capsys, *arguments, "--near-overlap", "0")
    assert counts["removed"] == {"overlap": 3}


def test_synthetic_evaluation_problems_are_found_under_other_names(here, capsys):
    row = rows("explicit.jsonl")[3]
    renamed = get_surface("english").render_problem(redress(problem_of(row), 1))
    assert renamed != row["prompt"]
    write(Path("eval.jsonl"), [{"prompt": renamed, "surface": "english", "modulus": 23, "answer": row["answer"]}])
    counts, _ = mix(capsys, "explicit.jsonl", "other/explicit.jsonl", "--exclude", "eval.jsonl")
    assert counts["removed"] == {"overlap_structure": 1}
    assert row["structure"] not in {row["structure"] for row in rows("out.jsonl")}


def test_files_of_other_programs_become_records(here, capsys):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    raw = rows("stories.jsonl")
    parquet.write_table(pyarrow.Table.from_pylist(raw), "stories.parquet")
    chats = [
        {"messages": [{"role": "user", "content": f"Name {n} fruits."}, {"role": "assistant", "content": "Apples."}]}
        for n in range(5)
    ]
    write(Path("chat.jsonl"), [*chats, {"messages": [{"role": "user", "content": "Hello?"}]}])
    Path("torn.jsonl").write_text('{"question": "How\n')
    counts, said = mix(capsys, "stories.parquet", "chat.jsonl", "torn.jsonl")
    assert "chat.jsonl: 1 records cannot be mixed; line 6: an assistant's turn after a user's is needed" in said
    assert "torn.jsonl: 1 records cannot be mixed; line 1: torn JSON" in said
    assert counts["removed"] == {"unreadable": 2}
    made = rows("out.jsonl")
    assert [one["records"] for one in counts["sources"]] == [8, 5, 0]
    asked = {q.text: q.turns for q in read_questions(Path("stories.jsonl"), Reading(), 23)}
    for row in made:
        if row["mixed_from"] == "stories.parquet":
            assert row["messages"][:-1] == asked[row["prompt"]]  # What evaluate asks.
            assert row["answer"] == row["completion"].rpartition(" ")[2]
        else:
            assert {"messages": row["messages"]} in chats
            assert row["split"] == "train"
    main(["verify", "out.jsonl"])
    assert "8 of 8 faithful, 5 lines not read" in capsys.readouterr().out
    Path("out.jsonl").rename("first.jsonl")
    mix(capsys, "first.jsonl", "--tag", "0.5")  # A mixture is mixed again.
    assert len(rows("out.jsonl")) == 13
    assert all(row["messages"][-2]["content"] == f"<keep:0.5> {row['prompt']}" for row in rows("out.jsonl"))


RECIPE = """
count = 40
order = "length"
tag = 0.5
exclude = ["eval.jsonl"]

[reading]
question_field = "q"
solution_field = "s"

[[source]]
file = "explicit.jsonl"
weight = 1

[[source]]
file = "own.jsonl"
weight = 0.5
repeat = true
tag = "ratio"
"""


def test_a_recipe_and_its_card_make_the_same_mixture(here, capsys):
    Path("recipe.toml").write_text(RECIPE)
    write(Path("own.jsonl"), [{"q": row["question"], "s": row["answer"]} for row in rows("stories.jsonl")])
    write(Path("eval.jsonl"), [{"q": "What is 1 + 1?"}, {"question": "What is 2 + 2?"}])
    counts, _ = mix(capsys, "recipe.toml")
    assert [one["records"] for one in counts["sources"]] == [27, 13]
    assert {row["keep"] for row in rows("out.jsonl") if row["mixed_from"] == "own.jsonl"} == {1.0}
    card = Path("out.jsonl.card.md").read_text()
    assert counts["recipe_digest"] in card
    assert counts["sha256"] in card
    Path("again.toml").write_text(card.partition("```toml\n")[2].partition("```")[0])
    assert load_recipe(Path("again.toml")) == load_recipe(Path("recipe.toml"))
    before = Path("out.jsonl").read_bytes(), card
    again, _ = mix(capsys, "again.toml")
    assert (Path("out.jsonl").read_bytes(), Path("out.jsonl.card.md").read_text()) == before
    assert again == counts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("count = ", "is not valid TOML"),
        ("counts = 3", "unknown setting 'counts' in a recipe"),
        ('order = "sorted"', "unknown order 'sorted'; use shuffled, length, curriculum"),
        ("count = true", "'count' in a recipe has a value of another type: True"),
        ('count = "3"', "another type: '3'"),
        ('exclude = "a.jsonl"', "another type: 'a.jsonl'"),
        ("near_overlap = 0.1", "near_overlap must be 0, or 0.3 to 1"),
        ('tag = "half"', "a tag is 'ratio' or a number"),
        ("tag_step = 0", "tag_step must be above 0"),
        ("seed = -1", "must not be negative"),
        ("[source]\nfile = 'a'", r"\[\[source\]\] tables"),
        ("[[source]]\nweight = 1", r"\[\[source\]\] needs 'file'"),
        ("[[source]]\nfile = 'a'\nweight = 0", "a: the weight must be above 0"),
        ("[[source]]\nfile = 'a'\nweight = 1\ncount = 1", "a weight or a count, not both"),
        ("[[source]]\nfile = 'a'\nweight = 1\n[[source]]\nfile = 'b'", "all files a weight, or all a count"),
        ("[[source]]\nfile = 'a'\n[[source]]\nfile = 'a'", "a is named twice"),
        ("count = 3\n[[source]]\nfile = 'a'\ncount = 1", "the mixture needs none"),
        ("", "name at least one file"),
        ("[reading]\nlayout = 'none'", "unknown layout 'none'"),
    ],
)
def test_recipes_that_are_refused(tmp_path, text, says):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ValueError, match=says):
        load_recipe(tmp_path / "r.toml")


def test_a_recipe_is_whole(here, capsys):
    Path("recipe.toml").write_text("[[source]]\nfile = 'explicit.jsonl'")
    for more in (["explicit.jsonl"], ["--seed", "3"], ["--turns", "each"]):
        _, said = mix(capsys, "recipe.toml", *more, code=2)
        assert "recipe.toml is a whole recipe" in said


def test_names_of_files_with_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert SourceFile.parse("hf:org/name:main:train:0.5") == SourceFile(file=Path("hf:org/name:main:train"), weight=0.5)
    assert SourceFile.parse("a.jsonl=20") == SourceFile(file=Path("a.jsonl"), count=20)
    Path("a.jsonl:3").touch()
    assert SourceFile.parse("a.jsonl:3") == SourceFile(file=Path("a.jsonl:3"))


def test_cards_have_no_absolute_paths(here, capsys):
    mix(capsys, str(here / "explicit.jsonl"), "--exclude", str(here / "stories.jsonl"))
    assert str(here) not in Path("out.jsonl.card.md").read_text() + Path("out.jsonl").read_text()


def test_nothing_left_and_no_file(here, capsys):
    _, said = mix(capsys, "explicit.jsonl", "--exclude", "explicit.jsonl", code=2)
    assert "no record is left to mix; removed were {'overlap': 120}" in said
    _, said = mix(capsys, "missing.jsonl", code=2)
    assert "missing.jsonl" in said
    assert not list(here.glob("*out.jsonl*"))


def test_temporary_files_end_with_an_interrupted_run(here, capsys, monkeypatch):
    before, read = sorted(here.iterdir()), Spool.line

    def line(made, entry):
        if entry.number == 50:
            raise KeyboardInterrupt
        return read(made, entry)

    monkeypatch.setattr(Spool, "line", line)
    _, said = mix(capsys, "explicit.jsonl", "composed-2.jsonl", "--order", "length", code=130)
    assert "interrupted" in said
    assert sorted(here.iterdir()) == before


def test_near_duplicates_without_datasketch(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasketch", None)
    _, said = mix(capsys, "explicit.jsonl", "--near-duplicates", "0.5", code=2)
    assert "install zipthought[mix]" in said
    mix(capsys, "explicit.jsonl", "--exclude", "other/explicit.jsonl", "--near-overlap", "0.5")  # Needs no package.


@pytest.fixture
def hub(monkeypatch):
    """What is uploaded. `hub.error` is raised instead of an upload."""
    seen = SimpleNamespace(files={}, created=None, error=None)

    class Api:
        def create_repo(self, repo_id, **options):
            if seen.error:
                raise seen.error
            seen.created = (repo_id, options)
            return huggingface_hub.RepoUrl(f"https://huggingface.co/datasets/{repo_id}")

        def upload_folder(self, folder_path, allow_patterns, **_):
            seen.files = {name: (Path(folder_path) / name).read_bytes() for name in allow_patterns}

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return seen


def test_a_mixture_is_pushed_with_its_card(here, capsys, hub):
    _, said = mix(capsys, "explicit.jsonl", "--push-to-hub", "org/mine")
    assert hub.created == ("org/mine", {"private": True, "repo_type": "dataset", "exist_ok": True})
    assert hub.files == {
        "README.md": Path("out.jsonl.card.md").read_bytes(),
        "out.jsonl": Path("out.jsonl").read_bytes(),
    }
    assert "pushed to https://huggingface.co/datasets/org/mine" in said
    assert "hf_secret" not in said
    hub.error = RuntimeError("403 Forbidden")
    _, said = mix(capsys, "explicit.jsonl", "--count", "5", "--push-to-hub", "org/mine", code=2)
    assert "the mixture is written to out.jsonl, but cannot push to org/mine: 403 Forbidden" in said
    assert len(rows("out.jsonl")) == 5
    _, said = mix(capsys, "explicit.jsonl", "--push-to-hub", "no/such/name", code=2)  # Before anything is read.
    assert "is no repository of the hub" in said
    assert not list(here.glob(".push*"))


@given(st.integers(0, 10**6), st.lists(st.integers(1, 10**4), min_size=1, max_size=6))
def test_largest_remainder(total, weights):
    counts = largest_remainder(total, weights)
    assert sum(counts) == total
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - total * weight / sum(weights)) < 1


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(0, 2000), st.booleans(), st.booleans())
def test_choices(tokens, target, by_tokens, repeat):
    whole = sum(tokens) if by_tokens else len(tokens)
    file = io.BytesIO()
    tokens_of = (lambda row: tokens[row - 7]) if by_tokens else None
    rows_ = np.arange(7, 7 + len(tokens), dtype=np.uint32)
    choose(rows_, file, target, whole, repeat, generator(0, "x"), tokens_of)
    chosen = np.frombuffer(file.getvalue(), dtype=np.uint32).astype(int) - 7
    times = np.bincount(chosen, minlength=len(tokens))
    assert times.max() - times.min() <= 1
    got = sum(tokens[row] for row in chosen) if by_tokens else len(chosen)
    if not repeat:
        assert times.max() <= 1
        target = min(target, whole)
    assert abs(got - target) <= (max(tokens) / 2 if by_tokens else 0) or not whole
    part = len(chosen) % len(tokens)
    order = generator(0, "x").permutation(len(tokens))  # Mixtures depend on the seed by these numbers.
    assert chosen[len(chosen) - part :].tolist() == order[:part].tolist()


@given(
    st.lists(st.text("ab 12", max_size=12), max_size=12), st.text("ab 12", max_size=12), st.sampled_from([0.3, 0.6, 1])
)
def test_similar_questions_are_found_exactly(questions, asked, threshold):
    """The prefix filter loses none: the same as comparing with each question."""
    index = EvaluationQuestions(threshold)
    for number, question in enumerate(questions):
        index.add(question, "", str(number))
    found = index.find(asked, "")
    words = words_of(asked)
    best = max(
        (jaccard(shingles(words), shingles(words_of(q))) for q in questions if guard(words_of(q)) == guard(words)),
        default=0.0,
    )
    if found and found.reason == "overlap_near":
        assert found.similarity == best >= threshold
    elif not found:
        assert best < threshold


@given(st.lists(st.sampled_from("abcdefgh"), min_size=3), st.lists(st.sampled_from("abcdefgh"), min_size=3))
def test_jaccard_is_that_of_the_sets_of_shingles(a, b):
    one, other = ({tuple(words[i : i + 3]) for i in range(len(words) - 2)} for words in (a, b))
    assert jaccard(shingles(a), shingles(b)) == pytest.approx(len(one & other) / len(one | other))


def test_numbers_guard_similar_texts():
    assert guard(words_of("1,000 eggs in Two boxes")) == guard(words_of("1000 egg in two box"))
    assert guard(words_of("3 boxes of 4")) != guard(words_of("4 boxes of 3"))
    assert guard(words_of("twice as many")) != guard(words_of("half as many"))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9, 1.0])
def test_bands_propose_pairs_at_the_threshold(threshold):
    r = rows_of_band(threshold)
    assert 1 - (1 - threshold**r) ** (128 // r) >= RECALL


@pytest.fixture
def small_parts(monkeypatch):
    """Files are read and sorted in small parts."""
    monkeypatch.setattr(disk, "PART", 250)
    monkeypatch.setattr(disk, "RUN", 250)
    monkeypatch.setattr(spool, "_BLOCK", 100)


@given(st.lists(st.sampled_from([1, 2, 1 << 64, (1 << 64) + 1, (1 << 127) + 1, 1 << 63]), max_size=30))
def test_the_first_of_equal_digests(digests):
    with Spool(Path(tempfile.gettempdir())) as made:
        for number, digest in enumerate(digests):
            made.add(b"line\n", number, digest, 1, level=0, keep=0, held_out=False)
        made.flush()
        made.remove_equal()
        found = [entry.of if entry.is_removed else row for row, entry in made.entries(0, len(made))]
        assert found == [digests.index(digest) for digest in digests]


def test_equal_keys_and_orders_of_many_parts(tmp_path, small_parts):
    rng = np.random.default_rng(0)
    keys = rng.choice(rng.integers(0, 1 << 64, 2000, dtype=np.uint64), 3000)
    with (tmp_path / "keys").open("w+b") as file:
        file.write(keys.tobytes())
        groups = list(disk.equal_rows(file, 1))
    by_key = {}
    for row, key in enumerate(keys.tolist()):
        by_key.setdefault(key, []).append(row)
    assert groups == [by_key[key] for key in sorted(by_key) if len(by_key[key]) > 1]
    rows_, levels = rng.permutation(3000).astype(np.uint32), rng.integers(0, 5, 3000) / 3
    in_order = list(disk.sorted_rows(rows_, lambda row: levels[row], tmp_path))
    assert in_order == sorted(rows_.tolist(), key=lambda row: levels[row])
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_recipes_hide_absolute_paths_and_keep_their_digest(tmp_path):
    one, other = (
        Recipe(sources=(SourceFile(file=tmp_path / name / "a.jsonl"),), config=MixConfig()) for name in ("x", "y")
    )
    assert one.digest == other.digest
    assert str(tmp_path) not in one.to_toml()


def test_mixed_records_are_read_by_the_readers_of_records(here, capsys):
    mix(capsys, "explicit.jsonl", "--tag", "ratio", "--tag-step", "0.25")
    assert sum(isinstance(row, dict) for row in read_records(Path("out.jsonl"))) == 120


def test_memory_does_not_hold_the_records(tmp_path):
    peaks, sizes = [], []
    for count in (100, 1100):
        generate(GenerateConfig(n_ops=(8,), count=count, output_dir=tmp_path / str(count)))
        file = tmp_path / str(count) / "explicit.jsonl"
        recipe = Recipe(sources=(SourceFile(file=file),), config=MixConfig())
        tracemalloc.start()
        with (tmp_path / "out.jsonl").open("wb") as output:
            assert run_mix(recipe, output, tmp_path).records == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        sizes.append(file.stat().st_size)
    assert sizes[1] - sizes[0] > 2_500_000
    assert peaks[1] - peaks[0] < 400_000  # Buffers and parts, which are of up to 65,536 rows.


@pytest.mark.parametrize(
    "settings", [{}, {"order": "curriculum"}, {"order": "length", "by": "tokens", "count": 2000}], ids=str
)
def test_memory_holds_only_the_order(tmp_path, small_parts, monkeypatch, settings):
    """Four bytes a record, and small buffers; what decides on the records is in files."""
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]

    def examples(count):
        for number in range(1, count + 1):
            record = {"format": "composed:2", "k": number % 3, "split": "train", "structure": "", "messages": turns}
            yield Example(number, {**record, "prompt": "x", "completion": "y"}, f"What is {number % 2700}?", "y", "")

    peaks = []
    for count in (50, 500, 3000):  # The first run fills caches.
        monkeypatch.setattr(run, "read_examples", lambda *_, count=count: examples(count))
        recipe = Recipe(sources=(SourceFile(file=Path("a")),), config=MixConfig(**settings))
        with (tmp_path / "out.jsonl").open("wb") as output:
            tracemalloc.start()
            made = run_mix(recipe, output, tmp_path)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert made.removed.get("duplicate", 0) == max(0, count - 2700)
    assert peaks[2] - peaks[1] < 8 * 2500
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
