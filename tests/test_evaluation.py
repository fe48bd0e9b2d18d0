"""pass@k, metrics of completions written by hand, and whole evaluations of tiny random models."""

from __future__ import annotations

import json
from itertools import combinations

import pyarrow.parquet as pq
import pytest
import torch

import zipthought as zt
from zipthought.cli import main
from zipthought.core.arithmetic import BinOp
from zipthought.core.problem import Problem
from zipthought.evaluation.completions import read_completions
from zipthought.evaluation.evaluate import (
    DecodingConfig,
    EvaluateConfig,
    distinct_problems,
    evaluate,
    evaluate_items,
    evaluate_records,
)
from zipthought.evaluation.metrics import Item, Summary, judge_completion, summarize
from zipthought.evaluation.passk import ks_for, pass_at_k
from zipthought.models.generation import generate
from zipthought.models.tiny import build_tiny, tiny_config
from zipthought.models.tokenizer import build_tokenizer
from zipthought.records.chat import completion_ids, prompt_ids, prompt_messages, surface_of, token_budget
from zipthought.records.schema import make_record
from zipthought.tasks.distinct import count_distinct
from zipthought.tasks.sampling import SamplerConfig
from zipthought.tasks.splits import split_of

TOKENIZER = build_tokenizer()


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    return build_tiny(tiny_config("llama", "0.2M", len(TOKENIZER), 0, 1, 2), 0).eval()


# pass@k


def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample():
    for n in range(1, 8):
        for c in range(n + 1):
            for k in range(1, n + 1):
                subsets = list(combinations([True] * c + [False] * (n - c), k))
                assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


def test_pass_at_k_overflows_nowhere():
    assert pass_at_k(10_000, 1, 5_000) == pytest.approx(0.5)
    assert pass_at_k(10_000, 5_000, 1) == pytest.approx(0.5)
    assert pass_at_k(10_000, 5_000, 5_000) == 1.0
    assert pass_at_k(10**6, 3, 1) == pytest.approx(3e-6, rel=1e-9)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 1, 5), (4, 1, 0), (4, 5, 1), (4, -1, 1), (0, 0, 1)])
def test_pass_at_k_refuses(n, c, k):
    with pytest.raises(ValueError, match="must be"):
        pass_at_k(n, c, k)


