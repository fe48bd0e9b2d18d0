"""Prompts, completions, training and stopping with the tokenizers and chat templates of well-known models."""

from __future__ import annotations

import runpy
import subprocess
import sys
import warnings
from importlib import resources
from unittest.mock import MagicMock

import pytest
import torch
from tokenizer_families import FAMILIES
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from zipthought.models.generation import end_of_sequence, generate
from zipthought.models.loading import load, save
from zipthought.models.tokenizer import build_tokenizer
from zipthought.records.chat import completion_ids, end_of_turn, prompt_ids, prompt_text, surface_of
from zipthought.records.chat_template import fold_system, template_of
from zipthought.train.config import OptimizerConfig, RLVRConfig, SFTConfig
from zipthought.train.prompts import RecordPrompts
from zipthought.train.sft import encode, fine_tune
from zipthought.train.trl_engine import _text

SYSTEM, USER, ANSWER = "All numbers are integers.", "What is 2 + 3?", "2 + 3 = 5. Answer: 5."
PROMPT = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
DIALOGUE = [*PROMPT, {"role": "assistant", "content": ANSWER}]
RECORDS = [
    {"messages": [{"role": "system", "content": "Add."}, {"role": "user", "content": question}, answer]}
    for question, answer in (
        ("2 + 3", {"role": "assistant", "content": "is 5."}),
        ("4", {"role": "assistant", "content": "4"}),
    )
]

every_family = pytest.mark.parametrize("name", FAMILIES)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tokenizer_of(name):
    return FAMILIES[name].build()


