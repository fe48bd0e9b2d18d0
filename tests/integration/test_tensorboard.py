"""The files of TensorBoard that a run writes, read by TensorBoard."""

import json

import pytest

from zipthought.cli import main
from zipthought.train.trackers import tracking

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = pytest.mark.integration


def test_rows_of_a_resumed_run_take_the_place_of_those_before(tmp_path):
    for steps, shift in ((range(1, 5), 0), (range(3, 6), 10)):
        with tracking(["tensorboard"], tmp_path, "run", {}) as log:
            for step in steps:
                log({"step": step, "loss": float(step + shift), "kl": None})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 1), (2, 2), (3, 13), (4, 14), (5, 15)]


def test_tensorboard_of_a_run_is_in_its_output_directory(tiny_base, tmp_path):
    generate = "generate --n-ops 1 --count 8 --format explicit --surface terse --output-dir"
    assert main([*generate.split(), str(tmp_path)]) == 0
    data = tmp_path / "explicit.jsonl"
    words = ["train", "sft", "--model", str(tiny_base), "--data", str(data), "--steps", "2", "--batch-size", "4"]
    assert main([*words, "--output-dir", str(tmp_path / "out"), "--report-to", "tensorboard"]) == 0
    events = EventAccumulator(str(tmp_path / "out" / "tensorboard")).Reload()
    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").open()]
    losses = [event.value for event in events.Scalars("loss")]
    assert losses == pytest.approx([row["loss"] for row in rows])
