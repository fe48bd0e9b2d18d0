"""Damage to a study's store and files: every kind is noticed and named, none ends in a traceback, none changes a
verdict in silence, and `study run` mends what can be mended."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_study import as_version_02
from synthetic_study import WORKER, finished_study, made_up

from zipthought.cli import main
from zipthought.report.data import Finding
from zipthought.study import report
from zipthought.study.spec import load_spec
from zipthought.study.store import Store
from zipthought.study.workspace import Workspace

pytest.importorskip("altair")

SPEC = """
name = "damaged"
seeds = [0, 1, 2]
bootstrap = 4

[scaling]
formats = ["explicit", "implicit:2"]
examples = [64, 1024]
n_ops = [3]
test_count = 10
train_count = 2
thresholds = [0.5]

[decomposition]
seeds = [0]
branches = ["rlvr", "sft-updates", "sft-tokens"]
sft_steps = [2]
n_ops = [3]
longer_n_ops = [4]
rl_steps = 2
measure_every = 1
count = 6
samples = 1
"""
CELLS = 17


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """A finished study, `study`, with its file beside it. Copied by each test."""
    root = tmp_path_factory.mktemp("whole")
    (root / "spec.toml").write_text(SPEC)
    store = finished_study(root / "study", load_spec(str(root / "spec.toml")))
    assert store.counts() == {"done": CELLS}
    with contextlib.closing(sqlite3.connect(root / "study" / "study.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return root


@pytest.fixture
def place(tmp_path) -> Iterator[Path]:
    """A directory in memory where there is one, because a database waits for the disk after each change."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="zipthought-") as directory:
        yield Path(directory)


@pytest.fixture
def study(whole, place, monkeypatch) -> Path:
    """A copy of it. `study run` makes results up, as the fixture does, and writes no report."""
    shutil.copytree(whole / "study", place / "study")
    monkeypatch.setattr("zipthought.study.runner.run", run_made_up)
    monkeypatch.setattr("zipthought.commands.study._report", lambda study, path, overwrite, json: None)
    return place / "study"


def run_made_up(store: Store, **options) -> dict[str, int]:
    store.release_dead()
    store.retry_failed()
    while cell := store.claim(WORKER):
        RUN.append(cell.digest)
        assert store.finish(cell.digest, WORKER, made_up(cell, Workspace(store.directory)), 1.5)
    return store.counts()


RUN: list[str] = []
"""The cells that the last `study run` ran."""


