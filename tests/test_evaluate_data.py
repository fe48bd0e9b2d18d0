"""``zipthought evaluate --data``: which questions are read, what a model reads, verdicts, intervals, whole commands."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from zipthought.cli import main
from zipthought.evaluation.completions import write_completions
from zipthought.evaluation.config import DecodingConfig
from zipthought.evaluation.data import evaluate_questions, token_limit
from zipthought.evaluation.evaluate import evaluate_records
from zipthought.evaluation.intervals import bootstrap, share_of, wilson
from zipthought.evaluation.questions import Question, Skipped, read_questions
from zipthought.evaluation.summary import DataCompletion, summarize_data
from zipthought.models.backends import Native
from zipthought.models.generation import Completion
from zipthought.models.loading import load, save
from zipthought.models.tiny import build_tiny, tiny_config
from zipthought.records.chat import completion_ids, prompt_ids
from zipthought.records.schema import make_record
from zipthought.solutions.compress import CompressConfig, compress_file
from zipthought.solutions.layouts import Reading
from zipthought.tasks.distinct import distinct_problems
from zipthought.tasks.sampling import SamplerConfig

QUESTION = "Natalia sold clips to 48 friends in April, and half as many in May. How many clips did she sell in all?"
STEPS = "She sold 48/2 = 24 clips in May.\nShe sold 48+24 = 72 clips in all.\n"
GSM8K = {"question": QUESTION, "answer": f"{STEPS}#### 72"}


def write(path, records):
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records))
    return path


def read(path, reading=None, limit=0):
    return list(read_questions(path, reading or Reading(), 23, limit))


def generated(count=6, n_ops=2, surface="terse"):
    problems = distinct_problems(SamplerConfig(n_ops=n_ops), "test", count)
    return [make_record(problem, "composed:2", surface=surface, index=i) for i, problem in problems]


@pytest.fixture(scope="module")
def bytewise():
    """An untrained model whose tokenizer writes any text, one token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate(["<pad>", "<bos>", "<eos>", *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")
    return build_tiny(tiny_config("llama", "0.2M", len(tokenizer), 0, 1, 2), 0).eval(), tokenizer


@pytest.fixture(scope="module")
def bytewise_directory(bytewise, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bytewise")
    save(*bytewise, directory)
    return directory


# What is read

REAL = [
    GSM8K,
    {"problem": QUESTION, "solution": f"{STEPS}So it is \\boxed{{72}}."},
    {"question": QUESTION, "response": f"{STEPS}The answer is 72."},
    {"question": QUESTION, "response": f"{STEPS}<answer>72</answer>", "answer": "72"},
    {"question": QUESTION, "solution": STEPS, "answer": "72", "system": "Be brief."},
    {"question": f"{QUESTION}\nA) 70 B) 72", "rationale": f"{STEPS}The answer is B.", "correct": "B"},
    {
        "question": "Using the numbers [19, 36, 55, 7], create an equation that equals 65.",
        "answer": "55 + 36 = 91\n91 - 19 = 72\n72 - 7 = 65\n#### 65",
    },
    {
        "messages": [
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": f"{STEPS}#### 72"},
        ]
    },
]


def test_a_model_reads_the_messages_that_compress_writes(tmp_path):
    file = write(tmp_path / "real.jsonl", REAL)
    compress_file(CompressConfig(input=file, output=tmp_path / "out.jsonl", format=("prose",)))
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(records) == len(REAL)  # All of them verify.
    expected = [record["messages"][:-1] for record in records]
    assert [q.turns for q in read(file)] == expected
    of_records = read(tmp_path / "out.jsonl")
    assert [q.turns for q in of_records] == expected
    assert [(q.id, q.right, q.solution) for q in of_records] == [
        (r["id"], r["answer"], r["completion"]) for r in records
    ]


def test_a_solution_that_does_not_verify_has_the_system_message_of_its_notation(tmp_path):
    boxed = {"problem": QUESTION, "solution": "48/2 = 25 and 48+24 = 72, so \\boxed{72}."}
    right = {"problem": QUESTION, "solution": f"{STEPS}So it is \\boxed{{72}}."}
    first, second = read(write(tmp_path / "x.jsonl", [boxed, right]))
    assert first.turns == second.turns
    assert "\\boxed" in first.turns[0]["content"]


def test_generated_records_are_problems_with_the_messages_of_training(tmp_path):
    records = generated()
    questions = read(write(tmp_path / "x.jsonl", records))
    assert [q.turns for q in questions] == [r["messages"][:-1] for r in records]
    assert [q.right for q in questions] == [r["answer"] for r in records]
    bare = [{name: r[name] for name in ("prompt", "surface", "modulus")} for r in records]  # Nothing but the problem.
    assert [(q.turns, q.right) for q in read(write(tmp_path / "y.jsonl", bare))] == [
        (q.turns, q.right) for q in questions
    ]


@pytest.mark.parametrize(
    ("record", "flags"),
    [
        ({"question": "2+3?", "answer": "5"}, {}),
        ({"question": "2+3?", "answer": 5}, {}),
        ({"question": "2+3?", "answer": "#### 5"}, {}),
        ({"problem": "2+3?", "answer": "\\boxed{5}"}, {}),
        ({"question": "2+3?", "answer": "5", "solution": None}, {}),
        ({"instruction": "2+3?", "answer": "5"}, {}),
        ({"prompt": [{"role": "user", "content": "2+3?"}], "answer": "5"}, {}),
        ({"q": "2+3?", "a": {"final": "5"}}, {"question_field": "q", "answer_field": "a.final"}),
        ({"question": "2+3?", "final": "5"}, {"answer_field": "final"}),
    ],
)
def test_a_question_and_its_answer_are_enough(tmp_path, record, flags):
    (question,) = read(write(tmp_path / "x.jsonl", [record]), Reading(**flags))
    assert (question.text, question.right, question.solution, question.id) == ("2+3?", "5", "", "1")
    assert question.turns[-1] == {"role": "user", "content": "2+3?"}
    assert [question.judge(text).answer for text in ("#### 5", "#### 6", "no idea")] == ["correct", "wrong", "missing"]


def test_an_option_is_an_answer_by_its_letter(tmp_path):
    record = {"question": "2+3?", "options": ["A) 4", "B) 5"], "correct": "B"}
    (question,) = read(write(tmp_path / "x.jsonl", [record]))
    assert question.text == "2+3?\nA) 4\nB) 5"
    assert question.judge("The answer is B.").answer == "correct"
    assert question.judge("The answer is A.").answer == "wrong"


TERSE = generated(1)[0]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ('{"question": ', "unreadable"),
        ("[1]", "unreadable"),
        ("", "unreadable"),
        ({"text": "2+3?"}, "unreadable"),
        ({"question": "", "answer": "5"}, "unreadable"),
        ({"question": "half of a pair: \ud800", "answer": "5"}, "unreadable"),
        ({"question": "2+3?"}, "no_answer"),
        ({"question": "2+3?", "answer": ""}, "no_answer"),
        ({"question": "2+3?", "answer": None}, "no_answer"),
        ({"question": "2+3?", "answer": "I add the two numbers."}, "no_answer"),
        ({"question": "2+3?", "answer": "She has 2+3 = 5"}, "no_answer"),  # A solution that states no final answer.
        ({"question": "2+3?", "solution": "2+3 = 5", "answer": ["5", "6"]}, "bad_answer"),
        ({"question": "2+3?", "answer": "#### 5\n#### 6"}, "bad_answer"),
        ({"question": "2+3?", "solution": "2+3 = 5", "answer": "five apples or so"}, "bad_answer"),
        ({**TERSE, "answer": "99"}, "bad_answer"),
        ({**TERSE, "prompt": "nothing"}, "unreadable"),
        ({"surface": "gsm8k", "prompt": "2+3?", "completion": "2+3 = 5\n#### 5"}, "no_answer"),
        ({"surface": "gsm8k", "answer": "5"}, "unreadable"),
    ],
)
def test_a_record_that_cannot_be_evaluated_has_its_reason(tmp_path, record, reason):
    bad, good = read(write(tmp_path / "x.jsonl", [record, GSM8K]))
    assert isinstance(bad, Skipped)
    assert (bad.number, bad.reason) == (1, reason)
    assert bad.detail
    assert isinstance(good, Question)
    assert good.number == 2


def test_every_kind_of_file_has_the_same_questions(tmp_path):
    rows = [GSM8K, {"question": "2+3?", "answer": "5"}]
    files = [write(tmp_path / "x.jsonl", rows), write(tmp_path / "no_suffix", rows)]
    for name, text in (("x.json", json.dumps(rows)), ("x.txt", f"{QUESTION}||{STEPS.replace(chr(10), ' ')}#### 72")):
        files.append(tmp_path / name)
        files[-1].write_text(text)
    pq.write_table(pa.Table.from_pylist([{**row, "other": 1} for row in rows]), tmp_path / "x.parquet")
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(files[0].read_bytes()))
    (tmp_path / "x.csv").write_text('question,answer\n2+3?,5\n"2+3?",#### 5\n')
    first = [(q.text, q.right) for q in read(files[0])]
    for path in (*files[1:3], tmp_path / "x.parquet", tmp_path / "x.jsonl.gz"):
        assert [(q.text, q.right) for q in read(path)] == first
    assert [(q.text, q.right) for q in read(files[3])] == first[:1]
    assert [(q.text, q.right) for q in read(tmp_path / "x.csv")] == first[1:] * 2


