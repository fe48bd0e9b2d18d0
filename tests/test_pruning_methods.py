"""The baselines that keep a share of a text: `random-steps`, `truncated`, and by a model `steps` and `tokens`."""

import json
import math
import random
import re
from statistics import mean
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizer_families import FAMILIES as TOKENIZERS

from zipthought.cli import main
from zipthought.core.methods.scored import TokenScore, cut, entropies
from zipthought.core.methods.shares import keep
from zipthought.core.pieces import count_pieces
from zipthought.models import scoring
from zipthought.models.loading import load
from zipthought.models.scoring import Scorer
from zipthought.models.tiny import build_tiny, tiny_config
from zipthought.records.chat import prompt_ids, prompt_messages
from zipthought.records.pruned import make_records, step_spans
from zipthought.solutions import gsm8k
from zipthought.solutions.methods import WriteContext, compress_solution
from zipthought.study.experiments.baselines.findings import FormatMeasurements, f8
from zipthought.study.spec import make_spec
from zipthought.study.store import Store
from zipthought.surfaces import SURFACES, verify
from zipthought.tasks.sampling import SamplerConfig, sample_batch

NAMES = ("random-steps", "truncated", "steps", "tokens")
GSM8K = "In 4 boxes are 12 rolls each. She gives 9 away and sells the rest for $2 each."
SOLVED = (
    "She bakes 4 * 12 = <<4*12=48>>48 rolls.\nAfter the gift she has 48 - 9 = <<48-9=39>>39 rolls.\n"
    "She earns 39 * $2 = $<<39*2=78>>78.\n#### 78"
)


@pytest.fixture(scope="module")
def scorer(tiny_base):
    return Scorer(*load(str(tiny_base), device="cpu"))


def problems(count=200, n_ops=5):
    batch = sample_batch(SamplerConfig(n_ops=n_ops), "train", range(count))
    return [(row, batch.problem(row)) for row in range(count)]


def scores_of(text, surprisal=lambda word: 1.0, entropy=lambda word: 1.0):
    """Scores of the words and marks of a text, by functions of the word."""
    pieces = re.finditer(r"\w+|[^\w\s]", text)
    return [TokenScore(*piece.span(), surprisal(piece[0]), entropy(piece[0])) for piece in pieces]


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_at_the_same_share_all_keep_the_same_length(scorer, share):
    numbered = problems()
    whole = make_records(numbered, "explicit", surface="terse")

    def kept(name):
        records = make_records(numbered, f"{name}:{share}", surface="terse", scorer=scorer)
        answers = [count_pieces(f"answer {problem.answer} .") for _, problem in numbered]
        lengths = [count_pieces(record["completion"]) for record in records]
        of = [count_pieces(record["completion"]) for record in whole]
        return mean((a - c) / (b - c) for a, b, c in zip(lengths, of, answers, strict=True))

    shares = {name: kept(name) for name in NAMES}
    assert max(shares.values()) - min(shares.values()) < 0.03, shares
    assert all(abs(value - share) < 0.03 for value in shares.values()), shares


@pytest.mark.parametrize("surface", list(SURFACES))
def test_what_stays_is_in_its_order_and_ends_in_the_right_answer(surface):
    rng = random.Random(0)

    def noise(texts):
        return [scores_of(text, lambda word: rng.random(), lambda word: rng.random()) for _, text in texts]

    numbered = problems(40)
    whole = make_records(numbered, "explicit", surface=surface)
    for name in NAMES:
        records = make_records(numbered, f"{name}:0.5", surface=surface, scorer=noise)
        for (_, problem), record, full in zip(numbered, records, whole, strict=True):
            assert verify(record["completion"], problem, surface).answer == "correct"
            assert len(record["completion"]) < len(full["completion"])
            if name == "tokens":
                words = iter(re.findall(r"\w+|[^\w\s]", full["completion"]))
                assert all(word in words for word in re.findall(r"\w+|[^\w\s]", record["completion"]))


