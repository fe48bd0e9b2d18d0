"""`zipthought sample`: answers of endpoints with every fault, the cache, what is kept, and pairs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from zipthought.cli import main
from zipthought.records.reading import read_records
from zipthought.sampling import sources
from zipthought.sampling.cache import Answer, open_cache
from zipthought.sampling.config import SampleConfig

pytest.importorskip("openai")
RIGHT = "{a} + {b} = {c}\n#### {c}"
LONG = "{a} + 0 = {a}\n{a} + {b} = {c}\n#### {c}"
WRONG = "{a} + {b} = {d}\n#### {d}"


class Handler(BaseHTTPRequestHandler):
    """A chat endpoint that adds. The sample decides which text it writes; `server.fault` what it does wrong."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append(asked)
            server.keys.add(self.headers["Authorization"])
            turn = len(server.asked)
        fault = server.fault if turn % 3 == 1 or server.fault in ("forbidden", "empty", "lies", "none", "half") else ""
        time.sleep(server.pause)
        if fault == "forbidden":
            return self.answer({"error": {"message": "wrong key"}}, 401)
        if fault == "busy":
            return self.answer({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.01"})
        if fault == "error":
            return self.answer({"error": {"message": "out of memory"}}, 500)
        if fault == "closes":
            self.close_connection = True
            return self.connection.close()
        if fault == "stalls":
            time.sleep(1.5)
        body = json.dumps(self.reply(asked, fault)).encode()
        if fault == "torn":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return self.connection.close()
        return self.answer(json.loads(body), 200)

    def answer(self, values, status, headers=None):
        body = json.dumps(values).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reply(self, asked, fault):
        a, b = (int(word) for word in asked["messages"][-1]["content"].rstrip("?").split() if word.isdigit())
        texts = (RIGHT, LONG, WRONG)
        text = texts[asked["seed"] % 3].format(a=a, b=b, c=a + b, d=a + b + 1)
        usage = {"prompt_tokens": 9, "completion_tokens": len(text.split()), "total_tokens": 9}
        if fault == "lies":
            usage["completion_tokens"] = 10**9
        message = {"role": "assistant", "content": "" if fault == "empty" else text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {
            "id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [] if fault == "half" else [choice], "usage": None if fault == "none" else usage,
        }  # fmt: skip


@pytest.fixture
def server():
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.lock, http.asked, http.keys, http.fault, http.pause = threading.Lock(), [], set(), "", 0.0
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    http.address = f"http://127.0.0.1:{http.server_address[1]}/v1"
    yield http
    http.shutdown()
    http.server_close()


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.jsonl"
    rows = [{"question": f"What is {a} + {a + 1} ?", "answer": f"#### {2 * a + 1}"} for a in range(2, 12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def options(server, questions, output, *more):
    return [
        "sample", "--model", "m", "--endpoint", server.address, "--data", str(questions), "--output", str(output),
        "--samples", "6", *more,
    ]  # fmt: skip


def run(capsys, arguments, code=0):
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_solutions_are_judged_kept_and_readable_as_records(server, questions, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    counts = run(capsys, options(server, questions, out))
    assert counts["answered"] == counts["wanted"] == counts["solutions"] == 60
    assert 0 < counts["faithful"] == counts["correct"] < 60
    records = list(read_records(out))
    assert len(records) == counts["kept"] <= 30  # At most three texts for each of ten questions.
    assert {record["split"] for record in records} <= {"train", "validation", "test"}
    assert main(["verify", str(out)]) == 1  # Some are wrong.
    capsys.readouterr()
    for keep in ("correct", "faithful", "shortest"):
        kept = tmp_path / f"{keep}.jsonl"
        counts = run(capsys, options(server, questions, kept, "--keep", keep, "--cache", f"{out}.cache"))
        assert main(["verify", str(kept), "--json"]) == 0
        capsys.readouterr()
        rows = list(read_records(kept))
        assert {row["verdict"] for row in rows} == {"correct"}
        if keep == "shortest":
            assert len({row["source_id"] for row in rows}) == len(rows)
            assert all("+ 0" not in row["completion"] for row in rows if len(rows) == 10)
    assert len(server.asked) == 60  # The cache answered the others.
    assert main(["export", str(kept), "--to", "trl-sft", "--output-dir", str(tmp_path / "trl")]) == 0


def test_pairs_are_of_one_question(server, questions, tmp_path, capsys):
    for kind in ("short-long", "right-wrong"):
        out, pairs = tmp_path / f"{kind}.jsonl", tmp_path / f"{kind}.pairs.jsonl"
        cache = str(tmp_path / "cache")
        counts = run(
            capsys, options(server, questions, out, "--cache", cache, "--pairs", kind, "--pairs-output", str(pairs))
        )
        rows = [json.loads(line) for line in pairs.read_text().splitlines()]
        assert 0 < len(rows) == counts["pairs"] <= 10
        for row in rows:
            chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
            assert "+ 0" not in chosen or kind == "right-wrong"
            total = sum(int(word) for word in row["prompt"][-1]["content"].split() if word.isdigit())
            assert chosen.endswith(f"#### {total}")
            if kind == "short-long":
                assert rejected.endswith(f"#### {total}")
                assert row["tokens_rejected"] > row["tokens_chosen"]
            else:
                assert not rejected.endswith(f"#### {total}")


@pytest.mark.parametrize("fault", ["busy", "error", "closes", "torn", pytest.param("stalls", marks=pytest.mark.long)])
def test_a_fault_of_a_moment_is_survived(server, questions, tmp_path, capsys, fault, monkeypatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01, raising=False)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02, raising=False)
    clean, out = tmp_path / "clean.jsonl", tmp_path / "out.jsonl"
    run(capsys, options(server, questions, clean))
    server.fault = fault
    counts = run(capsys, options(server, questions, out, "--timeout", "1.0", "--concurrency", "60"))
    assert counts["answered"] == 60
    assert not counts["failed"]
    assert out.read_bytes() == clean.read_bytes()


@pytest.mark.parametrize("fault", ["lies", "none"])
def test_wrong_usage_is_replaced_by_an_estimate(server, questions, tmp_path, capsys, fault):
    server.fault = fault
    counts = run(capsys, options(server, questions, tmp_path / "out.jsonl"))
    assert counts["tokens_estimated"] == 60
    assert 60 <= counts["tokens"] <= 60 * 20


@pytest.mark.parametrize(("fault", "reason"), [("forbidden", "wrong key"), ("empty", "no text"), ("half", "no text")])
def test_an_endpoint_that_always_fails_ends_the_run_in_one_line(server, questions, tmp_path, capsys, fault, reason):
    server.fault = fault
    out = tmp_path / "out.jsonl"
    assert main(options(server, questions, out)) == 2
    error = capsys.readouterr().err
    assert "requests in a row failed" in error
    assert reason in error
    assert not out.exists()
    server.fault = ""
    assert run(capsys, options(server, questions, out))["answered"] == 60


def test_a_budget_ends_asking_and_the_same_command_goes_on(server, questions, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    budget = options(server, questions, out, "--budget-tokens", "60", "--concurrency", "2")
    counts = run(capsys, budget, code=1)
    assert 60 <= counts["tokens"] < 100
    asked = len(server.asked)
    assert run(capsys, budget, code=1)["answered"] == counts["answered"]
    assert len(server.asked) == asked
    assert run(capsys, options(server, questions, out))["answered"] == 60
    assert len(server.asked) == 60


@pytest.mark.long
def test_kills_change_nothing_and_no_answer_is_asked_again(server, questions, tmp_path, capsys):
    clean, out = tmp_path / "clean.jsonl", tmp_path / "out.jsonl"
    run(capsys, options(server, questions, clean))
    server.asked.clear()
    server.pause = 0.05
    command = [sys.executable, "-m", "zipthought", *options(server, questions, out, "--concurrency", "3")]
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before, deadline = len(server.asked), time.monotonic() + 30
        while process.poll() is None and len(server.asked) < before + 13 and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        if process.wait() == 0:
            break
    assert kills >= 3
    assert out.read_bytes() == clean.read_bytes()
    assert len(server.asked) <= 60 + 3 * kills  # Only what was on its way when the process was killed.


def test_an_endpoint_that_does_not_sample_is_named(server, questions, tmp_path, capsys, monkeypatch):
    reply = Handler.reply
    monkeypatch.setattr(Handler, "reply", lambda self, asked, fault: reply(self, {**asked, "seed": 0}, fault))
    assert main(options(server, questions, tmp_path / "out.jsonl")) == 0
    assert "all samples of 10 questions are the same text" in " ".join(capsys.readouterr().err.split())


def test_a_key_goes_to_the_endpoint_and_nowhere_else(server, questions, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1")
    out = tmp_path / "out.jsonl"
    assert main(options(server, questions, out)) == 0
    shown = capsys.readouterr()
    assert server.keys == {"Bearer sk-secret-1"}
    assert "sk-secret-1" not in shown.out + shown.err
    assert all(b"sk-secret-1" not in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_a_thought_of_its_own_field_stands_before_the_text():
    class Message:
        content, reasoning_content = "#### 4", "2 + 2 = 4"

    class Choice:
        message, finish_reason = Message, "length"

    class Reply:
        choices, usage = (Choice,), None

    answer = sources.answer_of(Reply, 100)
    assert answer == Answer("<think>\n2 + 2 = 4\n</think>\n\n#### 4", 8, True, True)


def test_a_local_model_answers_the_same_after_a_stop(tiny_base, tmp_path, capsys):
    data = tmp_path / "d"
    settings = ["--n-ops", "2", "--count", "6", "--surface", "terse", "--split", "test"]
    assert main(["generate", *settings, "--output-dir", str(data)]) == 0
    capsys.readouterr()
    (file,) = data.glob("*.jsonl")

    def sampled(out, *more):
        arguments = [
            "sample", "--model", str(tiny_base), "--backend", "native", "--data", str(file), "--output", str(out),
            "--samples", "3", "--max-new-tokens", "12", "--batch-size", "6",
        ]  # fmt: skip
        return main([*arguments, *more, "--json"])

    whole, again = tmp_path / "whole.jsonl", tmp_path / "again.jsonl"
    assert sampled(whole) == 0
    assert sampled(again, "--budget-tokens", "40") == 1
    assert sampled(again) == 0
    assert whole.read_bytes() == again.read_bytes()
    records = list(read_records(whole))
    assert {record["split"] for record in records} == {"test"}
    assert len({record["completion"] for record in records}) > 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--keep", "best"], "unknown --keep 'best'; use all, correct, faithful, shortest"),
        (["--pairs", "short-long"], "--pairs needs --pairs-output"),
        (["--pairs", "x", "--pairs-output", "p"], "unknown --pairs 'x'"),
        (["--backend", "native"], "give --endpoint with an address, or --backend"),
        (["--samples", "2", "--temperature", "0"], "greedy samples are all the same"),
        (["--concurrency", "0"], "must not be negative"),
    ],
)
def test_options_that_do_not_go_together(server, questions, tmp_path, capsys, more, message):
    assert main(options(server, questions, tmp_path / "o.jsonl", *more)) == 2
    assert message in capsys.readouterr().err


def test_an_input_and_a_foreign_file_are_not_replaced(server, questions, tmp_path, capsys):
    assert main(options(server, questions, questions)) == 2
    assert main(options(server, questions, tmp_path / "o.jsonl", "--cache", str(questions))) == 2
    foreign = tmp_path / "notes.txt"
    foreign.write_text("notes\n" * 500)
    assert main(options(server, questions, tmp_path / "o.jsonl", "--cache", str(foreign))) == 2
    assert "is no cache of answers" in capsys.readouterr().err
    assert foreign.read_text().startswith("notes")
    assert not server.asked


def test_the_first_answer_of_a_key_stays(tmp_path):
    with open_cache(tmp_path / "c") as cache:
        cache.put("k", Answer("first", 1, False))
        cache.put("k", Answer("second", 2, False))
        assert cache.get("k").text == "first"
        assert "k" in cache
        assert cache.get("l") is None
    config = SampleConfig(model="m")
    turns = [{"role": "user", "content": "q"}]
    keys = {config.key(turns, 0), config.key(turns, 1), SampleConfig(model="n").key(turns, 0)}
    assert len(keys) == 3
