"""Datasets of the Hugging Face Hub, read by the package `datasets`. They are directories here: a test has no network.

make integration
"""

import json
import os
from pathlib import Path

import pytest

from zipthought.cli import main

pytestmark = pytest.mark.integration

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

ROW = {"question": "How many?", "answer": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.\n#### 20", "id": 7, "topic": "nuts"}
CONFIGS = """---
configs:
- config_name: easy
  data_files: easy/train.jsonl
- config_name: hard
  data_files: hard/train.jsonl
---
"""


@pytest.fixture(autouse=True)
def directories(tmp_path, monkeypatch):
    """Datasets with one split, with two that are not `train`, and with two configurations, in the current directory."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    files = {"one/train": 3, "splits/test": 1, "splits/validation": 2, "configs/easy/train": 1, "configs/hard/train": 2}
    for name, count in files.items():
        path = tmp_path / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((json.dumps(ROW) + "\n") * count)
    (tmp_path / "configs" / "README.md").write_text(CONFIGS)


@pytest.mark.parametrize(
    ("name", "count"),
    [("one", 3), ("one::train", 3), ("one::train[:2]", 2), ("splits::test", 1), ("configs:hard", 2)],
)
def test_a_dataset_is_compressed_and_verified(name, count, capsys):
    assert main(["compress", f"hf:{name}", "--output", "out.jsonl", "--workers", "1"]) == 0
    records = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [record["source_id"] for record in records] == ["7"] * count
    assert records[0]["completion"] == "So (2 + 3) * 4 = 20.\n#### 20"
    capsys.readouterr()
    assert main(["verify", f"hf:{name}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["faithful"] == count


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("org/unknown", "hf:org/unknown cannot be loaded: Couldn't reach 'org/unknown'"),
        ("splits", "hf:splits has the splits validation, test; name one: hf:splits::validation"),
        ("splits::train", "Unknown split \"train\". Should be one of ['validation', 'test']"),
        ("configs", "pick one among the available configs: ['easy', 'hard']"),
        ("configs:other", "'other' not found. Available: ['easy', 'hard']"),
        ("one::train[", "name a dataset as hf:org/name"),
    ],
)
def test_a_dataset_that_cannot_be_loaded(name, message, capsys):
    assert main(["compress", f"hf:{name}", "--output", "out.jsonl"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[-1]
    assert not Path("out.jsonl").exists()


def test_a_dataset_directory_is_an_input(capsys):
    assert main(["compress", "hf:one", "--output", "one/train.jsonl", "--overwrite"]) == 2
    assert "is the input" in capsys.readouterr().err