def test_a_limit_takes_the_first_records_and_turns_are_numbered(tmp_path):
    file = write(tmp_path / "x.jsonl", ["torn", GSM8K, GSM8K])
    assert [type(one) for one in read(file, limit=2)] == [Skipped, Question]
    turns = [{"role": role, "content": text} for role, text in (("user", "2+3?"), ("assistant", "#### 5"))]
    dialogue = write(tmp_path / "y.jsonl", [{"id": 7, "messages": [*turns, *turns]}])
    assert [q.id for q in read(dialogue)] == ["7"]
    assert [(q.id, len(q.turns)) for q in read(dialogue, Reading(turns="each"))] == [("7/1", 2), ("7/2", 4)]


# Verdicts


@pytest.mark.parametrize(
    ("text", "answer", "faithful", "read_as"),
    [
        (f"{STEPS}#### 72", "correct", True, "72"),
        ("48/2 = 25\n48+24 = 72\n#### 72", "correct", False, "72"),  # A false step.
        (f"{STEPS}#### 71", "wrong", False, "71"),
        (STEPS, "missing", False, None),
        (f"{STEPS}#### 72\n#### 71", "conflicting", False, None),
        ("", "missing", False, None),
    ],
)
def test_a_completion_of_a_real_question(tmp_path, text, answer, faithful, read_as):
    (question,) = read(write(tmp_path / "x.jsonl", [GSM8K]))
    judged = DataCompletion.of(question, 0, text, 9, False)
    assert (judged.answer, judged.faithful, judged.answer_read) == (answer, faithful, read_as)
    assert judged.correct is (answer == "correct")


