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


def test_ten_kills_change_no_byte_of_the_samples(server, model, questions, tmp_path):
    def command(output):
        return [
            sys.executable, "-m", "zipthought", "sample", "--model", model, "--endpoint", server, "--data",
            str(questions), "--output", str(output), "--samples", "2", "--max-new-tokens", "64", "--concurrency", "1",
        ]  # fmt: skip

    def answers(cache):
        try:
            with sqlite3.connect(cache, timeout=5) as db:
                return db.execute("SELECT COUNT(*) FROM answers").fetchone()[0]
        except sqlite3.Error:
            return 0

    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    assert subprocess.run(command(whole), capture_output=True, check=False).returncode == 0
    kills = 0
    while kills < 10:
        before = answers(f"{cut}.cache")
        process = subprocess.Popen(command(cut), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and answers(f"{cut}.cache") < before + 1:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills == 10
    assert subprocess.run(command(cut), capture_output=True, check=False).returncode == 0
    assert cut.read_bytes() == whole.read_bytes()
    assert len({json.loads(line)["completion"] for line in whole.read_text().splitlines()}) > ANSWERS // 2
