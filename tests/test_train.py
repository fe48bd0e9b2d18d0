"""Training: batches, the optimizer, the loss against plain torch, exact resume, EOS and boundaries."""

import json
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from zipthought.models.tiny import build_tiny, grow, tiny_config
from zipthought.models.tokenizer import build_tokenizer
from zipthought.records.chat import messages
from zipthought.records.schema import make_record
from zipthought.surfaces import terse, verify
from zipthought.tasks.sampling import SamplerConfig, sample_batch
from zipthought.tasks.splits import split_of
from zipthought.train.batches import EpochBatches, Example, bucketed, collate
from zipthought.train.checkpoint import read_checkpoint, write_checkpoint
from zipthought.train.config import OptimizerConfig, PretrainConfig, SFTConfig
from zipthought.train.loop import batch_loss, next_token, train_loop
from zipthought.train.muon import orthogonalize
from zipthought.train.pretrain import PretrainStream
from zipthought.train.sft import encode, fine_tune
from zipthought.train.trl_engine import split_evenly


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def tiny(tokenizer, family="llama", seed=0):
    special = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    return build_tiny(tiny_config(family, "0.2M", len(tokenizer), *special), seed)


def some_records(count=12, n_ops=2, fmt="explicit"):
    batch = sample_batch(SamplerConfig(n_ops=n_ops), "train", range(count))
    return [make_record(batch.problem(i), fmt, surface="terse", index=i) for i in range(count)]


def test_every_example_occurs_once_an_epoch_and_little_is_padding():
    lengths = np.random.default_rng(0).integers(10, 200, size=1000)
    batches = bucketed(lengths, 32, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    padded = sum(lengths[b].max() * len(b) for b in batches)
    assert lengths.sum() / padded > 0.94


def test_a_batch_is_a_function_of_its_step():
    examples = [Example(list(range(n)), 1) for n in range(5, 40)]
    first, second = (EpochBatches(examples, 4, seed=3, pad=0) for _ in range(2))
    for step in (17, 0, 30, 8):
        assert torch.equal(first(step).ids, second(step).ids)


def test_the_loss_is_on_completions_with_the_end_of_sequence_and_on_nothing_else(tokenizer):
    record = some_records(1)[0]
    example = encode(tokenizer, record)
    assert tokenizer.decode(example.ids[example.prompt_length :]) == record["completion"] + " <eos>"
    batch = collate([example, Example(example.ids[:20], 15)], tokenizer.pad_token_id)
    assert batch.targets.sum().item() == len(example.ids) - example.prompt_length + 5
    model = tiny(tokenizer)
    loss = batch_loss(model, batch)
    logits = model(input_ids=batch.ids).logits
    labels = batch.ids.masked_fill(~batch.targets, -100)
    expected = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_padding_changes_nothing(tokenizer, family):
    """Right padding is invisible to causal attention, so a short example gives the same loss in any batch."""
    examples = [encode(tokenizer, r) for r in some_records(2) + some_records(1, n_ops=6)]
    model = tiny(tokenizer, family)
    alone = [batch_loss(model, collate([e], tokenizer.pad_token_id)) for e in examples]
    counts = [len(e.ids) - e.prompt_length for e in examples]
    together = batch_loss(model, collate(examples, tokenizer.pad_token_id))
    mean = sum(a.item() * c for a, c in zip(alone, counts, strict=True)) / sum(counts)
    assert together.item() == pytest.approx(mean, abs=1e-5)


def test_prompt_and_completion_meet_at_the_same_tokens_as_the_whole(tokenizer):
    record = some_records(1)[0]
    text = "".join(f"{turn['content']}\n" for turn in record["messages"])
    example = encode(tokenizer, record)
    assert example.ids[1:-1] == tokenizer(text, add_special_tokens=False).input_ids


def test_orthogonalize_moves_singular_values_close_to_one():
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 16, 16), (2, 8, 24), (2, 24, 8)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape, generator=generator)))
        assert values.min() > 0.4
        assert values.max() < 1.3


