"""`evaluate --backend` and `sample --endpoint` against a real server: ``transformers serve`` with a tiny model."""

import importlib.util
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from zipthought.cli import main

pytestmark = pytest.mark.integration
for package in ("openai", "fastapi", "uvicorn"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}", allow_module_level=True)
ANSWERS = 36


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A random Qwen2 on bytes that samples by default: ``transformers serve`` asks its configuration."""
    directory = tmp_path_factory.mktemp("model")
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(symbols)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<pad>", "<eos>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'][0] + ':' + m['content'] + ('<eos>' if m['role'] == 'assistant' else '') }}"
        "{% endfor %}{% if add_generation_prompt %}a:{% endif %}"
    )
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    network = Qwen2ForCausalLM(config)
    network.generation_config.do_sample = True
    network.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


@pytest.fixture(scope="module")
def server(model):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--device", "cpu", model],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).read()
            break
        except OSError:
            time.sleep(0.2)
    yield f"http://127.0.0.1:{port}/v1"
    process.kill()
    process.wait()


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.jsonl"
    rows = [{"question": f"What is {a} + 1 ?", "answer": f"#### {a + 1}"} for a in range(ANSWERS // 2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_server_writes_what_the_native_backend_writes(server, model, questions, tmp_path, capsys):
    texts = []
    for name, backend in (("own", "native"), ("server", server)):
        file = tmp_path / f"{name}.jsonl"
        arguments = ["evaluate", "--model", model, "--data", str(questions), "--backend", backend, "--limit", "4"]
        assert main([*arguments, "--max-new-tokens", "16", "--completions", str(file)]) == 0
        capsys.readouterr()
        texts.append([json.loads(line)["completion"] for line in file.read_text().splitlines()])
    assert texts[0] == texts[1]


def answers_in(cache):
    try:
        with sqlite3.connect(cache, timeout=5) as db:
            return db.execute("SELECT COUNT(*) FROM answers").fetchone()[0]
    except sqlite3.Error:
        return 0


def killed(command, cache, times):
    """How often a command was killed, at most so many times, each after one more answer. Then it ends: with which exit
    code."""
    kills = 0
    while kills < times:
        before = answers_in(cache)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and answers_in(cache) < before + 1:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    return kills, subprocess.run(command, capture_output=True, check=False).returncode


def test_ten_kills_change_no_byte_of_the_samples(server, model, questions, tmp_path):
    def command(output):
        return [
            sys.executable, "-m", "zipthought", "sample", "--model", model, "--endpoint", server, "--data",
            str(questions), "--output", str(output), "--samples", "2", "--max-new-tokens", "64", "--concurrency", "1",
        ]  # fmt: skip

    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    assert subprocess.run(command(whole), capture_output=True, check=False).returncode == 0
    assert killed(command(cut), f"{cut}.cache", 10) == (10, 0)
    assert cut.read_bytes() == whole.read_bytes()
    assert len({json.loads(line)["completion"] for line in whole.read_text().splitlines()}) > ANSWERS // 2


def test_kills_change_no_byte_of_the_rewrites(server, model, tmp_path):
    """A random model writes nothing that verifies, so every solution is refused, after all its attempts."""
    solutions = tmp_path / "solutions.jsonl"
    rows = [
        {"question": f"{a} boys and 2 girls get 3 pens each. How many?", "answer": solution(a)} for a in range(2, 8)
    ]
    solutions.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def command(output):
        return [
            sys.executable, "-m", "zipthought", "compress", str(solutions), "--format", "rewrite:draft", "--model",
            model, "--endpoint", server, "--attempts", "2", "--max-new-tokens", "32", "--concurrency", "1",
            "--output", str(output),
        ]  # fmt: skip

    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    assert subprocess.run(command(whole), capture_output=True, check=False).returncode == 1  # It has no record.
    assert answers_in(f"{whole}.cache") == 2 * len(rows)
    assert killed(command(cut), f"{cut}.cache", 4) == (4, 1)
    assert answers_in(f"{cut}.cache") == 2 * len(rows)  # Nothing was asked twice.
    for suffix in ("", ".rejects.jsonl"):
        one, other = (Path(f"{path}{suffix}") for path in (whole, cut))
        assert one.read_bytes() == other.read_bytes()
    rejects = [json.loads(line) for line in Path(f"{whole}.rejects.jsonl").read_text().splitlines()]
    assert [reject["source_line"] for reject in rejects] == list(range(1, len(rows) + 1))


def solution(a):
    total = a + 2
    lines = [f"There are {a}+2=<<{a}+2={total}>>{total} children."]
    lines += [f"They get {total}*3=<<{total}*3={3 * total}>>{3 * total} pens.", f"#### {3 * total}"]
    return "\n".join(lines)
