"""What SECURITY.md promises: names, records and completions of others stay text wherever they are written."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.dom import minidom

import pyarrow.parquet
import pytest
import yaml
from markdown_it import MarkdownIt

import zipthought
from zipthought.cli import main
from zipthought.commands.console import console, echo, print_table
from zipthought.core.methods import METHODS, parse_method
from zipthought.files.escape import csv_cell, markdown_code, markdown_text, visible, yaml_string
from zipthought.generation.generate import GenerateConfig
from zipthought.records.export import EXPORTS, export_records
from zipthought.records.export.base import template
from zipthought.report.data import CellRow, Finding, ReportData, Section
from zipthought.report.exports import as_csv, drawn, markdown, write_export
from zipthought.study.workspace import Workspace

REPOSITORY = Path(__file__).parents[1]
CONTROL = "\x1b[31m\x07\x08\x00\x7f\x9b\u202e\u2066\u2028\ud800"
NAMES = (
    *(
        "a #1",
        "a: b",
        "- a",
        "a b",
        "'a'",
        '"a"',
        "`id`",
        "$(id)",
        "${HOME}",
        "{a}",
        "[a]",
        "a|b",
        "a;b",
        "a&b",
        "a\\b",
    ),
    *("%s", "%(a)s", "@FILES@", "@HELD_OUT@", "!a", "*", "~", "-rf", "--", "null", "1e3", "true", "a\nb: c", "a\tb"),
    *("ümlaut", "漢字", "😀", "a\u2028b", "a\x1b[31mb", "a\x85b", "a\ufeffb", "</script>", "a'b\"c`d$e"),
)
TURNS = ("system", "user", "assistant")


def hostile_record(text: str) -> dict:
    """A record whose free texts are all `text`."""
    texts = ("id", "structure", "format", "parameter", "order", "surface", "prompt", "completion", "answer")
    turns = [{"role": role, "content": text} for role in TURNS]
    numbers = {"index": 0, "n_ops": 1, "modulus": 23, "k": 2}
    return dict.fromkeys(texts, text) | numbers | {"split": "test", "messages": turns}


BY_STEPS = ("stepwise", "coconut", "icot", "chat-reasoning")
"""The targets that read the steps of a completion, and so refuse a record of no surface."""


def hostile_input(target: str, text: str) -> str:
    """A line of a record that a target accepts, whose other free texts are all `text`."""
    return json.dumps(hostile_record(text) | ({"surface": "gsm8k", "answer": "5"} if target in BY_STEPS else {}))


def parsed(path: Path):
    """A file of an export, parsed as its own language; fails where it is not valid."""
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    text = path.read_text("utf-8")
    match path.suffix:
        case ".json":
            return json.loads(text)
        case ".jsonl":
            return [json.loads(line) for line in text.splitlines()]
        case ".txt":
            return [part for line in text.splitlines() for part in re.split(r"\|\|| #### ", line)]
        case ".py":
            return ast.parse(text)
        case ".yaml":
            return yaml.load(text, WithFunctions)
        case ".toml":
            return tomllib.loads(text)
        case ".sh":
            assert subprocess.run(["bash", "-n", str(path)], capture_output=True).returncode == 0
            return shlex.split(text, comments=True)
        case ".md":
            head, body = re.fullmatch(r"---\n(.*?)---\n(.*)", text, re.DOTALL).groups()
            return yaml.safe_load(head), MarkdownIt("gfm-like", {"linkify": False}).render(body)
    raise AssertionError(f"{path.name}: no parser; add one, so that the quoting of the target is tested")


class WithFunctions(yaml.SafeLoader):
    """YAML with lm-eval's `!function`."""


WithFunctions.add_constructor("!function", lambda loader, node: node.value)


def values_of(tree) -> list[str]:
    """All texts of a parsed file."""
    if isinstance(tree, ast.AST):
        return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if isinstance(tree, dict):
        return [text for item in tree.items() for text in values_of(item)]
    if isinstance(tree, list | tuple):
        return [text for item in tree for text in values_of(item)]
    return [str(tree)]


