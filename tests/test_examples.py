"""The README and the documentation: their commands parse, their links and targets exist, their examples are right."""

import functools
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import zipthought as zt
from zipthought.cli import COMMANDS, main
from zipthought.core.compress import compress
from zipthought.records.reading import verdict_of
from zipthought.study.spec import load_spec
from zipthought.surfaces import english, terse

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
GITHUB = re.compile(
    r"https://(?:github\.com/zipthought/zipthought/(?:blob|tree)|raw\.githubusercontent\.com/zipthought/zipthought)"
    r"/main/([^)#\s]*)"
)


def blocks(path, language):
    """The fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands(text):
    """The zipthought commands of a shell script, as lists of arguments; redirections and other programs left out."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        start = next((i for i, word in enumerate(words) if Path(word).name == "zipthought"), None)
        if start is not None and words[0] != "git":
            arguments = words[start + 1 :]
            end = next((i for i, word in enumerate(arguments) if word in (">", "|", "&&")), len(arguments))
            yield arguments[:end]


COMMANDS_SHOWN = [
    pytest.param(arguments, id=f"{page.relative_to(ROOT)}: {' '.join(arguments)}")
    for page in PAGES
    for block in blocks(page, "sh")
    for arguments in commands(block)
]


def parse(arguments, monkeypatch):
    """The exit code of the command line, with every command replaced by one of the same signature that does nothing."""
    for module, function, _ in COMMANDS.values():
        home = import_module(f"zipthought.commands.{module}")
        nothing = functools.wraps(getattr(home, function))(lambda *args, **options: 0)
        monkeypatch.setattr(home, function, nothing)
    return main(arguments)


def test_commands_are_found():
    assert list(commands("a/zipthought x \\\n  --y 'b c' > f  # no\nls\nrun -m zipthought z && cd q")) == [
        ["x", "--y", "b c"],
        ["z"],
    ]
    assert len(COMMANDS_SHOWN) > 30


@pytest.mark.parametrize("arguments", COMMANDS_SHOWN)
def test_every_command_parses(arguments, monkeypatch, capsys):
    assert parse(arguments, monkeypatch) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "generate --n-ops ten --output-dir data",  # not a number
        "generate --n-opps 3 --output-dir data",  # no such option
        "generate --n-ops 3 --format composed --output-dir data",  # a format without its granularity
        "study run",  # nothing to run
        "train --model bundled",  # not a command
    ],
)
def test_wrong_commands_do_not_parse(line, monkeypatch):
    assert parse(line.split(), monkeypatch) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_targets_in_the_text_exist(page):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for shown in re.findall(r"`zipthought ([a-z][^`]*)`", text):
        assert any(f"{shown} ".startswith((f"{words} ", words.split()[0] + " ")) for words in COMMANDS), shown
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"`make ([a-z-]+)`", text) + re.findall(
        r"^make ([a-z-]+)", page.read_text(), re.MULTILINE
    ):
        assert target in targets


@pytest.mark.parametrize("page", [p for p in PAGES if "log" not in p.parts], ids=lambda page: page.name)
def test_files_that_the_pages_cite_exist(page):
    cited = re.findall(r"`((?:\w+/)+[\w.-]+\.(?:py|txt|toml|yaml))`", page.read_text("utf-8"))
    assert [path for path in cited if not ((ROOT / path).exists() or (ROOT / "src/zipthought" / path).exists())] == []


def test_the_links_of_the_readme_work_from_a_package_index():
    text = README.read_text("utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert all(link.startswith("https://") for link in links)
    paths = GITHUB.findall(text)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_github_links_of_the_documentation_exist():
    for page in PAGES:
        assert [path for path in GITHUB.findall(page.read_text("utf-8")) if not (ROOT / path).exists()] == []


def test_the_readme_has_the_two_commands_and_a_picture():
    (first, *_) = blocks(README, "sh")
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make study", "make test"]
    assert (ROOT / "docs" / "report.png").stat().st_size < 300_000


def test_the_five_lines_of_python():
    (code,) = blocks(README, "python")
    scope = {}
    exec(code, scope)
    assert scope["verdict"].faithful
    assert scope["verdict"].granularity == (2, 2, 2)


def test_the_solution_of_the_readme_is_compressed_as_it_says(tmp_path):
    before, after = blocks(README, "text")[0].strip().split("\n\n")
    question = "Mara bakes 4 trays of 12 rolls and gives 9 rolls to her neighbour. She sells the rest for $2 each."
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps({"question": question, "answer": before}))
    assert main(["compress", str(source), "--output", str(out), "--format", "composed:3"]) == 0
    assert json.loads(out.read_text())["completion"] == after


def test_the_pairs_in_docs_are_those_of_the_code():
    page = runpy.run_path(str(ROOT / "examples" / "pairs.py"))["page"]()
    assert (ROOT / "docs" / "examples.md").read_text("utf-8") == page


