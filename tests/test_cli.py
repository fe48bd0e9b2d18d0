"""Whole commands through the command line. Bad input gets one line, exit code 2, no traceback and no file."""

import json
import shutil
import sys
from io import StringIO
from pathlib import Path

import pytest

from zipthought.cli import main


def run(capsys, *arguments):
    """(exit code, standard output, standard error) of a command in this process."""
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


def generate(capsys, directory, *extra):
    arguments = ("generate", "--n-ops", 3, 4, "--count", 6, "--format", "explicit", "composed:2")
    return run(capsys, *arguments, "--output-dir", directory, "--json", *extra)


def test_generate_verify_and_a_changed_number(capsys, tmp_path):
    code, out, _ = generate(capsys, tmp_path)
    assert code == 0
    result = json.loads(out)
    assert result["records"] == 24
    assert set(result["files"]) == {"explicit", "composed:2"}
    lines = [json.loads(line) for line in Path(result["files"]["composed:2"]).read_text().splitlines()]
    assert len(lines) == 12
    fields = "answer completion format id index k messages modulus n_ops order prompt split structure surface"
    assert " ".join(sorted(lines[0])) == fields
    code, out, _ = run(capsys, "verify", result["files"]["composed:2"], "--json")
    summary = json.loads(out)
    assert code == 0
    assert (summary["records"], summary["faithful"], summary["answers"]["correct"]) == (12, 12, 12)

    wrong = dict(lines[0])
    wrong["completion"] = wrong["completion"].replace("Answer: ", "Answer: 1")
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps(lines[1]) + "\n\n" + '{"prompt": \n' + json.dumps(wrong) + "\n")
    code, out, err = run(capsys, "verify", bad, "--json")
    summary = json.loads(out)
    assert code == 1
    assert (summary["records"], summary["faithful"], summary["bad_lines"]) == (2, 1, 2)
    assert "line 2" in err
    assert "line 3" in err


def test_verify_reads_records_of_other_programs(capsys, tmp_path):
    record = {
        "problem": "The number of kites equals 3. The number of drums equals the number of kites plus 4. The number of "
        "oaks equals 2. The number of lamps equals the number of drums times 2.",
        "question": "What is the number of lamps?",
        "solution": "Define kites as QB; so QB = 3. Define drums as MX; so MX = QB + 4 = 3 + 4 = 7. "
        "Define lamps as AE; so AE = MX * 2 = 7 * 2 = 14. Answer: 14.",
    }
    file = tmp_path / "foreign.jsonl"
    file.write_text(json.dumps(record) + "\n")
    code, out, _ = run(capsys, "verify", file, "--modulus", 23, "--json")
    assert code == 0
    assert json.loads(out)["faithful"] == 1
    code, out, err = run(capsys, "verify", file, "--json")
    assert code == 2
    assert "modulus" in err
    file.write_text(json.dumps({**record, "surface": ["x"]}) + "\n" + json.dumps(record) + "\n")
    code, out, err = run(capsys, "verify", file, "--modulus", 23, "--json")
    assert code == 2
    assert json.loads(out)["faithful"] == 1
    assert "line 1" in err


def test_verify_reads_real_solutions_in_any_layout(capsys, tmp_path):
    records = [
        {"problem": "Add 3 and 4.", "solution": "3 + 4 = 7, so $\\boxed{7}$.", "answer": "7"},
        {"query": "Add 3 and 4.", "response": "3 + 4 = 7\n#### 7", "answer": "8"},
        {"question": "Add 3 and 4.", "answer": "3 + 4 = <<3+4=8>>8\n#### 8"},
        {"question": "Which?", "solution": "3 + 4 = 7 is option $\\boxed{\\text{(B)}}$.", "answer": "B"},
        {"question": "What?", "answer": "Nothing."},
    ]
    file = tmp_path / "real.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    code, out, err = run(capsys, "verify", file, "--json")
    summary = json.loads(out)
    assert code == 1
    assert (summary["records"], summary["faithful"], summary["bad_lines"]) == (4, 2, 1)
    assert summary["answers"]["correct"] == 3
    assert summary["answers"]["wrong"] == 1
    assert "line 5: not read: the record has no right answer" in err


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (("--format", "zip:2"), "unknown format"),
        (("--format", "random-steps:0.5"), "its traces are not faithful"),
        (("--format", "composed:0"), "at least 1"),
        (("--format", "composed"), "granularity"),
        (("--modulus", 1), "modulus must be at least 2"),
        (("--number-range", 2), "number_range"),
        (("--n-ops", 600), "names"),
        (("--n-ops", 0), "n_ops must be at least 1"),
        (("--split", "dev"), "unknown split"),
        (("--order", "sideways"), "unknown order"),
        (("--task", "tree", "--order", "backward"), "has no order"),
        (("--surface", "french"), "unknown surface"),
        (("--shards", 2, "--shard", 2), "shard"),
        (("--file-type", "csv"), "csv"),
        (("--colour", "red"), "colour"),
    ],
)
def test_bad_settings_of_generate(capsys, tmp_path, extra, says):
    directory = tmp_path / "out"
    code, out, err = generate(capsys, directory, *extra)
    assert code == 2
    assert out == ""
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert not directory.exists() or not list(directory.iterdir())