@pytest.mark.parametrize("target", sorted(EXPORTS))
def test_exports_quote_the_name_of_their_directory(target, tmp_path):
    """Each file parses as its language, and where it names its directory, it names the right one."""
    (tmp_path / "in.jsonl").write_text(hostile_input(target, "a"))
    for name in NAMES:
        directory = tmp_path / name
        export_records([tmp_path / "in.jsonl"], target, directory)
        files = [path for path in directory.rglob("*") if path.is_file()]
        assert len(files) > 1
        for path in files:
            for value in values_of(parsed(path)):
                if str(tmp_path) in value:
                    assert Path(value).is_file(), (path.name, value)
                    assert Path(value).parent == directory.resolve()


def test_lm_eval_names_its_files_whatever_the_directory(tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps(hostile_record("a")))
    for name in NAMES:
        export_records([tmp_path / "in.jsonl"], "lm-eval", tmp_path / name)
        task = parsed(tmp_path / name / "zipthought.yaml")
        assert task["dataset_kwargs"]["data_files"] == {"test": str(tmp_path.resolve() / name / "test.jsonl")}
        assert task["test_split"] == "test"


@pytest.mark.parametrize("target", sorted(EXPORTS))
def test_exports_hold_hostile_records_as_text(target, tmp_path):
    for text in (*NAMES, "a | b\n\n# c <img src=x onerror=alert(1)> [x](http://x.y) @FILES@" + CONTROL[:-1]):
        (tmp_path / "in.jsonl").write_text(hostile_input(target, text))
        export_records([tmp_path / "in.jsonl"], target, tmp_path / "out")
        files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        trees = {path: parsed(path) for path in files}
        line = " ".join(filter(None, map(str.strip, text.splitlines())))
        held = {text, f"{text}\n\n{text}", f"{text}\n{text}", f"{text}\n{text}\n", f"{line} {line}"}
        assert any(held.intersection(values_of(tree)) for tree in trees.values()), text
        for path in files:
            if path.suffix not in (".parquet", ".jsonl", ".txt"):
                assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066]", path.read_text("utf-8")), path
        if target == "hf":
            _, page = trees[tmp_path / "out" / "README.md"]
            assert not re.search("<img|<a href=.http://x", page)
            assert (page.count("<h1>"), page.count("<tr>"), page.count("<td>")) == (1, 6, 10)


def test_a_value_that_looks_like_a_placeholder_stays_as_it_is():
    text = template("lm_eval/zipthought.yaml", files="    test: '@HELD_OUT@'", held_out="test")
    assert yaml.load(text, WithFunctions)["dataset_kwargs"]["data_files"] == {"test": "@HELD_OUT@"}


SPLITS = ("../../x", "/etc/x", "CON", "a/b", "\0", "x" * 300, "train\n", "train ", "TRAIN", "", ".", "..", "a\\b")


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("target", sorted(EXPORTS))
def test_a_split_is_one_of_three_words_and_never_a_path(target, split, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "in.jsonl"
    path.write_text(json.dumps(hostile_record("a") | {"split": split}))
    assert main(["export", str(path), "--to", target, "--output-dir", str(tmp_path / "in" / "out")]) == 2
    assert "'split' must be train, validation, test" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["in.jsonl"]
    with pytest.raises(ValueError, match="split"):
        GenerateConfig(n_ops=(2,), count=1, split=split, output_dir=tmp_path / "out")


def test_ids_are_never_paths(tmp_path):
    path = tmp_path / "in.jsonl"
    for target in EXPORTS:
        path.write_text(json.dumps(json.loads(hostile_input(target, "../../x")) | {"source_id": "../x"}))
        export_records([path], target, tmp_path / target / "a" / "b")
    assert not [found for found in tmp_path.rglob("*") if found.name == "x"]


@pytest.mark.parametrize("digest", ["../../x", "/x", "a/b", "", ".", "..", "a\n", "a\0", "*"])
def test_digests_of_cells_are_never_paths(digest, tmp_path):
    workspace = Workspace(tmp_path)
    calls = (workspace.weights, workspace.scratch, workspace.files, lambda text: workspace.completions(text, "test"))
    for call in (*calls, lambda text: workspace.completions("d1", text)):
        with pytest.raises(ValueError, match="cannot name the files of a cell"):
            call(digest)


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "/x", ".x", "a\nb", "CON ", "", "a\0"])
def test_names_of_formats_are_names_of_files(name):
    with pytest.raises(ValueError, match="unknown format"):
        parse_method(name)
    for method in METHODS.values():
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+.-]*", method.NAME)
    for text in ("composed:2", "random-steps:0.5"):
        assert re.fullmatch(r"[A-Za-z0-9_+.=-]+", parse_method(text).file_stem)


