"""Commands as processes: signals, killed workers, full disks, closed streams, odd environments."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from small_study import spec_of

from zipthought.cli import main
from zipthought.files.atomic import atomic_open
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.records.export import EXPORTS
from zipthought.study.store import Store

COMMAND = [sys.executable, "-m", "zipthought.cli"]
COMMANDS = (
    "generate --n-ops 3 --count 5 --format explicit composed:2 --output-dir o",
    "compress in.jsonl --output o.jsonl",
    "export records.jsonl --to trl-sft --output-dir o",
    "verify records.jsonl",
    "explain --n-ops 3",
    "advise --examples 500 --n-ops 4",
    "study status study",
)
SOLUTION = {"question": "Wie viele Äpfel hat José? 🍎", "answer": "2 + 3 = 5 Äpfel, so 5 * 4 = 20.\n#### 20"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, tiny_base):
    directory = tmp_path_factory.mktemp("inputs")
    made = generate(GenerateConfig(n_ops=(2,), count=400, output_dir=directory / "g"))
    made["files"]["explicit"].rename(directory / "records.jsonl")
    (directory / "in.jsonl").write_text(json.dumps(SOLUTION, ensure_ascii=False) + "\n", "utf-8")
    Store.create(directory / "study", spec_of(tiny_base), {"command": "x"})
    return directory


def files(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


def run(arguments, **options):
    """(exit code, standard output, standard error) of a command, without a traceback."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run([*COMMAND, *arguments.split()], check=False, **(streams | options))
    out, err = ((text or b"").decode(errors="replace") for text in (done.stdout, done.stderr))
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    return done.returncode, out, err


def closed(*numbers):
    """Runs in the new process: close some of its standard streams."""

    def close():
        for number in numbers:
            os.close(number)

    return close


HOSTILE = [
    # The C locale in its full meaning: Python would read and print ASCII.
    ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": None}, closed(0)),
    ({"LC_ALL": "tr_TR.UTF-8", "PYTHONIOENCODING": "ascii", "HOME": "/proc/none", "XDG_CACHE_HOME": None}, closed(2)),
]


@pytest.mark.long
@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize(("environment", "before"), HOSTILE, ids=["C", "ascii"])
def test_environments_change_no_result(here, capsys, arguments, environment, before):
    assert main(arguments.split()) == 0
    usual = capsys.readouterr().out
    names = {name: (here / name).read_bytes() for name in files(here)}
    (here / "again").mkdir()
    for name in ("in.jsonl", "records.jsonl", "study"):
        (here / "again" / name).symlink_to(here / name)
    kept = {name: value for name, value in (os.environ | environment).items() if value is not None}
    code, out, err = run(arguments, cwd=here / "again", env=kept, preexec_fn=before)
    assert (code, err) in ((0, ""), (0, "o.jsonl\n"))
    for path in (here / "again").rglob("o*"):
        if path.is_file():
            assert path.read_bytes() == names[str(path.relative_to(here / "again"))]
    digits = [[c for c in text if c.isdigit()] for text in (out, usual)]
    assert digits[0] == digits[1]


@pytest.mark.parametrize(
    "arguments", [*COMMANDS[3:5], COMMANDS[6], "--help", "study --help", "verify --help", "--version"]
)
def test_a_reader_that_goes_is_no_failure(here, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    assert run(arguments, stdout=writer)[::2] == (0, "")
    os.close(writer)


def test_a_reader_that_goes_does_not_change_the_answer(here):
    lines = (here / "records.jsonl").read_text().splitlines()
    (here / "records.jsonl").write_text("\n".join([*lines[:2], lines[2].replace("Answer: ", "Answer: 1")]) + "\n")
    reader, writer = os.pipe()
    os.close(reader)
    assert run("verify records.jsonl", stdout=writer, stderr=writer)[0] == 1
    os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [COMMANDS[3], "explain --n-ops 3 --json", "--help", "verify --help"])
def test_standard_output_on_a_full_disk(here, arguments):
    with Path("/dev/full").open("wb") as full:
        code, _, err = run(arguments, stdout=full)
    assert code == 2
    assert err.endswith("standard output: No space left on device\n")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [COMMANDS[0], COMMANDS[3]])
def test_closed_streams_change_no_file_and_no_code(here, arguments):
    assert main(arguments.split()) == 0
    before = {name: (here / name).read_bytes() for name in files(here)}
    assert run(arguments, stdout=None, stderr=None, preexec_fn=closed(0, 1, 2))[0] == 0
    assert {name: (here / name).read_bytes() for name in files(here)} == before


def test_a_working_directory_that_was_deleted(here, monkeypatch, capsys):
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()
    for arguments in (*COMMANDS[:4], COMMANDS[6]):
        assert main(arguments.split()) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1
        assert "no longer" not in said
        assert "[Errno" not in said
    for arguments in COMMANDS[4:6]:
        assert main(arguments.split()) == 0