def test_the_texts_of_the_formats_page_are_those_of_the_code():
    page = (ROOT / "docs" / "formats.md").read_text("utf-8")
    prompt, short = blocks(ROOT / "docs" / "formats.md", "text")
    problem = english.parse_problem(prompt.strip(), 23)
    assert english.render_problem(problem) == prompt.strip()
    assert short.splitlines() == [terse.render_problem(problem), terse.render(compress(problem, "explicit"))]
    rows = re.findall(r"^\| `([a-z:0-9-]+)`(?:, `([a-z]+)`)? \| `(.*Answer: 14\.)` \|$", page, re.MULTILINE)
    assert len(rows) == 6
    aliases = {"kites": "QB", "drums": "MX", "lamps": "AE"}
    for fmt, order, text in rows:
        assert english.render(compress(problem, fmt, order or "forward"), aliases) == text
        assert zt.verify(text, problem).faithful


ADDITIONS = re.findall(
    r"^\| [a-z ]+ \| .* \| `([\w.]+)\.([A-Z_]+)` \| `([\w/.]+)` \|$",
    (ROOT / "docs" / "architecture.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_the_additions_are_found():
    assert len(ADDITIONS) == 14


@pytest.mark.parametrize(("module", "registry", "test"), ADDITIONS)
def test_the_registry_and_the_contract_test_of_an_addition_exist(module, registry, test):
    assert len(getattr(import_module(f"zipthought.{module}"), registry)) > 1
    assert (ROOT / test).is_file()


def test_the_plugin_of_the_architecture_page_works(tmp_path):
    (code,) = blocks(ROOT / "docs" / "architecture.md", "python")
    (tmp_path / "halves.py").write_text(code)
    environment = {**os.environ, "ZIPTHOUGHT_PLUGINS": "halves", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-m", "zipthought", "generate", "--n-ops", "6", "--count", "3", "--format", "halves"]
    subprocess.run([*command, "--output-dir", str(tmp_path)], check=True, capture_output=True, env=environment)
    for line in (tmp_path / "halves.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert (record["format"], record["k"]) == ("halves", 3)
        assert verdict_of(record, record["completion"]).granularity == (3, 3)


@pytest.mark.parametrize("name", ["fsdp", "deepspeed"])
def test_accelerate_reads_its_configurations(name):
    path = ROOT / "examples" / f"{name}.yaml"
    try:
        from accelerate.commands.config.config_args import ClusterConfig
        from accelerate.commands.launch import launch_command_parser
    except ImportError:
        yaml = pytest.importorskip("yaml")
        assert yaml.safe_load(path.read_text())["num_processes"] == 8
        return
    config = ClusterConfig.from_yaml_file(str(path))
    assert (config.distributed_type.name, config.num_processes) == (name.upper(), 8)
    settings = getattr(config, f"{name}_config")
    assert settings.get("fsdp_version", settings.get("zero_stage")) == {"fsdp": 2, "deepspeed": 3}[name]
    # The class takes any table; each of its keys becomes an option of `accelerate launch`.
    known = {action.dest for action in launch_command_parser()._actions}
    assert set(settings) <= known


STUBS = {
    "scontrol": "printf 'node1\\nnode2\\n'",
    "srun": """case "$*" in
*hostname*) echo "fe80::1 10.0.0.7 10.0.0.8";;
*) echo "$* $RAY_AUTH_MODE:${#RAY_AUTH_TOKEN}" >> "$LOG";;
esac""",
    "ray": "exit 0",
    "zipthought": """printf "%s\\n" "$@" > "$ARGUMENTS"
for _ in $(seq 100); do  # The steps of the nodes are in the background.
  [ "$(wc -l < "$LOG")" -ge "$SLURM_JOB_NUM_NODES" ] && exit
  sleep 0.1
done""",
}
"""Programs of a cluster, as far as the script uses them."""


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_slurm_script_starts_ray_on_each_node_and_runs_a_command_that_exists(nodes, tmp_path, monkeypatch):
    script = ROOT / "examples" / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    for program, text in STUBS.items():
        (tmp_path / program).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / program).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "ARGUMENTS": str(tmp_path / "arguments"),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_CPUS_PER_TASK": "32",
        "SLURM_GPUS_ON_NODE": "4",
    }
    subprocess.run(["bash", script, "paper", "runs/my paper"], check=True, env=environment, capture_output=True)
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[:5] == ["study", "run", "paper", "--output-dir", "runs/my paper"]
    assert arguments[arguments.index("--address") + 1] == "10.0.0.7:6379"
    assert parse(arguments, monkeypatch) == 0
    started = sorted((tmp_path / "log").read_text().splitlines())
    assert len(started) == nodes
    assert all("--num-cpus=32 --num-gpus=4" in line for line in started)
    assert all(line.endswith(" token:64") for line in started)  # No cluster without a token.
    assert sum("--nodelist=node1 ray start --head" in line for line in started) == 1
    assert sum("--exclude=node1 ray start --address=10.0.0.7:6379" in line for line in started) == nodes - 1


@pytest.mark.parametrize("page", ["studies.md", "rlvr.md"])
def test_the_studies_of_the_pages_are_valid(page, tmp_path):
    (text,) = blocks(ROOT / "docs" / page, "toml")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("runs/my-base", "bundled-mixed"))
    assert load_spec(str(path)).cells()
