"""Generation equals a plain loop, and does not depend on the batches."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from transformers import AutoModelForCausalLM, MistralConfig, Qwen2Config

from zipthought.models.generation import end_of_sequence, generate
from zipthought.models.tiny import build_tiny, tiny_config
from zipthought.models.tokenizer import build_tokenizer
from zipthought.records.chat import prompt_ids, prompt_messages
from zipthought.surfaces import render_problem
from zipthought.tasks.sampling import SamplerConfig, sample_batch

TOKENIZER = build_tokenizer()
EOS = TOKENIZER.eos_token_id
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(family: str, seed: int = 0):
    """A random model with large weights, so that no two tokens have almost the same probability."""
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    if family == "qwen2":
        config = Qwen2Config(vocab_size=len(TOKENIZER), num_key_value_heads=2, **small, **SPECIAL)
    elif family == "mistral":  # Its sliding window is shorter than the prompts, so the cache of transformers is used.
        config = MistralConfig(vocab_size=len(TOKENIZER), num_key_value_heads=2, sliding_window=16, **small, **SPECIAL)
    else:
        config = tiny_config(family, "0.2M", len(TOKENIZER), 0, 1, EOS)
    if family in ("qwen2", "mistral"):
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    else:
        model = build_tiny(config, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(6.0)
    return model.eval()


def prompts_of(n_ops: int, count: int) -> list[list[int]]:
    batch = sample_batch(SamplerConfig(n_ops=n_ops), "validation", range(count))
    return [
        prompt_ids(TOKENIZER, prompt_messages(render_problem(batch.problem(i), "terse"), 23, "terse"))
        for i in range(count)
    ]


def naive(model, prompt: list[int], max_new_tokens: int, stop: int) -> list[int]:
    ids = list(prompt)
    for _ in range(max_new_tokens):
        with torch.inference_mode():
            ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        if ids[-1] == stop:
            break
    return ids[len(prompt) :]


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2", "mistral"])
def test_greedy_equals_a_loop_without_cache(family):
    model = tiny(family)
    prompts = [*prompts_of(2, 5), *prompts_of(4, 5), [1], [1, 7]]
    assert len({len(p) for p in prompts}) > 3, "the prompts should differ in length, or no gap is tested"
    free = [naive(model, p, 12, -1) for p in prompts]
    # The end of sequence is a word in the middle of some completions.
    stop = max((x for ids in free for x in ids[1:]), key=[x for ids in free for x in ids[1:]].count)
    model.generation_config.eos_token_id = [EOS, stop]
    expected = [ids[: ids.index(stop)] if stop in ids else ids for ids in free]
    for batch_size in (256, 3, 1):
        got = generate(model, TOKENIZER, prompts, max_new_tokens=12, batch_size=batch_size)
        assert [c.ids for (c,) in got] == expected
        assert [c.truncated for (c,) in got] == [stop not in ids for ids in free]
    assert 0 < sum(stop in ids for ids in free) < len(prompts), "some rows should end early and some not"


def test_an_end_at_once_and_an_end_at_the_last_token():
    model, prompts = tiny("llama"), prompts_of(3, 1)
    first, second = naive(model, prompts[0], 2, -1)
    assert first != second
    model.generation_config.eos_token_id = first
    (done,) = generate(model, TOKENIZER, prompts, max_new_tokens=5, logprobs=True)[0]
    assert (done.ids, done.text, done.truncated, done.n_tokens, len(done.logprobs)) == ([], "", False, 1, 1)
    model.generation_config.eos_token_id = second
    (done,) = generate(model, TOKENIZER, prompts, max_new_tokens=2)[0]
    assert (done.ids, done.truncated, done.n_tokens) == ([first], False, 2)
    (cut,) = generate(model, TOKENIZER, prompts, max_new_tokens=1)[0]
    assert (cut.ids, cut.truncated, cut.n_tokens) == ([first], True, 1)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_samples_do_not_depend_on_the_batch_size(family):
    # In float32, rounding changes about one draw in a hundred of a flat distribution over 1,114 words.
    model, prompts = tiny(family).double(), prompts_of(3, 6)
    settings = {"max_new_tokens": 10, "temperature": 0.7, "seed": 5, "logprobs": True}
    whole = generate(model, TOKENIZER, prompts, samples=4, **settings)
    for batch_size in (1, 5, 7):
        other = generate(model, TOKENIZER, prompts, samples=4, batch_size=batch_size, **settings)
        assert [[c.ids for c in row] for row in other] == [[c.ids for c in row] for row in whole]
        for a, b in zip(chain(*whole), chain(*other), strict=True):
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-3)
    fewer = generate(model, TOKENIZER, prompts[:2], samples=2, **settings)
    assert [[c.ids for c in row] for row in fewer] == [[c.ids for c in row[:2]] for row in whole[:2]]
    shorter = generate(model, TOKENIZER, prompts, samples=4, **{**settings, "max_new_tokens": 4})
    assert [[c.ids for c in row] for row in shorter] == [[c.ids[:4] for c in row] for row in whole]
    assert len({tuple(c.ids) for c in whole[0]}) > 1
    assert whole != generate(model, TOKENIZER, prompts, samples=4, **{**settings, "seed": 6})


def test_sampling_follows_the_distribution_and_leaves_the_global_generator_alone():
    model, prompts = tiny("llama"), prompts_of(2, 1)
    state = torch.random.get_rng_state()
    drawn = generate(model, TOKENIZER, prompts, max_new_tokens=1, samples=4000, temperature=2.0, batch_size=4000)[0]
    assert torch.equal(state, torch.random.get_rng_state())
    with torch.inference_mode():
        wanted = torch.softmax(model(torch.tensor(prompts)).logits[0, -1].double() / 2.0, -1)
    counts = torch.zeros(len(TOKENIZER))
    for completion in drawn:
        counts[completion.ids[0] if completion.ids else EOS] += 1
    top = wanted.topk(5).indices
    assert torch.allclose(counts[top] / 4000, wanted[top].float(), atol=4 * (0.25 / 4000) ** 0.5)


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2"])
def test_logprobs_are_those_of_a_full_forward_pass(family):
    """A single sample has its own copy of the prompt's keys and values; several samples share them."""
    model, prompts = tiny(family), prompts_of(3, 4)
    for temperature, samples in ((0.0, 1), (0.5, 1), (0.5, 3)):
        settings = {"temperature": temperature, "samples": samples, "logprobs": True}
        rows = generate(model, TOKENIZER, prompts, max_new_tokens=8, **settings)
        for prompt, completion in ((p, c) for p, row in zip(prompts, rows, strict=True) for c in row):
            tail = completion.ids if completion.truncated else [*completion.ids, EOS]
            with torch.inference_mode():
                logits = model(torch.tensor([prompt + tail])).logits[0, len(prompt) - 1 : -1]
            expected = torch.log_softmax(logits / (temperature or 1.0), -1)[range(len(tail)), tail]
            assert completion.logprobs == pytest.approx(expected.tolist(), abs=1e-3)