# Control characters


def shown(call, capsys) -> str:
    call()
    said = capsys.readouterr()
    return said.out + said.err


def test_control_characters_are_shown_not_obeyed(capsys):
    assert visible("a\x1b[31m\u202e\ud800\x9b") == r"a\x1b[31m\u202e\ud800\x9b"
    assert visible("ü 漢字 😀 ok") == "ü 漢字 😀 ok"
    for call in (
        lambda: echo(f"a{CONTROL}\nb"),
        lambda: console.print(f"a{CONTROL}\nb", markup=False),
        lambda: print_table(f"a{CONTROL}", [{CONTROL: CONTROL}]),
    ):
        text = shown(call, capsys)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066\u2028\ud800]", text)
        assert r"\x1b" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "{file}"],
        ["verify", "none\x1b]0;owned\x07.jsonl"],
        ["export", "{file}", "--to", "hf", "--output-dir", "{out}"],
        ["export", "{file}", "--to", "a\x1b[2J", "--output-dir", "{out}"],
        ["compress", "{file}", "--output", "{out}", "--format", "a\x1b[2J"],
        ["explain", "--n-ops", "2", "--surface", "a\x1b[2J\u202e"],
        ["evaluate", "--output", "../x\x1b[2J\u202e.csv"],
        ["explain\x1b[2J"],
    ],
)
def test_no_command_prints_control_characters(arguments, tmp_path, capfd):
    path = tmp_path / "a\x1b[31m\x07\u202e.jsonl"
    lines = [{"problem": f"a{CONTROL}", "question": "b", "solution": "c", "modulus": 7}, {"surface": CONTROL, "x": 1}]
    lines += [hostile_record("a") | {"surface": CONTROL, "messages": CONTROL}]
    lines += [{"prompt": "x = 3 . ? x", "modulus": 7, "surface": "terse", "completion": f"{CONTROL} = 4 . answer 3 ."}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"\\u001b\\u202e": 1, "\\u001b\\u202e": 2}\n')
    assert main([part.format(file=path, out=tmp_path / "out\x1b") for part in arguments]) in (1, 2)
    said = capfd.readouterr()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066\u2028]", said.out + said.err)


# CSV and Markdown

FORMULAS = ("=1+1", "+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", '=HYPERLINK("http://x")', "＝1", "-", "-0.5")


def test_no_text_of_a_csv_file_is_a_formula():
    rows = [{"=a": text, "n": -0.3, "i": -5, "t": "a -b\0"} for text in FORMULAS]
    header, *lines = csv.reader(io.StringIO(as_csv(rows), newline=""))
    assert header == ["'=a", "n", "i", "t"]
    cells = ["'" + text.replace("\r", r"\r") for text in FORMULAS]
    assert lines == [[cell, "-0.3", "-5", r"a -b\x00"] for cell in cells]
    assert [csv_cell(value) for value in (-1, -0.5, None, True, "a=b")] == [-1, -0.5, None, True, "a=b"]