def test_an_unwritable_directory_is_one_line(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = generate(capsys, tmp_path / "file")
    assert code == 2
    assert "Traceback" not in err
    assert "file" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "nowhere.jsonl"),
        ("evaluate", "--model", "./nowhere"),
        ("train", "sft", "--model", "./nowhere", "--data", "nowhere.jsonl", "--output-dir", "out"),
        ("study", "report", "nowhere"),
        ("study", "run", "nowhere", "--output-dir", "out"),
        ("frobnicate",),
        ("study", "frobnicate"),
        ("generate",),
    ],
)
def test_missing_things_are_one_line(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_explain_shows_formats_with_tokens(capsys):
    code, out, _ = run(capsys, "explain", "--n-ops", 4, "--json")
    shown = json.loads(out)
    assert code == 0
    assert all(row["faithful"] for row in shown["traces"])
    tokens = {row["format"]: row["tokens"] for row in shown["traces"] if row["order"] == "forward"}
    assert tokens["explicit"] > tokens["composed:2"] > tokens["implicit:2"] > tokens["answer-only"]
    assert run(capsys, "explain", "--n-ops", 4)[1].count("tokens") >= 4


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (("--order", "sideways"), "unknown order 'sideways'"),
        (("--task", "tree", "--order", "sideways"), "unknown order 'sideways'"),
        (("--task", "tree", "--order", "backward", "hierarchical"), "order 'forward' only"),
        (("--format",), "give a format"),
        (("--task", "tree:width=346", "--n-ops", 345), "aliases"),
    ],
)
def test_explain_reports_what_it_cannot_show(capsys, extra, says):
    code, out, err = run(capsys, "explain", "--n-ops", 4, *extra)
    assert (code, out) == (2, "")
    assert says in err


def test_an_answer_alone_is_shown_once_in_any_order(capsys):
    for orders in (("backward",), ("backward", "hierarchical")):
        _, out, _ = run(capsys, "explain", "--n-ops", 4, "--format", "answer-only", "--order", *orders, "--json")
        assert [row["text"].split()[0] for row in json.loads(out)["traces"]] == ["Answer:"]


def test_an_error_after_the_start_is_one_line(capsys, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"prompt": 5}')
    for command in (
        ("export", tmp_path / "in.jsonl", "--to", "verl", "--output-dir", tmp_path / "out"),
        ("compress", tmp_path / "none.jsonl", "--output", tmp_path / "out.jsonl"),
    ):
        code, _, err = run(capsys, *command)
        assert code == 2
        assert len(err.strip().splitlines()) == 1  # No line of a progress bar, which is disabled here.


def test_progress_bars_in_a_terminal_show_the_total(capsys, tmp_path, monkeypatch):
    from rich.console import Console

    # Imported before the patch: a module that is first imported under it would keep the patched console.
    from zipthought.commands import compress, console, export, verify  # noqa: F401

    generate(capsys, tmp_path)
    data, seen = tmp_path / "explicit.jsonl", StringIO()
    monkeypatch.setattr(console, "console", Console(file=seen, force_terminal=True, color_system=None))
    for command in (
        ("verify", data),
        ("export", data, "--to", "trl-sft", "--output-dir", tmp_path / "out"),
        ("compress", data, "--output", tmp_path / "out.jsonl"),
    ):
        run(capsys, *command)
        assert f"{command[0]} " in seen.getvalue()
        assert "12/12" in seen.getvalue()
        seen.truncate(0)


