"""Backends of generation: the same completions from our own decoder, transformers, a server, and vLLM (imitated)."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from zipthought.cli import main
from zipthought.models.backends import BACKENDS, Native, Request, Server, Transformers, open_backend
from zipthought.models.loading import load
from zipthought.records.schema import make_record
from zipthought.study.execution import CellExecution
from zipthought.tasks.sampling import SamplerConfig, sample_batch

GREEDY = Request(max_new_tokens=24)
SAMPLED = Request(max_new_tokens=24, samples=3, temperature=1.0, seed=5, logprobs=True)


@pytest.fixture(scope="module")
def base(tiny_base):
    return str(tiny_base)


@pytest.fixture(scope="module")
def loaded(base):
    return load(base, "cpu")


@pytest.fixture(scope="module")
def prompts(loaded):
    _, tokenizer = loaded
    size = len(tokenizer)
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(4, size, (n,), generator=generator).tolist() for n in (5, 9, 3, 9)]


def ids(completions):
    return [[(c.ids, c.end, c.truncated) for c in samples] for samples in completions]


def test_transformers_writes_what_the_native_decoder_writes(loaded, prompts):
    native, other = Native(*loaded), Transformers(*loaded)
    assert ids(other.generate(prompts, GREEDY)) == ids(native.generate(prompts, GREEDY))
    assert native.positions == other.positions == loaded[0].config.max_position_embeddings
    small = Request(max_new_tokens=24, batch_size=2)
    assert ids(other.generate(prompts, small)) == ids(native.generate(prompts, GREEDY))


def test_transformers_ignores_settings_of_the_model_that_a_request_does_not_have(loaded, prompts):
    model, tokenizer = loaded
    own = model.generation_config
    expected = ids(Transformers(model, tokenizer).generate(prompts, GREEDY))
    changed = type(own).from_dict({**own.to_dict(), "repetition_penalty": 5.0, "min_new_tokens": 20})
    try:
        model.generation_config = changed
        assert ids(Transformers(model, tokenizer).generate(prompts, GREEDY)) == expected
        assert model.generation_config is changed
    finally:
        model.generation_config = own


@pytest.mark.parametrize("kind", [Native, Transformers])
def test_samples_depend_on_the_seed_and_have_log_probabilities(loaded, prompts, kind):
    model, tokenizer = loaded
    backend = kind(model, tokenizer)
    progress, tokens = [], []
    first = backend.generate(
        prompts, SAMPLED, on_progress=lambda done, total: progress.append((done, total)), on_tokens=tokens.append
    )
    state = torch.random.get_rng_state()
    assert ids(backend.generate(prompts, SAMPLED)) == ids(first)
    assert torch.equal(state, torch.random.get_rng_state())
    assert ids(backend.generate(prompts, Request(max_new_tokens=24, samples=3, temperature=1.0, seed=6))) != ids(first)
    assert progress[-1] == (12, 12)
    assert sum(tokens) >= sum(c.n_tokens for samples in first for c in samples)
    for prompt, samples in zip(prompts, first, strict=True):
        for completion in samples:
            new = completion.ids + ([completion.end] if completion.end is not None else [])
            text = torch.tensor([prompt + new])
            with torch.inference_mode():
                logits = model(input_ids=text).logits[0, len(prompt) - 1 : -1].double()
            expected = logits.log_softmax(-1).gather(1, torch.tensor(new)[:, None])[:, 0]
            assert torch.allclose(torch.tensor(completion.logprobs).double(), expected, atol=1e-4)


@pytest.mark.parametrize("kind", [Native, Transformers])
def test_prompts_that_cannot_be_read_are_refused(loaded, kind):
    backend = kind(*loaded)
    with pytest.raises(ValueError, match="a prompt has no tokens"):
        backend.generate([[]], GREEDY)
    with pytest.raises(ValueError, match=f"exceed the model's {backend.positions} positions"):
        backend.generate([[5] * backend.positions], GREEDY)


def test_a_request_is_checked():
    with pytest.raises(ValueError, match="must be at least 1"):
        Request(max_new_tokens=0)
    with pytest.raises(ValueError, match="must not be negative"):
        Request(max_new_tokens=1, temperature=-1.0)


def test_unknown_backends_and_missing_packages_are_one_line(base, monkeypatch, capsys):
    assert set(BACKENDS) >= {"native", "transformers", "vllm"}
    assert main(["evaluate", "--model", base, "--backend", "nope"]) == 2
    assert "unknown backend 'nope'; use native, transformers, vllm" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert main(["evaluate", "--model", base, "--backend", "vllm"]) == 2
    assert "the backend vllm needs the package vllm" in capsys.readouterr().err
    assert main(["evaluate", "--model", base, "--backend", "vllm", "--device", "cpu"]) == 2
    assert "runs on a GPU" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "openai", None)
    assert main(["evaluate", "--model", base, "--backend", "http://127.0.0.1:9"]) == 2
    assert "needs the package openai; install zipthought[server]" in capsys.readouterr().err


# An imitation of vLLM's engine, which generates with our own decoder. It checks the arguments that vLLM knows.
class Parameters(SimpleNamespace):
    KNOWN = frozenset({"n", "temperature", "seed", "max_tokens", "stop_token_ids", "logprobs", "detokenize"})

    def __init__(self, **values):
        assert set(values) <= self.KNOWN
        super().__init__(**values)


def imitation(loaded, keeps_end):
    native = Native(*loaded)

    class LLM:
        def __init__(self, model, **settings):
            assert settings["dtype"] == "bfloat16"
            assert settings["logprobs_mode"] == "processed_logprobs"
            config = SimpleNamespace(max_model_len=native.positions)
            self.llm_engine = SimpleNamespace(model_config=config)
            self.model, self.awake, self.calls = model, {"weights", "kv_cache"}, [settings]

        def sleep(self, level):
            assert level == 2, "level 1 copies the weights, which are not needed again"
            self.calls.append("sleep")
            self.awake = set()

        def wake_up(self, tags):
            self.awake |= set(tags)

        def collective_rpc(self, name):
            assert name == "reload_weights"
            assert self.awake == {"weights"}, "the cache would take the memory that reading needs"
            self.calls.append(name)

        def generate(self, prompts, parameters, use_tqdm):
            assert self.awake == {"weights", "kv_cache"}
            if "enable_sleep_mode" in self.calls[0]:
                native.model = load(self.model)[0]
            return [self.one(p["prompt_token_ids"], s) for p, s in zip(prompts, parameters, strict=True)]

        def one(self, prompt, s):
            request = Request(
                max_new_tokens=s.max_tokens, samples=s.n, temperature=s.temperature, seed=s.seed,
                logprobs=s.logprobs is not None,
            )  # fmt: skip
            (made,) = native.generate([prompt], request)
            return SimpleNamespace(outputs=[self.output(c, keeps_end) for c in made])

        @staticmethod
        def output(c, keeps_end):
            whole = c.ids + ([c.end] if c.end is not None and keeps_end else [])
            logs = None
            if c.logprobs is not None:
                all_ids = c.ids + ([c.end] if c.end is not None else [])
                logs = [{i: SimpleNamespace(logprob=v)} for i, v in zip(all_ids, c.logprobs, strict=True)]
            reason = "length" if c.truncated else "stop"
            return SimpleNamespace(token_ids=tuple(whole), finish_reason=reason, stop_reason=c.end, logprobs=logs)

    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, Parameters
    return module


@pytest.mark.parametrize("keeps_end", [True, False])
def test_vllm_gives_the_tokens_that_its_engine_returns(loaded, base, prompts, monkeypatch, keeps_end):
    monkeypatch.setitem(sys.modules, "vllm", imitation(loaded, keeps_end))
    with open_backend("vllm", base) as backend:
        made = backend.generate(prompts, GREEDY)
        sampled = backend.generate(prompts, SAMPLED)
    assert made == Native(*loaded).generate(prompts, GREEDY)
    assert all(len(c.logprobs) == c.n_tokens for samples in sampled for c in samples)
    assert ids(sampled) != ids([[samples[0]] * 3 for samples in sampled])
    with pytest.raises(AttributeError):
        backend._engine  # noqa: B018


@pytest.mark.parametrize("name", ["native", "transformers", "vllm"])
def test_a_backend_of_a_trained_model_has_its_weights_of_the_moment(name, base, prompts, monkeypatch):
    model, tokenizer = load(base)
    monkeypatch.setitem(sys.modules, "vllm", imitation((model, tokenizer), keeps_end=True))
    with BACKENDS.find(name).of(model, tokenizer, memory=0.4) as backend:
        before = backend.generate(prompts, GREEDY)
        assert ids(before) == ids(Native(model, tokenizer).generate(prompts, GREEDY))
        with torch.no_grad():
            model.model.layers[0].mlp.down_proj.weight.mul_(1000)
        after = backend.generate(prompts, GREEDY)
        assert ids(after) == ids(Native(model, tokenizer).generate(prompts, GREEDY)) != ids(before)
        backend.model, _ = load(base)
        assert ids(backend.generate(prompts, GREEDY)) == ids(before)
        if name == "vllm":
            engine = backend._inner._engine
            files = Path(engine.model)
            assert engine.calls[0]["gpu_memory_utilization"] == 0.4
            assert engine.calls[1:] == ["sleep", "reload_weights", "sleep", "reload_weights", "sleep"]
            assert files.exists()
    assert name != "vllm" or not files.exists()


def test_a_backend_of_a_trained_model_without_vllm_is_one_line(loaded, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ValueError, match="needs the package vllm"):
        CellExecution(generation="vllm").backend(*loaded)
    with pytest.raises(ValueError, match="unknown backend 'nope'; use native, transformers, vllm"):
        CellExecution(generation="nope")


class Handler(BaseHTTPRequestHandler):
    """The completions API of a small server. `server.fault` says what it does wrong."""

    def log_message(self, *_):
        pass

    def answer(self, values, status=200):
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer({"object": "list", "data": self.server.models})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        fault = self.server.fault
        if fault == "busy" and len(self.server.asked) % 2:
            self.answer({"error": {"message": "too many requests"}}, 429)
            return
        if fault == "plain":
            plain = {"model", "prompt", "n", "temperature", "seed", "max_tokens", "logprobs"}
            if not set(asked) <= plain or not isinstance(asked["prompt"], str):
                self.answer({"detail": "Unexpected fields in the request"}, 422)
                return
            asked |= {"n": 1, "prompt": self.server.native.tokenizer(asked["prompt"])["input_ids"]}
        if fault == "refuses":
            self.answer({"error": {"message": "no such model\nand more"}}, 400)
            return
        request = Request(
            max_new_tokens=asked["max_tokens"], samples=asked["n"], temperature=asked["temperature"],
            seed=asked["seed"], logprobs="logprobs" in asked,
        )  # fmt: skip
        with self.server.lock:
            (made,) = self.server.native.generate([asked["prompt"]], request)
        choices = [self.choice(i, c, fault) for i, c in enumerate(made)][: 0 if fault == "empty" else None]
        self.answer({"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": choices})

    @staticmethod
    def choice(i, c, fault):
        whole = c.ids + ([c.end] if c.end is not None else [])
        logs = {"token_logprobs": c.logprobs, "tokens": [], "top_logprobs": [], "text_offset": []}
        values = {
            "index": i, "text": c.text, "finish_reason": "length" if c.truncated else "stop", "stop_reason": c.end,
            "logprobs": logs if c.logprobs is not None else None,
        }  # fmt: skip
        return values if fault in ("texts", "plain") else values | {"token_ids": whole}


@pytest.fixture
def server(loaded, base):
    pytest.importorskip("openai")
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.models = [{"id": base, "object": "model", "created": 1, "owned_by": "us", "max_model_len": 200}]
    http.native, http.lock, http.asked, http.fault = Native(*loaded), threading.Lock(), [], ""
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    yield http
    http.shutdown()
    http.server_close()


def address(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_a_server_gives_the_tokens_of_its_model(server, loaded, base, prompts):
    with open_backend(address(server), base) as backend:
        assert backend.positions == 200
        assert backend.generate(prompts, GREEDY) == Native(*loaded).generate(prompts, GREEDY)
        sampled = backend.generate(prompts, SAMPLED)
        assert all(len(c.logprobs) == c.n_tokens for samples in sampled for c in samples)
        assert backend.generate(prompts, SAMPLED) == sampled
    assert {asked["top_k"] for asked in server.asked} == {0}
    assert len({asked["seed"] for asked in server.asked}) == len(prompts) * 2  # Greedy and sampled.


def test_a_busy_server_is_asked_again(server, loaded, base, prompts):
    server.fault = "busy"
    with open_backend(address(server) + "/v1", base) as backend:
        assert backend.generate(prompts[:2], GREEDY) == Native(*loaded).generate(prompts[:2], GREEDY)
    assert len(server.asked) > 2


def test_a_server_without_token_ids_is_counted_on_its_texts(server, base, prompts):
    server.fault = "texts"
    with open_backend(address(server), base) as backend:
        with pytest.warns(UserWarning, match="the server returns no token ids"):
            made = backend.generate(prompts, GREEDY)
        assert [c.text for samples in made for c in samples]
        assert all(c.n_tokens for samples in made for c in samples)


def test_a_server_that_takes_text_alone_is_given_text(server, loaded, base):
    tokenizer = loaded[1]
    batch = sample_batch(SamplerConfig(n_ops=2), "test", range(2))
    texts = [make_record(batch.problem(i), "explicit", surface="terse", index=i)["prompt"] for i in range(2)]
    prompts = [tokenizer(text)["input_ids"] for text in texts]
    server.fault = "plain"
    with open_backend(address(server), base) as backend:
        with pytest.warns(UserWarning, match="prompts go out as text"):
            made = backend.generate(prompts, GREEDY)
        sampled = backend.generate(prompts, SAMPLED)
    native = Native(*loaded).generate(prompts, GREEDY)
    assert [[c.text for c in samples] for samples in made] == [[c.text for c in samples] for samples in native]
    assert all(len({tuple(c.ids) for c in samples}) > 1 for samples in sampled)


def test_faults_of_a_server_are_one_line(server, base, prompts):
    server.models = [*server.models, {**server.models[0], "id": "second"}]
    with pytest.raises(ValueError, match="does not serve 'other/model'; it has"):
        Server.at(address(server), "other/model")
    backend = open_backend(address(server), base)
    server.fault = "refuses"
    with pytest.raises(ValueError, match=r"failed: .*no such model"):
        backend.generate(prompts, GREEDY)
    server.fault = "empty"
    with pytest.raises(ValueError, match="returned 0 completions instead of 1"):
        backend.generate(prompts, GREEDY)
    server.server_close()
    server.shutdown()
    with pytest.raises(ValueError, match="cannot be asked: Connection error"):
        Server.at(address(server), base)


def test_evaluate_asks_the_backend(server, base, tmp_path, capsys):
    def measured(*options):
        arguments = ["evaluate", "--model", base, "--n-ops", "1", "2", "--count", "4", "--json", *options]
        assert main(arguments) == 0
        return json.loads(capsys.readouterr().out)

    own = measured()
    assert measured("--backend", "transformers") == own
    assert measured("--backend", address(server)) == own
    data = tmp_path / "d.jsonl"
    batch = sample_batch(SamplerConfig(n_ops=2), "test", range(3))
    records = [make_record(batch.problem(i), "explicit", surface="terse", index=i) for i in range(3)]
    data.write_text("".join(json.dumps(record) + "\n" for record in records))
    results = []
    for options in ([], ["--backend", "transformers"]):
        arguments = ["evaluate", "--model", base, "--data", str(data), "--max-new-tokens", "8", "--json", *options]
        assert main(arguments) == 0
        results.append(capsys.readouterr().out.split('"seconds"')[0])
    assert results[0] == results[1]