def test_the_reported_k():
    assert [ks_for(n) for n in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


# metrics

PROBLEM = Problem(
    23, {"kites": 3, "drums": BinOp("+", "kites", 4), "oaks": 2, "lamps": BinOp("*", "drums", 2)}, "lamps"
)
GOLD = "kites = 3 . drums = kites + 4 = 3 + 4 = 7 . lamps = drums * 2 = 7 * 2 = 14 . answer 14 ."
COMPOSED = "kites = 3 . lamps = ( kites + 4 ) * 2 = ( 3 + 4 ) * 2 = 14 . answer 14 ."
SLIP = "kites = 3 . drums = kites + 4 = 3 + 4 = 8 . lamps = drums * 2 = 8 * 2 = 16 . answer 16 ."
LUCKY = "kites = 3 . drums = kites + 4 = 3 + 4 = 8 . lamps = 14 . answer 14 ."
MALFORMED = "kites = 3 . drums kites 4 . answer 14 14 ."
CUT = "kites = 3 . drums = kites + 4 = 3 + 4 = 7 . lamps = drums"


def judged(text: str, *, truncated: bool = False, index: int = 0, sample: int = 0):
    tokens = len(text.split()) + (not truncated)
    item = Item.of(PROBLEM, "terse", index)
    return judge_completion(item, text, response_tokens=tokens, truncated=truncated, sample=sample)


def test_verdicts_on_completions_written_by_hand():
    gold, slip, malformed, cut = judged(GOLD), judged(SLIP), judged(MALFORMED), judged(CUT, truncated=True)
    assert (gold.answer, gold.correct, gold.faithful, gold.granularity) == ("correct", True, True, (1, 1))
    assert gold.steps == ("valid",) * 3
    assert (slip.answer, slip.correct, slip.steps) == ("wrong", False, ("valid", "wrong_arithmetic", "valid"))
    assert (malformed.answer, malformed.steps) == ("malformed", ("valid", "unparseable"))
    assert (cut.answer, cut.truncated) == ("missing", True)
    assert cut.steps[:2] == ("valid", "valid")
    assert judged(COMPOSED).granularity == judged(COMPOSED).stated == (2,)
    wrong = judged(COMPOSED.replace("14", "15"))
    assert (wrong.granularity, wrong.stated, wrong.steps[1]) == ((), (2,), "wrong_arithmetic")
    assert (slip.granularity, slip.stated) == ((1,), (1, 1))
    assert judged("kites = 3 . lamps = 15 . answer 15 .").stated == (2,), "implicit, and wrong"
    assert judged("kites = 3 . lamps = kites + 4 = 3 + 4 = 7 .").stated == (), "not the problem's relation"
    lucky = judged(LUCKY)
    assert lucky.correct, "the answer is right"
    assert not lucky.faithful, "but a step is not"


def test_a_completion_without_steps_is_one_step_only_where_it_answers():
    assert judged("answer 14 .").granularity == (2,)
    assert judged("answer 13 .").granularity == ()
    assert judged("").granularity == (), "an empty text compresses nothing"


def test_summary_of_completions_written_by_hand():
    texts = [GOLD, SLIP, MALFORMED, CUT, COMPOSED]
    rows = [judged(text, truncated=text is CUT, index=i) for i, text in enumerate(texts)]
    summary = summarize(rows)
    assert (summary.n, summary.completions, summary.correct) == (5, 5, 2)
    assert summary.accuracy == summary.faithful == 2 / 5
    assert summary.truncated == 1 / 5
    tokens = [len(text.split()) + 1 for text in texts]
    assert summary.response_tokens == (sum(tokens) - 1) / 5, "the truncated one has no end of sequence"
    assert summary.answers == {"correct": 2, "wrong": 1, "missing": 1, "conflicting": 0, "malformed": 1}
    # Valid steps that cover operations: 1, 1 (gold), 1 (after the slip), 1 (before the cut), 2 (composed).
    assert summary.ops_per_step == 6 / 5
    assert summary.single_op_share == 4 / 5
    assert summary.steps["wrong_arithmetic"] == 1
    assert summary.first_wrong_step == (2 + 2 + 3) / 3, "slip, malformed, cut"
    assert summary.pass_at == {}
    plain = json.loads(json.dumps(summary.plain()))
    assert Summary.from_plain(plain) == summary
    assert plain["by_n_ops"]["2"] == {name: value for name, value in plain.items() if name != "by_n_ops"}
    del plain["correct"]
    del plain["by_n_ops"]["2"]["correct"]
    assert Summary.from_plain(plain) == summary, "version 0.1 wrote no count"


def test_summary_of_several_samples_and_of_nothing():
    marks = {0: [GOLD, SLIP, SLIP, SLIP], 1: [SLIP] * 4}
    summary = summarize([judged(text, index=i, sample=s) for i, texts in marks.items() for s, text in enumerate(texts)])
    assert (summary.n, summary.completions, summary.accuracy) == (2, 8, 1 / 8)
    assert summary.pass_at == {1: 1 / 8, 2: (1 / 2) / 2, 4: 1 / 2}
    assert summary.faithful_at == summary.pass_at
    guessed = summarize([judged(text, sample=s) for s, text in enumerate([SLIP, LUCKY])])
    assert (guessed.pass_at[2], guessed.faithful_at[2]) == (1.0, 0.0), "a correct answer after wrong steps"
    nothing = summarize([])
    assert (nothing.n, nothing.accuracy, nothing.ops_per_step) == (0, None, None)


# evaluate


def test_items_and_their_records_are_evaluated_alike(model):
    problems = [zt.sample(n_ops=2, seed=5, index=i) for i in range(3)]
    records = [make_record(problem, "explicit", surface="terse") for problem in problems]
    items = [Item.of(problem, "terse", i) for i, problem in enumerate(problems)]
    decoding = DecodingConfig(max_new_tokens=4)
    expected = evaluate_records(model, TOKENIZER, records, decoding)
    assert evaluate_items(model, TOKENIZER, items, decoding).completions == expected.completions


def test_judged_completions_are_those_of_generate_and_verify(model, tmp_path):
    config = EvaluateConfig(split="validation", n_ops=(2, 3), count=4, seed=3, max_new_tokens=6)
    progress = []
    evaluation = evaluate(model, TOKENIZER, config, on_progress=lambda *x: progress.append(x))
    assert progress[-1] == (8, 8)
    assert [r.n_ops for r in evaluation.completions] == [2] * 4 + [3] * 4
    for r in evaluation.completions:
        problem = zt.sample(n_ops=r.n_ops, seed=3, split="validation", index=r.index)
        assert (r.prompt, r.structure) == (zt.render_problem(problem, "terse"), problem.structure)
        assert r.gold == problem.answer
        assert split_of(r.structure) == "validation"
        ids = prompt_ids(TOKENIZER, prompt_messages(r.prompt, 23, "terse"))
        (completion,) = generate(model, TOKENIZER, [ids], max_new_tokens=6)[0]
        assert (r.completion, r.truncated, r.response_tokens) == (
            completion.text,
            completion.truncated,
            completion.n_tokens,
        )
        verdict = zt.verify(r.completion, problem, "terse")
        assert (r.answer, r.faithful) == (verdict.answer, verdict.faithful)
    summary = evaluation.summary()
    assert (summary.n, list(summary.by_n_ops)) == (8, [2, 3])
    assert summary.by_n_ops[3].n == 4
    evaluation.write_completions(tmp_path / "runs" / "completions.parquet")
    path = tmp_path / "runs" / "completions.parquet"
    assert pq.read_table(path).to_pylist() == [c.plain() for c in evaluation.completions]
    assert read_completions(path) == evaluation.completions
    pq.write_table(pq.read_table(path).drop_columns(["stated"]), path)
    with pytest.raises(ValueError, match="lacks stated"):
        read_completions(path)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["completions.parquet"]


def test_samples_are_summarized_by_problem_and_repeat_exactly(model):
    config = EvaluateConfig(n_ops=(3,), count=3, samples=4, temperature=1.0, max_new_tokens=5)
    first, again = evaluate(model, TOKENIZER, config), evaluate(model, TOKENIZER, config)
    assert first.completions == again.completions
    assert [r.sample for r in first.completions] == [0, 1, 2, 3] * 3
    assert len({r.completion for r in first.completions}) > 3
    summary = first.summary()
    assert (summary.n, summary.completions, list(summary.pass_at)) == (3, 12, [1, 2, 4])


def test_a_model_that_learned_one_problem_solves_it():
    """Evaluation uses the prompt and the end of sequence of training."""
    network = build_tiny(tiny_config("gpt2", "0.2M", len(TOKENIZER), 0, 1, 2), 0)
    problem = zt.sample(n_ops=2, seed=0)
    record = make_record(problem, "composed:2", surface="terse")
    prompt = prompt_ids(TOKENIZER, record["messages"][:2])
    ids = torch.tensor([prompt + completion_ids(TOKENIZER, record["completion"])])
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(150):
        logits = network(ids).logits[0, len(prompt) - 1 : -1]
        torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :]).backward()
        optimizer.step()
        optimizer.zero_grad()
    evaluation = evaluate_records(network, TOKENIZER, [record, record])
    assert [r.completion for r in evaluation.completions] == [record["completion"]] * 2
    assert [r.index for r in evaluation.completions] == [0, 1]
    summary = evaluation.summary()
    assert (summary.n, summary.accuracy, summary.faithful, summary.truncated) == (2, 1.0, 1.0, 0.0)
    assert (summary.ops_per_step, summary.single_op_share) == (2.0, 0.0)
    assert summary.response_tokens == len(record["completion"].split()) + 1