def test_accepted_finals_count_as_faithful(tmp_path):
    record = {"question": "7 people share cars of 2. How many cars?", "answer": "7/2 = 3.5\n#### 4"}
    file = write(tmp_path / "x.jsonl", [record])
    verdicts = [
        read(file, Reading(accept=accept))[0].judge("7/2 = 3.5 cars, so\n#### 4").faithful
        for accept in ((), ("final_rounded",))
    ]
    assert verdicts == [False, True]


def test_the_answer_of_a_problem_is_read_by_its_surface(tmp_path):
    (question,) = read(write(tmp_path / "x.jsonl", [TERSE]))
    assert question.answer_read(TERSE["completion"]) == TERSE["answer"]
    assert question.answer_read("no answer") is None


# Limits of tokens


def test_the_limit_of_tokens(bytewise, tmp_path):
    _, tokenizer = bytewise
    decoding = DecodingConfig()
    questions = read(write(tmp_path / "x.jsonl", [GSM8K, {"question": "2+3?", "answer": "5"}]))
    of_solution = len(completion_ids(tokenizer, GSM8K["answer"])) * 5 // 4 + 16
    assert token_limit(tokenizer, questions, [10], None, decoding).tokens == of_solution
    assert token_limit(tokenizer, questions[1:], [10], None, decoding).tokens == 1024
    assert token_limit(tokenizer, questions, [10], None, DecodingConfig(max_new_tokens=7)).tokens == 7
    # 40 is more than half of the 70 positions, so it does not count: 30 + 41 - 1 = 70.
    lowered = token_limit(tokenizer, questions, [20, 30, 40], 70, decoding)
    assert lowered.tokens == 41
    assert "lowered" in lowered.reason


def test_a_question_that_does_not_fit_is_counted_and_never_cut(bytewise, tmp_path, monkeypatch):
    model, tokenizer = bytewise
    long = {"question": "x" * 100 + " 2+3?", "answer": "5"}
    questions = read(write(tmp_path / "x.jsonl", [long, {"question": "2+3?", "answer": "5"}]))
    longest, short = (len(prompt_ids(tokenizer, q.turns)) for q in questions)
    for positions, fits in ((longest + 7, [1, 2]), (longest + 6, [2]), (short + 7, [2])):
        monkeypatch.setattr(model.config, "max_position_embeddings", positions)
        made = evaluate_questions(model, tokenizer, questions, DecodingConfig(max_new_tokens=8))
        assert [c.number for c in made.completions] == fits
        assert [(s.number, s.reason) for s in made.skipped] == [(1, "too_long")] * (2 - len(fits))
    monkeypatch.setattr(model.config, "max_position_embeddings", short)
    with pytest.raises(ValueError, match=r"none of the 2 questions .*lower --max-new-tokens"):
        evaluate_questions(model, tokenizer, questions, DecodingConfig(max_new_tokens=8))


