"""GRPO: advantages, weights, clip, KL by hand; the gradient against plain torch; exact resume; the prompts."""

import json
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, MistralConfig

from zipthought.cli import main
from zipthought.models.generation import generate
from zipthought.models.tiny import build_tiny, tiny_config
from zipthought.models.tokenizer import build_tokenizer
from zipthought.records.schema import make_record
from zipthought.surfaces import terse, verify
from zipthought.tasks.sampling import SamplerConfig, sample, sample_batch
from zipthought.tasks.splits import split_of
from zipthought.train.config import OptimizerConfig, RLVRConfig
from zipthought.train.grpo import grpo
from zipthought.train.objective import clipped_objective, group_advantages, k3, token_weights
from zipthought.train.policy import token_logprobs
from zipthought.train.prompts import RecordPrompts, SampledPrompts
from zipthought.train.record import trained_structures

SMALL = RLVRConfig(n_ops=(1, 2), prompts_per_step=4, group_size=4, steps=2, max_new_tokens=6, kl_every=0)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def tiny(tokenizer, family="llama", seed=0):
    special = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    if family == "mistral":  # Its cache has sliding windows and cannot hold padding.
        config = MistralConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            sliding_window=16,
            **dict(zip(("pad_token_id", "bos_token_id", "eos_token_id"), special, strict=True)),
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return AutoModelForCausalLM.from_config(config)
    return build_tiny(tiny_config(family, "0.2M", len(tokenizer), *special), seed)


def even_tokens(completion, record, tokens):
    """1 if the first word has an even number of letters. An untrained model earns this reward sometimes."""
    words = completion.split()
    return float(bool(words) and len(words[0]) % 2 == 0)


def no_gold(completion, record, tokens):
    return None


def always_half(completion, record, tokens):
    return 0.5


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_advantages_by_hand():
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.1, 0.1]])
    # Means 1/4 and 1/2; standard deviations (of n-1) sqrt((9 + 3) / 16 / 3) = 1/2 and sqrt(1/3).
    got = group_advantages(rewards)
    assert got[0].tolist() == pytest.approx([0.75 / 0.5001, *[-0.25 / 0.5001] * 3])
    assert got[1].tolist() == pytest.approx([0.5 / (3**-0.5 + 1e-4)] * 2 + [-0.5 / (3**-0.5 + 1e-4)] * 2)
    assert got[2:].tolist() == [[0.0] * 4] * 2, "exactly 0, also where the mean is rounded"
    plain = group_advantages(rewards, "dr-grpo")
    assert plain[0].tolist() == [0.75, -0.25, -0.25, -0.25]
    assert plain[1].tolist() == [0.5, 0.5, -0.5, -0.5]


def test_token_weights_by_hand():
    lengths = torch.tensor([2, 6])
    assert token_weights(lengths, "token", 10).tolist() == pytest.approx([1 / 8, 1 / 8])
    assert token_weights(lengths, "sequence", 10).tolist() == pytest.approx([1 / 4, 1 / 12])
    assert token_weights(lengths, "constant", 10).tolist() == pytest.approx([1 / 20, 1 / 20])


def test_the_clip_by_hand():
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1])
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0, 2.0])
    losses, held = clipped_objective(ratio.log(), torch.zeros(5), advantages, 0.2, 0.3)
    assert losses.tolist() == pytest.approx([-1.3, 1.5, -0.5, 0.8, -2.2])
    assert held.tolist() == [True, False, False, True, False]


def test_k3_has_the_mean_of_the_divergence_and_is_never_negative():
    new, reference = (torch.randn(50, generator=torch.Generator().manual_seed(i)).log_softmax(0) for i in (0, 1))
    exact = (new.exp() * (new - reference)).sum()
    estimates = k3(new, reference)
    assert (new.exp() * estimates).sum().item() == pytest.approx(exact.item(), abs=1e-5)
    assert estimates.min() >= 0
    assert k3(new, new).abs().max() == 0


