"""The exports, read by their targets' own loaders. Each test skips where the target is not installed.

make integration
"""

import asyncio
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from zipthought.core.pieces import count_pieces
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.records.export import export_records
from zipthought.records.export.base import TEMPLATES
from zipthought.records.reading import read_records
from zipthought.solutions.compress import CompressConfig, compress_file
from zipthought.train.interfaces import compute_score, record_of
from zipthought.train.rewards import Attempt, parse_reward, scores_of

pytestmark = pytest.mark.integration

GROUPED = ("group-length:alpha=0.5", "pass-rate-length:cost=0.001")
"""Rewards that compare the completions of a problem."""

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")


@pytest.fixture(scope="module", params=["english", "gsm8k"])
def records(request, tmp_path_factory):
    """A file of records in three splits, ours and real ones."""
    directory = tmp_path_factory.mktemp(request.param)
    path = directory / "all.jsonl"
    if request.param == "english":
        parts = []
        for split in ("train", "validation", "test"):
            config = GenerateConfig(n_ops=(3,), count=6, split=split, output_dir=directory / split)
            parts.append(generate(config)["files"]["explicit"].read_text())
        path.write_text("".join(parts))
        return path
    rows = [{"question": f"How many, {i}?", "answer": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.\n#### 20"} for i in range(60)]
    (directory / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    compress_file(CompressConfig(input=directory / "in.jsonl", output=path))
    return path


def import_from(directory, name, monkeypatch):
    """A module of an export."""
    monkeypatch.syspath_prepend(str(directory))
    for known in [known for known in sys.modules if known.split(".")[0] in (name.split(".")[0], "reward", "utils")]:
        monkeypatch.delitem(sys.modules, known)
    return importlib.import_module(name)


def golds(records, split):
    return [record["completion"] for record in read_records(records) if record["split"] == split]


@pytest.fixture
def tiny_model(tmp_path):
    """A random Qwen2 with a word-level tokenizer and a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    words = {w: i for i, w in enumerate(["<pad>", "<eos>", "<unk>", *"abcdefgh0123456789=+-*.:?,"])}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'][0] + ':' + m['content'] + ('<eos>' if m['role'] == 'assistant' else '') }}"
        "{% endfor %}{% if add_generation_prompt %}a:{% endif %}"
    )
    config = Qwen2Config(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=4096, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def test_the_exported_script_trains_a_model_that_ends_its_turns(records, tmp_path, tiny_model):
    """The template ends a turn with another token than the end of sequence, as that of Qwen2.5's base does."""
    pytest.importorskip("trl")
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<stop>"]})
    tokenizer.chat_template = tokenizer.chat_template.replace("<eos>", "<stop>")
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    export_records([records], "trl-sft", tmp_path / "x")
    done = subprocess.run(
        [sys.executable, tmp_path / "x" / "train_sft.py", tmp_path / "base", tmp_path / "out"],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "ACCELERATE_USE_CPU": "true"},
    )  # fmt: skip
    assert not done.returncode, done.stderr[-1000:]
    (saved,) = (tmp_path / "out").glob("checkpoint-*/generation_config.json")
    expected = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<stop>")}
    assert set(json.loads(saved.read_text())["eos_token_id"]) == expected


def test_trl_sft(records, tmp_path, tiny_model):
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    export_records([records], "trl-sft", tmp_path / "x")
    data = datasets.load_dataset("json", data_files=str(tmp_path / "x" / "train.jsonl"), split="train")
    assert len(data) == len(golds(records, "train"))
    config = trl.SFTConfig(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, report_to="none", use_cpu=True,
        bf16=False, completion_only_loss=True,
    )  # fmt: skip
    trainer = trl.SFTTrainer(model=tiny_model, args=config, train_dataset=data)
    trainer.train()
    first = trainer.train_dataset[0]
    assert "completion_mask" in first or "assistant_masks" in first or "labels" in first


def test_trl_prm(records, tmp_path, tiny_model):
    prm = pytest.importorskip("trl.experimental.prm", reason="TRL has PRMTrainer up to 1.13")
    from transformers import AutoTokenizer

    export_records([records], "stepwise", tmp_path / "x")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for line, gold in zip((tmp_path / "x" / "train.jsonl").open(), golds(records, "train"), strict=True):
        row = json.loads(line)
        ids = prm.PRMTrainer.tokenize_row(
            row, tokenizer, step_separator="", max_length=None, max_completion_length=None,
            train_on_last_step_only=False, is_eval=False,
        )  # fmt: skip
        whole = tokenizer(row["prompt"] + gold, add_special_tokens=False)["input_ids"]
        assert ids["input_ids"] == whole
        assert [label for label in ids["labels"] if label != -100] == [1] * len(row["completions"])
        assert ids["labels"][-1] == 1


def test_chat_reasoning(records, tmp_path, tiny_model):
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    from transformers import AutoTokenizer

    export_records([records], "chat-reasoning", tmp_path / "x")
    data = datasets.load_dataset("json", data_files=str(tmp_path / "x" / "train.jsonl"), split="train")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    template = Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja"
    tokenizer.chat_template = template.read_text()
    for row, gold in zip(data, golds(records, "train"), strict=True):
        text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        trace, _, answer = text.partition("<think>\n")[2].removesuffix("<|im_end|>\n").partition("\n</think>\n\n")
        assert [*trace.split(), *answer.split()] == gold.split()
        assert row["messages"][0]["content"] in text
    config = trl.SFTConfig(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, report_to="none", use_cpu=True,
        bf16=False, assistant_only_loss=True, eos_token="<eos>",
    )  # fmt: skip
    trl.SFTTrainer(model=tiny_model, args=config, train_dataset=data, processing_class=tokenizer).train()


def test_coconut(records, tmp_path):
    """Its `dataset.py` cannot be installed: this is what it reads of each row."""
    datasets = pytest.importorskip("datasets")
    export_records([records], "coconut", tmp_path)
    rows = json.loads((tmp_path / "train.json").read_text())
    data = datasets.Dataset.from_list(rows)
    assert data.column_names == ["question", "steps", "answer"]
    for row, gold in zip(data, golds(records, "train"), strict=True):
        steps = "".join(f"{step}\n" for step in row["steps"])
        assert gold.split()[: len(steps.split())] == steps.split()
        assert row["answer"] in gold


def test_trl_grpo(records, tmp_path, tiny_model, monkeypatch):
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    export_records([records], "trl-grpo", tmp_path / "x")
    reward = import_from(tmp_path / "x", "reward", monkeypatch).reward
    data = datasets.load_dataset("json", data_files=str(tmp_path / "x" / "train.jsonl"), split="train")
    paid = reward(data["prompt"], golds(records, "train"), **{k: data[k] for k in data.column_names if k != "prompt"})
    assert paid == [1.0] * len(data)
    config = trl.GRPOConfig(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, num_generations=2,
        max_completion_length=4, report_to="none", use_cpu=True, bf16=False,
    )  # fmt: skip
    trl.GRPOTrainer(model=tiny_model, reward_funcs=[reward], args=config, train_dataset=data).train()


def test_hugging_face_datasets(records, tmp_path):
    datasets = pytest.importorskip("datasets")
    export_records([records], "hf", tmp_path)
    data = datasets.load_dataset(str(tmp_path))
    assert {split: len(data[split]) for split in data} == {
        split: len(golds(records, split)) for split in ("train", "validation", "test")
    }
    assert data["train"][0]["messages"][0]["role"] == "system"


def test_reasoning_gym(records, tmp_path, monkeypatch):
    gym = pytest.importorskip("reasoning_gym")
    export_records([records], "reasoning-gym", tmp_path)
    monkeypatch.setitem(sys.modules["reasoning_gym.factory"].__dict__["DATASETS"], "zipthought", None)
    del sys.modules["reasoning_gym.factory"].__dict__["DATASETS"]["zipthought"]
    import_from(tmp_path, "zipthought_gym", monkeypatch)
    data = gym.create_dataset("zipthought", split="test")
    texts = golds(records, "test")
    assert len(data) == len(texts)
    for item, gold in zip(data, texts, strict=True):
        assert data.score_answer(gold, item) == 1.0
        assert data.score_answer(gold + "1", item) == 0.0
        assert data.score_answer(None, item) == 0.0


def test_verifiers(records, tmp_path, monkeypatch):
    vf = pytest.importorskip("verifiers.v1", reason="the export is for verifiers 0.4")
    export_records([records], "verifiers", tmp_path)
    import_from(tmp_path, "zipthought_env", monkeypatch)
    environment = vf.resolve_env_config({"taskset": {"id": "zipthought-env", "split": "test"}})
    assert vf.default_harness_id("zipthought-env") == "zipthought-env"
    assert vf.load_harness(vf.HarnessConfig(id="zipthought-env")).EXECUTES_CODE is False
    tasks = list(vf.load_environment(environment).taskset)
    expected = [record for record in read_records(records) if record["split"] == "test"]
    assert len(tasks) == len(expected)
    for task, record in zip(tasks, expected, strict=True):
        data = task.data
        assert [data.id, data.system_prompt, data.prompt_text] == [
            record["id"], *(turn["content"] for turn in record["messages"][:2]),
        ]  # fmt: skip
        for text, reward in ((record["completion"], 1.0), ("no", 0.0)):
            trace = vf.Trace(
                task=vf.TraceTask(type="ZipthoughtTask", data=data),
                agent=vf.AgentInfo(config=vf.AgentConfig()),
                nodes=[vf.MessageNode(parent=None, sampled=True, message=vf.AssistantMessage(content=text))],
            )
            asyncio.run(task.score(trace))
            assert (trace.reward, trace.metrics) == (reward, {"faithful": reward})


@pytest.mark.parametrize("name", GROUPED)
def test_verifiers_scores_the_attempts_of_an_episode_together(records, tmp_path, monkeypatch, name):
    """Its own episode, with an agent that replies from a list. One that fails has no score, and no say."""
    vf = pytest.importorskip("verifiers.v1", reason="the export is for verifiers 0.4")
    monkeypatch.setenv("REWARD", name)
    monkeypatch.setenv("TOKENIZER", "")
    export_records([records], "verifiers", tmp_path)
    module = import_from(tmp_path, "zipthought_env", monkeypatch)
    config = vf.resolve_env_config({"taskset": {"id": "zipthought-env", "split": "train"}, "n": 5})
    environment = vf.load_environment(config)
    assert type(environment) is module.ZipthoughtGroup
    task, gold = next(iter(environment.taskset)), golds(records, "train")[0]
    answer = task.data.info["answer"]
    final = "#### {}" if "####" in gold else "Answer: {}."
    replies = [gold, "I do not know.", None, final.format(answer), final.format(22)]

    def agents_of(ctx, completed, on_trace, on_discard):
        left = iter(replies)

        async def run(attempt):
            text = next(left)
            message = vf.MessageNode(parent=None, sampled=True, message=vf.AssistantMessage(content=text or final))
            trace = vf.Trace(
                task=vf.TraceTask(type="ZipthoughtTask", data=attempt.data),
                agent=vf.AgentInfo(config=vf.AgentConfig()),
                nodes=[message],
                ok=text is not None,
            )
            await attempt.score(trace)
            completed.append(trace)

        return types.SimpleNamespace(agent=types.SimpleNamespace(run=run))

    monkeypatch.setattr(environment, "_episode_agents", agents_of)
    episode = asyncio.run(environment.run_episode(task, None))
    assert episode.errors == []
    assert len(episode.traces) == config.n
    done = [trace for trace in episode.traces if trace.ok]
    texts = [text for text in replies if text]
    attempts = [Attempt.of_record(text, record_of(task.data.info), count_pieces(text), count_pieces) for text in texts]
    assert [trace.reward for trace in done] == scores_of(parse_reward(name), attempts)
    assert [trace.metrics["faithful"] for trace in done] == [1.0, 0.0, 1.0, 0.0]
    assert [trace.rewards for trace in episode.traces if not trace.ok] == [{}]
    assert len({trace.reward for trace in done}) == 3, "two right answers of other lengths, and the wrong ones"


def test_verifiers_refuses_a_reward_by_group_in_another_environment(records, tmp_path, monkeypatch):
    vf = pytest.importorskip("verifiers.v1", reason="the export is for verifiers 0.4")
    monkeypatch.setenv("REWARD", GROUPED[0])
    export_records([records], "verifiers", tmp_path)
    import_from(tmp_path, "zipthought_env", monkeypatch)
    config = vf.resolve_env_config({"id": "single-agent", "taskset": {"id": "zipthought-env", "split": "train"}})
    task = next(iter(vf.load_environment(config).taskset))
    trace = vf.Trace(
        task=vf.TraceTask(type="ZipthoughtTask", data=task.data), agent=vf.AgentInfo(config=vf.AgentConfig())
    )
    with pytest.raises(vf.TaskError, match="leave the environment of the export"):
        asyncio.run(task.score(trace))


def test_lm_eval(records, tmp_path):
    pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    export_records([records], "lm-eval", tmp_path)
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    task = manager.load("zipthought")["tasks"]["zipthought"]
    docs = list(task.test_docs())
    texts = golds(records, "test")
    assert len(docs) == len(texts)
    for doc, gold in zip(docs, texts, strict=True):
        assert doc["question"] in task.doc_to_text(doc)
        assert task.process_results(doc, [gold]) == {"acc": 1.0, "faithful": 1.0}
        assert task.process_results(doc, ["no"]) == {"acc": 0.0, "faithful": 0.0}


def test_llamafactory(records, tmp_path, monkeypatch):
    spec = importlib.util.find_spec("llamafactory")
    if spec is None:
        pytest.skip("llamafactory is not installed")
    # Its data package imports what needs audio and a GPU; the parser and the converter do not.
    package = types.ModuleType("llamafactory.data")
    package.__path__ = [str(Path(spec.submodule_search_locations[0]) / "data")]
    monkeypatch.setitem(sys.modules, "llamafactory.data", package)
    from llamafactory.data.converter import get_dataset_converter
    from llamafactory.data.parser import get_dataset_list

    export_records([records], "llamafactory", tmp_path)
    for split in ("train", "validation", "test"):
        (entry,) = get_dataset_list([f"zipthought_{split}"], str(tmp_path))
        assert (entry.load_from, entry.formatting) == ("file", "alpaca")
        convert = get_dataset_converter(entry.formatting, entry, types.SimpleNamespace(media_dir=""))
        rows = [json.loads(line) for line in (tmp_path / entry.dataset_name).read_text().splitlines()]
        for row, gold in zip(rows, golds(records, split), strict=True):
            said = convert(row)
            assert [turn["content"] for turn in said["_response"]] == [gold]
            assert said["_system"] == row["system"] != ""
            assert said["_prompt"][0]["content"] == row["instruction"]


def test_verl(records, tmp_path):
    if importlib.util.find_spec("verl") is None:
        pytest.skip("verl is not installed")
    import pyarrow.parquet

    export_records([records], "verl", tmp_path)
    spec = importlib.util.find_spec("verl")
    source = Path(spec.submodule_search_locations[0]) / "trainer" / "ppo" / "reward.py"
    pytest.importorskip("ray", reason="verl's reward module imports ray")
    pytest.importorskip("omegaconf")
    assert source.exists()
    from omegaconf import OmegaConf
    from verl.trainer.ppo.reward import get_custom_reward_fn

    ours = {"custom_reward_function": {"path": str(tmp_path / "reward.py"), "name": "compute_score"}}
    compute = get_custom_reward_fn(OmegaConf.create({**ours, "reward": ours}))  # Its place depends on the version.
    for row, gold in zip(
        pyarrow.parquet.read_table(tmp_path / "train.parquet").to_pylist(), golds(records, "train"), strict=True
    ):
        call = {"data_source": row["data_source"], "ground_truth": row["reward_model"]["ground_truth"]}
        assert compute(solution_str=gold, extra_info=row["extra_info"], **call)["score"] == 1.0
        assert set(compute(solution_str="", extra_info=row["extra_info"], **call)) == {
            "score", "faithful", "parsed", "skipped",
        }  # fmt: skip


def batch_of(directory, records):
    """Four completions of each of three exported rows of verl, in mixed order: two right ones of other lengths, and two
    wrong ones. Returns (row, completion) each."""
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(directory / "train.parquet").to_pylist()[:3]
    items = []
    for row, gold in zip(rows, golds(records, "train"), strict=False):
        answer = row["reward_model"]["ground_truth"]
        final = "#### {}" if "####" in gold else "Answer: {}."
        items += [(row, gold), (row, final.format(answer)), (row, final.format(22)), (row, "I do not know.")]
    return items[1::2] + items[::2]


def scores_by_hand(items, name):
    """Our reward of each completion, within its row."""
    expected = []
    for row, text in items:
        attempts = [
            Attempt.of_record(other, record_of(row["extra_info"]), count_pieces(other), count_pieces)
            for same, other in items
            if same is row
        ]
        place = [other for same, other in items if same is row].index(text)
        expected.append(scores_of(parse_reward(name), attempts)[place])
    return expected


@pytest.mark.parametrize("name", GROUPED)
def test_verl_batch_reward_manager(records, tmp_path, monkeypatch, name):
    """The class that scores a batch in verl up to 0.7.0. A token of this tokenizer is a completion."""
    pytest.importorskip("ray", reason="verl imports ray")
    batch = pytest.importorskip("verl.workers.reward_manager.batch")
    import numpy
    import torch
    from tensordict import TensorDict
    from verl import DataProto

    monkeypatch.setenv("REWARD", name)
    monkeypatch.setenv("MODEL", "")
    export_records([records], "verl", tmp_path)
    compute = import_from(tmp_path, "reward", monkeypatch).compute_scores
    items = batch_of(tmp_path, records)
    tokenizer = types.SimpleNamespace(decode=lambda ids, skip_special_tokens: items[int(ids[0])][1])
    responses = torch.arange(len(items)).unsqueeze(1)
    tensors = {"prompts": responses, "responses": responses, "attention_mask": torch.ones(len(items), 2).long()}
    columns = {key: numpy.array([row[key] for row, _ in items], object) for key in ("data_source", "extra_info")}
    columns["reward_model"] = numpy.array([row["reward_model"] for row, _ in items], object)
    data = DataProto(batch=TensorDict(tensors, batch_size=len(items)), non_tensor_batch=columns)
    scored = batch.BatchRewardManager(tokenizer, 0, compute)(data, return_dict=True)
    assert scored["reward_tensor"].squeeze(1).tolist() == pytest.approx(scores_by_hand(items, name))
    assert scored["reward_extra_info"]["skipped"] == [0.0] * len(items)


@pytest.mark.parametrize("name", GROUPED)
def test_verl_advantages_of_a_reward_by_group(records, tmp_path, monkeypatch, name):
    """What later versions use, as their trainer calls it: the same advantages as with the rewards of a batch."""
    pytest.importorskip("ray", reason="verl imports ray")
    algorithms = pytest.importorskip("verl.trainer.ppo.core_algos")
    import numpy
    import torch

    monkeypatch.setenv("REWARD", name)
    monkeypatch.setenv("MODEL", "")
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "group_advantage")
    export_records([records], "verl", tmp_path)
    monkeypatch.setattr(algorithms, "ADV_ESTIMATOR_REGISTRY", {**algorithms.ADV_ESTIMATOR_REGISTRY})
    monkeypatch.delitem(sys.modules, "group_advantage", raising=False)
    import_from(tmp_path, "group_advantage", monkeypatch)
    compute = import_from(tmp_path, "reward", monkeypatch).compute_score
    items = batch_of(tmp_path, records)
    lengths = [count_pieces(text) for _, text in items]
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).float()
    outcomes = torch.zeros_like(mask)
    for place, (row, text) in enumerate(items):
        truth = row["reward_model"]["ground_truth"]
        outcomes[place, lengths[place] - 1] = compute(row["data_source"], text, truth, row["extra_info"])["score"]
    assert outcomes.sum() == len(items) / 2
    problems = numpy.array([row["extra_info"]["id"] for row, _ in items], object)
    rewards = torch.tensor(scores_by_hand(items, name)).unsqueeze(1)
    for by_std in (True, False):
        config = {"norm_adv_by_std_in_grpo": by_std, "use_kl_in_reward": False}
        estimator = algorithms.get_adv_estimator_fn("zipthought_group")
        got = estimator(token_level_rewards=outcomes, response_mask=mask, index=problems, config=config)[0]
        expected = algorithms.compute_grpo_outcome_advantage(rewards, mask, problems, norm_adv_by_std_in_grpo=by_std)
        assert torch.allclose(got, expected[0], atol=1e-5)
    with pytest.raises(ValueError, match="without a KL penalty"):
        estimator(token_level_rewards=outcomes, response_mask=mask, index=problems, config={"use_kl_in_reward": True})