def test_the_files_of_tables_stay_in_their_directory(tmp_path):
    row = CellRow(format="=1", examples=1, seed=0, n=1)
    finding = Finding(id="../../x", claim="", verdict="supported", rule="", summary="", rows=[{"a": "=1"}])
    data = ReportData(
        title="", command="", findings=[finding], sections=[Section(experiment="a", tables={"../../y": [row]})]
    )
    paths = write_export(data, "csv", tmp_path / "a" / "b" / "c")
    assert {path.parent for path in paths} == {tmp_path / "a" / "b" / "c"}
    assert {path.name for path in paths} == {"------y.csv", "finding-------x.csv", "findings.csv"}
    assert "'=1" in paths[0].read_text()
    twice = ReportData(title="", command="", sections=[Section(experiment="a", tables={"a/b": [row], "a b": [row]})])
    with pytest.raises(ValueError, match=r"has the file a-b\.csv"):
        write_export(twice, "csv", tmp_path / "none")


@pytest.mark.parametrize(
    "text",
    [
        *("a | b", "`a`", "``` \n# a", "<img src=x onerror=alert(1)>", "[a](http://x.y)", "![a](x)", "**a** _a_ ~~a~~"),
        *(
            "# a",
            "- a",
            "+ a",
            "1. a",
            "12) a",
            "---",
            "===",
            "&lt;",
            "a\\",
            "\\`a`",
            "<http://x.y>",
            "a\n\nb",
            "    a",
        ),
        *("n_ops composed:2", "https://x.y", "www.x.y", "a@b.c", "$a$", CONTROL, "[a]: http://x.y", "> a"),
    ],
)
def test_text_in_markdown_is_text(text):
    expected = visible(text).strip()
    for document, tag in ((markdown_text(text), "p"), (f"| {markdown_text(text)} |\n| --- |\n| a |", "th")):
        tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(document)
        assert tokens[-1].tag in (tag if tag == "p" else "table")
        inline = next(token for token in tokens if token.type == "inline")
        assert {child.type for child in inline.children} <= {"text"} | {"text_special"}
        assert "".join(child.content for child in inline.children) == expected
    assert not re.search(r"https?:|www\.|(?<!\\)[@$]", markdown_text(text))
    (block,) = MarkdownIt("commonmark").parse(markdown_code(text, "sh"))
    assert (block.type, block.content) == ("fence", visible(text, keep="\n") + "\n")


def test_report_md_and_svg_hold_hostile_texts():
    text = f"</svg><script>alert(1)</script>|`a`\n# b{CONTROL}"
    finding = Finding(id=text, claim=text, verdict="supported", rule=text, summary=text, rows=[{text: text}])
    data = ReportData(title=text, command=text, created=text, environment={text: text}, findings=[finding])
    written = markdown(data)
    written.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", written)
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(written)
    assert not re.search("<(script|/svg)", page)
    assert page.count("<h1>") == 1
    spec = {"data": {"values": [{"a": text}]}, "mark": "text", "encoding": {"text": {"field": "a"}}, "title": text}
    image = minidom.parseString(drawn({"$schema": "https://vega.github.io/schema/vega-lite/v6.json", **spec}, "svg"))
    assert not image.getElementsByTagName("script")


@pytest.mark.parametrize("text", [*NAMES, "\udcff", '"', "\\", "\\n", "\0", "a" * 300])
def test_yaml_gives_the_text_back(text):
    assert yaml.safe_load(yaml_string(text)) == text
    assert yaml_string(text).isascii()


# The promises


def calls_of(tree: ast.AST) -> list[tuple[str, dict[str, ast.expr]]]:
    """The calls in a module: (dotted name, keyword arguments)."""
    return [
        (ast.unparse(node.func), {keyword.arg or "**": keyword.value for keyword in node.keywords})
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def test_no_pickle_and_no_code_of_a_model():
    """In the sources: nothing unpickles, evaluates text or starts a shell, and no model brings code."""
    loads = 0
    for path in Path(zipthought.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        imported = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)}
        assert not [
            line for line in imported if re.search(r"\b(pickle|marshal|shelve|dill)\b(?! import Unpickling)", line)
        ]
        for name, options in calls_of(tree):
            assert name not in ("eval", "exec", "compile", "os.system", "os.popen", "yaml.load"), path
            assert ast.unparse(options.get("trust_remote_code", ast.Constant(False))) == "False", path
            assert "shell" not in options, path
            if name == "torch.load":
                loads += 1
                assert ast.unparse(options["weights_only"]) == "True"
    assert loads