def sql(directory: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(directory / "study.db", isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            db.execute(statement)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def first(directory: Path, kind: str = "sft", column: str = "digest") -> str:
    """A column of the first cell of a kind."""
    query = f'SELECT {column} FROM cells WHERE config LIKE \'%"kind": "{kind}"%\' ORDER BY place'
    with contextlib.closing(sqlite3.connect(directory / "study.db")) as db:
        return db.execute(query).fetchone()[0]


def on_first(change: str, kind: str = "sft"):
    """A damage: an SQL assignment to the row of the first cell of a kind."""
    return lambda d: sql(d, f"UPDATE cells SET {change} WHERE digest = '{first(d, kind)}'")


def on_meta(key: str, value: str):
    return lambda d: sql(d, f"UPDATE meta SET value = {value} WHERE key = '{key}'")


def completions(directory: Path, number: int = 0, split: str = "test") -> Path:
    return sorted((directory / "completions").glob(f"*.{split}.parquet"))[number]


def rewrite(path: Path, change) -> None:
    path.write_bytes(change(path.read_bytes()))


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :]


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def edit_one_value(directory: Path) -> None:
    """A valid file of completions in which one wrong answer has become a right one."""
    import pyarrow.parquet as parquet

    path = completions(directory)
    table = parquet.read_table(path)
    correct = table["correct"].to_pylist()
    correct[0] = not correct[0]
    at = table.column_names.index("correct")
    parquet.write_table(table.set_column(at, table.schema.field("correct"), [correct]), path)


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def without_constraints(directory: Path, *statements: str) -> None:
    sql(directory, "CREATE TABLE copied AS SELECT * FROM cells", "DROP TABLE cells", *statements)
    sql(directory, "ALTER TABLE copied RENAME TO cells")


def weights(directory: Path) -> Path:
    return next((directory / "weights").glob("*/model.safetensors"))


SWAPPED = "UPDATE cells SET result = (SELECT result FROM cells WHERE digest = '{1}') WHERE digest = '{0}'"
RESULT = "was altered"

MENDED = {  # damage -> (what does it, how `study check` names it, the cells that run again)
    "a result that is a list": (on_first("result = '[]'"), RESULT, 1),
    "a result that is an empty object": (on_first("result = '{}'"), RESULT, 1),
    "a result that is NULL": (on_first("result = NULL"), "has no result", 1),
    "a result that is a text": (on_first("""result = '"text"'"""), RESULT, 1),
    "a result that is null in JSON": (on_first("result = 'null'"), RESULT, 1),
    "a result that is a number": (on_first("result = 3"), RESULT, 1),
    "a result that is a blob": (on_first("result = x'00ff'"), RESULT, 1),
    "a result that is empty": (on_first("result = ''"), RESULT, 1),
    "a truncated result": (on_first("result = substr(result, 1, 200)"), RESULT, 1),
    "a result with NaN": (on_first("""result = replace(result, '"flops": ', '"flops": NaN, "x": ')"""), RESULT, 1),
    "an edited accuracy": (on_first("""result = replace(result, '"accuracy": 0.', '"accuracy": 0.9')"""), RESULT, 1),
    "an edited number of tokens": (on_first("""result = replace(result, '"tokens": ', '"tokens": 1')"""), RESULT, 1),
    "an edited result of RLVR": (
        on_first("""result = replace(result, '"correct": ', '"correct": 1')""", "decomposition"), RESULT, 1),
    "the result of another cell": (
        lambda d: sql(d, SWAPPED.format(first(d), first(d, "decomposition"))), RESULT, 1),
    "edited seconds": (on_first("seconds = 99"), RESULT, 1),
    "seconds that are a text": (on_first("seconds = 'abc'"), RESULT, 1),
    "an edited checksum": (on_first("checksum = 'abc'"), RESULT, 1),
    "no checksum": (on_first("checksum = NULL"), "has no checksum", 1),
    "no list of files": (on_first("files = NULL"), RESULT, 1),
    "an emptied list of files": (on_first("files = '{}'"), RESULT, 1),
    "settings edited": (on_first("""config = replace(config, '"seed": 0', '"seed": 7')"""), "altered settings", 1),
    "settings that are no JSON": (on_first("config = 'x'"), "settings that cannot be read", 1),
    "settings that are a list": (on_first("config = '[]'"), "settings that cannot be read", 1),
    "settings that lack a field": (
        on_first("""config = replace(config, '"batch_size"', '"size"')"""), "settings that cannot be read", 1),
    "an unknown kind of cell": (
        on_first("""config = replace(config, '"kind": "sft"', '"kind": "magic"')"""), "unknown kind", 1),
    "needed cells edited": (on_first("""needs = '["x"]'""", "decomposition"), "list of needed cells", 1),
    "needed cells that are no JSON": (on_first("needs = 'x'", "decomposition"), "list of needed cells", 1),
    "an unknown status": (on_first("status = 'finished'"), "unknown status", 1),
    "a status that is empty": (on_first("status = ''"), "unknown status", 1),
    "done made pending": (on_first("status = 'pending'"), "is pending, but has", 1),
    "done made failed": (on_first("status = 'failed', error = x'00'"), "is failed, but has", 1),
    "done made running": (on_first("status = 'running', worker = 5, heartbeat = 'x'"), "is running, but has", 1),
    "a cell deleted": (lambda d: sql(d, f"DELETE FROM cells WHERE digest = '{first(d)}'"), "has no row", 1),
    "all cells deleted": (lambda d: sql(d, "DELETE FROM cells"), "has no row", CELLS),
    "a table of cells that is gone and made empty": (
        lambda d: sql(d, "CREATE TABLE x AS SELECT * FROM cells WHERE 0", "DROP TABLE cells",
                      "ALTER TABLE x RENAME TO cells"), "has no row", CELLS),
    "a cell added": (
        lambda d: sql(d, "INSERT INTO cells (digest, place, config, needs) VALUES ('f00', 99, '{}', '[]')"),
        "belongs to no cell", 0),
    "a digest renamed": (on_first("digest = 'f00'"), "has no row", 1),
    "a digest that is NULL": (on_first("digest = NULL"), "has no row", 1),
    "a cell twice": (
        lambda d: without_constraints(d, f"INSERT INTO copied SELECT * FROM copied WHERE digest = '{first(d)}'"),
        "is stored twice", 1),
    "a row of meta added": (lambda d: sql(d, "INSERT INTO meta VALUES ('x', '1')"), "row 'x' of meta", 0),
    "no environment": (lambda d: sql(d, "DELETE FROM meta WHERE key = 'environment'"), "'environment' of meta", 0),
    "an environment that is a number": (on_meta("environment", "'3'"), "'environment' of meta", 0),
    "a date that is a text": (on_meta("created", "'\"x\"'"), "'created' of meta", 0),
    "a date that is huge": (on_meta("created", "'1e300'"), "'created' of meta", 0),
    "a format of an earlier version": (on_meta("format", "'2'"), "'format' of meta", 0),
    "a format of a later version": (on_meta("format", "'7'"), "'format' of meta", 0),
    "no format": (lambda d: sql(d, "DELETE FROM meta WHERE key = 'format'"), "'format' of meta", 0),
    "the spec edited": (
        on_meta("spec", """replace(value, '"thresholds": [0.5]', '"thresholds": [0.9]')"""), "'spec' of meta", 0),
    "seeds of the spec edited": (
        on_meta("spec", """replace(value, '"seeds": [0, 1, 2]', '"seeds": [0, 1]')"""), "'spec' of meta", 0),
    "no spec": (lambda d: sql(d, "DELETE FROM meta WHERE key = 'spec'"), "'spec' of meta", 0),
    "a spec that is a list": (on_meta("spec", "'[]'"), "'spec' of meta", 0),
    "a spec that is no JSON": (on_meta("spec", "'{'"), "'spec' of meta", 0),
    "the models edited": (on_meta("models", """'{"bundled": "f00"}'"""), "'models' of meta", 0),
    "no models": (lambda d: sql(d, "DELETE FROM meta WHERE key = 'models'"), "'models' of meta", 0),
    "no checksums of meta": (lambda d: sql(d, "DELETE FROM meta WHERE key = 'checksums'"), "'checksums' of meta", 0),
    "an empty table of meta": (lambda d: sql(d, "DELETE FROM meta"), "'spec' of meta", 0),
    "completions missing": (lambda d: completions(d).unlink(), "completions that are missing", 1),
    "all completions missing": (lambda d: shutil.rmtree(d / "completions"), "completions that are missing", CELLS),
    "completions of training missing": (lambda d: completions(d, 1, "train").unlink(), "that are missing", 1),
    "completions of RLVR missing": (lambda d: completions(d, 0, "rlvr").unlink(), "that are missing", 1),
    "completions truncated": (lambda d: rewrite(completions(d), lambda b: b[: len(b) // 2]), "were altered", 1),
    "completions of 0 bytes": (lambda d: rewrite(completions(d), lambda b: b""), "were altered", 1),
    "completions with one bit flipped": (
        lambda d: rewrite(completions(d), lambda b: flip(b, len(b) // 2)), "were altered", 1),
    "one value of the completions edited": (edit_one_value, "were altered", 1),
    "completions of two cells swapped": (
        lambda d: swap(completions(d, 0), completions(d, 1)), "were altered", 2),
    "completions that are a directory": (lambda d: replace_by_directory(completions(d)), "are no file", 1),
    "completions that are a loop of links": (lambda d: loop(completions(d)), "completions that", 1),
    "weights missing": (lambda d: shutil.rmtree(weights(d).parent), "weights that are missing", 1),
    "a file of the weights missing": (lambda d: weights(d).unlink(), "weights that are missing", 1),
    "weights altered": (lambda d: rewrite(weights(d), lambda b: flip(b, 100)), "weights that were altered", 1),
    "weights that are a directory": (lambda d: replace_by_directory(weights(d)), "weights that are no file", 1),
}  # fmt: skip


def header(content: bytes) -> bytes:
    return b"x" * 100 + content[100:]


UNREADABLE = {  # damage -> (what does it, the cells that run again; None if `study run` refuses)
    "a database that is a text": (lambda d: (d / "study.db").write_text("text " * 500), None),
    "a database that is a directory": (lambda d: replace_by_directory(d / "study.db"), None),
    "a database that is a loop of links": (lambda d: loop(d / "study.db"), None),
    "a database that is truncated": (lambda d: rewrite(d / "study.db", lambda b: b[: len(b) // 3]), None),
    "a database without its last page": (lambda d: rewrite(d / "study.db", lambda b: b[:-4096]), None),
    "a database with another header": (lambda d: rewrite(d / "study.db", header), None),
    "a database of zeros": (lambda d: rewrite(d / "study.db", lambda b: bytes(len(b))), None),
    "pages in another order": (lambda d: rewrite(d / "study.db", lambda b: b[:4096] + b[8192:] + b[4096:8192]), None),
    "a column renamed": (lambda d: sql(d, "ALTER TABLE cells RENAME COLUMN result TO outcome"), None),
    "a column of checksums renamed": (lambda d: sql(d, "ALTER TABLE cells RENAME COLUMN checksum TO x"), None),
    "the columns of checksums dropped": (
        lambda d: sql(d, "ALTER TABLE cells DROP COLUMN checksum", "ALTER TABLE cells DROP COLUMN files"), None),
    "a column of meta renamed": (lambda d: sql(d, "ALTER TABLE meta RENAME COLUMN value TO x"), None),
    "another database": (
        lambda d: sql(d, "DROP TABLE cells", "DROP TABLE meta", "CREATE TABLE meta (x)"), None),
    "a table of cells that is a view": (
        lambda d: sql(d, "ALTER TABLE cells RENAME TO x", "CREATE VIEW cells AS SELECT 1 AS digest"), None),
    "no table of cells": (lambda d: sql(d, "DROP TABLE cells"), CELLS),
    "no table of meta": (lambda d: sql(d, "DROP TABLE meta"), 0),
    "an empty file": (lambda d: rewrite(d / "study.db", lambda b: b""), CELLS),
    "no database": (lambda d: (d / "study.db").unlink(), CELLS),
}  # fmt: skip

HARMLESS = {
    "a log of garbage": lambda d: (d / "study.db-wal").write_bytes(random.Random(0).randbytes(9000)),
    "an index of the log that is garbage": lambda d: (d / "study.db-shm").write_bytes(b"x" * 32768),
    "other positions": lambda d: sql(d, "UPDATE cells SET place = 'x'"),
    "other attempts": lambda d: sql(d, "UPDATE cells SET attempts = 99"),
    "leftovers of a killed run": lambda d: [
        (d / "completions" / ".x.test.parquet.abc").touch(), (d / "scratch" / "x").mkdir(parents=True)],
}  # fmt: skip


@pytest.fixture(scope="session")
def expected(whole) -> list[Finding]:
    """The findings of the undamaged study."""
    study = Store.open(whole / "study").read()
    return report.findings(study, report.measure(study))


def one_line(said: str) -> bool:
    return said.startswith("zipthought study ") and said.count("\n") == 1


def look(study: Path, expected: list[Finding], capsys) -> tuple[int, str]:
    """Check, status and report of a damaged study: (exit code of `study check`, what it says)."""
    code = main(["study", "check", str(study)])
    checked = capsys.readouterr()
    assert code < 2 or one_line(checked.err)
    shown = main(["study", "status", str(study)])
    status = capsys.readouterr()
    # Status and report need no weights and no index.
    lines = checked.out.splitlines()[:-1]
    faults = [
        line
        for line in lines
        if not re.search("has weights that|study.db is damaged|belongs to no finished|because an earlier", line)
    ]
    seen = code == 1 and faults != []
    assert one_line(status.err) if shown == 2 else seen == ("study check" in status.err), status
    try:
        snapshot = Store.open(study).read()
        found = report.findings(snapshot, report.measure(snapshot))
    except (ValueError, OSError):  # The command line turns these into one line and exit code 2.
        assert code > 0
    else:
        assert seen == (report.warnings(snapshot) != [])
        assert found == expected or seen
    return code, " ".join((checked.out + checked.err).split())


def run(whole: Path, study: Path, capsys) -> tuple[int, str]:
    RUN.clear()
    code = main(["study", "run", str(whole / "spec.toml"), "--output-dir", str(study)])
    return code, capsys.readouterr().err


@pytest.mark.parametrize("damage", MENDED)
def test_damage_is_named_kept_out_of_the_report_and_mended(damage, study, whole, expected, capsys):
    do, named, again = MENDED[damage]
    do(study)
    code, said = look(study, expected, capsys)
    assert code == 1
    assert named in said
    code, said = run(whole, study, capsys)
    assert code == 0
    assert len(RUN) == len(set(RUN)) == again
    assert said
    assert main(["study", "check", str(study)]) == 0
    assert same_results(study, whole)


def same_results(study: Path, whole: Path) -> bool:
    mended, intact = Store.open(study).read(), Store.open(whole / "study").read()
    rows = [[(cell.digest, cell.status, cell.result) for cell in snapshot.cells] for snapshot in (mended, intact)]
    return rows[0] == rows[1] and mended.spec == intact.spec and not mended.faults


@pytest.mark.parametrize("damage", UNREADABLE)
def test_a_database_that_cannot_be_read_is_one_line(damage, study, whole, expected, capsys):
    do, again = UNREADABLE[damage]
    do(study)
    code, said = look(study, expected, capsys)
    assert code > 0
    assert "study.db" in said or "holds no study" in said
    code, said = run(whole, study, capsys)
    if again is None:
        assert code == 2
        assert one_line(said)
    else:
        assert (code, len(RUN)) == (0, again)
        assert same_results(study, whole)


@pytest.mark.parametrize("damage", HARMLESS)
def test_what_no_result_depends_on_is_no_damage(damage, study, whole, expected, capsys):
    HARMLESS[damage](study)
    assert look(study, expected, capsys)[0] == 0
    assert run(whole, study, capsys)[0] == 0
    assert RUN == []
    assert same_results(study, whole)


OLD = {  # damage to a store of version 0.2, which has no checksums -> how `study check` names it
    "a result that is a list": (on_first("result = '[]'"), "has a result that cannot be read"),
    "a result that is an empty object": (on_first("result = '{}'"), "has a result that cannot be read"),
    "a result that is NULL": (on_first("result = NULL"), "has no result"),
    "a result with a text for a number": (
        on_first("""result = replace(result, '"tokens": ', '"tokens": "x", "y": ')"""), "of a wrong type"),
    "settings edited": (on_first("""config = replace(config, '"seed": 0', '"seed": 7')"""), "altered settings"),
    "a cell deleted": (lambda d: sql(d, f"DELETE FROM cells WHERE digest = '{first(d)}'"), "has no row"),
    "completions missing": (lambda d: completions(d).unlink(), "completions that are missing"),
    "completions truncated": (
        lambda d: rewrite(completions(d), lambda b: b[: len(b) // 2]), "completions that cannot be read"),
    "weights missing": (lambda d: shutil.rmtree(weights(d).parent), "weights that are missing"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("damage", OLD)
def test_damage_to_a_store_without_checksums(damage, study, whole, expected, capsys):
    as_version_02(study)
    do, named = OLD[damage]
    do(study)
    code, said = look(study, expected, capsys)
    assert code == 1
    assert named in said
    assert run(whole, study, capsys)[0] == 0
    assert len(RUN) == 1
    assert same_results(study, whole)
    assert sum(not cell.checked for cell in Store.open(study).read().cells) == CELLS - 1  # The others stay so.


def test_every_form_of_the_report_says_at_its_head_what_is_left_out(study, monkeypatch, capsys):
    name = f"cell {first(study)} (explicit, forward, 64 examples x 60 updates, seed 0)"
    completions_of = study / "completions" / f"{first(study)}.test.parquet"
    completions_of.unlink()
    on_first("status = 'failed', result = NULL, files = NULL, checksum = NULL, error = 'no'", "decomposition")(study)
    count = f"2 of {CELLS} cells are left out of all numbers and verdicts: 1 failed, 1 altered."
    named = f"{name} has completions that are missing: completions/{completions_of.name}"
    monkeypatch.undo()
    for form in ("html", "markdown", "json"):
        assert main(["study", "report", str(study), "--format", form, "--output", str(study / "x")]) == 0
        head = " ".join((study / "x").read_text().partition("F1")[0].split()).replace("&#39;", "'")
        said = " ".join(capsys.readouterr().err.split())
        for sentence in (count, named):
            assert sentence in head, form
            assert sentence in said, form
    assert main(["study", "report", str(study), "--format", "reference"]) == 2
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_flipped_bytes_are_noticed_or_change_nothing(block, study, whole, expected, capsys):
    """300 times between 1 and 50 bytes of the database change at random, or of all files of a study."""
    noticed = 0
    for seed in range(30 * block, 30 * block + 30):
        rng = random.Random(seed)
        shutil.rmtree(study)
        shutil.copytree(whole / "study", study)
        files = [study / "study.db"] if seed % 3 else sorted(path for path in study.rglob("*") if path.is_file())
        for _ in range(rng.choice((1, 1, 2, 10, 50))):
            path = rng.choice(files)
            content = bytearray(path.read_bytes())
            content[rng.randrange(len(content))] = rng.randrange(256)
            path.write_bytes(content)
        noticed += look(study, expected, capsys)[0] > 0
        output = study.parent / "report.json"
        code = main(["study", "report", str(study), "--format", "json", "--output", str(output)])
        said = capsys.readouterr().err
        assert code == 0 or (code == 2 and one_line(said)), seed
        assert run(whole, study, capsys)[0] in (0, 2), seed
    assert noticed > 15


FULL = """
import resource, sys
sys.path.insert(0, {tests!r})
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
import zipthought.study.runner
from test_store_damage import run_made_up
from zipthought.cli import main
zipthought.study.runner.run = run_made_up
sys.exit(main(["study", "run", {spec!r}, "--output-dir", {out!r}]))
"""


@pytest.mark.long
@pytest.mark.parametrize("limit", [10_000, 100_000])
def test_a_full_disk_is_one_line_and_the_study_goes_on(limit, whole, study, capsys):
    """Files that may not grow, before the store exists and after some cells."""
    out = study.parent / "full"
    code = FULL.format(tests=str(Path(__file__).parent), limit=limit, spec=str(whole / "spec.toml"), out=str(out))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert one_line(done.stderr)
    finished = Store(out).counts().get("done", 0) if limit > 50_000 else 0
    assert (finished > 0) == (limit > 50_000)
    assert run(whole, out, capsys)[0] == 0
    assert len(RUN) == CELLS - finished
    assert same_results(out, whole)


def test_two_runs_on_one_store_share_the_cells(whole, study, place):
    spec = load_spec(str(whole / "spec.toml"))
    one = Store.create(place / "both", spec, {})
    first = one.claim("one:1")
    other = Store.create(place / "both", spec, {})  # It leaves the cell at work alone.
    assert other.mended == []
    assert other.counts() == {"pending": CELLS - 1, "running": 1}
    run_made_up(other)
    result = made_up(first, Workspace(place / "both"))
    assert one.finish(first.digest, "one:1", result, 1.5)
    run_made_up(one)
    assert same_results(place / "both", whole)