def rows_of(tokenizer, model, count=3, samples=3):
    """Prompts of several lengths, and sampled completions with the log-probabilities they were drawn with."""
    source = SampledPrompts(replace(SMALL, n_ops=(1, 3), prompts_per_step=count), tokenizer)
    prompts = [prompt.ids for prompt in source(0)[0]]
    drawn = generate(model, tokenizer, prompts, max_new_tokens=9, samples=samples, temperature=0.7, logprobs=True)
    completions = [(index, c) for index, group in enumerate(drawn) for c in group]
    return prompts, [(index, [*c.ids, *([] if c.end is None else [c.end])]) for index, c in completions], completions


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral"])
def test_log_probabilities_with_shared_prompts_are_those_of_the_plain_model(tokenizer, family):
    model = tiny(tokenizer, family)
    prompts, rows, drawn = rows_of(tokenizer, model)
    shared, entropy = token_logprobs(model, prompts, rows, 0.7)
    expected, plain_entropy = [], []
    for index, ids in rows:
        whole = torch.tensor([[*prompts[index], *ids]])
        logs = (model(input_ids=whole).logits[0, len(prompts[index]) - 1 : -1] / 0.7).log_softmax(-1)
        expected.append(logs.gather(1, torch.tensor(ids)[:, None])[:, 0])
        plain_entropy.append(torch.distributions.Categorical(logits=logs).entropy())
    assert torch.allclose(shared, torch.cat(expected), atol=1e-5)
    assert torch.allclose(entropy, torch.cat(plain_entropy), atol=1e-4)
    sampled = torch.tensor([value for _, c in drawn for value in c.logprobs])
    assert torch.allclose(shared, sampled, atol=1e-5), "the sampler's own"
    gradients = []
    for value in (shared, torch.cat(expected)):
        model.zero_grad()
        (value * torch.linspace(-1, 1, len(value))).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.allclose(*gradients, atol=1e-4)


def reference_step(model, tokenizer, config):
    """The gradient of one step of GRPO in plain code: each completion is read alone, with its prompt."""
    prompts, budget = SampledPrompts(config, tokenizer)(0)
    from zipthought.train.grpo import _rollout_seed

    drawn = generate(
        model,
        tokenizer,
        [prompt.ids for prompt in prompts],
        max_new_tokens=budget,
        samples=config.group_size,
        temperature=config.temperature,
        seed=_rollout_seed(config.seed, 0),
    )
    lengths = [len(c.ids) + (c.end is not None) for group in drawn for c in group]
    loss = torch.zeros(())
    for prompt, group in zip(prompts, drawn, strict=True):
        rewards = torch.tensor([even_tokens(c.text, prompt.record, 0) for c in group])
        for c, r in zip(group, rewards, strict=True):
            advantage = r - rewards.mean()
            if config.advantage == "grpo":
                advantage = advantage / (rewards.std() + 1e-4)
            ids = [*c.ids, *([] if c.end is None else [c.end])]
            logits = model(input_ids=torch.tensor([prompt.ids + ids])).logits[0, len(prompt.ids) - 1 : -1]
            chosen = (logits / config.temperature).log_softmax(-1).gather(1, torch.tensor(ids)[:, None])
            # Before the first update the gradient of the ratio is that of the log-probability.
            if config.loss == "token":
                loss = loss - advantage * chosen.sum() / sum(lengths)
            elif config.loss == "sequence":
                loss = loss - advantage * chosen.mean() / len(lengths)
            else:
                loss = loss - advantage * chosen.sum() / len(lengths) / budget
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize(
    ("advantage", "loss", "micro_batch"), [("grpo", "token", 64), ("dr-grpo", "constant", 5), ("grpo", "sequence", 1)]
)
def test_the_gradient_is_that_of_plain_torch(tokenizer, advantage, loss, micro_batch):
    """Skipping completions with advantage 0 and the size of micro-batches do not change the gradient."""
    config = replace(
        SMALL,
        reward=f"{__name__}:even_tokens",
        advantage=advantage,
        loss=loss,
        micro_batch=micro_batch,
        prompts_per_step=16,
        steps=1,
        optimizer=OptimizerConfig(learning_rate=1e-3, gradient_clip=1e-9, warmup_ratio=0.0, weight_decay=0.0),
    )
    expected = reference_step(tiny(tokenizer), tokenizer, config)
    model = tiny(tokenizer)
    seen = []
    rows = []
    step = torch.optim.AdamW.step

    def watch(optimizer, *args, **kwargs):
        if not seen:
            seen.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
        return step(optimizer, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", watch)
        grpo(model, tokenizer, SampledPrompts(config, tokenizer), config, on_step=rows.append)
    scale = expected.norm()  # Clipping has scaled the gradient to 1e-9.
    assert rows[0]["gradient_norm"] == pytest.approx(scale.item(), rel=1e-3)
    assert torch.allclose(seen[0] * 1e9, expected / scale, atol=1e-3)
    assert 0 < rows[0]["zero_variance"] < 1, "groups with equal and with different rewards occur"


def test_a_step_without_differences_changes_no_weight_and_is_counted(tokenizer):
    for name, row in (("always_half", (0.5, 1.0, 0)), ("no_gold", (None, 0.0, 4))):
        model, rows = tiny(tokenizer), []
        before = weights(model)
        config = replace(SMALL, reward=f"{__name__}:{name}")
        grpo(model, tokenizer, SampledPrompts(config, tokenizer), config, on_step=rows.append)
        assert torch.equal(weights(model), before)
        assert (rows[0]["reward"], rows[0]["zero_variance"], rows[0]["skipped"]) == row
        assert rows[0]["loss"] is None
        assert rows[0]["tokens"] > 0


def test_the_divergence_is_measured_and_holds_the_policy_back(tokenizer):
    free, held = (
        replace(
            SMALL,
            reward=f"{__name__}:even_tokens",
            steps=12,
            max_new_tokens=2,
            group_size=16,
            kl=kl,
            kl_every=1,
            optimizer=OptimizerConfig(learning_rate=1e-2),
        )
        for kl in (0.0, 3.0)
    )
    ends = []
    for config in (free, held):
        rows = []
        grpo(tiny(tokenizer), tokenizer, SampledPrompts(config, tokenizer), config, on_step=rows.append)
        assert rows[-1]["kl"] > 0
        ends.append(sum(row["kl"] for row in rows[-3:]))
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-6), "the first rollouts come from the reference itself"
    assert ends[1] < 0.5 * ends[0]


