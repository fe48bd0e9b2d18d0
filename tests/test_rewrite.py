"""`compress --format rewrite:NAME`: planted faults are refused, rewrites verify again, nothing is asked for twice."""

import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from planted_rewrites import draft, planted
from test_solutions import GSM8K

from zipthought.cli import main
from zipthought.files.sources import read_source
from zipthought.rewriting.judge import Judge
from zipthought.rewriting.prompts import BUILT_IN, PLACEHOLDERS, fill, read_prompt
from zipthought.solutions import gsm8k
from zipthought.solutions.compress import CompressConfig, token_counter
from zipthought.solutions.compress.reading import read_item
from zipthought.solutions.methods import compress_solution
from zipthought.solutions.solution import UnreadableError

EXAMPLES = Path(__file__).parents[1] / "examples" / "solutions.jsonl"
QUESTION = (
    "A hen lays 16 eggs a day. Three are eaten, and 4 are baked. The rest sells for $2 an egg. What does it earn?"
)
SOLUTION = "There are 16 - 3 - 4 = 9 eggs left to sell every day.\nThey sell for 9 * 2 = $18 in all.\n#### 18"


def config(path, output="o.jsonl", **more):
    return CompressConfig(input=Path(path), output=Path(output), **more)


def solutions(path, first=10**9):
    """(id, solution) of the first records of a file that verify."""
    settings = config(path)
    for item in read_source(settings.input):
        if item.number > first:
            return
        for id_, read in read_item(settings, item):
            if not isinstance(read, UnreadableError):
                yield id_, read


@pytest.fixture
def hen(tmp_path):
    path = tmp_path / "hen.jsonl"
    path.write_text(json.dumps({"question": QUESTION, "answer": SOLUTION}) + "\n")
    return next(solutions(path))[1]


def judged(read, text, implicit=False):
    """The accepted text, or the reason of the refusal."""
    judge = Judge(config("in.jsonl"), token_counter(""), implicit)
    try:
        return judge.accept(judge.original(read), text)
    except UnreadableError as error:
        return error.reason


def is_refused(judge, original, text):
    try:
        judge.accept(original, text)
    except UnreadableError:
        return True
    return False


@pytest.mark.parametrize(("implicit", "form"), [(False, "composed:2"), (True, "implicit:2")])
def test_no_planted_fault_is_accepted(implicit, form):
    judge = Judge(config("in.jsonl"), token_counter(""), implicit)
    found = [*solutions(EXAMPLES), *(solutions(GSM8K, 100) if GSM8K.is_file() else ())]
    tried = good = bad = 0
    for id_, read in found:
        original = judge.original(read)
        text, lines = compress_solution(read.solution, form), draft(read.solution)
        original.tokens = 10**6  # A fault may make a text longer, which is no reason here.
        try:
            assert judge.accept(original, text) == text.strip()
        except UnreadableError:
            continue
        tried, good = tried + 1, good + (lines is not None)
        if lines:
            drafted = "\n".join(lines.values()) + f"\n#### {read.solution.answer}"
            assert judge.accept(original, drafted) == drafted
        for name, wrong in planted(random.Random(id_), read.solution, text, lines):
            bad += 1
            assert is_refused(judge, original, wrong), (name, wrong, read.solution.whole)
    assert tried > 0.8 * len(found)
    assert good > 10
    assert bad > 500


REFUSED = [
    ("16 - 3 - 4 = 9\n9 * 2 = 18", "no_final_answer", "the final answer is missing"),
    ("16 - 3 - 4 = 9\n9 * 2 = 18\n#### 20", "conflicting_finals", "another final answer"),
    ("16 - 3 - 4 = 9\n9 * 2 = 18\nThe answer is \\boxed{18}.", "other_form", "the final answer in another form"),
    ("16 - 3 - 4 = 10\n10 * 2 = 20\n#### 18", "wrong_arithmetic", "an equation does not hold"),
    ("9 * 2 = 18\n#### 18", "hidden_result", "the first step is missing"),
    ("nine are left\n9 * 2 = 18\n#### 18", "hidden_result", "a word is no result"),
    ("They sell the 9 eggs: 9 * 2 = 18\n#### 18", "hidden_result", "9 is named, but not worked out"),
    ("16 - 3 = 13\n13 - 4 = 9\n9 * 2 = 18\n#### 18", "new_result", "13 is no result of the solution"),
    ("3 + 4 + 2 = 9\n9 * 2 = 18\n#### 18", "other_derivation", "9 by coincidence"),
    ("16 - 3 - 4 = 9\n16 + 2 = 18\n#### 18", "other_derivation", "18 by coincidence"),
    ("16 - 3 - 4 = 9\n4 of 5 sell\n9 * 2 = 18\n#### 18", "new_number", "nothing says 5"),
    ("16 - 3 - 4 = 9\nsix rot\n9 * 2 = 18\n#### 18", "new_number", "a number in words"),
    ("16 - 3 - 4 = 9\n9 * 2 = 18\nThis makes 16.\n#### 18", "new_number", "the end says another number"),
    ("16 - 3 - 4 = 11 - 2 = 9\n9 * 2 = 18\n#### 18", "new_number", "11 on the way"),
    ("eggs = 9\n16 - 3 - 4 = 9\n9 * 2 = 18\n#### 18", "unread_equation", "an equation that cannot be read"),
    ("#### 18", "no_steps", "the answer alone"),
    ("", "empty", "nothing"),
    (SOLUTION, "longer", "the same text is no shorter"),
]