def test_truncated_keeps_the_first_steps_and_steps_the_uncertain_ones():
    numbered = problems(1)
    (whole,) = make_records(numbered, "explicit", surface="terse")
    steps = SURFACES["terse"].sentences(whole["completion"])
    (first,) = make_records(numbered, "truncated:0.6", surface="terse")
    left = SURFACES["terse"].sentences(first["completion"])
    assert left == steps[: len(left)]
    assert 0 < len(left) < len(steps)
    certain = steps[2].split()[0]

    def sure(texts):
        """No entropy in the step that defines `certain`, much in all others."""
        spans = [(text.index(f"{certain} ="), text.index(" . ", text.index(f"{certain} ="))) for _, text in texts]
        return [
            [score._replace(entropy=0.0 if a <= score.start < b else 1.0) for score in scores_of(text)]
            for (_, text), (a, b) in zip(texts, spans, strict=True)
        ]

    (kept,) = make_records(numbered, "steps:0.8", surface="terse", scorer=sure)
    assert SURFACES["terse"].sentences(kept["completion"]) == [step for step in steps if step != steps[2]]
    with pytest.raises(ValueError, match=r"format steps:0\.8 needs a model"):
        make_records(numbered, "steps:0.8")
    trace = SURFACES["terse"].parse(whole["completion"])
    spans = step_spans(SURFACES["terse"], trace, whole["completion"])
    assert [whole["completion"][a:b].strip() for a, b in spans] == [f"{step} ." for step in steps]


def test_tokens_keep_the_most_surprising_whole_numbers():
    text = "It is 1,250.5 kg, that is 12*4 bags.\nSo 7 more."
    high = {"1", "250", "5", "12", "4", "7"}
    kept = cut(text, scores_of(text, lambda word: float(word in high)), 0.3)
    assert kept == "1,250.5 12 4\n7 ."
    assert cut(text, scores_of(text), 1.0) == text
    assert cut("", [], 0.5) == ""
    few = "a = 1 . b = 2 . c = 3 . "
    assert cut(few, scores_of(few), 0.35) == "a = 1 . "  # Not two stops.
    assert cut(few, scores_of(few), 0.05) == ""
    protected = cut(text, scores_of(text, lambda word: float(word in high)), 0.3, [(0, 5)])
    assert protected.startswith("It is 1,250.5")


def test_the_share_is_kept_on_average_whatever_the_sizes():
    rng = random.Random(1)
    shares = []
    for _ in range(3000):
        sizes = [rng.randint(1, 9) for _ in range(5)]
        kept = keep(sizes, 0.5, rng.sample(range(5), 5), rng)
        shares.append(sum(sizes[i] for i in kept) / sum(sizes))
    assert mean(shares) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("tokenizer", ["bundled", "gpt2", "llama3-instruct", "mistral"])
def test_scores_are_those_of_one_text_alone(tiny_base, monkeypatch, tokenizer):
    """By hand, token by token: of a word-level vocabulary, of bytes, with a chat template, with blanks before words."""
    if tokenizer == "bundled":
        model, words = load(str(tiny_base), device="cpu")
        text, turns = "kites = 3 . answer 3 .", prompt_messages("kites = 3 . ? kites", 23, "terse")
    else:
        words = TOKENIZERS[tokenizer].build()
        model = build_tiny(tiny_config("llama", "0.2M", len(words), 0, 1, 1), 0).eval()
        text, turns = "So 3 + 4 = 7.", [{"role": "user", "content": "What is 3 + 4?"}]
    monkeypatch.setattr(scoring, "MAX_TOKENS", 40)  # Several batches, with padding.
    found = Scorer(model, words)([(turns, text[: 7 + 2 * n]) for n in range(3)] + [(turns, text)])
    (alone,) = Scorer(model, words)([(turns, text)])
    assert [pytest.approx(score, rel=1e-4) for score in alone] == found[3]
    before, ids = prompt_ids(words, turns), words(text, add_special_tokens=False).input_ids
    assert len(found[3]) == len(ids)
    for position, score in enumerate(found[3]):
        with torch.inference_mode():
            logits = model(torch.tensor([[*before, *ids[:position]]])).logits[0, -1]
        p = torch.softmax(logits.double(), -1)
        assert score.surprisal == pytest.approx(-math.log(p[ids[position]]), rel=1e-3)
        assert score.entropy == pytest.approx(float(torch.special.entr(p).sum()), rel=1e-3)
    covered = {position for score in found[3] for position in range(score.start, score.end)}
    assert covered >= {position for position, character in enumerate(text) if character != " "}
    assert entropies([(0, 7), (7, len(text))], found[3]) == pytest.approx(
        [sum(s.entropy for s in found[3] if s.start < 7), sum(s.entropy for s in found[3] if s.start >= 7)]
    )