def test_verl_loads_the_advantages_where_the_environment_names_them():
    pytest.importorskip("ray", reason="verl imports ray")
    pytest.importorskip("verl")
    code = "from verl.trainer.ppo.core_algos import get_adv_estimator_fn as f; print(f('zipthought_group').__module__)"
    directory = str(TEMPLATES / "verl")
    environment = {"VERL_USE_EXTERNAL_MODULES": "group_advantage", "PYTHONPATH": directory, "REWARD": GROUPED[0]}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    assert done.stdout.split()[-1] == "group_advantage"


NOT_ASKED = {
    "eq.frac.repeating": "exact: 0.3333333333 is not 1/3",
    "eq.radical.latex": "the right answer is not a number: skipped",
    "eq.radical.spacing": "the right answer is not a number: skipped",
    "eq.pi.symbol": "the right answer is not a number: skipped",
    "eq.bool.case": "the right answer is not a number: skipped",
    "eq.bool.punct": "the right answer is not a number: skipped",
    "eq.choice.case": "the right answer is not a number: skipped",
    "eq.choice.parens": "the right answer is not a number: skipped",
    "eq.text.article": "the right answer is not a number: skipped",
    "eq.tuple.spacing": "the right answer is not a number: skipped",
    "fmt.markdown_heading": "no final answer is stated",
}
"""What reward-doctor would accept and FORMATS.md does not ask for."""


def strict(completion, reference):
    """The reward for a real solution. A bare answer, as many cases are, is put where a final answer stands."""
    bare = len(completion) <= 16 and "\n" not in completion and not re.search("oxed|nswer|####", completion)
    row = {"question": "What is it?", "surface": "gsm8k", "modulus": None, "answer": reference}
    return compute_score("reward-doctor", f"#### {completion}" if bare else completion, reference, row)["score"]


def test_reward_doctor():
    doctor = pytest.importorskip("reward_doctor")
    result = doctor.audit(strict)
    assert not result.errors
    assert [outcome.case.id for outcome in result.false_positives] == []
    assert {outcome.case.id for outcome in result.false_negatives} <= set(NOT_ASKED)
