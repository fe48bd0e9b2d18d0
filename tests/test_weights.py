"""The type of the weights of a saved model."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from zipthought.cli import main
from zipthought.models.loading import load
from zipthought.train.weights import SAVE_DTYPES, convert, resolve_dtype


@pytest.fixture
def sft(tiny_base, tmp_path):
    words = "generate --n-ops 1 --count 8 --format explicit --surface terse --output-dir"
    assert main([*words.split(), str(tmp_path)]) == 0
    data = str(tmp_path / "explicit.jsonl")
    return ["train", "sft", "--model", str(tiny_base), "--data", data, "--steps", "2", "--batch-size", "4"]


def read(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype="auto", trust_remote_code=False)


def test_a_run_saves_the_type_that_was_requested(sft, tmp_path, capsys):
    for name in SAVE_DTYPES:
        assert main([*sft, "--output-dir", str(tmp_path / name), "--save-dtype", name]) == 0
    exact, same, rounded = (read(tmp_path / name) for name in ("auto", "float32", "bfloat16"))
    assert (exact.dtype, same.dtype, rounded.dtype) == (torch.float32, torch.float32, torch.bfloat16)
    for one, other, half in zip(exact.parameters(), same.parameters(), rounded.parameters(), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one.to(torch.bfloat16), half)
    weights = [tmp_path / name / "model.safetensors" for name in ("auto", "bfloat16")]
    assert weights[1].stat().st_size < 0.6 * weights[0].stat().st_size
    assert weights[1].stat().st_mode == weights[0].stat().st_mode
    assert load(str(tmp_path / "bfloat16"), "cpu")[0].dtype == torch.float32, "as any model on a CPU"
    capsys.readouterr()
    assert main([*sft, "--output-dir", str(tmp_path / "auto"), "--save-dtype", "float32", "--resume"]) == 0
    assert main([*sft, "--output-dir", str(tmp_path / "auto"), "--save-dtype", "bfloat16", "--resume"]) == 2
    assert "save_dtype was float32 and is bfloat16" in capsys.readouterr().err.replace('"', "")


def test_all_files_of_a_large_model_are_converted(tiny_base, tmp_path):
    model = read(tiny_base)
    model.save_pretrained(tmp_path, max_shard_size="500KB")
    index = tmp_path / "model.safetensors.index.json"
    before = json.loads(index.read_text())
    assert len(set(before["weight_map"].values())) > 1
    convert(tmp_path, "bfloat16")
    after = json.loads(index.read_text())
    assert after["weight_map"] == before["weight_map"]
    assert after["metadata"]["total_size"] == before["metadata"]["total_size"] / 2
    for one, half in zip(model.parameters(), read(tmp_path).parameters(), strict=True):
        assert torch.equal(one.to(torch.bfloat16), half)


def test_only_float32_weights_of_the_model_itself_are_converted(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "adapters").mkdir()
    tensors = {"a": torch.ones(3), "b": torch.arange(3), "c": torch.ones(3, dtype=torch.float16)}
    for directory in (tmp_path, tmp_path / "adapters"):
        save_file(tensors, directory / "x.safetensors")
    convert(tmp_path, "bfloat16")
    found = {name: tensor.dtype for name, tensor in load_file(tmp_path / "x.safetensors").items()}
    assert found == {"a": torch.bfloat16, "b": torch.int64, "c": torch.float16}
    assert load_file(tmp_path / "adapters" / "x.safetensors")["a"].dtype == torch.float32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapters", "config.json", "x.safetensors"]


def test_an_unknown_type_is_one_line(sft, tmp_path, capsys):
    with pytest.raises(ValueError, match="unknown save_dtype 'half'; use auto, float32, bfloat16"):
        resolve_dtype("half")
    capsys.readouterr()
    assert main([*sft, "--output-dir", str(tmp_path / "x"), "--save-dtype", "half"]) == 2
    err = capsys.readouterr().err
    assert "unknown save_dtype 'half'" in err
    assert len(err.splitlines()) == 1