def test_text_is_the_words_joined_by_spaces():
    model, prompts = tiny("llama"), prompts_of(2, 3)
    words = TOKENIZER.convert_ids_to_tokens
    for (completion,) in generate(model, TOKENIZER, prompts, max_new_tokens=9):
        special = set(TOKENIZER.all_special_ids)
        assert completion.text == " ".join(words([i for i in completion.ids if i not in special]))


def test_progress_training_mode_and_no_prompts():
    model, progress = tiny("llama").train(), []
    generate(
        model, TOKENIZER, prompts_of(2, 5), max_new_tokens=2, batch_size=2, on_progress=lambda *x: progress.append(x)
    )
    assert progress == [(2, 5), (4, 5), (5, 5)]
    assert model.training
    assert generate(model, TOKENIZER, [], max_new_tokens=2) == []
    assert end_of_sequence(model, TOKENIZER) == [EOS]


@pytest.mark.parametrize(
    ("prompts", "settings", "words"),
    [
        ([[1]], {"max_new_tokens": 0}, "at least 1"),
        ([[1]], {"max_new_tokens": 2, "samples": 0}, "at least 1"),
        ([[1]], {"max_new_tokens": 2, "temperature": -1.0}, "negative"),
        ([[]], {"max_new_tokens": 2}, "no tokens"),
        ([[1] * 20], {"max_new_tokens": 500}, "512 positions"),
    ],
)
def test_refused_arguments(prompts, settings, words):
    with pytest.raises(ValueError, match=words):
        generate(tiny("gpt2"), TOKENIZER, prompts, **settings)