def test_a_question_that_the_tokenizer_does_not_know_is_counted(tiny_base, tmp_path):
    model, tokenizer = load(str(tiny_base), "cpu")
    questions = read(write(tmp_path / "x.jsonl", [GSM8K, TERSE]))
    made = evaluate_questions(model, tokenizer, questions, DecodingConfig(max_new_tokens=2))
    assert [c.number for c in made.completions] == [2]
    assert [(s.number, s.reason) for s in made.skipped] == [(1, "not_tokenized")]


def test_decoded_tokens_are_reported_as_they_come(bytewise, tmp_path):
    questions = read(write(tmp_path / "x.jsonl", [GSM8K] * 3))
    seen = []
    made = evaluate_questions(*bytewise, questions, DecodingConfig(max_new_tokens=5), on_tokens=seen.append)
    assert len(seen) == max(c.response_tokens for c in made.completions)
    assert sum(seen) >= sum(c.response_tokens for c in made.completions)
    assert not bytewise[0]._forward_hooks


# Summaries and intervals


def test_a_summary_of_known_completions(bytewise, tmp_path, monkeypatch):
    texts = [[f"{STEPS}#### 72", "#### 71"], ["48/2 = 25\n#### 72", "nothing"]]
    sizes = [[10, 20], [30, 50]]

    def answers(*args, **options):
        return [
            [Completion(list(range(n - 1)), text, truncated=False) for text, n in zip(*pair, strict=True)]
            for pair in zip(texts, sizes, strict=True)
        ]

    monkeypatch.setattr(Native, "generate", answers)
    questions = read(write(tmp_path / "x.jsonl", [GSM8K, GSM8K]))
    summary = evaluate_questions(*bytewise, questions, DecodingConfig(samples=2, temperature=1.0)).summary()
    assert (summary.n, summary.completions, summary.tokens) == (2, 4, 110)
    shares = (summary.accuracy, summary.faithful, summary.unread_answers, summary.truncated)
    assert [share.value for share in shares] == [0.5, 0.25, 0.25, 0.0]
    assert {k: value.value for k, value in summary.pass_at.items()} == {1: 0.5, 2: 1.0}
    assert {k: value.value for k, value in summary.faithful_at.items()} == {1: 0.25, 2: 0.5}
    assert (summary.tokens_right.mean.value, summary.tokens_wrong.median.value) == (20, 35)
    assert summary.answers == {"correct": 2, "wrong": 1, "missing": 1, "conflicting": 0, "malformed": 0}
    plain = json.loads(json.dumps(summary.plain()))
    assert plain["pass_at"]["2"].keys() == {"value", "low", "high"}
    with pytest.raises(ValueError, match="no completions"):
        summarize_data([])


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_intervals(right, n, low, high):  # The last row is of Newcombe (1998), table I.
    assert wilson(right / n, n)[1:] == pytest.approx((low, high), abs=1e-4)
    assert share_of([1.0] * right + [0.0] * (n - right))[1:] == pytest.approx((low, high), abs=1e-4)


def test_samples_of_one_question_count_for_less():
    alike = share_of([1.0, 0.0] * 10, samples=8)  # All samples of a question are the same.
    spread = share_of([0.5] * 20, samples=8)
    assert alike == share_of([1.0, 0.0] * 10)
    assert spread == pytest.approx(wilson(0.5, 160))
    for share, n in ((0.5, 0), (1.5, 3)):
        with pytest.raises(ValueError, match="an interval needs"):
            wilson(share, n)


@pytest.mark.parametrize("spread", [1.0, 30.0])  # Questions that differ much, and little.
def test_intervals_of_clustered_shares_cover_at_their_level(spread):
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        of_questions = rng.beta(0.7 * spread, 0.3 * spread, size=80)
        _, low, high = share_of((rng.binomial(4, of_questions) / 4).tolist(), samples=4)
        covered += low <= 0.7 <= high
    assert 0.93 <= covered / 1000 <= 0.975


