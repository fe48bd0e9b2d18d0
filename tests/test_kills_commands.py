"""kill -9 of every command that writes files, 20 times each: no half file under a final name, and the rerun ends as an
undisturbed run.

Half of the kills fall at a random moment, the other half while the command is saving: as soon as its temporary appears.
Commands run in processes forked from a server that has imported everything, so that kills meet their work.
"""

import json
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet
import pytest
from small_study import spec_of
from test_kills import toml

from zipthought.cli import main
from zipthought.models.loading import load

KILLS = 20
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "zipthought.commands.compress",
        "zipthought.commands.export",
        "zipthought.commands.generate",
        "zipthought.commands.study",
        "zipthought.evaluation.evaluate",
        "zipthought.study.bases",
        "zipthought.study.report",
        "zipthought.train.grpo",
        "pyarrow.parquet",
    ]
)


def call(arguments):
    from zipthought.study import bases

    bases.MEASURED_COUNT, bases.MEASURED_N_OPS = 3, (1,)  # An untrained model never ends an answer.
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.exit(main(arguments))


def start(arguments):
    process = SERVER.Process(target=call, args=([str(a) for a in arguments],))
    process.start()
    return process


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def whole_model(path):
    load(str(path), "cpu")
    lines_of(path / "metrics.jsonl")
    json.loads((path / ("run.json" if (path / "run.json").exists() else "card.json")).read_text())


TIMED = ("seconds", "model", "minutes")


def content(path):
    """The bytes of a file, or of a directory's files; of records of a run without times and its directory. The README
    of a base shows what its card says, with the minutes."""
    if path.is_dir():
        return {str(p.relative_to(path)): content(p) for p in sorted(path.rglob("*")) if p.is_file()}
    if path.name == "README.md":
        return len(path.read_text().splitlines())
    if path.name in ("run.json", "card.json"):
        return {k: v for k, v in json.loads(path.read_text()).items() if k not in TIMED}
    if path.name == "metrics.jsonl":
        return [{k: v for k, v in row.items() if k not in TIMED} for row in lines_of(path)]
    return path.read_bytes()


