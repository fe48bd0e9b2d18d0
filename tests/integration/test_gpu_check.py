"""The stages of the GPU check that need TRL, in small on the CPU. The others are in `tests/test_gpu_check.py`."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import gpu

pytest.importorskip("trl")
pytestmark = pytest.mark.integration


def test_the_stages_of_trl_in_small(tmp_path):
    output = tmp_path / "gpu.jsonl"
    stages = [name for name, stage in gpu.STAGES.items() if "trl" in stage.packages]
    assert gpu.main(["--small", "--stage", *stages, "--output", str(output)]) == 0
    rows = {row["stage"]: row for row in map(json.loads, output.read_text().splitlines())}
    assert {row["status"] for name, row in rows.items() if name != "rlvr-vllm"} == {"ok"}
    assert rows["rlvr-vllm"]["status"] == "skipped"
    assert rows["leftovers"]["files_left"] == 0
    assert rows["fsdp"]["max_loss_difference"] == 0