def test_long_paths_stay_whole(capsys, tmp_path):
    directory = tmp_path / f"[red]{'a' * 90}"
    directory.mkdir()
    _, out, _ = run(capsys, "generate", "--n-ops", 3, "--count", 2, "--output-dir", directory)
    shown = "".join(line.split("│")[2].strip() for line in out.splitlines() if line.startswith("│"))
    assert shown == str(directory / "explicit.jsonl")
    (directory / "in.jsonl").write_text('{"question": "a", "answer": "2 + 3 = 5\\n#### 5"}\n{\n')
    _, out, err = run(capsys, "compress", directory / "in.jsonl", "--output", directory / "out.jsonl")
    assert f"{directory}/out.jsonl.rejects.jsonl\n" in out
    assert f"{directory}/out.jsonl\n" in err
    (directory / "bad.jsonl").write_text(
        json.dumps({"prompt": "a", "surface": "b" * 90, "completion": "c", "modulus": 5})
    )
    _, _, err = run(capsys, "verify", directory / "bad.jsonl")
    assert len(err.strip().splitlines()) == 1


def test_train_evaluate_and_a_torn_training_file(capsys, tmp_path, tiny_base):
    generate(capsys, tmp_path, "--surface", "terse")
    data, out_dir = tmp_path / "composed-2.jsonl", tmp_path / "sft"
    train = ("train", "sft", "--model", tiny_base, "--data", data, "--output-dir", out_dir, "--steps", 3)
    code, out, _ = run(capsys, *train, "--batch-size", 4, "--json")
    assert code == 0
    assert json.loads(out)["steps"] == 3
    assert len((out_dir / "metrics.jsonl").read_text().splitlines()) == 3
    assert not (out_dir / "checkpoint.pt").exists()
    code, _, err = run(capsys, *train)
    assert code == 2
    assert "finished model" in err

    completions = tmp_path / "c.parquet"
    measure = ("evaluate", "--model", out_dir, "--split", "test", "--n-ops", 1, 2, "--count", 3)
    code, out, _ = run(capsys, *measure, "--output", completions, "--json")
    summary = json.loads(out)
    assert code == 0
    assert set(summary["by_n_ops"]) == {"1", "2"}
    assert {"n", "accuracy", "faithful", "response_tokens", "truncated", "ops_per_step"} <= set(
        summary["by_n_ops"]["1"]
    )
    assert completions.exists()

    torn = tmp_path / "torn.jsonl"
    torn.write_text(data.read_text()[:-30])
    code, _, err = run(capsys, "train", "sft", "--model", tiny_base, "--data", torn, "--output-dir", tmp_path / "x")
    assert code == 2
    assert "line 12" in err


def test_pretrain_writes_a_card_and_a_model_that_loads(capsys, tmp_path, monkeypatch):
    from zipthought.study import bases

    monkeypatch.setattr(bases, "MEASURED_COUNT", 3)
    code, out, _ = run(
        capsys, "pretrain", "--output-dir", tmp_path / "b", "--steps", 2, "--batch-size", 4, "--size", "0.2M", "--json"
    )
    assert code == 0
    card = json.loads(out)
    assert set(card["accuracy"]) == {str(n) for n in bases.MEASURED_N_OPS}
    assert card["sha256"] in (tmp_path / "b" / "README.md").read_text()

    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert AutoModelForCausalLM.from_pretrained(tmp_path / "b").num_parameters() == card["parameters"]
    assert AutoTokenizer.from_pretrained(tmp_path / "b").eos_token == "<eos>"


def test_pretrain_on_a_device_that_does_not_exist_is_one_line(capsys, tmp_path):
    code, _, err = run(capsys, "pretrain", "--output-dir", tmp_path / "b", "--device", "tpu", "--size", "0.2M")
    assert (code, err.count("\n")) == (2, 1)
    assert "device 'tpu' does not exist here" in err
    assert list(tmp_path.iterdir()) == []


def test_held_out_records_are_not_trained_on(capsys, tmp_path, tiny_base):
    records = []
    for split in ("train", "test"):
        generate(capsys, tmp_path / split, "--surface", "terse", "--split", split)
        records.append((tmp_path / split / "explicit.jsonl").read_text())
    (tmp_path / "both.jsonl").write_text("".join(records))
    train = ("--model", tiny_base, "--steps", 1, "--json")
    code, out, err = run(
        capsys, "train", "sft", *train, "--data", tmp_path / "both.jsonl", "--output-dir", tmp_path / "a"
    )
    assert (code, json.loads(out)["examples"]) == (0, 12)
    assert "12 of 24 records are held out" in err
    for method in ("sft", "rlvr"):
        held = tmp_path / "test" / "explicit.jsonl"
        code, _, err = run(capsys, "train", method, *train, "--data", held, "--output-dir", tmp_path / "b")
        assert code == 2
        assert "all 12 records" in err
    assert not (tmp_path / "b").exists()