def test_bootstrap_of_questions():
    rng = np.random.default_rng(1)
    values = [[float(x)] for x in rng.normal(50, 10, size=200)] + [[]]
    mean = bootstrap(values, np.mean)
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * np.std(values[:-1]) / 200**0.5, rel=0.1)
    twice = bootstrap([row * 2 for row in values], np.mean)  # The same question twice is one question.
    assert twice == pytest.approx(mean)
    assert bootstrap([[3.0]], np.median) == (3.0, 3.0, 3.0)
    assert bootstrap([[]], np.mean) is None


# Whole commands


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_evaluate_data_agrees_with_the_evaluation_of_problems(tmp_path, capsys):
    records = generated()
    data, parquet, lines = write(tmp_path / "d.jsonl", records), tmp_path / "c.parquet", tmp_path / "c.jsonl"
    command = ("evaluate", "--data", data, "--threads", 1, "--json", "--completions")
    code, out, _ = run(capsys, *command, parquet)
    summary = json.loads(out)
    rows = pq.read_table(parquet).to_pylist()
    same = evaluate_records(*load("bundled", "cpu"), records).completions
    assert code == 0
    assert [(r["completion"], r["answer"], r["faithful"], r["response_tokens"], r["gold"]) for r in rows] == [
        (c.completion, c.answer, c.faithful, c.response_tokens, str(c.gold)) for c in same
    ]
    assert summary["n"] == len(records)
    assert summary["accuracy"]["value"] == np.mean([c.correct for c in same])
    assert [r["id"] for r in rows] == [r["id"] for r in records]
    assert run(capsys, *command, lines)[0] == 0
    assert [json.loads(line) for line in lines.read_text().splitlines()] == rows
    assert run(capsys, *command[:-1], "--output", lines)[0] == 0  # An earlier output is replaced.


def test_samples_of_real_questions_are_the_same_for_a_seed(bytewise_directory, tmp_path, capsys):
    data = write(tmp_path / "d.jsonl", [GSM8K, "torn", {"question": "2+3?"}])
    command = ("evaluate", "--model", bytewise_directory, "--data", data, "--samples", 2, "--temperature", 1)
    command = (*command, "--max-new-tokens", 6, "--threads", 1, "--completions")
    made = [run(capsys, *command, tmp_path / name, "--json") for name in ("a.jsonl", "b.jsonl")]
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    code, out, err = made[0]
    summary = json.loads(out)
    assert code == 2  # Not all of the input could be read.
    assert "line 2: unreadable" in err
    assert "line 3: no_answer" in err
    assert (summary["n"], summary["completions"], list(summary["pass_at"])) == (1, 2, ["1", "2"])
    assert {k: n for k, n in summary["skipped"].items() if n} == {"unreadable": 1, "no_answer": 1}
    _, out, _ = run(capsys, *command, tmp_path / "a.jsonl")
    for text in ("pass@2", "95% interval", "limit: 6 tokens (--max-new-tokens)", "1 unreadable, 1 no_answer"):
        assert text in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "empty.jsonl"), "holds no records"),
        (("--data", "nowhere.jsonl"), "nowhere.jsonl: No such file"),
        (("--data", "asked.jsonl"), "no record of asked.jsonl can be evaluated (2 no_answer)"),
        (("--data", "real.jsonl", "--model", "./nowhere"), "no model at './nowhere'"),
        (("--data", "real.jsonl"), "does not know this text"),  # The bundled model speaks terse alone.
        (("--data", "real.jsonl", "--n-ops", "3"), "--n-ops chooses problems of the sampler"),
        (("--data", "real.jsonl", "--limit", "-1"), "limit must be at least 0"),
        (("--data", "real.jsonl", "--samples", "2"), "greedy samples are all the same"),
        (("--data", "real.jsonl", "--completions", "x.csv"), "ends in .parquet or .jsonl"),
        (("--data", "real.jsonl", "--completions", "real.jsonl"), "is the input"),
        (("--data", "real.jsonl", "--completions", "asked.jsonl"), "exists; give --overwrite"),
        (("--completions", "x.jsonl", "--output", "y.jsonl"), "another name of --completions"),
        (("--limit", "3"), "--limit is about the records of --data"),
        (("--layout", "aqua"), "--layout is about the records of --data"),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "empty.jsonl", [])
    write(tmp_path / "asked.jsonl", [{"question": "2+3?"}] * 2)
    write(tmp_path / "real.jsonl", [GSM8K])
    code, _, err = run(capsys, "evaluate", *arguments)
    assert code == 2
    assert message in err


def test_a_file_without_completions_has_the_columns_of_problems(tmp_path):
    write_completions([], tmp_path / "x.parquet")
    assert "n_ops" in pq.read_schema(tmp_path / "x.parquet").names