def test_reward_rises(tokenizer):
    config = replace(
        SMALL,
        reward=f"{__name__}:even_tokens",
        steps=30,
        passes=2,
        group_size=16,
        max_new_tokens=2,
        optimizer=OptimizerConfig(learning_rate=1e-2),
    )
    rows = []
    grpo(tiny(tokenizer), tokenizer, SampledPrompts(config, tokenizer), config, on_step=rows.append)
    first, last = (sum(row["reward"] for row in part) / 3 for part in (rows[:3], rows[-3:]))
    assert last > 0.85 > 0.7 > first


def test_killed_at_a_random_step_and_resumed_ends_in_the_same_bytes(tokenizer, tmp_path):
    config = replace(SMALL, reward=f"{__name__}:even_tokens", steps=7, checkpoint_every=2, kl=0.1)
    prompts = SampledPrompts(config, tokenizer)
    whole = tiny(tokenizer)
    grpo(whole, tokenizer, prompts, config, directory=tmp_path / "whole")
    killed_at = random.Random().randint(3, 6)

    class Killed(Exception):  # noqa: N818
        pass

    def kill(row):
        if row["step"] == killed_at:
            raise Killed

    with pytest.raises(Killed):
        grpo(tiny(tokenizer), tokenizer, prompts, config, directory=tmp_path / "cut", on_step=kill)
    resumed = tiny(tokenizer)
    grpo(resumed, tokenizer, prompts, config, directory=tmp_path / "cut", resume=True)
    assert weights(resumed).numpy().tobytes() == weights(whole).numpy().tobytes()
    rows = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in (d / "metrics.jsonl").open()]
        for d in (tmp_path / "whole", tmp_path / "cut")
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 7
    with pytest.raises(ValueError, match="another configuration"):
        grpo(tiny(tokenizer, seed=3), tokenizer, prompts, config, directory=tmp_path / "cut", resume=True)


def test_held_out_records_and_excluded_structures_are_no_prompts(tokenizer):
    batch = sample_batch(SamplerConfig(n_ops=2), "train", range(6))
    records = [make_record(batch.problem(i), "explicit", surface="terse", index=i) for i in range(6)]
    for record, split in zip(records, ("train", "test", "validation"), strict=False):
        record["split"] = split
    del records[3]["split"]
    prompts = RecordPrompts(SMALL, tokenizer, records, {records[5]["structure"]})
    assert prompts.held_out == 2
    assert prompts.records == [records[0], records[3], records[4]]
    with pytest.raises(ValueError, match="all 2 records are held out"):
        RecordPrompts(SMALL, tokenizer, records[1:3])


def test_each_completion_is_verified_once_a_step_and_no_prompt_is_parsed(tokenizer, monkeypatch):
    import zipthought.train.prompts as module

    calls = []

    def counted(text, problem, surface):
        calls.append(text)
        return verify(text, problem, surface)

    def refused(*_):
        raise AssertionError("a problem was parsed")

    prompts = SampledPrompts(SMALL, tokenizer)
    monkeypatch.setattr(module, "verify", counted)
    monkeypatch.setattr(module, "problem_of", refused)
    monkeypatch.setattr(module, "verdict_or_none", refused)
    result = grpo(tiny(tokenizer), tokenizer, prompts, replace(SMALL, reward="faithful"))
    assert len(calls) == 2 * 4 * 4
    assert all(row["faithful"] is not None for row in result.history)