def test_torn_models_and_checkpoints_are_one_line(capsys, tmp_path, tiny_base):
    generate(capsys, tmp_path, "--surface", "terse")
    broken, out = tmp_path / "broken", tmp_path / "out.partial"
    shutil.copytree(tiny_base, broken)
    weights = broken / "model.safetensors"
    assert weights.stat().st_mode & 0o777 == 0o644
    weights.write_bytes(weights.read_bytes()[:1000])
    code, _, err = run(capsys, "evaluate", "--model", broken, "--n-ops", 1)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "cannot load the model" in err
    out.mkdir()
    (out / "checkpoint.pt").write_bytes(b"PK half of it")
    train = ("train", "sft", "--model", tiny_base, "--data", tmp_path / "explicit.jsonl", "--steps", 1)
    for more, says in (
        ((), "holds a checkpoint; continue it with --resume"),
        (("--resume",), "checkpoint.pt is damaged"),
    ):
        code, _, err = run(capsys, *train, "--output-dir", tmp_path / "out", *more)
        assert (code, len(err.strip().splitlines())) == (2, 1)
        assert says in err
    assert [path.name for path in out.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("train", "sft", "--steps", "3"), 2, "--data PATH, --output-dir PATH"),
        (("generate", "--output-dir", "x"), 2, "--n-ops"),
        (("generate", "--n-ops", "3", "--count", "-2", "--output-dir", "x"), 2, "generate: count must be"),
        (("verify", "empty.jsonl"), 2, "holds no records"),
        (("compress", "wrong.jsonl", "--output", "out.jsonl"), 1, ""),
        (("compress", "wrong.jsonl", "--output", "out.jsonl", "--json"), 1, ""),
        (("advise", "--data", "wrong.jsonl"), 2, "no solution of wrong.jsonl verifies"),
        (
            ("advise", "--examples", "8", "--n-ops", "3", "--tokenizer", "t"),
            2,
            "--tokenizer counts the tokens of --data",
        ),
        (("evaluate", "--output", "x.csv"), 2, "ends in .parquet"),
        (("evaluate", "--n-ops", "1", "--count", "2", "--surface", "english"), 2, "does not know this text"),
        (("study", "run", "quick", "--workers", "-1", "--output-dir", "x"), 2, "workers must be at least 0"),
    ],
)
def test_errors_name_the_remedy(capsys, tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "wrong.jsonl").write_text('{"question": "a", "answer": "2 + 2 = 5\\n#### 5"}\n')
    given, _, err = run(capsys, *arguments)
    assert given == code
    assert says in err
    assert not (tmp_path / "x").exists() or not list((tmp_path / "x").rglob("*.json*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("generate", "--colour", "red"),
            "missing arguments: --n-ops [INT [INT ...]]; unrecognized arguments: --colour red",
        ),
        (("verify",), "missing arguments: PATH"),
        (("verify", "a", "b"), "unrecognized arguments: b"),
        (("explain", "--n-ops", "x"), "--n-ops: "),
        (("generate", "--n-ops", "3", "--output-dir"), "too few values for --output-dir PATH"),
        (("study", "run", "quick", "--backend", "moon"), "--backend must be one of local, ray, got 'moon'"),
    ],
)
def test_refused_arguments_are_one_line_with_the_way_to_the_help(capsys, arguments, says):
    code, out, err = run(capsys, *arguments)
    words = " ".join(arguments[:2]) if arguments[0] == "study" else arguments[0]
    assert (code, out) == (2, "")
    assert err.startswith(f"zipthought {words}: {says}")
    assert err.endswith(f"(see zipthought {words} --help)\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("absent", ["module", "attribute"])
def test_without_the_hook_of_tyro_its_own_message_is_printed(capsys, monkeypatch, absent):
    """The hook is not public API: another version of tyro may lack it or change its events."""
    import tyro

    if absent == "module":
        monkeypatch.delattr(tyro, "_errors")
        monkeypatch.setitem(sys.modules, "tyro._errors", None)
    else:
        monkeypatch.setattr("zipthought.commands.parsing._usage", lambda argument: argument.of_another_version)
    code, out, err = run(capsys, "generate")
    assert (code, out) == (2, "")
    assert "--n-ops" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("package", "extra"), [("pyarrow", "parquet"), ("ray", "ray"), ("torch", "study")])
def test_a_missing_package_is_named_with_the_extra_that_installs_it(capsys, monkeypatch, package, extra):
    def command() -> int:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr("zipthought.commands.verify.verify", command)
    code, _, err = run(capsys, "verify")
    assert (code, err) == (2, f"zipthought verify: needs the package {package!r}; install zipthought[{extra}]\n")
