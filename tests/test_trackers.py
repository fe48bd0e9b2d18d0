"""Trackers: which rows they get, their settings, and what is refused before training."""

import json
import sys
from types import ModuleType

import pytest

from zipthought.cli import main
from zipthought.train.trackers import TRACKERS, numbers, require_trackers, tracking


class Fake(ModuleType):
    """A module with the functions that wandb and trackio share. It remembers its calls."""

    def __init__(self, name):
        super().__init__(name)
        self.calls = []

    def init(self, **options):
        print("a greeting")
        self.calls.append(("init", options))

    def log(self, metrics, step):
        self.calls.append(("log", step, metrics))

    def finish(self):
        print("a farewell")
        self.calls.append(("finish",))


@pytest.fixture(params=["wandb", "trackio"])
def fake(request, monkeypatch):
    module = Fake(request.param)
    monkeypatch.setitem(sys.modules, request.param, module)
    return module


@pytest.fixture
def data(tmp_path):
    words = "generate --n-ops 1 --count 8 --format explicit --surface terse --output-dir"
    assert main([*words.split(), str(tmp_path / "data")]) == 0
    return tmp_path / "data" / "explicit.jsonl"


def rows_of(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").open()]


def test_every_step_of_both_commands_reaches_a_tracker(fake, tiny_base, data, tmp_path, capsys):
    sft = ["train", "sft", "--model", str(tiny_base), "--data", str(data), "--steps", "3", "--batch-size", "4"]
    rlvr = ["train", "rlvr", "--model", str(tmp_path / "sft"), "--n-ops", "2", "--steps", "2", "--max-new-tokens", "3"]
    rlvr += ["--prompts-per-step", "2", "--group-size", "2"]
    for command, words in (("sft", sft), ("rlvr", rlvr)):
        capsys.readouterr()
        fake.calls.clear()
        out = tmp_path / command
        assert main([*words, "--output-dir", str(out), "--report-to", fake.__name__, "--json"]) == 0
        json.loads(capsys.readouterr().out)  # The greeting is not in it.
        (first, options), *logs, last = fake.calls
        assert (first, options["project"], options["name"], last) == ("init", "zipthought", command, ("finish",))
        run = json.loads((out / "run.json").read_text())
        assert json.loads(json.dumps(options["config"]["config"])) == run["config"]
        assert options["config"]["config"]["optimizer"]["learning_rate"] > 0
        assert logs == [("log", row["step"], numbers(row)) for row in rows_of(out)]
        assert "report_to" not in (out / "run.json").read_text()


def test_a_run_is_closed_when_training_fails(fake, tmp_path):
    def fail():
        with tracking([fake.__name__], tmp_path, "run", {}) as log:
            log({"step": 1, "loss": 0.5, "kl": None, "name": "x", "flag": True})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert fake.calls[1:] == [("log", 1, {"loss": 0.5}), ("finish",)]


def test_a_tracker_that_cannot_start_is_one_line(fake, tiny_base, data, tmp_path, capsys):
    class Error(Exception):
        pass

    def init(**options):
        raise Error("not logged in\nmore")

    fake.Error, fake.init = Error, init
    words = ["train", "sft", "--model", str(tiny_base), "--data", str(data), "--output-dir", str(tmp_path / "out")]
    assert main([*words, "--report-to", fake.__name__]) == 2
    assert f"the tracker '{fake.__name__}' cannot start: not logged in\n" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("command", ["sft --data missing.jsonl", "rlvr"])
def test_a_missing_package_is_named_before_anything_is_read(name, command, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, name, None)  # An import then raises ImportError.
    words = ["train", *command.split(), "--output-dir", str(tmp_path / "out"), "--report-to", name]
    assert main(words) == 2
    error = f"the tracker {name!r} is not installed; install the package {name}\n"
    assert capsys.readouterr().err.endswith(error)


def test_an_unknown_tracker_is_refused():
    with pytest.raises(ValueError, match="unknown tracker 'mlflow'; use tensorboard, trackio, wandb"):
        require_trackers(["mlflow"])