@pytest.mark.parametrize(("text", "reason", "why"), REFUSED, ids=[why for *_, why in REFUSED])
def test_a_refused_rewrite_says_why(hen, text, reason, why):
    assert judged(hen, text) == f"rewrite: {reason}"


@pytest.mark.parametrize(
    "text",
    [
        "16 - 3 - 4 = 9; 9 * 2 = 18\n#### 18",
        "eggs left: 16 - 3 - 4 = 9\nmoney: 9 * 2 = 18\n#### 18",
        "(16 - 3 - 4) * 2 = 18\n#### 18",
        "2 * (16 - 4 - 3) = 18\n#### 18",
        "16 * 2 - 3 * 2 - 4 * 2 = 18\n#### 18",
        "1. 16 - 3 - 4 = 9 eggs\n2. 9 * $2 = $18\n#### 18",
        "<think>16 less 7 is 9. Or 10?</think>\n16 - 3 - 4 = 9\n9 * 2 = 18\n#### 18",
    ],
)
def test_rewrites_that_keep_the_derivation_are_accepted(hen, text):
    accepted = judged(hen, text)
    assert accepted == text.rpartition("</think>")[2].strip()
    assert gsm8k.verify(QUESTION, accepted, "18").faithful


def test_results_without_operations_are_accepted_on_demand(hen):
    for text in ("eggs = 9\n9 * 2 = 18\n#### 18", "There are 9 eggs left to sell every day.\n9 * 2 = 18\n#### 18"):
        assert judged(hen, text).startswith("rewrite: ")
        assert judged(hen, text, implicit=True) == text
    for text in ("eggs = 10\n9 * 2 = 18\n#### 18", "There are 18 eggs left.\n9 * 2 = 18\n#### 18"):
        assert judged(hen, text, implicit=True).startswith("rewrite: ")