@contextmanager
def file_size_limit(limit):
    """Writing beyond it fails as on a full disk. Python ignores the signal that the system sends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WRITING = [
    *(f"generate --n-ops 3 --count 5000 --output-dir o {more}" for more in ("", "--file-type parquet")),
    "generate --n-ops 3 --count 40 --format explicit composed:2 --output-dir o",
    "compress many.jsonl --output o.jsonl",
    "compress many.jsonl --output o --workers 2",
    *(f"export records.jsonl --to {target} --output-dir o" for target in EXPORTS),
]


@pytest.mark.parametrize("arguments", WRITING)
def test_a_full_disk_is_one_line_and_no_file(here, capfd, arguments):
    (here / "many.jsonl").write_text((json.dumps(SOLUTION) + "\n") * 2000)
    before = files(here)
    with file_size_limit(2000 if "--count 40" in arguments else 100):
        assert main(arguments.split()) == 2
    said = capfd.readouterr().err
    assert len(said.splitlines()) == 1
    assert said.endswith(": File too large\n")
    assert files(here) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that cannot be written")
@pytest.mark.parametrize("arguments", [*WRITING, "study report study --output o.html"])
def test_a_place_that_cannot_be_written_is_one_line(here, capsys, arguments):
    (here / "many.jsonl").write_text(json.dumps(SOLUTION) + "\n")
    words = [word if word not in ("o", "o.jsonl", "o.html") else f"/proc/none/{word}" for word in arguments.split()]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "/proc/none" in said


def children(pid):
    return [int(p) for path in Path(f"/proc/{pid}/task").glob("*/children") for p in path.read_text().split()]


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


RECORDS = 4001
"""Enough for two workers to have a batch each, and two more to wait."""


@contextmanager
def compressing(directory, workers):
    """A process that compresses what comes through a pipe, after its workers' first batch, and the pipe's open end."""
    os.mkfifo(directory / "pipe.jsonl")
    command = f"compress pipe.jsonl --output o.jsonl --workers {workers}".split()
    process = subprocess.Popen(
        [*COMMAND, *command],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # A shell's background job, as the tests may be, ignores Ctrl-C, and one of nohup SIGHUP; so would all that it
        # starts.
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)],
        start_new_session=True,
    )
    try:
        with (directory / "pipe.jsonl").open("w") as pipe:
            pipe.write((json.dumps(SOLUTION) + "\n") * RECORDS)
            pipe.flush()
            wait_until(lambda: (directory / ".o.jsonl.zipthought").stat().st_size)
            yield process, pipe
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # Its workers, too.
        process.communicate()


def files_of(directory):
    return files(directory) - {"pipe.jsonl"}


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")


@needs_proc
@pytest.mark.parametrize(
    ("number", "group", "code", "says"),
    [
        (signal.SIGTERM, False, 143, "stopped by SIGTERM"),
        (signal.SIGHUP, False, 129, "stopped by SIGHUP"),
        (signal.SIGINT, True, 130, "interrupted"),  # As a terminal does: to the workers, too.
    ],
)
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_stopped_command_leaves_nothing(tmp_path, number, group, code, says, workers):
    with compressing(tmp_path, workers) as (process, _):
        started = children(process.pid)
        (os.killpg if group else os.kill)(process.pid, number)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said.decode()) == (code, f"zipthought compress: {says}\n")
        assert not files_of(tmp_path)
        wait_until(lambda: not any(map(lives, started)))


@needs_proc
def test_a_killed_worker_is_one_line(tmp_path):
    with compressing(tmp_path, 2) as (process, pipe):
        started = children(process.pid)
        for worker in started:
            if b"spawn_main" in Path(f"/proc/{worker}/cmdline").read_bytes():
                os.kill(worker, signal.SIGKILL)
        pipe.close()
        _, said = process.communicate(timeout=60)
        assert process.returncode == 2
        assert said.decode().splitlines() == [
            "zipthought compress: a worker process was killed, perhaps for want of memory; try again, or with fewer "
            "--workers"
        ]
        assert not files_of(tmp_path)
        wait_until(lambda: not any(map(lives, started)))


@needs_proc
def test_workers_end_with_a_killed_command_and_the_next_run_cleans_up(tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps(SOLUTION) + "\n")
    with compressing(tmp_path, 2) as (process, _):
        started = children(process.pid)
        process.kill()
        process.wait()
        wait_until(lambda: not any(map(lives, started)))
    assert files_of(tmp_path) > {"in.jsonl"}
    assert main(["compress", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "o.jsonl")]) == 0
    assert files_of(tmp_path) == {"in.jsonl", "o.jsonl", "o.jsonl.rejects.jsonl"}


@needs_proc
def test_of_two_commands_that_write_one_output_the_second_says_so(tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text(json.dumps(SOLUTION) + "\n")
    second = ["compress", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "o.jsonl")]
    with compressing(tmp_path, 1) as (process, pipe):
        assert main(second) == 2
        said = capsys.readouterr().err
        assert "another process is writing" in said
        assert len(said.splitlines()) == 1
        pipe.close()
        assert process.wait(timeout=60) == 0
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == RECORDS
    assert main([*second, "--overwrite"]) == 0
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [
        (COMMANDS[0], "o/composed-2.jsonl"),
        (COMMANDS[2], "o/train_sft.py"),
        (COMMANDS[2], "o/train.jsonl"),
        ("study report study --output o.html", "o.html"),
    ],
)
def test_files_of_two_runs_do_not_mix(here, capsys, arguments, taken):
    before = files(here)
    with atomic_open(here / taken):  # What another process is writing.
        assert main(arguments.split()) == 2
        assert f"another process is writing {taken}" in capsys.readouterr().err
        assert files(here) - before == {str(Path(taken).with_name(f".{Path(taken).name}.zipthought"))}


@pytest.mark.parametrize("name", ["a b", "-x", "ü", "a\nb", "n" * 200])
def test_names_on_the_command_line(here, capsys, name):
    assert main(["generate", "--n-ops", "3", "--count", "2", f"--output-dir={name}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == {"explicit": f"{name}/explicit.jsonl"}
    assert main(["verify", f"./{name}/explicit.jsonl"]) == 0
    assert main(["verify", f"./{name}/none.jsonl"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