def test_records_that_are_refused(model):
    record = make_record(zt.sample(n_ops=2, seed=0), "explicit", surface="terse")
    for change, words in [
        ({"answer": "22"}, "record 1: the answer is"),
        ({"prompt": "kites = ? kites"}, "record 1: "),
        ({"surface": "klingon"}, "record 1: unknown surface"),
        ({"modulus": None}, "record 1: the record has no modulus"),
        ({"surface": ["terse"]}, "record 1: the record's 'surface' must be text, got list"),
        ({"prompt": 5}, "record 1: the record's 'prompt' must be text, got int"),
        ({"answer": ["14"]}, "record 1: the answer is"),
    ]:
        with pytest.raises(ValueError, match=words):
            evaluate_records(model, TOKENIZER, [record, {**record, **change}], DecodingConfig(max_new_tokens=1))


def test_test_sets_are_of_distinct_structures():
    few = distinct_problems(SamplerConfig(n_ops=1), "train", 200)
    structures = [problem.structure for _, problem in few]
    assert len(set(structures)) == len(structures)
    assert 20 < len(few) < 44, "n_ops 1 has 44 structures, most of them in the train split"
    parts = [count_distinct(SamplerConfig(n_ops=1), "train", 200, (part, 3)) for part in range(3)]
    assert sum(parts) == count_distinct(SamplerConfig(n_ops=1), "train", 200) == len(few)
    many = distinct_problems(SamplerConfig(n_ops=6), "test", 50)
    assert [index for index, _ in many] == list(range(50)), "no structure repeats"
    shifted = distinct_problems(SamplerConfig(n_ops=6), "test", 10, 40)
    assert shifted == many[40:]