class Handler(BaseHTTPRequestHandler):
    """A chat endpoint that rewrites as `server.script` says: ``script(messages, turn)`` is its answer."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(asked)
            turn = len(self.server.asked)
        text, reason = self.server.script(asked["messages"], turn)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        usage = {"prompt_tokens": 1, "completion_tokens": max(1, len(text.split())), "total_tokens": 2}
        body = json.dumps(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        ).encode()
        self.send_response(200 if text else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server():
    pytest.importorskip("openai")
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.lock, http.asked, http.script = threading.Lock(), [], None
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    http.address = f"http://127.0.0.1:{http.server_address[1]}/v1"
    yield http
    http.shutdown()
    http.server_close()


def scripted(forms, first=""):
    """Rewrites every example as the last format does; the first time wrong where `first` is in its question."""
    texts = {
        read.source.question: [compress_solution(read.solution, form) for form in forms]
        for _, read in solutions(EXAMPLES)
    }

    def script(messages, turn):
        question = next(one for one in texts if one in messages[0]["content"])
        if len(messages) == 1 and first and first in question:
            return texts[question][0].replace("#### ", "#### 1"), "stop"
        return texts[question][-1], "stop"

    return script


def options(server, output, *more, form="rewrite:composed"):
    return [
        "compress", str(EXAMPLES), "--output", str(output), "--format", form, "--model", "m",
        "--endpoint", server.address, *more,
    ]  # fmt: skip


def run(capsys, arguments, code=0):
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rewrites_verify_again_and_are_asked_for_once(server, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    server.script = scripted(["composed:3"], first="tank")
    counts = run(capsys, options(server, out))
    rewrites = counts["rewrites"]
    assert rewrites["accepted_in_attempt"]["1"] > 5
    assert rewrites["accepted_in_attempt"]["2"] >= 1
    assert rewrites["refused"]["rewrite: conflicting_finals"] >= 1
    assert counts["verified"] == rewrites["accepted"] == len(rows(out))
    assert counts["input"] == 24 == counts["verified"] + len(rows(tmp_path / "out.jsonl.rejects.jsonl"))
    assert {row["reason"] for row in rows(tmp_path / "out.jsonl.rejects.jsonl")} == set(counts["reasons"])
    assert {(row["format"], row["parameter"]) for row in rows(out)} == {("rewrite", "composed")}
    assert all(row["tokens"] < row["tokens_source"] for row in rows(out))
    assert main(["verify", str(out)]) == 0
    told = [asked["messages"] for asked in server.asked if len(asked["messages"]) > 1]
    assert all("was refused: " in messages[2]["content"] for messages in told)
    assert len({asked["seed"] for asked in server.asked}) == len(server.asked) == rewrites["answers"]
    before, bytes_before = len(server.asked), out.read_bytes()
    capsys.readouterr()
    assert run(capsys, options(server, out)) == counts
    assert (len(server.asked), out.read_bytes()) == (before, bytes_before)
    assert main(["export", str(out), "--to", "trl-sft", "--output-dir", str(tmp_path / "sft")]) == 0


def test_a_refused_rewrite_leaves_its_record_out_of_every_format(server, tmp_path, capsys):
    server.script = lambda messages, turn: ("9 * 9 = 80\n#### 1", "stop")
    out = tmp_path / "out"
    counts = run(capsys, [*options(server, out, "--attempts", "2"), "--format", "composed:2", "rewrite:draft"], code=1)
    assert counts["verified"] == 0 == counts["rewrites"]["accepted"]
    assert sum(counts["reasons"].values()) == 24
    assert (out / "composed-2.jsonl").read_text() == ""
    assert len(server.asked) == 2 * counts["rewrites"]["solutions"]


def test_the_budget_and_failures_leave_rejects_that_the_next_run_asks_for(server, tmp_path, capsys):
    server.script = scripted(["composed:3"])
    out = tmp_path / "out.jsonl"
    first = run(capsys, options(server, out, "--budget-tokens", "60", "--concurrency", "1"))
    assert first["reasons"]["rewrite: no_answer"] > 5
    assert 60 <= first["rewrites"]["tokens"] < 200
    second = run(capsys, options(server, out))
    assert "rewrite: no_answer" not in second["reasons"]
    assert len(server.asked) == second["rewrites"]["answers"]
    server.script = lambda messages, turn: ("", "stop")
    assert main(options(server, tmp_path / "other.jsonl")) == 2
    assert "requests in a row failed" in capsys.readouterr().err
    assert not (tmp_path / "other.jsonl").exists()


def test_a_truncated_answer_is_refused(server, tmp_path, capsys):
    server.script = lambda messages, turn: ("16 - 3", "length")
    counts = run(capsys, options(server, tmp_path / "o.jsonl", "--attempts", "1"), code=1)
    assert set(counts["rewrites"]["refused"]) == {"rewrite: truncated"}


def test_a_prompt_of_ones_own(server, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("short.txt").write_text("Shorten \\boxed{x}: {question} | {solution} | {final}")
    server.script = scripted(["composed:3"])
    out = tmp_path / "out.jsonl"
    counts = run(capsys, options(server, out, form="rewrite:short.txt"))
    assert counts["verified"] == len(rows(out)) > 10
    assert server.asked[0]["messages"][0]["content"].startswith("Shorten \\boxed{x}: ")
    assert {row["parameter"] for row in rows(out)} == {"short.txt"}
    assert main(options(server, "short.txt.jsonl", "--cache", "short.txt", form="rewrite:short.txt")) == 2
    assert main(options(server, tmp_path / "x.jsonl", "--cache", str(EXAMPLES))) == 2
    assert Path("short.txt").read_text().startswith("Shorten")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--format rewrite --model m --endpoint http://x", "needs a prompt; write rewrite:draft"),
        ("--format rewrite:none --model m --endpoint http://x", "no prompt 'none'; use composed, draft, symbols"),
        ("--format rewrite:bad.txt --model m --endpoint http://x", "lacks {solution}"),
        ("--format rewrite:odd.txt --model m --endpoint http://x", "has {answer}; use {question}"),
        ("--format rewrite:draft --endpoint http://x", "needs a model; give one with --model"),
        ("--format rewrite:draft --model m", "give --endpoint with an address, or --backend"),
        ("--format rewrite:draft --model m --endpoint x", "--endpoint is an address such as"),
        ("--format rewrite:draft --model m --endpoint http://x --attempts 0", "--attempts must be at least 1"),
        ("--format composed:2 --endpoint http://x", "are for the format rewrite:NAME"),
        ("--format rewrite:draft --model m --explain-first 1", "needs a model: zipthought compress"),
    ],
)
def test_wrong_options_say_what_to_do(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("bad.txt").write_text("Shorten this.")
    Path("odd.txt").write_text("{solution} {answer}")
    assert main(["compress", str(EXAMPLES), "--output", "o.jsonl", *arguments.split()]) == 2
    assert message in capsys.readouterr().err
    assert not Path("o.jsonl").exists()


def test_the_prompts():
    assert set(BUILT_IN) == {"composed", "draft", "symbols"}
    for name in BUILT_IN:
        text = read_prompt(name)
        assert all(f"{{{placeholder}}}" in text for placeholder in PLACEHOLDERS)
    assert fill("{question} {solution} {final}", "{solution}", "\\frac{a}{b}", "{x}") == "{solution} \\frac{a}{b} {x}"