OFFLINE = """
import sys, zipthought.cli
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        print("NETWORK", event, arguments)
sys.addaudithook(refuse)
for command in (
    "generate --n-ops 2 --count 20 --output-dir data",
    "verify data/explicit.jsonl",
    "compress in.jsonl --output out.jsonl --workers 1",
    "export out.jsonl data/explicit.jsonl --to hf --output-dir hf",
    "explain --n-ops 2",
    "advise --n-ops 4 --examples 500",
):
    assert zipthought.cli.main(command.split()) == 0, command
from zipthought.report.data import ReportData
from zipthought.report.exports import FORMATS, write_export
from zipthought.report.page import build_report
from pathlib import Path
build_report(ReportData(title="a", command="b"))
for form in FORMATS:
    write_export(ReportData(title="a", command="b"), form, Path(form))
"""


def test_no_network_is_opened(tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps({"question": "How many?", "answer": "2 + 3 = 5.\n#### 5"}))
    done = subprocess.run([sys.executable, "-c", OFFLINE], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "NETWORK" not in done.stdout


@pytest.mark.skipif(not (REPOSITORY / "SECURITY.md").exists(), reason="installed without its repository")
def test_every_promise_names_a_test_that_exists():
    text = (REPOSITORY / "SECURITY.md").read_text()
    promises = re.findall(r"^- \*\*.*?(?=^- |^#|\Z)", text.split("## What is not safe")[0], re.MULTILINE | re.DOTALL)
    assert len(promises) >= 8
    for promise in promises:
        named = re.findall(r"`tests/(\w+\.py)(?:::(\w+))?`", promise)
        assert named, promise
        for file, function in named:
            assert f"def {function}" in (REPOSITORY / "tests" / file).read_text(), (file, function)


def stub_of_pip_audit(path: Path, report: str) -> Path:
    path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{report}\nEOF\nexit 1\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(not (REPOSITORY / ".github").exists(), reason="installed without its repository")
def test_the_audit_is_required_for_each_change_and_every_week():
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "audit.yml").read_text())
    assert set(workflow[True]) == {"push", "pull_request", "schedule"}  # YAML 1.1 reads `on` as true.
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1]["run"] == "make audit PYTHON=python AUDIT_OPTIONS=--required"
    assert "make audit\n" in (REPOSITORY / ".ci" / "run").read_text()


@pytest.mark.skipif(not (REPOSITORY / ".ci" / "audit").exists(), reason="installed without its repository")
@pytest.mark.parametrize(
    ("packages", "options", "code", "says"),
    [
        (None, [], 0, "SKIPPED"),
        (None, ["--required"], 1, "SKIPPED"),
        ([{"name": "a", "skip_reason": "not found"}], [], 0, "SKIPPED"),
        ([{"name": "a", "skip_reason": "not found"}], ["--required"], 1, "SKIPPED"),
        ([{"name": "a", "version": "1", "vulns": []}], ["--required"], 0, "1 versions, 0 known"),
        ([{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "no"}], [], 1, "b: no"),
        ([{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}], [], 1, "a 1: CVE-1"),
    ],
)
def test_the_audit_fails_for_a_vulnerability_and_says_when_it_cannot_look(tmp_path, packages, options, code, says):
    report = "no connection" if packages is None else json.dumps({"dependencies": packages})
    stub = stub_of_pip_audit(tmp_path / "pip-audit", report)
    command = [sys.executable, str(REPOSITORY / ".ci" / "audit"), str(stub), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")
    assert says in done.stdout
