"""The engine `trl` on tiny random models: the same losses as ours, the same metrics, LoRA, resume, the command."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tokenizer_families import FAMILIES
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, Qwen2Config

from zipthought.cli import main
from zipthought.files.atomic import write_text
from zipthought.models.loading import load
from zipthought.models.tokenizer import build_tokenizer
from zipthought.records.chat import completion_ids, end_of_turn
from zipthought.records.schema import canonical_json, make_record
from zipthought.study import runner
from zipthought.study.spec import make_spec
from zipthought.study.store import Store
from zipthought.study.workspace import Workspace
from zipthought.tasks.sampling import SamplerConfig, sample_batch
from zipthought.train.config import Execution, OptimizerConfig, RLVRConfig, SFTConfig, TRLConfig
from zipthought.train.grpo import grpo
from zipthought.train.prompts import RecordPrompts, SampledPrompts
from zipthought.train.record import trained_structures
from zipthought.train.rollouts import Rollout
from zipthought.train.sft import encode, fine_tune

pytest.importorskip("trl")
from peft import PeftModel
from trl import GRPOConfig

from zipthought.train import trl_common
from zipthought.train.trl_common import Metrics, Share, share_of
from zipthought.train.trl_engine import _grpo_arguments, _Rewards, rlvr_with_trl, sft_with_trl

pytestmark = pytest.mark.integration

TEMPLATE = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
ARCHITECTURES = {"qwen2": Qwen2Config, "llama": LlamaConfig}


def words(template=TEMPLATE):
    tokenizer = build_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def tiny(family, tokenizer=None):
    tokenizer = tokenizer or build_tokenizer()
    config = ARCHITECTURES[family](
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def some_records(count=40):
    batch = sample_batch(SamplerConfig(n_ops=2), "train", range(count))
    return [make_record(batch.problem(i), "composed:2", surface="terse", index=i) for i in range(count)]


def rows_of(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").open()]


@pytest.mark.parametrize(
    ("family", "micro_batch", "padding_free"), [("qwen2", 0, False), ("llama", 4, False), ("qwen2", 4, True)]
)
def test_sft_losses_agree_over_20_steps(family, micro_batch, padding_free, tmp_path):
    config = SFTConfig(
        steps=20, batch_size=8, micro_batch=micro_batch, optimizer=OptimizerConfig(learning_rate=3e-3), seed=1
    )
    ours = fine_tune(tiny(family), words(), some_records(), config, directory=tmp_path / "ours")
    config = replace(config, engine="trl", trl=TRLConfig(padding_free=padding_free))
    theirs = sft_with_trl(tiny(family), words(), some_records(), config, directory=tmp_path / "theirs")
    assert ours.examples == theirs.examples == 40
    pairs = list(zip(rows_of(tmp_path / "ours"), rows_of(tmp_path / "theirs"), strict=True))
    assert len(pairs) == 20
    for mine, other in pairs:
        assert other["loss"] == pytest.approx(mine["loss"], abs=1e-4)
        assert other["gradient_norm"] == pytest.approx(mine["gradient_norm"], rel=1e-3)
        assert other["learning_rate"] == pytest.approx(mine["learning_rate"])
        assert (other["step"], other["tokens"]) == (mine["step"], mine["tokens"])
    assert pairs[-1][0]["loss"] < pairs[0][0]["loss"]
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs")
    assert saved.config.model_type == family
    assert AutoTokenizer.from_pretrained(tmp_path / "theirs").chat_template == TEMPLATE
    assert not list((tmp_path / "theirs").glob("checkpoint-*"))


def length_reward(completion, record, tokens):
    return float(completion.split()[:1] > ["m"])


@pytest.mark.parametrize(("family", "template"), [("qwen2", TEMPLATE), ("llama", None)])
def test_rlvr_writes_the_same_metrics_and_learns(family, template, tmp_path):
    config = RLVRConfig(
        n_ops=(1, 2),
        steps=30,
        prompts_per_step=4,
        group_size=8,
        micro_batch=16,
        max_new_tokens=4,
        kl=0.001,
        reward=f"{__name__}:length_reward",
        optimizer=OptimizerConfig(learning_rate=1e-2, min_learning_rate_ratio=1.0),
    )
    tokenizer = words(template)
    for name, train in (("ours", grpo), ("theirs", rlvr_with_trl)):
        tiny(family).save_pretrained(tmp_path / "base")  # TRL reads the reference of the KL term from there.
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
        train(model, tokenizer, SampledPrompts(config, tokenizer), config, directory=tmp_path / name)
    ours, theirs = rows_of(tmp_path / "ours"), rows_of(tmp_path / "theirs")
    assert len(ours) == len(theirs) == 30
    assert set(theirs[0]) == set(ours[0])
    for row in theirs:
        assert 0 <= row["reward"] <= 1
        assert 0 <= row["zero_variance"] <= 1
        assert row["response_tokens"] <= 4
        assert row["kl"] is not None
    for rows in (ours, theirs):
        assert sum(r["reward"] for r in rows[-5:]) > sum(r["reward"] for r in rows[:5])


def test_a_reward_that_compares_a_group_is_that_of_the_native_engine(tmp_path):
    """Both engines score the same completions alike, whole groups at a time."""
    model, tokenizer = load("bundled", training=True)
    config = RLVRConfig(
        steps=1, n_ops=(2,), prompts_per_step=4, group_size=4, max_new_tokens=40, reward="group-length:alpha=0.5"
    )
    prompts = SampledPrompts(config, tokenizer)
    rewards = _Rewards(prompts(0)[0], tokenizer, [tokenizer.eos_token_id], config)
    texts = [f"answer {prompts(0)[0][n // 4].record['answer']} ." for n in range(16)]
    ids = [[5] * (20 + n % 4) for n in range(16)]
    scores = rewards(None, texts, ids, [n // 4 for n in range(16)])
    assert len(set(scores)) == 4
    assert scores == [scores[n % 4] for n in range(16)]
    assert scores[:4] == sorted(scores[:4], reverse=True)
    with pytest.raises(ValueError, match="let each process have whole groups"):
        rewards(None, texts[:6], ids[:6], [n // 4 for n in range(6)])
    result = rlvr_with_trl(model, tokenizer, prompts, config, directory=tmp_path)
    assert 0 < result.history[0]["reward"] < 1


def any_reward(completion, record, tokens):
    return float(tokens)


@pytest.mark.parametrize("name", ["gpt2", "qwen2.5", "gemma2", "mistral"])
def test_rollouts_stop_at_the_end_of_a_turn(name, tmp_path):
    """The model has learned one answer, and its files do not name the token that ends it."""
    tokenizer = FAMILIES[name].build()
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    turns = [("system", "Add."), ("user", "2 + 3"), ("assistant", "is 5.")]
    record = {"messages": [{"role": role, "content": content} for role, content in turns], "prompt": "2 + 3"}
    model = tiny("llama", tokenizer)
    fine_tune(model, tokenizer, [record], SFTConfig(steps=60, optimizer=OptimizerConfig(learning_rate=1e-2)))
    config = RLVRConfig(
        steps=1, prompts_per_step=1, group_size=4, max_new_tokens=12, temperature=0.1, reward=f"{__name__}:any_reward"
    )
    rlvr_with_trl(model, tokenizer, RecordPrompts(config, tokenizer, [record]), config, directory=tmp_path)
    (row,) = rows_of(tmp_path)
    assert (row["truncated"], row["response_tokens"]) == (0.0, len(completion_ids(tokenizer, "is 5.")))
    assert row["reward"] == row["response_tokens"], "the end is one of its tokens"
    saved = GenerationConfig.from_pretrained(tmp_path).eos_token_id
    assert end_of_turn(tokenizer) in (saved if isinstance(saved, list) else [saved])


def test_passes_count_as_one_step(tmp_path):
    config = RLVRConfig(n_ops=(1,), steps=3, prompts_per_step=2, group_size=2, passes=2, max_new_tokens=3)
    tokenizer = words()
    result = rlvr_with_trl(tiny("qwen2"), tokenizer, SampledPrompts(config, tokenizer), config, directory=tmp_path)
    assert [row["step"] for row in rows_of(tmp_path)] == [1, 2, 3]
    assert result.steps == 3


def logits_of(model):
    torch.manual_seed(0)
    with torch.no_grad():
        return model.eval()(input_ids=torch.randint(3, 40, (2, 12))).logits


def test_adapters_are_saved_and_merged_into_the_saved_model(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # An access to the hub fails here.
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", refuse)
    optimizer = OptimizerConfig(learning_rate=1e-2)
    config = SFTConfig(engine="trl", steps=3, batch_size=4, optimizer=optimizer, trl=TRLConfig(lora_rank=4))
    tiny("qwen2").save_pretrained(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    sft_with_trl(model, words(), some_records(), config, directory=tmp_path / "out")
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(after.get_input_embeddings().weight, before.get_input_embeddings().weight), "only the adapters"
    assert (logits_of(after) - logits_of(before)).abs().max() > 1e-3
    adapted = PeftModel.from_pretrained(before, tmp_path / "out" / "adapters")
    torch.testing.assert_close(logits_of(adapted), logits_of(after), rtol=1e-4, atol=1e-5)
    assert adapted.peft_config["default"].r == 4


def test_adapters_of_sharded_weights_are_merged_as_those_of_one_process(tmp_path, monkeypatch):
    """With FSDP the weights are gathered first. Here the trainer only says that they are sharded."""
    tiny("qwen2").save_pretrained(tmp_path / "base")
    config = SFTConfig(engine="trl", steps=2, batch_size=4, trl=TRLConfig(lora_rank=4))
    for name, sharded in (("one", False), ("sharded", True)):
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
        monkeypatch.setattr(trl_common, "_is_sharded", lambda accelerator, sharded=sharded: sharded)
        sft_with_trl(model, words(), some_records(), config, directory=tmp_path / name)
    one, other = ({p.name: p for p in (tmp_path / name).rglob("*") if p.is_file()} for name in ("one", "sharded"))
    assert set(one) == set(other)
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("base", "one", "sharded")]
    same = [torch.equal(a, b) for a, b in zip(*(m.parameters() for m in models[:2]), strict=True)]
    assert not all(same)
    for a, b in zip(*(m.parameters() for m in models[1:]), strict=True):
        assert torch.equal(a, b)
    for name in ("adapter_model.safetensors", "generation_config.json"):
        assert one[name].read_bytes() == other[name].read_bytes()


SHARDED = """
import sys
import torch
import torch.distributed as dist
from peft import LoraConfig, get_peft_model
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM
from zipthought.train.trl_common import merged_copy