@dataclass
class Killed:
    """A command under test."""

    words: Callable[[Path], list]
    """Its words, for the directory that it writes to."""
    finals: dict[str, Callable[[Path], object]]
    """Final name in the directory -> a function that fails on a half one."""
    saving: str
    """Pattern of what exists while it saves."""
    resume: tuple = ()
    aimed: bool = True
    """Whether half of the kills are aimed at its save. A page that is written in a millisecond is hardly ever hit."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, tiny_base):
    """Records, solutions, and a finished study."""
    directory = tmp_path_factory.mktemp("inputs")
    words = ["--n-ops", "1", "2", "--count", "1500", "--surface", "terse", "--format", "explicit"]
    assert main(["generate", *words, "--output-dir", str(directory)]) == 0
    solution = {"question": "A box has 3 pens.", "answer": "3 + 4 = <<3+4=7>>7\n7 * 2 = <<7*2=14>>14\n#### 14"}
    (directory / "solutions.jsonl").write_text((json.dumps(solution) + "\n") * 3000)
    spec = spec_of(tiny_base)
    scaling = ("n_ops", "batch_size", "test_count", "train_count", "formats", "examples", "steps", "learning_rates")
    (directory / "study.toml").write_text(toml(spec, {"scaling": (*scaling, "validation_count")}))
    words = ["study", "run", str(directory / "study.toml"), "--workers", "1", "--output-dir", str(directory / "study")]
    assert main(words) == 0
    start(["--version"]).join()  # Starts the server, which imports everything once.
    return directory


def command_of(name, base, inputs):
    records = inputs / "explicit.jsonl"
    train = ["--model", base, "--checkpoint-every", 2, "--threads", 1]
    model = {"out": whole_model}
    generate = ["generate", "--n-ops", 3, 4, "--count", 3000, "--format", "composed:2"]
    sft = ["train", "sft", *train, "--data", records, "--steps", 12, "--batch-size", 8]
    rlvr = ["train", "rlvr", *train, "--n-ops", 1, "--steps", 8, "--prompts-per-step", 2, "--group-size", 2]
    pretrain = ["pretrain", "--steps", 6, "--batch-size", 2, "--size", "0.2M"]
    evaluate = ["evaluate", "--model", base, "--n-ops", 1, "--count", 40, "--max-new-tokens", 6, "--threads", 1]
    read_parquet = pyarrow.parquet.read_table
    return {
        "generate jsonl": Killed(
            lambda d: [*generate, "--output-dir", d], {"composed-2.jsonl": lines_of}, ".composed-2.jsonl*"
        ),
        "generate parquet": Killed(
            lambda d: [*generate, "--file-type", "parquet", "--output-dir", d],
            {"composed-2.parquet": read_parquet},
            ".composed-2.parquet*",
        ),
        "compress": Killed(
            lambda d: ["compress", inputs / "solutions.jsonl", "--workers", 1, "--output", d / "out.jsonl"],
            {"out.jsonl": lines_of, "out.jsonl.rejects.jsonl": lines_of},
            ".out.jsonl*",
        ),
        "export": Killed(
            lambda d: ["export", records, "--to", "trl-sft", "--output-dir", d], {"train.jsonl": lines_of}, ".*"
        ),
        "train sft": Killed(lambda d: [*sft, "--output-dir", d / "out"], model, "out.partial/finished", ("--resume",)),
        "train rlvr": Killed(
            lambda d: [*rlvr, "--max-new-tokens", 4, "--output-dir", d / "out"],
            model,
            "out.partial/finished",
            ("--resume",),
        ),
        "pretrain": Killed(
            lambda d: [*pretrain, "--output-dir", d / "out"], model, "out.partial/finished", ("--resume",)
        ),
        "evaluate": Killed(
            lambda d: [*evaluate, "--output", d / "out.parquet"], {"out.parquet": read_parquet}, ".out.parquet*"
        ),
        "study report": Killed(
            lambda d: ["study", "report", inputs / "study", "--output", d / "report.html"],
            {"report.html": lambda path: path.read_text().index("</html>")},
            ".report.html*",
            aimed=False,
        ),
    }[name]


def wait_and_kill(process, directory, command, seconds):
    """Kill the process after `seconds`, or with None while it saves. Returns whether it was saving, or None if it had
    ended before."""
    began = time.monotonic()
    while process.exitcode is None:
        saving = any(directory.glob(command.saving))
        if saving if seconds is None else time.monotonic() - began > seconds:
            break
        time.sleep(0.0005)
    if seconds is None:
        time.sleep(random.random() * 0.004)
    process.kill()
    process.join()
    if process.exitcode == 0:
        return None
    assert process.exitcode == -9
    return any(directory.glob(command.saving))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("generate jsonl", "generate parquet", "compress", "export"),
        *("train sft", "train rlvr", "pretrain", "evaluate", "study report"),
    ],
)
def test_twenty_kills_leave_nothing_half_written(name, tiny_base, inputs, tmp_path):
    command = command_of(name, tiny_base, inputs)
    whole = tmp_path / "whole"
    whole.mkdir()
    began = time.monotonic()
    undisturbed = start(command.words(whole))
    undisturbed.join()
    took = time.monotonic() - began
    assert undisturbed.exitcode == 0
    expected = {final: content(whole / final) for final in command.finals}
    rng = random.Random(name)
    kills = saving = equal = 0
    for attempt in range(10 * KILLS):
        if kills == KILLS:
            break
        directory = tmp_path / f"cut{attempt}"
        directory.mkdir()
        seconds = rng.uniform(0, took) if attempt % 2 or not command.aimed else None
        process = start(command.words(directory))
        met = wait_and_kill(process, directory, command, seconds)
        if met is None:
            continue
        kills += 1
        saving += met
        for final, check in command.finals.items():
            if (directory / final).exists():
                check(directory / final)
        again = start([*command.words(directory), *command.resume])
        again.join()
        assert again.exitcode == 0
        result = {final: content(directory / final) for final in command.finals}
        assert result == expected
        equal += 1
        shutil.rmtree(directory)
    print(f"{name}: {kills} kills, {saving} of them while it saved, {equal} reruns equal, {took:.2f} s undisturbed")
    assert kills == equal == KILLS
    assert saving >= KILLS // 4 or not command.aimed