def test_the_token_budget_fits_every_gold_completion():
    for n_ops in (1, 2, 5, 9):
        problems = [problem for _, problem in distinct_problems(SamplerConfig(n_ops=n_ops), "test", 5)]
        pairs = [(problem, "terse") for problem in problems]
        explicit = max(len(zt.render(zt.solve(p), "terse").split()) + 1 for p in problems)
        assert token_budget(TOKENIZER, pairs, ("forward",)) == explicit * 5 // 4 + 16
        whole = token_budget(TOKENIZER, pairs, ("forward", "backward", "hierarchical"))
        for order in ("forward", "backward", "hierarchical"):
            for problem in problems:
                assert len(zt.render(zt.compress(problem, "explicit", order), "terse").split()) < whole
    tree = zt.sample(n_ops=4, task="tree")
    assert token_budget(TOKENIZER, [(tree, "terse")], ("backward",)) > 16, "trees have the order forward only"


def test_the_surface_follows_from_the_tokenizer():
    assert surface_of(TOKENIZER) == "terse"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"split": "dev"}, "unknown split 'dev'"),
        ({"n_ops": ()}, "n_ops"),
        ({"n_ops": (2, 2)}, "each once"),
        ({"n_ops": (0,)}, "n_ops must be at least 1"),
        ({"count": 0}, "count"),
        ({"surface": "klingon"}, "unknown surface"),
        ({"samples": 4}, "greedy samples are all the same"),
        ({"temperature": -1.0}, "negative"),
        ({"seed": -1}, "negative"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"orders": ("sideways",)}, "unknown order 'sideways'"),
        ({"task": "tree", "orders": ("forward", "backward")}, "task 'tree' has no order 'backward'; use forward"),
    ],
)
def test_configs_that_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        EvaluateConfig(**settings)


def test_a_directory_is_no_output_and_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "x.parquet").mkdir()
    assert main(["evaluate", "--output", str(tmp_path / "x.parquet")]) == 2
    assert "is a directory" in capsys.readouterr().err