def test_the_schedule_warms_up_and_decays_to_its_floor():
    config = OptimizerConfig(learning_rate=1.0, warmup_ratio=0.1, min_learning_rate_ratio=0.1)
    factors = [config.factor(step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert factors[-1] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(factors[9:]))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_killed_and_resumed_ends_in_the_same_bytes(tokenizer, tmp_path, optimizer):
    config = SFTConfig(steps=9, batch_size=4, checkpoint_every=4, optimizer=OptimizerConfig(optimizer=optimizer))
    records = some_records()

    def weights(model):
        return torch.cat([p.detach().flatten() for p in model.parameters()]).numpy().tobytes()

    whole = tiny(tokenizer)
    fine_tune(whole, tokenizer, records, config, directory=tmp_path / "whole")

    class Killed(Exception):  # noqa: N818
        pass

    def kill(row):
        if row["step"] == 6:
            raise Killed

    with pytest.raises(Killed):
        fine_tune(tiny(tokenizer), tokenizer, records, config, directory=tmp_path / "cut", on_step=kill)
    resumed = tiny(tokenizer)
    fine_tune(resumed, tokenizer, records, config, directory=tmp_path / "cut", resume=True)
    assert weights(resumed) == weights(whole)
    rows = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in (d / "metrics.jsonl").open()]
        for d in (tmp_path / "whole", tmp_path / "cut")
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 9


def test_a_checkpoint_of_another_configuration_is_refused(tokenizer, tmp_path):
    batches = EpochBatches([encode(tokenizer, r) for r in some_records()], 4, 0, 0)
    model = tiny(tokenizer)
    arguments = {
        "steps": 4,
        "config": OptimizerConfig(learning_rate=1e-3),
        "directory": tmp_path,
        "checkpoint_every": 1,
    }

    class Killed(Exception):  # noqa: N818
        pass

    def kill(row):
        if row["step"] == 3:
            raise Killed

    with pytest.raises(Killed):
        train_loop(model, next_token(model, batches), **arguments, identity={"lr": 1}, on_step=kill)
    with pytest.raises(ValueError, match="another configuration"):
        train_loop(model, next_token(model, batches), **arguments, identity={"lr": 2}, resume=True)


def test_a_checkpoint_knows_its_weights_and_its_data(tokenizer, tmp_path):
    config = SFTConfig(steps=2, batch_size=4, checkpoint_every=1)
    fine_tune(tiny(tokenizer), tokenizer, some_records(), config, directory=tmp_path)
    for model, records in ((tiny(tokenizer, seed=5), some_records()), (tiny(tokenizer), some_records(n_ops=3))):
        with pytest.raises(ValueError, match="another configuration"):
            fine_tune(model, tokenizer, records, config, directory=tmp_path, resume=True)