def test_a_text_beyond_the_positions_of_the_model_is_named(scorer):
    turns = prompt_messages("kites = 3 . ? kites", 23, "terse")
    with pytest.raises(ValueError, match=r"has \d+ tokens, but the model reads \d+"):
        scorer([(turns, "kites = 3 . " * 5000)])
    with pytest.raises(ValueError, match="does not know this text"):
        scorer([(turns, "an unknown word")])


def test_real_solutions_keep_a_share_and_the_answer():
    solution = gsm8k.read(GSM8K, SOLVED)

    def write(fmt, surprisal=lambda word: 1.0, entropy=lambda word: 1.0):
        return compress_solution(solution, fmt, WriteContext(scores=scores_of(SOLVED, surprisal, entropy)))

    first, second, third, answer = SOLVED.split("\n")
    assert write("truncated:0.7") == "\n".join([first, second, answer])
    assert write("steps:0.7", entropy=lambda word: float(word not in second)) == "\n".join([first, third, answer])
    assert write("tokens:0.3", surprisal=lambda word: float(word.isdigit())).endswith("\n#### 78")
    for name in NAMES:
        share = count_pieces(write(f"{name}:0.6")) / count_pieces(SOLVED)
        assert share == pytest.approx(0.6, abs=0.12)  # Three sentences.
    with pytest.raises(ValueError, match=r"'steps:0\.5' needs a model"):
        compress_solution(solution, "steps:0.5")


def test_a_box_in_the_last_equation_stays():
    text = "We have $3 * 4 = 12$. So $12 + 5 = \\boxed{17}$."
    solution = gsm8k.read("What is 3 times 4 and 5?", text)
    for fmt in ("truncated:0.2", "tokens:0.2", "steps:0.2"):
        written = compress_solution(solution, fmt, WriteContext(scores=scores_of(text)))
        assert "\\boxed{17}" in written
        assert len(written) < len(text)