def test_records_of_real_solutions_are_verified_by_their_family(tokenizer):
    record = {
        "prompt": "?",
        "surface": "gsm8k",
        "answer": "7",
        "messages": [{"role": "user", "content": "answer"}],
    }
    ((prompt, *_), _) = RecordPrompts(SMALL, tokenizer, [record])(0)
    assert prompt.problem is None
    assert prompt.verify("3 + 4 = <<3+4=7>>7\n#### 7").answer == "correct"
    assert prompt.verify("#### 8").answer == "wrong"
    ((broken, *_), _) = RecordPrompts(SMALL, tokenizer, [record | {"surface": "terse"}])(0)
    assert broken.verify("answer 7 .") is None


def test_rlvr_on_trees(tokenizer):
    config = replace(SMALL, task="tree:width=2", n_ops=(3,), reward=f"{__name__}:even_tokens")
    prompts = SampledPrompts(config, tokenizer)
    assert all(not prompt.problem.is_chain and prompt.problem.width == 2 for prompt in prompts(0)[0])
    result = grpo(tiny(tokenizer), tokenizer, prompts, config)
    assert result.steps == 2
    assert all(row["reward"] is not None for row in result.history)
    with pytest.raises(ValueError, match="unknown task"):
        replace(SMALL, task="forest")


def test_a_checkpoint_of_another_task_is_refused(tokenizer, tmp_path):
    config = replace(SMALL, checkpoint_every=1)
    prompts = SampledPrompts(config, tokenizer)
    grpo(tiny(tokenizer), tokenizer, prompts, config, directory=tmp_path)
    with pytest.raises(ValueError, match="another configuration"):
        grpo(tiny(tokenizer), tokenizer, prompts, replace(config, task="tree"), directory=tmp_path, resume=True)
    assert grpo(tiny(tokenizer), tokenizer, prompts, config, directory=tmp_path, resume=True).steps == 2


def test_sampled_prompts_are_of_the_train_split_without_excluded_structures(tokenizer):
    config = replace(SMALL, n_ops=(1, 2, 4), prompts_per_step=30)
    everything = sample_batch(SamplerConfig(n_ops=1), "train", range(400)).structure
    excluded = set(random.Random(0).sample(sorted(set(everything)), 30))
    source = SampledPrompts(config, tokenizer, excluded)
    prompts, budget = source(3)
    assert prompts == SampledPrompts(config, tokenizer, excluded)(3)[0]
    assert [prompt.record["n_ops"] for prompt in prompts] == [1, 2, 4] * 10
    for prompt in prompts:
        problem = terse.parse_problem(prompt.record["prompt"], 23)
        assert problem == prompt.problem
        assert split_of(problem.structure) == "train"
        assert problem.structure not in excluded
        assert prompt.record["answer"] == str(problem.answer)
    assert prompts != source(4)[0]
    assert budget == 6
    with pytest.raises(ValueError, match="raise n_ops"):
        SampledPrompts(replace(config, n_ops=(1,)), tokenizer, set(everything))(0)


