"""`benchmarks/gpu.py`: the runner of the GPU check, and its stages in small on the CPU."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

gpu, gpu_stages = importlib.import_module("gpu"), importlib.import_module("gpu_stages")

OUT_OF_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("code", "log", "status", "error"),
    [
        (0, "CUDA out of memory: a smaller pass is tried", "ok", None),
        (1, f"Traceback\n{OUT_OF_MEMORY}\nwarning: a process group is left\n", "out of memory", OUT_OF_MEMORY),
        (-9, "loading", "out of memory", "the system killed the stage: not enough memory of the machine"),
        (1, "Traceback\nValueError: no\n\n", "failed", "ValueError: no"),
        (-11, "", "failed", "exit status -11"),
        (None, "step 1\nstep 2\n", "too slow", "step 2"),
        (None, "", "too slow", "nothing was printed"),
    ],
)
def test_the_state_of_a_stage(code, log, status, error):
    assert gpu.judge(code, log) == {"status": status} | ({"error": error} if error else {})


@pytest.mark.parametrize(
    ("packages", "small", "reason"),
    [
        ((), True, None),
        (("json",), False, None),
        (("json", "no_such_package"), False, "no_such_package is not installed"),
    ],
)
def test_a_stage_without_its_packages_is_skipped(packages, small, reason):
    assert gpu.reason_to_skip(gpu.Stage(limit=1, packages=packages), small) == reason


def test_vllm_needs_a_gpu(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert gpu.reason_to_skip(gpu.STAGES["rlvr-vllm"], small=True) == "vLLM needs a GPU"
    assert gpu.reason_to_skip(gpu.STAGES["rlvr-vllm"], small=False) is None


def test_every_stage_has_a_function_and_a_line_in_the_documentation():
    documented = re.findall(r"^\| `([a-z-]+)` \|", (REPOSITORY / "docs" / "gpu.md").read_text(), re.MULTILINE)
    assert list(gpu.STAGES) == list(gpu_stages.STAGES)
    assert documented == list(gpu.STAGES) * 2, "one table of questions, one of what has been run"


def test_without_a_gpu_the_remedy_is_named(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        gpu.main(["--stage", "versions"])
    assert "use --small" in capsys.readouterr().err


@pytest.mark.parametrize(("deadline", "status"), [("0", "no time left"), ("0.3", "too slow")])
def test_the_deadline_ends_a_stage(deadline, status, tmp_path):
    output = tmp_path / "gpu.jsonl"
    assert gpu.main(["--small", "--stage", "versions", "--deadline", deadline, "--output", str(output)]) == 1
    (row,) = rows_of(output)
    assert row["status"] == status
    assert row["seconds"] < 5


@pytest.mark.long
def test_a_stage_adds_its_row_and_leaves_no_temporary_files(tmp_path, monkeypatch, capsys):
    output = tmp_path / "gpu.jsonl"
    output.write_text('{"stage": "earlier"}\n')
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    assert gpu.main(["--small", "--stage", "versions", "--output", str(output)]) == 0
    earlier, versions = rows_of(output)
    assert earlier == {"stage": "earlier"}
    assert (versions["stage"], versions["status"], versions["device"]) == ("versions", "ok", "CPU")
    assert versions["torch"]
    assert "| versions | ok |" in capsys.readouterr().out
    assert not list((tmp_path / "temporary").iterdir())
    assert [path.name for path in (tmp_path / "gpu.jsonl.logs").iterdir()] == ["versions.log"]


@pytest.mark.skipif(gpu_stages.GPU, reason="small stages are for a CPU; `gpu.py` hides the GPU from them")
def test_the_large_model_in_small_and_decoding(tmp_path):
    setting = gpu_stages.Setting(small=True, model=tmp_path / "large-model", work=tmp_path)
    assert gpu_stages.large_model(setting)["tokens_a_record"] == 584, "as with the tokenizer of SmolLM2"
    row = gpu_stages.decode(setting)
    assert {name for name, value in row.items() if value is None} == {"bfloat16_peak_gb", "float32_peak_gb"}
    assert min(value for value in row.values() if value is not None) > 0


@pytest.mark.slow
def test_all_stages_in_small(tmp_path):
    output = tmp_path / "gpu.jsonl"
    assert gpu.main(["--small", "--output", str(output)]) == 0
    rows = {row["stage"]: row for row in rows_of(output)}
    assert list(rows) == list(gpu.STAGES)
    for name, row in rows.items():
        assert row["status"] == ("skipped" if gpu.reason_to_skip(gpu.STAGES[name], small=True) else "ok"), row
    assert rows["parity"]["max_loss_difference"] == 0
    assert all(value for name, value in rows["parity"].items() if name.startswith(("same_", "sft_same", "rlvr_same")))
    assert all(rows[name]["tokens_per_second"] > 0 for name in rows if "tokens_per_second" in rows[name])
    if rows["leftovers"]["status"] == "ok":
        assert rows["leftovers"]["files_left"] == 0
        assert rows["fsdp"]["max_loss_difference"] == 0