def tiny(tokenizer):
    """A random Llama whose files name the end of sequence of the tokenizer only, as those of base models do."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


@every_family
def test_a_prompt_has_the_system_text_and_one_beginning_of_sequence(name):
    family, tokenizer = FAMILIES[name], tokenizer_of(name)
    ids = prompt_ids(tokenizer, PROMPT)
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert SYSTEM in text
    assert USER in text
    if family.bos:
        assert ids.count(tokenizer.bos_token_id) == family.bos_in_prompt
        assert ids[:2] != [tokenizer.bos_token_id] * 2
    assert bool(template_of(tokenizer)) == bool(family.template)
    if family.folds:
        assert f"{SYSTEM}\n\n{USER}" in text


@every_family
def test_prompt_and_completion_are_the_dialogue_as_the_template_writes_it(name):
    family, tokenizer = FAMILIES[name], tokenizer_of(name)
    if family.template:
        turns = fold_system(DIALOGUE) if family.folds else DIALOGUE
        fixed = {"enable_thinking": False, "date_string": "26 Jul 2024"}
        text = tokenizer.apply_chat_template(turns, tokenize=False, **fixed)
        before, answer, after = text.rpartition(ANSWER)
        assert family.ends_with in after or name == "no-end"
        text = before + answer + after.partition(family.ends_with)[0].strip() + family.ends_with
        expected = tokenizer(text, add_special_tokens=False).input_ids
    else:
        body = tokenizer(f"{SYSTEM}\n{USER}\n{ANSWER}", add_special_tokens=False).input_ids
        expected = [tokenizer.bos_token_id, *body, tokenizer.eos_token_id]
    completion = completion_ids(tokenizer, ANSWER)
    assert prompt_ids(tokenizer, PROMPT) + completion == expected
    assert completion[-1] == end_of_turn(tokenizer) == tokenizer.convert_tokens_to_ids(family.ends_with)
    example = encode(tokenizer, {"messages": DIALOGUE})
    assert example.ids == expected
    assert example.ids[example.prompt_length :] == completion


@every_family
def test_a_model_learns_its_examples_and_stops_after_them(name):
    tokenizer = tokenizer_of(name)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # As `load` does.
    model = tiny(tokenizer)
    config = SFTConfig(
        steps=80, batch_size=2, optimizer=OptimizerConfig(learning_rate=1e-2, warmup_ratio=0.0, weight_decay=0.0)
    )
    losses = [row["loss"] for row in fine_tune(model, tokenizer, RECORDS, config).loop.history]
    assert losses[1] < losses[0]
    prompts = [prompt_ids(tokenizer, record["messages"][:-1]) for record in RECORDS]
    completions = [c for (c,) in generate(model, tokenizer, prompts, max_new_tokens=20)]
    assert [c.text for c in completions] == [record["messages"][-1]["content"] for record in RECORDS]
    assert [(c.truncated, c.end) for c in completions] == [(False, end_of_turn(tokenizer))] * 2
    longest = max(c.n_tokens for c in completions)
    cut = [c for (c,) in generate(model, tokenizer, prompts, max_new_tokens=longest - 1)]
    assert [c.truncated for c in cut] == [True, False]


@pytest.mark.parametrize("name", ["gpt2", "qwen2.5", "gemma2", "llama3-old-files"])
def test_loading_declares_the_end_of_a_turn_and_says_once_where_the_system_message_goes(name, tmp_path):
    family, tokenizer = FAMILIES[name], tokenizer_of(name)
    save(tiny(tokenizer), tokenizer, tmp_path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model, loaded = load(str(tmp_path), "cpu")
    assert [str(w.message) for w in said if "system role" in str(w.message)] == (
        [f"the chat template of {str(tmp_path)!r} has no system role; system messages go into the first user turn"]
        if family.folds
        else []
    )
    assert loaded.pad_token_id is not None
    declared = model.generation_config.eos_token_id
    ends = {loaded.convert_tokens_to_ids(token) for token in (family.eos, family.ends_with)}
    assert set(declared if isinstance(declared, list) else [declared]) == ends == set(end_of_sequence(model, loaded))
    save(model, loaded, tmp_path / "again")
    assert type(model.generation_config).from_pretrained(tmp_path / "again").eos_token_id == declared


@pytest.mark.long
def test_the_program_says_it_in_one_line(tmp_path):
    tokenizer = tokenizer_of("gemma2")
    save(tiny(tokenizer), tokenizer, tmp_path)
    command = [sys.executable, "-m", "zipthought", "evaluate", "--model", str(tmp_path), "--n-ops", "1", "--count", "1"]
    done = subprocess.run([*command, "--max-new-tokens", "1"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (
        0,
        f"note: the chat template of {str(tmp_path)!r} has no system role; "
        "system messages go into the first user turn\n",
    )


@every_family
def test_trl_receives_a_text_that_becomes_the_same_prompt(name):
    tokenizer = tokenizer_of(name)
    config = RLVRConfig(prompts_per_step=2, max_new_tokens=8)
    for prompt in RecordPrompts(config, tokenizer, RECORDS)(0)[0]:
        assert tokenizer(text=_text(tokenizer, prompt)).input_ids == prompt.ids


@every_family
def test_english_is_known_to_every_family(name):
    assert surface_of(tokenizer_of(name)) == "english"


@pytest.mark.parametrize("template", [None, "{{ bos_token }}{% for m in messages %}{{ m['content'] }} {% endfor %}"])
def test_unknown_text_is_refused_where_the_unknown_token_is_also_the_end(template):
    inner = Tokenizer(models.WordLevel({"<|endoftext|>": 0, "known": 1, "heron": 2}, unk_token="<|endoftext|>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    same = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **same)
    tokenizer.chat_template = template
    turns = [{"role": "user", "content": "known"}, {"role": "assistant", "content": "known known"}]
    assert encode(tokenizer, {"messages": turns}) == ([0, 1, 1, 1, 0], 2)
    for turn in range(2):
        spoilt = [*turns]
        spoilt[turn] = turns[turn] | {"content": "known strange"}
        with pytest.raises(ValueError, match="does not know this text"):
            encode(tokenizer, {"messages": spoilt})


def test_the_prompt_ends_where_the_text_of_the_assistant_begins():
    assert prompt_text(tokenizer_of("qwen3"), PROMPT).endswith("assistant\n<think>\n\n</think>\n\n")
    assert prompt_text(tokenizer_of("no-generation-prompt"), PROMPT).endswith("<|im_start|>assistant\n")
    assert prompt_text(tokenizer_of("drops-system"), PROMPT).endswith("assistant: ")
    thinker = tokenizer_of("qwen3")  # Its generation prompt opens a thought, which its dialogues do not have.
    thinker.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<assistant><think>\n{% endif %}"
    )
    assert prompt_text(thinker, PROMPT).endswith("<assistant><think>\n")
    assert completion_ids(thinker, "so")[-1] == end_of_turn(thinker)


def test_a_prompt_does_not_depend_on_the_day():
    assert "Today Date: 26 Jul 2024" in prompt_text(tokenizer_of("llama3-instruct"), PROMPT)


@pytest.mark.parametrize(
    ("turns", "folded"),
    [
        ([("system", "a"), ("user", "b"), ("assistant", "c")], [("user", "a\n\nb"), ("assistant", "c")]),
        ([("user", "b")], [("user", "b")]),
        ([("system", "a")], [("system", "a")]),
        ([("user", "b"), ("system", "a"), ("user", "c")], [("user", "b"), ("system", "a"), ("user", "c")]),
    ],
)
def test_a_system_message_is_folded_into_the_user_turn_after_it(turns, folded):
    def dicts(pairs):
        return [{"role": role, "content": content} for role, content in pairs]

    assert fold_system(dicts(turns)) == dicts(folded)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ raise_exception('never') }}", "refuses these messages: never"),
        ("{{ messages[0]['content'] }}", "leaves out the assistant's text"),
        ("{% if %}", "refuses these messages"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template, says):
    tokenizer = build_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match=says):
        prompt_ids(tokenizer, PROMPT)


def test_the_template_of_a_tokenizer_may_change():
    tokenizer = tokenizer_of("qwen2.5")
    first = end_of_turn(tokenizer)
    tokenizer.chat_template = None
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id != first


@every_family
@pytest.mark.parametrize("target", ["trl_sft", "chat_reasoning"])
def test_exported_scripts_end_a_turn_as_we_do(name, target, monkeypatch):
    for package in ("trl", "datasets"):  # They are not needed for this function.
        monkeypatch.setitem(sys.modules, package, MagicMock())
    script = resources.files("zipthought.records.export").joinpath("templates", target, "train_sft.py")
    found = runpy.run_path(str(script))["end_of_turn"](tokenizer_of(name))
    assert found == end_of_turn(tokenizer_of(name))