def test_compress_scores_a_file_with_a_model(tmp_path, monkeypatch, capsys):
    """A model that knows every text, through the command line. The same command writes the same bytes."""
    from zipthought.models.loading import save

    words = TOKENIZERS["gpt2"].build()
    save(build_tiny(tiny_config("llama", "0.2M", len(words), 0, 0, 0), 0), words, tmp_path / "model")
    rows = [{"question": GSM8K, "solution": SOLVED}, {"question": GSM8K, "solution": "#### 7 no"}]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows * 3))
    monkeypatch.chdir(tmp_path)
    command = ["compress", "in.jsonl", "--output", "out.jsonl", "--format", "steps:0.6", "tokens:0.6"]
    assert main(command) == 2
    assert "needs a model; give one with --model" in capsys.readouterr().err
    assert main([*command, "--model", "model"]) == 0
    written = (tmp_path / "out.jsonl").read_bytes()
    records = [json.loads(line) for line in written.decode().splitlines()]
    assert {(r["format"], r["share"]) for r in records} == {("steps", 0.6), ("tokens", 0.6)}
    assert all(r["completion"].endswith("#### 78") for r in records)
    assert main([*command, "--model", "model"]) == 0
    assert (tmp_path / "out.jsonl").read_bytes() == written
    capsys.readouterr()
    assert main([*command[:2], "--format", "tokens:0.6", "--model", "model", "--explain-first", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"][0]["texts"][0]["text"] == next(
        record["completion"] for record in records if record["format"] == "tokens"
    )


def test_a_study_trains_on_all_of_them_with_the_base_of_the_cell(tiny_base, tmp_path):
    from zipthought.study.execute import execute

    formats = [f"{name}:0.6" for name in NAMES]
    sft = {"n_ops": [3], "batch_size": 4, "test_count": 3, "train_count": 2, "examples": [8], "steps": 2}
    spec = make_spec({"name": "x", "model": str(tiny_base), "scaling": {"formats": formats, **sft}})
    store = Store.create(tmp_path, spec, {})
    while cell := store.claim("here:1"):
        result = execute(cell, store.workspace(cell), 1)
        assert store.finish(cell.digest, "here:1", result, 1.0)
    assert store.counts() == {"done": 1 + len(formats)}
    tokens = [cell.work().trained for cell in spec.cells()[1:]]
    assert max(tokens) < 1.1 * min(tokens)


TWO_SIZES = {"tokens": [300, 900], "epochs": 2, "n_ops": [3], "batch_size": 4, "test_count": 4, "train_count": 2}


def test_formats_of_the_study_have_equal_tokens_and_their_own_examples(tiny_base):
    spec = make_spec({"name": "x", "model": str(tiny_base), "baselines": {**TWO_SIZES, "before": False}})
    trained = {}
    for cell in spec.cells():
        trained.setdefault(cell.examples > 20, []).append((cell.format, cell.examples, cell.steps))
        assert cell.steps == -(-cell.examples * 2 // 4)
    sizes = {cell.format: cell.examples for cell in spec.cells()}  # The last: those with the most tokens.
    assert sizes["answer-only"] > sizes["implicit:2"] > sizes["steps:0.6"] > sizes["explicit"]
    work = [c.work().trained for c in spec.cells() if c.examples == sizes[c.format]]
    assert max(work) < 1.2 * min(work)
    for wrong, says in (({"converge": True, "points": 2}, "leave converge out"), ({"tokens": [9, 3]}, "ascend")):
        with pytest.raises(ValueError, match=says):
            make_spec({"name": "x", "model": str(tiny_base), "baselines": wrong})


def planted(accuracy, seeds=8, problems=400):
    """Measurements of formats whose runs solve this share of the problems, with noise over seeds and problems."""
    rng = np.random.default_rng(0)
    run = SimpleNamespace(fit=1.0)
    return {
        fmt: FormatMeasurements(
            solved=rng.random((seeds, 1, problems)) < value, results=[[run]] * seeds, examples=(10,)
        )
        for fmt, value in accuracy.items()
    }


def test_f8_judges_pruning_by_a_model_against_random_steps_and_names_the_best():
    base = {"explicit": 0.95, "composed:2": 0.8, "answer-only": 0.1, "random-steps:0.6": 0.3}
    better = f8(planted({**base, "steps:0.6": 0.55, "tokens:0.6": 0.5}), (100,))
    assert (better.id, better.verdict) == ("F8", "supported")
    assert "Best at 100 tokens: composed:2 with 0.8" in better.summary
    assert "clearly above all others" in better.summary
    worse = f8(planted({**base, "steps:0.6": 0.6, "tokens:0.6": 0.05}), (100,))
    assert worse.verdict == "contradicted"
    equal = f8(planted({**base, "steps:0.6": 0.3, "tokens:0.6": 0.8}), (100,))
    assert equal.verdict == "inconclusive"
    assert "not clearly above tokens:0.6." in equal.summary or "not clearly above composed:2." in equal.summary
    assert f8(planted({**base, "steps:0.6": 0.6}, seeds=2), (100,)).verdict == "inconclusive"
    assert [row["format"] for row in better.rows][:2] == ["explicit", "composed:2"]
    assert "No random steps beside" in f8(planted({"explicit": 0.9, "steps:0.5": 0.5}), (100,)).summary


@pytest.mark.long
def test_the_study_baselines_runs_to_its_report(tiny_base, tmp_path):
    from zipthought.study.execute import execute
    from zipthought.study.report import measure, report_data

    formats = ["explicit", "random-steps:0.6", "steps:0.6", "tokens:0.6"]
    settings = {**TWO_SIZES, "formats": formats, "seeds": [0]}
    spec = make_spec({"name": "x", "model": str(tiny_base), "bootstrap": 20, "baselines": settings})
    store = Store.create(tmp_path, spec, {})
    while cell := store.claim("here:1"):
        assert store.finish(cell.digest, "here:1", execute(cell, store.workspace(cell), 1), 1.0)
    study = store.read()
    data = report_data(study, measure(study))
    assert [finding.id for finding in data.findings] == ["F8"]
    assert len(data.findings[0].rows) == 8
    rows = data.tables["baselines"]
    assert [(row.format, row.tokens) for row in rows] == [(fmt, n) for fmt in formats for n in (300, 900)]
    assert all(abs(row.example_tokens - row.tokens) < 0.2 * row.tokens for row in rows)
    assert data.problems
    assert {fmt for problem in data.problems for fmt, *_ in problem.gold} == {"explicit", "random-steps:0.6"}