def damages(content, rng):
    """40 kinds and places of damage to a checkpoint, as (what, content)."""
    for place in (0, 30, 70, 100, len(content) // 2, len(content) - 1, *rng.integers(len(content), size=18).tolist()):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        yield f"a bit of byte {place}", bytes(flipped)
    for size in (0, 1, 50, 98, 200, len(content) // 2, len(content) - 1):
        yield f"cut to {size} bytes", content[:size]
    for low in rng.integers(len(content) - 4096, size=4).tolist():
        yield f"a page of zeros at {low}", content[:low] + bytes(4096) + content[low + 4096 :]
    yield "zeros", bytes(len(content))
    yield "without its digest", content[content.index(b"\n") + 1 :]
    yield "longer", content + b"x"
    yield "twice", content * 2
    yield "another file", b"{}\n"


def test_a_damaged_checkpoint_is_never_trained_from(tokenizer, tmp_path):
    config = SFTConfig(steps=2, batch_size=4)
    records = some_records()
    fine_tune(tiny(tokenizer), tokenizer, records, config, directory=tmp_path)
    file = tmp_path / "checkpoint.pt"
    content = file.read_bytes()
    steps = []

    def resume(model):
        fine_tune(model, tokenizer, records, config, directory=tmp_path, resume=True, on_step=steps.append)

    kinds = list(damages(content, np.random.default_rng(0)))
    assert len(kinds) == 40
    for what, damaged in kinds:
        assert damaged != content, what
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{file} is damaged .*; delete it to start again"):
            fine_tune(
                tiny(tokenizer), tokenizer, records, config, directory=tmp_path, resume=True, on_step=steps.append
            )
    assert not steps
    file.write_bytes(content)
    fine_tune(tiny(tokenizer), tokenizer, records, config, directory=tmp_path, resume=True, on_step=steps.append)
    assert not steps, "the checkpoint is of the last step"


def test_a_checkpoint_with_objects_is_not_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    write_checkpoint(tmp_path / "checkpoint.pt", {"model": Evil()})
    with pytest.raises(ValueError, match="holds other objects than tensors"):
        read_checkpoint(tmp_path / "checkpoint.pt", torch.device("cpu"))
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_is_written_when_a_minute_has_passed(tokenizer, tmp_path, monkeypatch):
    """Updates that take half a minute each, and an interval that the run never reaches."""
    clock = SimpleNamespace(monotonic=lambda: 30.0 * len(seen), perf_counter=time.perf_counter)
    monkeypatch.setattr("zipthought.train.loop.time", clock)
    seen = []
    config = SFTConfig(steps=6, batch_size=4, checkpoint_every=1000)
    file = tmp_path / "checkpoint.pt"

    def watch(row):
        seen.append(file.exists())

    fine_tune(tiny(tokenizer), tokenizer, some_records(), config, directory=tmp_path, on_step=watch)
    assert seen == [False, False, False, True, True, True]


def test_records_that_teach_nothing_are_refused(tokenizer):
    record = some_records(1)[0]
    english = make_record(sample_batch(SamplerConfig(n_ops=2), "train", [0]).problem(0), "explicit")
    for bad, says in (
        ({"messages": []}, "the last one of the assistant"),
        ({"messages": None}, "needs messages"),
        ({"messages": [{"role": "user", "content": "x"}]}, "the last one of the assistant"),
        ({"messages": record["messages"][::-1]}, "the last one of the assistant"),
        ({"messages": [{"role": "user"}, {"role": "assistant", "content": "x"}]}, "messages of"),
        (english, "does not know this text"),
    ):
        with pytest.raises(ValueError, match=says):
            fine_tune(tiny(tokenizer), tokenizer, [record, bad], SFTConfig(steps=1))


def test_records_that_a_chat_template_refuses_are_named():
    tokenizer = build_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(ValueError, match="record 1: the chat template refuses these messages: roles must alternate"):
        fine_tune(tiny(tokenizer), tokenizer, some_records(1), SFTConfig(steps=1))


def test_walks_keep_to_the_training_split(tokenizer):
    stream = PretrainStream(PretrainConfig(batch_size=1), tokenizer)
    rng = np.random.default_rng(0)
    for _ in range(50):
        prompt, completion = stream._walk(rng)
        target = completion.rsplit(" . ", 2)[-2].split(" = ")[0]
        problem = terse.parse_problem(prompt.rpartition("?")[0] + f"? {target}", 23)
        assert split_of(problem.structure) == "train"
        assert verify(completion, problem, "terse").faithful


def test_starts_are_the_first_step_alone(tokenizer):
    mix = {"facts": 0.0, "lookups": 0.0, "walks": 0.0, "batch_size": 8, "n_ops": ((3, 1.0),)}
    rows = {}
    for share in (0.0, 0.5, 1.0):
        stream = PretrainStream(PretrainConfig(starts=share, **mix), tokenizer)
        batches = [stream(step) for step in range(stream.WINDOW)]
        texts = [tokenizer.decode(ids[mask]) for b in batches for ids, mask in zip(b.ids, b.targets, strict=True)]
        rows[share] = [text for text in texts if not text.endswith("<eos>")]
        assert all(text.split()[1] == "=" and text.endswith(" .") and len(text.split()) == 4 for text in rows[share])
        assert len(texts) == 8 * stream.WINDOW
    assert (len(rows[0.0]), len(rows[1.0])) == (0, 8 * stream.WINDOW)
    assert 0.35 < len(rows[0.5]) / (8 * stream.WINDOW) < 0.65


def test_too_long_examples_are_counted_and_an_empty_rest_is_an_error(tokenizer):
    records = some_records(3, n_ops=1) + some_records(2, n_ops=6)
    result = fine_tune(tiny(tokenizer), tokenizer, records, SFTConfig(steps=1, batch_size=2, max_length=60))
    assert (result.examples, result.too_long) == (3, 2)
    with pytest.raises(ValueError, match="raise it"):
        fine_tune(tiny(tokenizer), tokenizer, records, SFTConfig(steps=1, max_length=5))


def test_sft_lowers_the_loss(tokenizer):
    losses = []
    config = SFTConfig(steps=40, batch_size=8, optimizer=OptimizerConfig(learning_rate=3e-3))
    fine_tune(tiny(tokenizer), tokenizer, some_records(8), config, on_step=lambda row: losses.append(row["loss"]))
    assert losses[-1] < 0.5 * losses[0]


def test_the_pretraining_stream_is_a_function_of_its_step_and_holds_what_the_recipe_says(tokenizer):
    config = PretrainConfig(batch_size=8, n_ops=((1, 0.5), (3, 0.5)), facts=0.2, lookups=0.2, walks=0)
    first, second = PretrainStream(config, tokenizer), PretrainStream(config, tokenizer)
    assert torch.equal(first(40).ids, second(40).ids)
    texts = [tokenizer.decode(row, skip_special_tokens=True) for step in range(32) for row in first(step).ids]
    facts = [t for t in texts if "?" not in t]
    lookups = [t for t in texts if "?" in t and not any(f" {op} " in t for op in "+-*")]
    assert 30 < len(facts) < 75
    assert 30 < len(lookups) < 75
    assert len(set(texts)) > 200


def test_a_granularity_mix_mixes(tokenizer):
    config = PretrainConfig(
        batch_size=16, n_ops=((4, 1.0),), facts=0, lookups=0, walks=0, granularity=((1, 0.5), (2, 0.5))
    )
    stream = PretrainStream(config, tokenizer)
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in stream(0).ids]
    steps = {text.split("? ")[1].count(" . ") for text in texts}
    assert len(steps) > 1


def test_a_grown_model_computes_what_it_did_and_learns_in_its_new_layers(tokenizer):
    small = tiny(tokenizer).eval()
    grown = grow(small, 2, seed=1)
    ids = torch.randint(0, len(tokenizer), (2, 20))
    assert torch.equal(small(ids).logits, grown.eval()(ids).logits)
    assert grown.config.num_hidden_layers == small.config.num_hidden_layers + 2
    fine_tune(grown, tokenizer, some_records(4), SFTConfig(steps=2, batch_size=4))
    assert grown.model.layers[-1].mlp.down_proj.weight.abs().max() > 0
    with pytest.raises(ValueError, match="gpt2' cannot grow"):
        grow(tiny(tokenizer, "gpt2"), 1, seed=0)
    with pytest.raises(ValueError, match="needs a model in init"):
        PretrainConfig(grow=1)


def test_messages_state_the_modulus_of_the_record():
    assert messages("p", "c", 7, "terse")[0]["content"] == "mod 7 ."
    assert "modulo 101" in messages("p", "c", 101, "english")[0]["content"]


@pytest.mark.parametrize("count", [48, 47, 6, 5, 2, 1])
def test_a_short_batch_is_split_into_equal_parts(count):
    pieces = split_evenly(list(range(count)), 6)
    assert len(pieces) == 6
    assert len({len(piece) for piece in pieces}) == 1
    assert sorted({i for piece in pieces for i in piece}) == list(range(count))
    assert sum(map(len, pieces)) < count + 6


def test_fine_tune_leaves_held_out_records_out_whoever_calls_it(tokenizer):
    records = some_records(6)
    mixed = [{**records[1], "split": "test"}, *records[:3], {**records[2], "split": "validation"}, *records[3:]]
    del mixed[-1]["split"]
    config = SFTConfig(steps=2, batch_size=3)
    runs = [fine_tune(tiny(tokenizer), tokenizer, given, config) for given in (records, mixed)]
    assert [(run.examples, run.held_out) for run in runs] == [(6, 0), (6, 2)]
    assert runs[0].loop.history[-1]["loss"] == runs[1].loop.history[-1]["loss"], "the same run as without them"
    with pytest.raises(ValueError, match="all 1 records are held out"):
        fine_tune(tiny(tokenizer), tokenizer, mixed[:1], config)
    with pytest.raises(ValueError, match="record 3: "):
        fine_tune(tiny(tokenizer), tokenizer, [*mixed[:2], {"split": "train"}], config)