def test_problems_of_a_file_come_once_an_epoch(tokenizer):
    batch = sample_batch(SamplerConfig(n_ops=2), "train", range(10))
    records = [make_record(batch.problem(i), "composed:2", surface="terse", index=i) for i in range(10)]
    source = RecordPrompts(replace(SMALL, max_new_tokens=None), tokenizer, records)
    order = [prompt.record["id"] for step in range(5) for prompt in source(step)[0]]
    assert sorted(order[:10]) == sorted(order[10:]) == sorted(r["id"] for r in records)
    assert order[:10] != order[10:]
    longest = max(len(r["completion"].split()) + 1 for r in records)
    assert source(0)[1] == longest * 5 // 4 + 16
    with pytest.raises(ValueError, match="record 1"):
        RecordPrompts(SMALL, tokenizer, [{"prompt": "x"}])
    english = make_record(batch.problem(0), "composed:2")
    with pytest.raises(ValueError, match="does not know this text"):
        RecordPrompts(SMALL, tokenizer, [english])
    with pytest.raises(ValueError, match="does not know this text"):
        SampledPrompts(replace(SMALL, surface="english"), tokenizer)(0)
    with pytest.raises(ValueError, match="no problems"):
        RecordPrompts(SMALL, tokenizer, [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"advantage": "ppo"}, "use grpo, dr-grpo"),
        ({"loss": "words"}, "use token, sequence"),
        ({"split": "test"}, "held out"),
        ({"group_size": 1}, "group_size"),
        ({"temperature": 0.0}, "above 0"),
        ({"clip": 0.0}, "clip"),
        ({"n_ops": ()}, "n_ops"),
        ({"engine": "x"}, "engine"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(SMALL, **change)


def test_rlvr_excludes_the_structures_of_the_sft_data(tiny_base, tmp_path, capsys):
    data = ["generate", "--n-ops", "1", "--count", "20", "--format", "explicit", "--surface", "terse"]
    assert main([*data, "--output-dir", str(tmp_path / "data"), "--json"]) == 0
    file = Path(json.loads(capsys.readouterr().out)["files"]["explicit"])
    sft = ["train", "sft", "--model", str(tiny_base), "--data", str(file), "--output-dir", str(tmp_path / "sft")]
    assert main([*sft, "--steps", "2", "--threads", "1"]) == 0
    seen = {json.loads(line)["structure"] for line in file.open()}
    assert trained_structures(str(tmp_path / "sft")) == seen
    capsys.readouterr()
    rl = ["train", "rlvr", "--model", str(tmp_path / "sft"), "--output-dir", str(tmp_path / "rl"), "--n-ops", "1", "2"]
    small = ["--steps", "2", "--prompts-per-step", "2", "--group-size", "2", "--max-new-tokens", "4", "--threads", "1"]
    assert main([*rl, *small, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["steps"] == 2
    assert summary["tokens"] > 0
    rows = [json.loads(line) for line in (tmp_path / "rl" / "metrics.jsonl").open()]
    assert len(rows) == 2
    assert {"reward", "zero_variance", "kl", "entropy", "response_tokens", "truncated", "ops_per_step"} <= set(rows[0])
    again = file.read_text()
    file.unlink()
    (tmp_path / "sft").rename(tmp_path / "moved")
    for name in ("moved", "rl"):
        assert trained_structures(str(tmp_path / name)) == seen, "the models hold them themselves"
    assert main([*rl, *small]) == 2, "a finished model is not overwritten"
    file.write_text(again)
    same = ["train", "rlvr", "--model", str(tmp_path / "moved"), "--output-dir", str(tmp_path / "same")]
    same += ["--data", str(file)]
    capsys.readouterr()
    assert main([*same, *small]) == 2
    assert "the structures of all 20 records were used in SFT or are excluded; use other records, or " in (
        " ".join(capsys.readouterr().err.split())
    )
    assert main([*same, *small, "--repeat-sft-problems"]) == 0
    assert trained_structures(str(tmp_path / "same")) == seen
    assert main(["train", "rlvr", "--output-dir", str(tmp_path / "x"), "--reward", "nonsense"]) == 2


@pytest.mark.long
def test_the_command_killed_by_sigkill_and_resumed_writes_the_same_weights(tiny_base, tmp_path):
    """SIGKILL at a random moment."""
    command = ["train", "rlvr", "--model", str(tiny_base), "--n-ops", "1"]
    command += ["--steps", "24", "--prompts-per-step", "2", "--group-size", "2", "--max-new-tokens", "4"]
    command += ["--checkpoint-every", "1", "--threads", "1", "--kl", "0.1", "--output-dir"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    running = subprocess.Popen(
        [sys.executable, "-m", "zipthought", *command, str(tmp_path / "cut")],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    metrics = tmp_path / "cut.partial" / "metrics.jsonl"
    while running.poll() is None and (not metrics.exists() or metrics.read_text().count("\n") < random.randint(2, 8)):
        time.sleep(0.005)
    running.kill()
    running.wait()
    assert main([*command, str(tmp_path / "cut"), "--resume"]) == 0
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    assert len((tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()) == 24
    assert not (tmp_path / "cut.partial").exists()


def test_records_of_an_unknown_surface_are_refused(tokenizer):
    record = make_record(sample(n_ops=3), "explicit", surface="terse")
    with pytest.raises(ValueError, match="record 1: there is no surface 'klingon'; is a plugin missing"):
        RecordPrompts(RLVRConfig(), tokenizer, [record | {"surface": "klingon"}])


def test_training_in_which_nothing_could_be_rewarded_is_no_success(tiny_base, tmp_path, capsys):
    """Prompts that state no problem: every completion is skipped, and the exit code says so."""
    record = make_record(sample(n_ops=3), "explicit", surface="terse") | {"prompt": "kites ?"}
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(record) + "\n")
    words = ["--data", data, "--model", tiny_base, "--output-dir", tmp_path / "rl"]
    code = main(["train", "rlvr", *map(str, words), *["--steps", "1", "--prompts-per-step", "1", "--group-size", "2"]])
    assert code == 1
    assert "no completion could be rewarded" in capsys.readouterr().err
