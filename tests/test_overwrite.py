"""No command writes over what it reads, nor over a file that zipthought did not write without --overwrite."""

import json
import os
import re
import shutil
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

import pytest
from small_study import spec_of
from test_cli_surface import command_of, parameters

from zipthought.cli import COMMANDS, main
from zipthought.files import atomic
from zipthought.files.atomic import atomic_files, atomic_open, refuse_overwrite, write_text
from zipthought.generation.generate import GenerateConfig, generate
from zipthought.records.reading import read_records
from zipthought.study.store import Store

SOLUTION = {"question": "How many?", "answer": "2 + 3 = 5, so 5 * 4 = 20.\n#### 20"}


class Paths(NamedTuple):
    """A command with paths, relative to the fixture's directory: what it reads and some of what it writes."""

    arguments: str
    reads: dict[str, list[str]]
    """Option -> files that the command reads for it."""
    writes: dict[str, list[str]]
    """Option -> files that the command writes for it."""


MODEL = ["model/config.json", "model/model.safetensors", "model/tokenizer.json"]
RUN = ["o/config.json", "o/metrics.jsonl", "o/model.safetensors", "o/run.json"]
STORE = ["study/study.db", "study/completions/x.parquet", "study/weights/x"]
PATHS = {
    "generate": Paths("generate --n-ops 2 --count 3 --output-dir o", {}, {"--output-dir": ["o/explicit.jsonl"]}),
    "compress": Paths(
        "compress in.jsonl --output o.jsonl --tokenizer model --layout-file layouts.toml",
        {
            "INPUT": ["in.jsonl"],
            "--tokenizer": ["model/tokenizer.json"],
            "--layout-file": ["layouts.toml"],
            "--model": [],
        },
        {"--output": ["o.jsonl", "o.jsonl.rejects.jsonl"], "--cache": []},  # Of rewrites: tests/test_rewrite.py.
    ),
    "sample": Paths(
        "sample --model model --backend native --data records.jsonl --layout-file layouts.toml --output o.jsonl "
        "--max-new-tokens 4 --samples 1 --pairs short-long --pairs-output p.jsonl --cache c.db",
        {"--model": MODEL, "--data": ["records.jsonl"], "--layout-file": ["layouts.toml"]},
        {"--output": ["o.jsonl"], "--pairs-output": ["p.jsonl"], "--cache": ["c.db"]},
    ),
    "mix": Paths(
        "mix records.jsonl --output o.jsonl --removed r.jsonl --exclude in.jsonl --tokenizer model "
        "--layout-file layouts.toml",
        {
            "SOURCES": ["records.jsonl"],
            "--exclude": ["in.jsonl"],
            "--tokenizer": ["model/tokenizer.json"],
            "--layout-file": ["layouts.toml"],
        },
        {"--output": ["o.jsonl", "o.jsonl.card.md"], "--removed": ["r.jsonl"]},
    ),
    "compare": Paths(
        "compare records.jsonl --output o.md --reference records.jsonl --model model --test in.jsonl --tokenizer model "
        "--layout-file layouts.toml",
        {
            "SOURCES": ["records.jsonl"],
            "--reference": ["records.jsonl"],
            "--model": MODEL,
            "--test": ["in.jsonl"],
            "--tokenizer": ["model/tokenizer.json"],
            "--layout-file": ["layouts.toml"],
        },
        {"--output": ["o.md", "o.md.results.json"]},
    ),
    "export": Paths(
        "export records.jsonl --to hf --output-dir o",
        {"FILES": ["records.jsonl"]},
        {"--output-dir": ["o/README.md", "o/data/train-00000-of-00001.parquet"]},
    ),
    "verify": Paths("", {"FILE": [], "--layout-file": []}, {}),
    "explain": Paths("", {}, {}),
    "pretrain": Paths(
        "pretrain --init model --output-dir o", {"--init": MODEL}, {"--output-dir": [*RUN, "o/card.json"]}
    ),
    "train sft": Paths(
        "train sft --model model --data records.jsonl --output-dir o",
        {"--model": MODEL, "--data": ["records.jsonl"]},
        {"--output-dir": RUN},
    ),
    "train rlvr": Paths(
        "train rlvr --model model --data records.jsonl --exclude in.jsonl --output-dir o",
        {"--model": MODEL, "--data": ["records.jsonl"], "--exclude": ["in.jsonl"]},
        {"--output-dir": RUN},
    ),
    "evaluate": Paths(
        "evaluate --model model --data records.jsonl --layout-file layouts.toml --completions o.parquet",
        {"--model": MODEL, "--data": ["records.jsonl"], "--layout-file": ["layouts.toml"]},
        {"--completions": ["o.parquet"], "--output": []},
    ),
    "advise": Paths("", {"--study": [], "--data": [], "--layout-file": [], "--tokenizer": [], "--model": []}, {}),
    "study run": Paths(
        "study run study.toml --registration r.json --output-dir o",
        {"SPEC": ["study.toml"], "--registration": ["r.json"]},
        {"--output-dir": ["o/report.html", "o/study.db"]},
    ),
    "study register": Paths(
        "study register study.toml --output-file o.json", {"SPEC": ["study.toml"]}, {"--output-file": ["o.json"]}
    ),
    "study report": Paths("study report study --output o.html", {"DIRECTORY": STORE}, {"--output": ["o.html"]}),
    "study status": Paths("", {"DIRECTORY": []}, {}),
    "study check": Paths("", {"DIRECTORY": []}, {}),
}
NAMES_OF_PATHS = {"--model", "--init", "--tokenizer", "SPEC", "SOURCES"}
"""Options of type str that name a file or a directory."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, tiny_base):
    directory = tmp_path_factory.mktemp("inputs")
    generate(GenerateConfig(n_ops=(2,), count=3, output_dir=directory / "g"))
    (directory / "g/explicit.jsonl").rename(directory / "records.jsonl")
    (directory / "in.jsonl").write_text(json.dumps(SOLUTION) + "\n")
    shutil.copytree(tiny_base, directory / "model")
    spec = spec_of(tiny_base)
    Store.create(directory / "study", spec, {"command": "x"})
    for name in ("completions/x.parquet", "weights/x"):
        (directory / "study" / name).parent.mkdir(exist_ok=True)
        (directory / "study" / name).write_text("x")
    (directory / "layouts.toml").write_text('[[layout]]\nname = "own"\nquestion = "q"\nsolution = "s"\n')
    (directory / "study.toml").write_text(
        'name = "x"\n[scaling]\nn_ops = [2]\nformats = ["explicit"]\nexamples = [4]\nsteps = 1\n'
    )
    assert main(["study", "register", str(directory / "study.toml"), "--output-file", str(directory / "r.json")]) == 0
    return directory


def content(directory):
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


@pytest.mark.parametrize("words", COMMANDS)
def test_every_path_of_a_command_is_known(words):
    options = {name for name, kind, _ in parameters(command_of(words)) if "Path" in kind or name in NAMES_OF_PATHS}
    assert options == {*PATHS[words].reads, *PATHS[words].writes}


AIMS = [
    pytest.param(case.arguments.split(), source, output, id=f"{words}: {output} is {source}")
    for words, case in PATHS.items()
    for source, output in product(chain.from_iterable(case.reads.values()), chain.from_iterable(case.writes.values()))
]


@pytest.mark.parametrize(("arguments", "source", "output"), AIMS)
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_no_output_is_an_input(here, capsys, arguments, source, output, link):
    (here / output).parent.mkdir(parents=True, exist_ok=True)
    link(here / source, here / output)
    before = content(here)
    forced = "--overwrite" in {name for name, _, _ in parameters(command_of(" ".join(words_of(arguments))))}
    assert main([*arguments, *["--overwrite"] * forced]) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    refused = rf"the output {output}\S* is (the input {source}|in {Path(source).parent})"
    trained = r"/o (is not empty|holds a finished model); choose another --output-dir"  # Whatever is in it.
    assert re.search(trained if arguments[0] in ("train", "pretrain") else refused, said)
    assert content(here) == before


def words_of(arguments):
    return next(words.split() for words in COMMANDS if arguments[: len(words.split())] == words.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("compress in.jsonl --output ./in.jsonl", "is the input"),
        ("compress in.jsonl --output model/../in.jsonl", "is the input"),
        ("compress data --output data/o.jsonl", "is in data, which is read"),
        ("compress data --output data", "is in data, which is read"),
        ("export d/train.jsonl --to trl-sft --output-dir d", "is the input d/train.jsonl"),
        ("export d/train.jsonl --to trl-sft --output-dir data/../d", "is the input d/train.jsonl"),
        ("study report study --output study/study.db", "is the input"),
        ("study report study --format reference --output study/study.db-journal", "is the input"),
        ("study report study --format markdown --output study/completions/y.md", "is in study/completions"),
        ("study report study --format csv --output study/weights/tables", "is in study/weights"),
        ("train sft --data records.jsonl --model model --output-dir model", "model"),
    ],
)
def test_inputs_by_other_names(here, capsys, arguments, says):
    for name in ("d/train.jsonl", "data/part.parquet"):
        (here / name).parent.mkdir()
        shutil.copy(here / "records.jsonl", here / name)
    before = content(here)
    assert main(arguments.split()) == 2
    assert says in capsys.readouterr().err
    assert content(here) == before


def test_a_store_is_not_replaced_by_a_table_of_its_report(here, capsys):
    (here / "t").mkdir()
    (here / "t/findings.csv").symlink_to(here / "study/study.db")
    before = content(here)
    assert main(["study", "report", "study", "--format", "csv", "--output", "t", "--overwrite"]) == 2
    assert "t/findings.csv is the input study/study.db" in capsys.readouterr().err
    assert content(here) == before


def test_names_that_do_not_exist_are_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is the input"):
        refuse_overwrite([Path("a/../b")], [tmp_path / "b"])
    refuse_overwrite([Path("c")], [tmp_path / "b"])


OUTPUTS = [
    pytest.param(words, output, id=f"{words}: {output}")
    for words in ("generate", "compress", "mix", "export", "study register", "study report")
    for output in chain.from_iterable(PATHS[words].writes.values())
]


@pytest.mark.parametrize(("words", "output"), OUTPUTS)
def test_another_file_is_replaced_only_with_overwrite(here, capsys, words, output):
    arguments = PATHS[words].arguments.split()
    (here / output).parent.mkdir(parents=True, exist_ok=True)
    (here / output).write_text("mine")
    before = content(here)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert f"{output} exists with other content; give --overwrite" in said
    assert len(said.strip().splitlines()) == 1
    assert content(here) == before
    assert main([*arguments, "--overwrite"]) == 0
    assert (here / output).read_bytes() != b"mine"
    made = content(here)
    assert main(arguments) == 0  # The same command again.
    assert content(here) == made


@pytest.mark.parametrize("more", [[], ["--file-type", "parquet"]])
def test_records_of_an_earlier_run_are_replaced(here, more):
    arguments = [*PATHS["generate"].arguments.split(), *more]
    for count in ("3", "2", "30"):
        assert main([*arguments, "--count", count]) == 0
    (path,) = (here / "o").iterdir()
    assert sum(1 for _ in read_records(path)) == 30


def test_rows_that_are_no_records_stay(here, capsys):
    arguments = PATHS["generate"].arguments.split()
    assert main(arguments) == 0
    path = here / "o/explicit.jsonl"
    row = json.loads(path.read_text().splitlines()[0])
    for mine in ({"prompt": "p", "completion": "c"}, {name: row[name] for name in row if name != "id"}):
        path.write_text(json.dumps(mine) + "\n")
        before = content(here)
        assert main(arguments) == 2
        assert "give --overwrite" in capsys.readouterr().err
        assert content(here) == before


def test_reports_in_the_directory_of_their_study_are_its_own(here):
    (here / "study/report.html").write_text("of yesterday")
    assert main(["study", "report", "study"]) == 0
    (here / "study/report.html").write_text("of yesterday")
    assert main(["study", "report", "study", "--output", "study/report.html"]) == 0
    assert "of yesterday" not in (here / "study/report.html").read_text()


def test_a_new_study_does_not_replace_a_page(here, capsys):
    (here / "o").mkdir()
    (here / "o/report.html").write_text("mine")
    assert main(PATHS["study run"].arguments.split()) == 2
    assert "belongs to no study" in capsys.readouterr().err
    assert content(here / "o") == {"report.html": b"mine"}


def test_completions_are_refused_before_the_evaluation(here, capsys):
    (here / "o.parquet").write_text("mine")
    assert main(PATHS["evaluate"].arguments.split()) == 2
    assert "o.parquet exists; give --overwrite" in capsys.readouterr().err


def test_what_llamafactory_has_registered_stays_without_overwrite(here):
    (here / "o").mkdir()
    (here / "o/dataset_info.json").write_text('{"mine": {}}')
    assert main(["export", "records.jsonl", "--to", "llamafactory", "--output-dir", "o"]) == 0
    assert set(json.loads((here / "o/dataset_info.json").read_text())) == {"mine", "zipthought_train"}


def test_a_starter_script_that_was_edited_stays(here, capsys):
    export = ["export", "records.jsonl", "--to", "trl-sft", "--output-dir", "o"]
    assert main(export) == 0
    with (here / "o/train_sft.py").open("a") as file:
        file.write("# mine\n")
    before = content(here)
    assert main(export) == 2
    assert content(here) == before


def test_files_of_one_output_appear_together(tmp_path):
    (tmp_path / "b").write_bytes(b"other")

    def write():
        with atomic_files(overwrite=False) as open_file:
            for name in ("a", "b", "c"):
                open_file(tmp_path / name).write(b"new")

    with pytest.raises(FileExistsError):
        write()
    assert content(tmp_path) == {"b": b"other"}


def test_devices_and_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="no regular file"):
        write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo()


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk/file")
    for text in ("one", "two"):
        write_text(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "disk/file").read_text() == text


def test_files_and_directories_have_the_mode_that_the_umask_leaves(tmp_path):
    earlier = os.umask(0o077)
    try:
        write_text(tmp_path / "new/file", "x")
        os.umask(0o002)
        write_text(tmp_path / "open/file", "x")
        (tmp_path / "new/file").chmod(0o640)
        write_text(tmp_path / "new/file", "y")
    finally:
        os.umask(earlier)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("new", "new/file", "open", "open/file")}
    assert modes == {"new": 0o700, "new/file": 0o640, "open": 0o775, "open/file": 0o664}


def test_of_two_writers_of_a_file_the_second_is_told(tmp_path):
    with atomic_open(tmp_path / "file") as file:
        file.write(b"first")
        with pytest.raises(BlockingIOError, match=r"another process is writing .*file; wait"):
            write_text(tmp_path / "file", "second")
    assert content(tmp_path) == {"file": b"first"}
    write_text(tmp_path / "file", "second")
    assert content(tmp_path) == {"file": b"second"}


def test_what_a_killed_process_left_is_taken_over(tmp_path):
    (tmp_path / f".file{atomic.SUFFIX}").write_text("half of a long text")
    write_text(tmp_path / "file", "whole")
    assert content(tmp_path) == {"file": b"whole"}


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(handle, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(atomic.fcntl, "flock", flock)
    with atomic_open(tmp_path / "file") as file:
        file.write(b"first")
        write_text(tmp_path / "file", "second")
    assert content(tmp_path) == {"file": b"first"}


def test_a_renamed_file_is_on_the_disk(tmp_path, monkeypatch):
    """POSIX: a new name is durable when its directory is."""
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), fsync(handle)))
    write_text(tmp_path / "file", "x")
    assert synced == [(tmp_path / "file").stat().st_ino, tmp_path.stat().st_ino]
    synced.clear()
    with atomic_open(tmp_path / "other", durable=False) as file:
        file.write(b"x")
    assert not synced


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "-x", "a b", "a\nb", "\udcff"], ids=ascii)
def test_names_of_outputs(tmp_path, name):
    write_text(tmp_path / name, "x")
    assert content(tmp_path) == {name: b"x"}