dist.init_process_group("gloo")
torch.manual_seed(0)
config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
model = get_peft_model(AutoModelForCausalLM.from_pretrained(sys.argv[1]), config)
whole = {name: value.clone() for name, value in model.state_dict().items()}
mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (2,))
for layer in model.get_base_model().model.layers:
    fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
part = next(p for name, p in model.named_parameters() if "lora_A" in name)
assert part.to_local().numel() < part.numel(), "each process has a part of it"
state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
if dist.get_rank() == 0:
    merged_copy(model, state).save_pretrained(sys.argv[2])
    alone = get_peft_model(AutoModelForCausalLM.from_pretrained(sys.argv[1]), config)
    alone.load_state_dict(whole)
    alone.merge_and_unload().save_pretrained(sys.argv[3])
dist.barrier()
dist.destroy_process_group()
"""


def test_adapters_of_weights_that_two_processes_share_are_merged(tmp_path):
    """FSDP2 on two CPU processes, without accelerate, which has FSDP on GPUs alone."""
    tiny("qwen2").save_pretrained(tmp_path / "base")
    script = tmp_path / "sharded.py"
    write_text(script, SHARDED)
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29611", script]
    run += [tmp_path / "base", tmp_path / "merged", tmp_path / "alone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(w) for w in run], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("merged", "alone")]
    for a, b in zip(*(m.parameters() for m in models), strict=True):
        assert torch.equal(a, b)


def refuse(*arguments, **options):
    raise AssertionError("the hub was asked")


@pytest.mark.parametrize("options", [[], ["--lora-rank", "2"]], ids=["all weights", "lora"])
def test_the_saved_model_has_the_type_that_was_requested(options, tmp_path):
    tiny("qwen2").save_pretrained(tmp_path / "base")
    words().save_pretrained(tmp_path / "base")
    data = tmp_path / "data.jsonl"
    write_text(data, "".join(canonical_json(r) + "\n" for r in some_records(8)))
    sft = ["train", "sft", "--engine", "trl", "--model", str(tmp_path / "base"), "--data", str(data), "--steps", "2"]
    sft += ["--batch-size", "4", *options]
    assert main([*sft, "--output-dir", str(tmp_path / "whole")]) == 0
    assert main([*sft, "--output-dir", str(tmp_path / "half"), "--save-dtype", "bfloat16"]) == 0
    whole, half = (AutoModelForCausalLM.from_pretrained(tmp_path / name, dtype="auto") for name in ("whole", "half"))
    assert (whole.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    for exact, rounded in zip(whole.parameters(), half.parameters(), strict=True):
        assert torch.equal(exact.to(torch.bfloat16), rounded)
    adapters = [tmp_path / name / "adapters" / "adapter_model.safetensors" for name in ("whole", "half")]
    assert [path.exists() for path in adapters] == [bool(options)] * 2
    if options:
        assert adapters[0].read_bytes() == adapters[1].read_bytes()
        rate = json.loads((tmp_path / "half" / "run.json").read_text())["config"]["optimizer"]["learning_rate"]
        assert rate == pytest.approx(1e-2), "ten times the rate of all weights"


def test_metrics_of_a_step_have_what_trl_logs_on_vllm(tmp_path):
    config = RLVRConfig(engine="trl", trl=TRLConfig(vllm="colocate", vllm_correction="token_truncate"))
    rewards = _Rewards([], words(), [0], config)
    rewards._rollouts = [Rollout(prompt=0, ids=[5, 0], text="", truncated=False, logprobs=[], verdict=None)]
    metrics = Metrics(tmp_path, rewards.row, 1, None)
    state, arguments = SimpleNamespace(global_step=0, is_world_process_zero=True), SimpleNamespace()
    metrics.on_train_begin(arguments, state, None)
    sampling = {
        "sampling/sampling_logp_difference/mean": 0.012,
        "sampling/sampling_logp_difference/max": 0.3,
        "sampling/importance_sampling_ratio/min": 0.9,
        "sampling/importance_sampling_ratio/mean": 1.0,
        "sampling/importance_sampling_ratio/max": 2.0,
    }
    state.global_step = 1
    logged = {"loss": 0.1, "grad_norm": 1.0, "learning_rate": 1e-6, "num_tokens": 9.0, "entropy": 2.0, **sampling}
    metrics.on_log(arguments, state, None, logs=logged)
    (row,) = rows_of(tmp_path)
    assert sampling.items() <= row.items()
    assert {name for name in row if "/" in name} == set(sampling)
    assert (row["loss"], row["entropy"]) == (0.1, 2.0)


@pytest.mark.parametrize(
    ("correction", "on", "mode"),
    [("sequence_mask", True, "sequence_mask"), ("token_truncate", True, "token_truncate"), ("off", False, None)],
)
def test_the_correction_of_vllm_is_what_the_settings_say(correction, on, mode, tmp_path):
    trl = TRLConfig(vllm="server", vllm_correction=correction, vllm_max_ratio=2.0)
    config = RLVRConfig(engine="trl", prompts_per_step=1, group_size=2, trl=trl)
    arguments = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, per_device_train_batch_size=2,
                           **_grpo_arguments(config, Share(2, 1), [0]))  # fmt: skip
    assert (arguments.use_vllm, arguments.vllm_mode) == (True, "server")
    assert arguments.vllm_importance_sampling_correction is on
    assert arguments.vllm_importance_sampling_clip_max == 2.0
    assert mode in (None, arguments.vllm_importance_sampling_mode)
    for wrong in ({"vllm_correction": "sequence"}, {"vllm_max_ratio": 0.5}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TRLConfig(**wrong)


def test_passes_of_few_tokens_give_the_same_losses(tmp_path):
    config = SFTConfig(engine="trl", steps=3, batch_size=8)
    model, longest = tiny("qwen2"), max(len(encode(words(), record).ids) for record in some_records())
    share = share_of(replace(config, execution=Execution(micro_tokens=3 * longest)), model, 8, longest)
    assert (share.per_device, share.passes) == (2, 4)  # Three would fit, and do not divide eight.
    execution = Execution(micro_tokens=longest, gradient_checkpointing="on")
    losses = [
        [
            row["loss"]
            for row in sft_with_trl(tiny("qwen2"), words(), some_records(), c, directory=tmp_path).loop.history
        ]
        for c in (config, replace(config, execution=execution))
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_killed_and_resumed_ends_in_the_same_weights(tmp_path):
    config = SFTConfig(steps=6, batch_size=4, checkpoint_every=2)

    class Killed(Exception):  # noqa: N818
        pass

    def kill(row):
        if row["step"] == 5:
            raise Killed

    whole = sft_with_trl(tiny("llama"), words(), some_records(), config, directory=tmp_path / "whole")
    with pytest.raises(Killed):
        sft_with_trl(tiny("llama"), words(), some_records(), config, directory=tmp_path / "cut", on_step=kill)
    with pytest.raises(ValueError, match="another configuration"):
        sft_with_trl(tiny("llama"), words(), some_records(30), config, directory=tmp_path / "cut", resume=True)
    optimizer = tmp_path / "cut" / "checkpoint-4" / "optimizer.pt"
    content = optimizer.read_bytes()
    optimizer.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="checkpoint-4 is damaged; delete it"):
        sft_with_trl(tiny("llama"), words(), some_records(), config, directory=tmp_path / "cut", resume=True)
    optimizer.write_bytes(content)
    (tmp_path / "cut" / "checkpoint-6").mkdir()  # Killed while it was written.
    resumed = sft_with_trl(tiny("llama"), words(), some_records(), config, directory=tmp_path / "cut", resume=True)
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("whole", "cut")]
    for one, other in zip(*(m.parameters() for m in models), strict=True):
        assert torch.equal(one, other)
    for name in ("loss", "tokens"):
        assert [r[name] for r in whole.loop.history] == [r[name] for r in resumed.loop.history]


def test_the_command(tmp_path, capsys):
    base = tmp_path / "base"
    tiny("qwen2").save_pretrained(base)
    words().save_pretrained(base)
    data = tmp_path / "data.jsonl"
    write_text(data, "".join(canonical_json(r) + "\n" for r in some_records(8)))
    sft = ["train", "sft", "--engine", "trl", "--model", str(base), "--data", str(data), "--steps", "2"]
    assert main([*sft, "--batch-size", "4", "--output-dir", str(tmp_path / "sft"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    again = [*sft, "--batch-size", "4", "--output-dir", str(tmp_path / "sft"), "--json", "--resume"]
    assert main(again) == 0, "it is finished already"
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    rl = ["train", "rlvr", "--engine", "trl", "--model", str(tmp_path / "sft"), "--n-ops", "1", "2", "--steps", "2"]
    small = ["--prompts-per-step", "2", "--group-size", "2", "--max-new-tokens", "3"]
    assert main([*rl, *small, "--output-dir", str(tmp_path / "rl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    evaluate = ["evaluate", "--model", str(tmp_path / "rl"), "--n-ops", "2", "--count", "3", "--json"]
    assert main(evaluate) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "data.jsonl", "rl", "sft"]
    assert {path.name for path in (tmp_path / "rl").iterdir()} >= {"metrics.jsonl", "run.json", "model.safetensors"}
    assert trained_structures(str(tmp_path / "rl")) == {record["structure"] for record in some_records(8)}
    assert main([*sft, "--optimizer", "muon", "--output-dir", str(tmp_path / "x")]) == 2


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_study_trains_with_trl(lora_rank, tmp_path):
    base = tmp_path / "base"
    tiny("qwen2").save_pretrained(base)
    words().save_pretrained(base)
    sft = {"sft_steps": [2], "examples": 8, "sft_batch_size": 4, "n_ops": [2], "longer_n_ops": [3], "samples": 1}
    rlvr = {"rl_steps": 2, "prompts_per_step": 2, "group_size": 2, "measure_every": 2, "count": 3, "sampled": 1}
    table = {**sft, **rlvr, "branches": ["rlvr", "sft-updates", "sft-tokens"], "sft_learning_rate": 1e-2}
    settings = {"name": "small", "model": str(base), "bootstrap": 10, "engine": "trl", "lora_rank": lora_rank}
    store = Store.create(tmp_path / "study", make_spec({**settings, "decomposition": table}), {})
    assert set(runner.run(store, workers=1)) == {"done"}
    first = next(cell.config for cell in store.read().cells if cell.config.part == "sft")
    before = AutoModelForCausalLM.from_pretrained(base).state_dict()
    weights = Workspace(store.directory).weights(first.digest)
    after, report = AutoModelForCausalLM.from_pretrained(weights, output_loading_info=True)
    assert not report["missing_keys"]
    changed = {name for name, value in after.state_dict().items() if not torch.equal(value, before[name])}
    assert any("q_proj" in name for name in changed)
    assert any("embed" in name for name in changed) == (not lora_rank)  # Adapters are on linear layers alone.


def test_a_killed_cell_of_a_study_goes_on_at_its_checkpoint(tmp_path):
    base = tmp_path / "base"
    tiny("qwen2").save_pretrained(base)
    words().save_pretrained(base)
    table = {"formats": ["explicit"], "examples": [8], "steps": 8, "batch_size": 4, "n_ops": [2], "before": False}
    counts = {"test_count": 3, "train_count": 2, "learning_rates": [1e-2]}
    spec = make_spec({"name": "s", "model": str(base), "engine": "trl", "scaling": {**table, **counts}})
    (cell,) = spec.cells()

    class Killed(Exception):  # noqa: N818
        pass

    def kill(row):
        if row["step"] == 7:
            raise Killed

    whole = cell.run(Workspace(tmp_path / "whole"))
    with pytest.raises(Killed):
        cell.run(Workspace(tmp_path / "cut"), kill)
    steps = []
    resumed = cell.run(Workspace(tmp_path / "cut"), lambda row: steps.append(row["step"]))
    assert steps == [7, 8]
    assert replace(resumed, train_seconds=0.0) == replace(whole, train_seconds=0.0)


@pytest.mark.parametrize(("part", "killed_at"), [("rlvr", 3), ("sft-updates", 4)])
def test_a_killed_cell_of_the_decomposition_keeps_what_it_had_measured(part, killed_at, tmp_path):
    base = tmp_path / "base"
    tiny("qwen2").save_pretrained(base)
    words().save_pretrained(base)
    sft = {"sft_steps": [2], "examples": 8, "sft_batch_size": 4, "n_ops": [2], "longer_n_ops": [3], "samples": 1}
    rlvr = {"rl_steps": 4, "prompts_per_step": 2, "group_size": 2, "measure_every": 1, "count": 3, "sampled": 1}
    table = {**sft, **rlvr, "branches": ["rlvr", "sft-updates", "sft-tokens"], "sft_learning_rate": 1e-2}
    spec = make_spec({"name": "s", "model": str(base), "bootstrap": 10, "engine": "trl", "decomposition": table})
    parts = {cell.part: cell for cell in spec.cells()}

    class Killed(Exception):  # noqa: N818
        pass

    def kill(row):
        if row["step"] == killed_at:
            raise Killed

    results = {}
    for name in ("whole", "cut"):
        first = Workspace(tmp_path / name)
        before = parts["sft"].run(first)
        workspace = replace(first, results={parts["sft"].digest: before})
        if name == "cut":
            with pytest.raises(Killed):
                parts[part].run(workspace, kill)
        steps = []
        results[name] = parts[part].run(workspace, lambda row, steps=steps: steps.append(row["step"]))
    assert steps == list(range(killed_at, 5))  # It goes on at the checkpoint of the step before.
    assert [point.step for point in results["cut"].points] == [1, 2, 3, 4]
    without = [replace(result, train_seconds=0.0) for result in results.values()]
    assert without[0] == without[1]


def test_batches_that_cannot_be_split_evenly_are_refused(tmp_path):
    config = SFTConfig(steps=1, batch_size=8, micro_batch=3)
    with pytest.raises(ValueError, match="change micro_batch"):
        sft_with_trl(tiny("llama"), words(), some_records(), config, directory=tmp_path)


def test_two_processes_train_as_one_does(tmp_path):
    """Two processes make the same updates as one."""
    base = tmp_path / "base"
    tiny("qwen2").save_pretrained(base)
    words().save_pretrained(base)
    data = tmp_path / "data.jsonl"
    write_text(data, "".join(canonical_json(r) + "\n" for r in some_records(16)))
    sft = ["train", "sft", "--engine", "trl", "--model", str(base), "--data", str(data), "--steps", "4"]
    sft += ["--batch-size", "8", "--learning-rate", "1e-2"]
    # `accelerate launch --cpu` starts one process.
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "zipthought",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    two = [*launch, *sft, "--output-dir", str(tmp_path / "two"), "--json"]
    done = subprocess.run(two, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "[rank1]" in done.stderr, "the second process has written something"
    assert json.loads(done.stdout)["steps"] == 4, "one process alone prints the summary"
    assert main([*sft, "--output-dir", str(tmp_path / "one")]) == 0
    for one, both in zip(rows_of(tmp_path / "one"), rows_of(tmp_path / "two"), strict=True):
        assert both["loss"] == pytest.approx(one["loss"], abs=1e-3)
        assert both["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-2)
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name, dtype=torch.float32) for name in ("one", "two")]
    for one, both in zip(*(m.parameters() for m in models), strict=True):
        assert torch.allclose(one, both, atol=2e-3)
    rl = ["train", "rlvr", "--engine", "trl", "--model", str(tmp_path / "two"), "--n-ops", "1", "--steps", "2"]
    rl += ["--prompts-per-step", "2", "--group-size", "4", "--max-new-tokens", "3", "--json"]
    done = subprocess.run(
        [*launch, *rl, "--output-dir", str(tmp_path / "rl")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(rows_of(tmp_path / "rl")) == 2
