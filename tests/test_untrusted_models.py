"""Models and checkpoints of strangers: no code of theirs runs, and malformed files are one line."""

import ast
import json
import pickle
import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import zipthought
from zipthought.models.loading import load

ROOT = Path(zipthought.__file__).parent


def name_of(call):
    """``torch.load`` for a call of it; the last word alone for a method of a value."""
    function = call.func
    if isinstance(function, ast.Attribute):
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        return f"{owner}.{function.attr}"
    return getattr(function, "id", "")


def keyword(call, name):
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def test_models_are_loaded_without_code_and_checkpoints_without_objects():
    calls = [
        (path.relative_to(ROOT), call)
        for path in sorted(ROOT.rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
    ]
    loaded = [(path, call) for path, call in calls if name_of(call).endswith(".from_pretrained")]
    assert len(loaded) >= 2
    for path, call in loaded:
        assert keyword(call, "trust_remote_code") == "False", path
    torch_loads = [(path, call) for path, call in calls if name_of(call) == "torch.load"]
    assert torch_loads
    for path, call in torch_loads:
        assert keyword(call, "weights_only") == "True", path
    for path, call in calls:
        assert keyword(call, "allow_pickle") in (None, "False"), path
        assert name_of(call) not in ("eval", "exec", "pickle.load", "pickle.loads", "marshal.loads"), path


def test_no_module_unpickles():
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {"pickle", "dill", "marshal", "shelve", "joblib"} & {a.name for a in node.names}, path
            if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "marshal", "shelve"):
                assert [a.name for a in node.names] == ["UnpicklingError"], path


@pytest.fixture
def copy(tiny_base, tmp_path):
    shutil.copytree(tiny_base, tmp_path / "model")
    return tmp_path / "model"


def test_code_beside_a_model_does_not_run(copy, tmp_path):
    (copy / "evil.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\nclass C: pass\n")
    config = json.loads((copy / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), "evil.C"),
    }
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="cannot load the model"):
        load(str(copy), "cpu")
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_do_not_run(copy, tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (copy / "model.safetensors").unlink()
    for write in (lambda f: torch.save({"a": Evil()}, f), lambda f: pickle.dump(Evil(), f)):
        with (copy / "pytorch_model.bin").open("wb") as file:
            write(file)
        with pytest.raises(ValueError, match="cannot load the model"):
            load(str(copy), "cpu")
    assert not (tmp_path / "ran").exists()


def damaged(content, kind, rng):
    if kind == "cut":
        return content[: rng.randrange(len(content))]
    if kind == "noise":
        noisy = bytearray(content)
        for _ in range(20):
            noisy[rng.randrange(min(len(noisy), 2000))] = rng.randrange(256)
        return bytes(noisy)
    return rng.choice([b"", b"[]", b"{}", b"null", b"5", b'"x"', b'{"a":'])


@pytest.mark.parametrize("kind", ["cut", "noise", "other"])
@pytest.mark.parametrize(
    "name",
    ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"],
)
def test_malformed_files_are_one_line(copy, name, kind):
    """Loading gives a model or raises `ValueError` in one line, whatever one of the files holds."""
    content = (copy / name).read_bytes()
    rng = random.Random(f"{name} {kind}")
    for _ in range(6):
        (copy / name).write_bytes(damaged(content, kind, rng))
        with suppress(ValueError):
            load(str(copy), "cpu")
            continue
        with pytest.raises(ValueError, match=rf"^cannot load the model '{copy}': .+\Z"):
            load(str(copy), "cpu")


def test_lost_weights_are_not_replaced_by_random_ones(copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    for change in ({name: None}, {name: weights[name][:-1].clone()}):
        left = {k: v for k, v in (weights | change).items() if v is not None}
        save_file(left, copy / "model.safetensors", {"format": "pt"})
        with pytest.raises(ValueError, match=name):
            load(str(copy), "cpu")


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(copy):
    config = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<new>"}))
    with pytest.raises(ValueError, match="the model has only"):
        load(str(copy), "cpu")


def test_models_of_other_programs_load(copy):
    (copy / "checkpoint.pt").write_bytes(b"x")
    (copy / "run.json").write_text("not ours")
    load(str(copy), "cpu")
